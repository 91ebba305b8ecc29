"""Brain RDMs region by region, samples of their subjects and stimuli, and what cannot be inferred from them.

What belongs here: what every inference does with the brain's table and with blocks of stimuli before it
computes anything; the tables that it fills are in `_tables`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fernet_neuro._utils.validation import check_option
from fernet_neuro.rsa.inference.factors import Factors, list_factor_sets
from fernet_neuro.rsa.rdms import RDMSet

#: What an inference may generalise to, and the factors that are then resampled.
TARGETS: dict[str, tuple[str, ...]] = {
    "both": ("subjects", "stimuli"),
    "subjects": ("subjects",),
    "stimuli": ("stimuli",),
}
#: With fewer stimuli, many samples hold too few different ones to be compared; and with fewer blocks, hardly
#: two samples differ.
FEWEST_STIMULI, FEWEST_BLOCKS = 6, 4
#: Distances that are 0 on average where patterns do not differ, so that cosines are 0 by chance.
SIGNED_DISTANCES = ("crossnobis",)
#: Leaving one of two subjects out leaves one: samples then say nothing about how a ceiling varies.
FEWEST_FOR_CEILING_TEST = 3


@dataclass(frozen=True, eq=False)
class Region:
    """The RDMs of one region: one per subject, sessions averaged.

    Parameters
    ----------
    roi : str
        Empty where the table has no such column.
    subjects : list of str
    rdms : RDMSet
    """

    roi: str
    subjects: list[str]
    rdms: RDMSet

    @property
    def n_subjects(self) -> int:
        """Number of subjects."""
        return len(self.subjects)


def split_regions(brain: RDMSet) -> list[Region]:
    """Return the regions of a set of brain RDMs, in order of first occurrence.

    Several RDMs of a subject and region (sessions) are averaged.

    Raises
    ------
    ValueError
        If the table has no column ``subject``.
    """
    if "subject" not in brain.table:
        have = ", ".join(map(str, brain.table)) or "none"
        raise ValueError(f"the brain RDMs need a column 'subject'; they have: {have}.")
    means = brain.mean([name for name in ("roi", "subject") if name in brain.table])
    rois = means.table["roi"].astype(str).to_numpy() if "roi" in means.table else np.full(means.n_rdms, "")
    found = []
    for roi in dict.fromkeys(rois.tolist()):
        rdms = means.take(np.flatnonzero(rois == roi))
        found.append(Region(roi, rdms.table["subject"].astype(str).tolist(), rdms))
    return found


def list_targets(generalise_to: str) -> tuple[tuple[str, ...], list[Factors]]:
    """Return the factors that are resampled, and all sets of them.

    Raises
    ------
    ValueError
        If the target is not known.
    """
    factors = TARGETS[check_option("generalise_to", generalise_to, TARGETS)]
    return factors, list_factor_sets(factors)


def check_level(level: float) -> float:
    """Return the probability of an interval.

    Raises
    ------
    ValueError
        If it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level!r}.")
    return level


def check_subjects(regions: Sequence[Region], factors: Sequence[str], fewest: int = 2) -> None:
    """Refuse regions with too few subjects to say anything about others.

    Raises
    ------
    ValueError
        Naming the first such region and what remains possible.
    """
    for region in regions:
        if "subjects" in factors and region.n_subjects < fewest:
            name = f"region {region.roi!r}" if region.roi else "the brain"
            alone = f"one subject only ({region.subjects[0]!r})"
            held = alone if region.n_subjects == 1 else f"{region.n_subjects} subjects"
            raise ValueError(
                f"{name} has {held}; generalising to others needs {fewest}. What remains is "
                f"generalise_to='stimuli' (--generalise-to stimuli): intervals and tests over stimuli, and "
                f"the permutation test."
            )


def check_stimuli(codes: np.ndarray, generalise_to: str) -> None:
    """Refuse too few stimuli, or blocks of them, to say anything about others.

    Parameters
    ----------
    codes : ndarray of int of shape (n_stimuli,)
        Number of each stimulus's block, from 0.
    generalise_to : str

    Raises
    ------
    ValueError
        Saying what remains possible.
    """
    n_blocks = int(codes.max()) + 1
    is_few = len(codes) < FEWEST_STIMULI or n_blocks < FEWEST_BLOCKS
    if is_few and "stimuli" in list_targets(generalise_to)[0]:
        raise ValueError(
            f"{len(codes)} stimuli in {n_blocks} blocks are too few for generalise_to="
            f"{generalise_to!r}: {FEWEST_STIMULI} stimuli and {FEWEST_BLOCKS} blocks are needed. What "
            f"remains is generalise_to='subjects' (--generalise-to subjects)."
        )


def has_ceiling_test(region: Region, factors: Sequence[str]) -> bool:
    """Return whether samples of these factors say how noise ceilings vary."""
    return region.n_subjects >= (FEWEST_FOR_CEILING_TEST if "subjects" in factors else 2)


def list_notes(regions: Sequence[Region], comparison: str, factors: Sequence[str]) -> list[str]:
    """Return what a reader must know of inferences that do not exist or say little."""
    notes = []
    for region in regions:
        name = region.roi or "the brain"
        if region.n_subjects == 1:
            notes.append(f"{name}: one subject, so there are no noise ceilings.")
        elif not has_ceiling_test(region, factors):
            notes.append(f"{name}: two subjects, so noise ceilings have no interval and no test.")
        if "cosine" in comparison and region.rdms.distance not in SIGNED_DISTANCES:
            notes.append(
                f"{name}: dissimilarities may all be positive, and so are their cosines with any model: only "
                f"p (labels) (p_permutation) then means something. p (p_value), pairs and the test of the "
                f"ceiling do not: flat RDMs are close to all others."
            )
    return notes
