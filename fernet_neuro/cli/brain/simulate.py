"""``fernet-neuro brain simulate``: a group of participants whose geometry is known, as a BIDS data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_table, show

if TYPE_CHECKING:
    from fernet_neuro.brain.simulation.dataset import SimulatedGroup


def simulate(
    stimuli: opt.Stimuli,
    out: Annotated[Path, opt.folder("Folder of the BIDS data set to write.")],
    subjects: Annotated[int | None, opt.count("Number of people.  [default: 12]")] = None,
    runs: Annotated[
        int | None, opt.count("Runs per person; each shows every stimulus once.  [default: 6]", min=2)
    ] = None,
    snr: Annotated[
        float | None,
        opt.measure("Standard deviation of a voxel's responses over that of its noise.  [default: 0.5]"),
    ] = None,
    t_r: Annotated[float | None, opt.positive("Repetition time in seconds.  [default: 2]")] = None,
    config: Annotated[Path | None, opt.file("YAML with regions and all other settings.")] = None,
    settings: opt.Settings = [],
    seed: Annotated[int | None, opt.count("Seed of all random draws.  [default: 0]", min=0)] = None,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Simulate participants who look at stimuli in the scanner, as a BIDS data set.

    Six regions (EVC, OFA, FFA, pSTS, aSTS, amygdala) tell the stimuli apart by known shares of their pixels,
    view, identity and expression, so that an analysis can be judged by what it recovers. The volumes already
    lie in MNI space. The masks of the regions and of the brain are in derivatives/rois, and what was planted
    is in code/planted.json.

    Examples
    --------
        fernet-neuro brain simulate --stimuli faces/table.csv --subjects 12 \
            --runs 6 --out bids
        fernet-neuro brain simulate --stimuli faces/table.csv --snr 0.3 \
            --set task=oddball --out bids
    """
    from fernet_neuro._utils.config import read_settings
    from fernet_neuro.brain.simulation.settings import SimulationSettings
    from fernet_neuro.door.simulate import simulate_brain

    given = {"subjects": subjects, "runs": runs, "snr": snr, "t_r": t_r, "seed": seed}
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
    recipe = read_settings(SimulationSettings, config, [*overrides, *settings])
    group = simulate_brain(
        stimuli, out, recipe, n_jobs=jobs, verbose=not (quiet or as_json), overwrite=overwrite
    )
    show(_describe(group), as_json=as_json, values=_summarise(group))


def _summarise(group: "SimulatedGroup") -> dict[str, Any]:
    return {
        "out": str(group.folder),
        "shares": group.shares,
        "notices": list(group.notices),
        "n_voxels": group.n_voxels,
        "n_scans": group.n_scans,
    }


def _describe(group: "SimulatedGroup") -> list[str]:
    rows = [
        {
            "region": name,
            "voxels": group.n_voxels[name],
            "shares": ", ".join(f"{factor} {share:.2f}" for factor, share in shares.items()),
        }
        for name, shares in group.shares.items()
    ]
    columns = {"region": "{region}", "voxels": "{voxels:d}", "planted shares": "{shares}"}
    notices = [f"Notice: {text}" for text in group.notices]
    return [*format_table(rows, columns), *notices, "", f"Written to {group.folder}"]
