"""``fernet-neuro brain simulate``: a group of participants whose geometry is known, as a BIDS data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from fernet_neuro.brain.simulation.dataset import SimulatedGroup


def register(group: typer.Typer) -> None:
    """Add the command to `group`."""
    group.command("simulate")(simulate)


def simulate(
    stimuli: Path = typer.Option(..., help="Stimulus table (.csv or .parquet), or a rendered set's folder."),
    out: Path = typer.Option(..., help="Folder of the BIDS data set to write."),
    subjects: int | None = typer.Option(None, help="Number of people.  [default: 12]"),
    runs: int | None = typer.Option(
        None, help="Runs of each; a run shows every stimulus once.  [default: 6]"
    ),
    snr: float | None = typer.Option(
        None, help="Spread of a voxel's responses, in standard deviations of its noise.  [default: 0.5]"
    ),
    t_r: float | None = typer.Option(None, "--t-r", help="Repetition time, seconds.  [default: 2]"),
    seed: int | None = typer.Option(None, help="Seed of all draws.  [default: 0]"),
    config: Path | None = typer.Option(None, help="YAML with regions and all other settings."),
    settings: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Any setting, such as voxel_size=3; repeat for more."
    ),
    n_jobs: int = typer.Option(1, "--jobs", help="People at a time; the files do not depend on it."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a folder that is not empty."),
    as_json: bool = typer.Option(False, "--json", help="Print what was planted as JSON."),
) -> None:
    """Simulate participants who look at stimuli in the scanner, as a BIDS data set.

    Six regions (EVC, OFA, FFA, pSTS, aSTS, amygdala) tell the stimuli apart by known shares of their pixels,
    view, identity and expression, so that an analysis can be judged by what it recovers. The volumes already
    lie in MNI space; the masks of the regions and of the brain are in derivatives/rois, what was planted in
    derivatives/simulation.

    For example:

      fernet-neuro brain simulate --stimuli faces/table.csv --subjects 12 --runs 6 --out bids

      fernet-neuro brain simulate --stimuli faces/table.csv --snr 0.3 --set task=oddball --out bids
    """
    import json

    from fernet_neuro._utils.config import read_settings
    from fernet_neuro.activations.pixels import compute_pixels
    from fernet_neuro.brain.simulation.dataset import simulate_group
    from fernet_neuro.brain.simulation.settings import SimulationSettings
    from fernet_neuro.stimuli.table import StimulusTable

    given = {"subjects": subjects, "runs": runs, "snr": snr, "t_r": t_r, "seed": seed}
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
    recipe = read_settings(SimulationSettings, config, [*overrides, *settings])
    table = StimulusTable.read(stimuli)
    features = {"pixels": compute_pixels(table).values} if _needs_pixels(recipe, table) else {}
    group = simulate_group(
        table, recipe, out, features=features, n_jobs=n_jobs, verbose=not as_json, overwrite=overwrite
    )
    typer.echo(json.dumps(_summarise(group)) if as_json else "\n".join(_describe(group)))


def _needs_pixels(recipe: Any, table: Any) -> bool:
    named = any(region.shares.get("pixels") for region in recipe.regions.values())
    return named and "pixels" not in table.frame


def _summarise(group: "SimulatedGroup") -> dict[str, Any]:
    return {
        "out": str(group.folder),
        "shares": group.shares,
        "notices": list(group.notices),
        "n_voxels": group.n_voxels,
        "n_scans": group.n_scans,
    }


def _describe(group: "SimulatedGroup") -> list[str]:
    lines = [f"{'region':<12}{'voxels':>7}  planted shares"]
    for name, shares in group.shares.items():
        planted = ", ".join(f"{factor} {share:.2f}" for factor, share in shares.items())
        lines.append(f"{name:<12}{group.n_voxels[name]:>7}  {planted}")
    return [*lines, *(f"Notice: {text}" for text in group.notices), "", f"Written to {group.folder}"]
