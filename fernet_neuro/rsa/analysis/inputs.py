"""What an RSA compares models with, and whether both speak of the same stimuli.

What belongs here: the brain's RDMs, aligning, blocks of stimuli and refusals; models are in `models`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.brain_rdms import read_brain
from fernet_neuro.rsa.compare import COMPARISONS
from fernet_neuro.rsa.files.arrays import default_ids
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli
from fernet_neuro.stimuli.table import StimulusTable

#: Fewer stimuli make fewer than three pairs.
FEWEST_STIMULI = 3
#: Share of its largest value by which a constant RDM may vary by round-off.
_CONSTANT = 1e-12


def read_brain_for(
    source: str,
    models: RDMSet,
    *,
    distance: str = "crossnobis",
    subject_column: str = "subject",
    rois: Sequence[str] = (),
    variable: str | None = None,
    table: StimulusTable | None = None,
) -> RDMSet:
    """Read brain RDMs that are to be compared with `models`.

    Patterns have no order of stimuli of their own: where they are of the same stimuli as the models, their
    RDMs are in the models' order. RDMs in files keep theirs.

    Raises StoreError, ValueError as in ``rsa.brain_rdms.read_brain``.
    """
    brain = read_brain(source, distance=distance, subject_column=subject_column, rois=rois, variable=variable)
    if not Path(source).is_dir():
        return name_stimuli(brain, table)
    if set(brain.stimulus_ids.tolist()) == set(models.stimulus_ids.tolist()):
        return brain.align_to(models.stimulus_ids)
    return brain


def align_models_and_brain(models: RDMSet, brain: RDMSet, *, align: bool = False) -> tuple[RDMSet, RDMSet]:
    """Return both over the same stimuli in the same order.

    `align`: whether to keep the common stimuli in the models' order; otherwise differences are refused.
    Raises AlignmentError if stimuli or their order differ and `align` is off, naming the first; or fewer than
    three are common.
    """
    if not align:
        check_same(models, brain, ("the models", "the brain RDMs"))
    else:
        models, brain = align_all([models, brain], ["the models", "the brain RDMs"])
    if models.n_stimuli < FEWEST_STIMULI:
        raise AlignmentError(f"RSA needs {FEWEST_STIMULI} or more stimuli; there are {models.n_stimuli}.")
    return models, brain


def check_comparable(models: RDMSet, brain: RDMSet, comparison: str) -> None:
    """Refuse what could only fail later, or give no result: constant RDMs."""
    check_option("comparison", comparison, COMPARISONS)
    for what, rdms in (("model", models), ("brain RDM", brain)):
        for name, vector in zip(rdms.names, rdms.dissimilarities, strict=True):
            _check_varies(what, name, vector[~np.isnan(vector)], comparison)


def list_blocks(table: StimulusTable | None, column: str, stimulus_ids: np.ndarray) -> np.ndarray:
    """Return the block of each stimulus: the values of a column of the table, shape (n_stimuli,)."""
    if table is None:
        raise ValueError(
            "--identity-blocks is a column of the stimulus table; name the table with --stimuli."
        )
    return table.align_to(stimulus_ids).factor(column).astype(str)


def name_stimuli(rdms: RDMSet, table: StimulusTable | None) -> RDMSet:
    """Return RDMs whose stimuli are named by the table, where their file named none."""
    is_unnamed = rdms.stimulus_ids.tolist() == default_ids(rdms.dissimilarities)
    if table is None or not is_unnamed:
        return rdms
    if len(table) != rdms.n_stimuli:
        raise ValueError(
            f"the stimulus table names {len(table)} stimuli, and the RDMs without names are of "
            f"{rdms.n_stimuli}."
        )
    return replace(rdms, stimulus_ids=table.stimulus_ids)


def align_all(sets: Sequence[RDMSet], labels: Sequence[str]) -> list[RDMSet]:
    """Return all sets over the stimuli that all have, in the order of the first."""
    common = set.intersection(*(set(rdms.stimulus_ids.tolist()) for rdms in sets))
    if len(common) < FEWEST_STIMULI:
        raise AlignmentError(
            f"{' and '.join(labels)} have {len(common)} stimuli in common; RSA needs {FEWEST_STIMULI} or "
            f"more. The first of {labels[0]} is {str(sets[0].stimulus_ids[0])!r}, of {labels[-1]} "
            f"{str(sets[-1].stimulus_ids[0])!r}."
        )
    order = [name for name in sets[0].stimulus_ids.tolist() if name in common]
    return [rdms.align_to(order) for rdms in sets]


def check_same(first: RDMSet, second: RDMSet, names: tuple[str, str]) -> None:
    """Refuse two sets of different stimuli or order, as `check_same_stimuli`, and name the way out."""
    try:
        check_same_stimuli(first, second, names)
    except AlignmentError as error:
        reason = str(error).split("; use align_to(ids)")[0]
        raise AlignmentError(
            f"{reason}. Add --align to keep the common stimuli in the models' order."
        ) from error


def _check_varies(what: str, name: str, values: np.ndarray, comparison: str) -> None:
    if "cosine" in comparison:
        if not values.any():
            raise ValueError(
                f"{what} {name!r} is zero everywhere, so {comparison} is not defined; leave it out."
            )
    elif not len(values) or np.ptp(values) <= _CONSTANT * np.abs(values).max():
        raise ValueError(
            f"{what} {name!r} is constant: all its dissimilarities of these stimuli are the same, so "
            f"{comparison} is not defined; leave it out."
        )
