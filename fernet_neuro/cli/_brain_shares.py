"""``fernet-neuro brain shares``: which factors make up the geometry of regions, and with what shares."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fernet_neuro.cli._outputs import check_out_file

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.rsa.rdms import RDMSet
    from fernet_neuro.stimuli.table import StimulusTable


def register(group: typer.Typer) -> None:
    """Add the command to `group`."""
    group.command("shares")(shares)


def shares(
    brain: Path = typer.Argument(
        ..., help="A folder of patterns, or a file of crossnobis RDMs with a column subject."
    ),
    stimuli: Path = typer.Option(..., help="Stimulus table of the stimuli shown."),
    factor: list[str] = typer.Option([], help="A column of the table; repeat for more."),
    pixels: bool = typer.Option(False, "--pixels", help="The pictures' grey levels as a factor."),
    roi: list[str] = typer.Option([], help="A region; repeat for more.  [default: all]"),
    level: float = typer.Option(0.95, help="Of intervals over subjects."),
    out: Path | None = typer.Option(None, help="Write the table to this .csv file."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a file that is already there."),
    as_json: bool = typer.Option(False, "--json", help="Print the table as JSON."),
) -> None:
    """Estimate the shares of factors in the geometry of regions: non-negative regression on their RDMs.

    A factor in which all stimuli are the same is left out, with a notice.

    For example:

      fernet-neuro brain shares patterns --stimuli faces.csv --factor identity --factor expression --pixels
    """
    import json

    from fernet_neuro._utils.tables import write_csv
    from fernet_neuro.rsa.models.factors import build_model_rdms
    from fernet_neuro.rsa.models.shares import estimate_shares
    from fernet_neuro.stimuli.table import StimulusTable

    if out is not None:
        check_out_file(out, [".csv"], overwrite=overwrite)
    table = StimulusTable.read(stimuli)
    varied = _leave_out_constant(table, factor, pixels)
    factors = build_model_rdms(table, varied, pixels=pixels, distance="squared_euclidean")
    found = estimate_shares(_read_brain(brain, table, roi), factors, level=level)
    if out is not None:
        write_csv(found, out)
    typer.echo(json.dumps(_as_objects(found)) if as_json else "\n".join(_describe(found, level)))


def _leave_out_constant(table: "StimulusTable", factors: list[str], pixels: bool) -> list[str]:
    """Return the factors that vary, with a notice of the others; all of them where nothing would be left."""
    same = [
        name for name in factors if len(set(table.factor(name, complete=False).astype(str).tolist())) == 1
    ]
    kept = [name for name in factors if name not in same]
    if not kept and not pixels:
        return factors
    for name in same:
        typer.echo(f"Notice: all stimuli are the same in {name}; it is left out.", err=True)
    return kept


def _read_brain(path: Path, table: "StimulusTable", rois: list[str]) -> "RDMSet":
    """Return RDMs in the order of the table: patterns have none of their own, files name their stimuli."""
    from fernet_neuro.rsa.brain_rdms import read_brain

    if path.is_dir():
        return read_brain(path, stimulus_ids=table.stimulus_ids, rois=rois)
    return read_brain(path, rois=rois).align_to(table.stimulus_ids)


def _as_objects(found: "pd.DataFrame") -> list[dict[str, Any]]:
    plain = found.astype(object)
    rows = plain.where(plain.notna(), None).to_dict(orient="records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _describe(found: "pd.DataFrame", level: float) -> list[str]:
    interval = f"{100 * level:g} % interval"
    lines = [f"{'region':<12}{'factor':<14}{'share':>7}{'unconstrained':>15}  {interval:<20}{'p':>8}"]
    for row in found.itertuples():
        interval = f"[{row.low:.3f}, {row.high:.3f}]"
        lines.append(
            f"{row.roi:<12}{row.factor:<14}{row.share:>7.3f}{row.unconstrained:>15.3f}  {interval:<20}"
            f"{row.p_value:>8.4f}"
        )
    return lines
