"""``fernet-neuro brain shares``: which factors make up the geometry of regions, and with what shares."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file
from fernet_neuro.cli._tables import format_table, list_records, show

if TYPE_CHECKING:
    from fernet_neuro.rsa.rdms import RDMSet
    from fernet_neuro.stimuli.table import StimulusTable


def shares(
    brain: Annotated[
        Path,
        opt.argument("A folder of patterns, or a file of crossnobis RDMs with a column subject.", "PATTERNS"),
    ],
    stimuli: opt.Stimuli,
    factor: opt.Factors = [],
    pixels: opt.Pixels = False,
    roi: opt.Regions = [],
    level: opt.Level = 0.95,
    out: Annotated[Path | None, opt.text("Write the table to this file.")] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    r"""Estimate the shares of factors in the geometry of regions: non-negative regression on their RDMs.

    A factor in which all stimuli are the same is left out, with a notice.

    Examples
    --------
        fernet-neuro brain shares patterns --stimuli faces.csv --factor identity \
            --factor expression --pixels
    """
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
    columns = {
        "region": "{roi}", "factor": "{factor}", "share": "{share:.3f}",
        "unconstrained": "{unconstrained:.3f}", f"{100 * level:g} % interval": "[{low:.3f}, {high:.3f}]",
        "p": "{p_value:p}",
    }  # fmt: skip
    show(format_table(found, columns), as_json=as_json, values=list_records(found))


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
