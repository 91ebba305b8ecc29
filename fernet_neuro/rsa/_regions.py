"""Brain RDMs region by region, and samples of their subjects and stimuli.

What belongs here: what every inference does with the brain's table and with blocks of stimuli before it
computes anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fernet_neuro._utils.validation import check_option
from fernet_neuro.rsa._factors import Factors, list_factor_sets
from fernet_neuro.rsa._resample import draw_multiplicities
from fernet_neuro.rsa.rdms import RDMSet

#: What an inference may generalise to, and the factors that are then resampled.
TARGETS: dict[str, tuple[str, ...]] = {
    "both": ("subjects", "stimuli"),
    "subjects": ("subjects",),
    "stimuli": ("stimuli",),
}
#: Samples that are drawn again for want of different units, before it is said that there are too few.
_MOST_DRAWS = 1000


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


def draw_counts(n_samples: int, blocks: np.ndarray, rng: np.random.Generator, fewest: int = 1) -> np.ndarray:
    """Return how often each unit is in each bootstrap sample, shape (n_samples, n_units).

    Parameters
    ----------
    n_samples : int
    blocks : ndarray of int of shape (n_units,)
        Codes from 0; the units of a block are drawn together.
    rng : numpy.random.Generator
    fewest : int, default=1
        A sample of fewer different blocks is drawn again.

    Raises
    ------
    ValueError
        If such samples hardly ever turn up.
    """
    n = int(blocks.max()) + 1
    counts = np.zeros((n_samples, n))
    missing = np.arange(n_samples)
    for _ in range(_MOST_DRAWS):
        counts[missing] = draw_multiplicities(len(missing), n, rng)
        missing = missing[(counts[missing] > 0).sum(axis=1) < fewest]
        if not len(missing):
            return counts[:, blocks]
    raise ValueError(f"samples of {n} units hardly ever have {fewest} different ones; there are too few.")


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
            held = "one subject" if region.n_subjects == 1 else f"{region.n_subjects} subjects"
            raise ValueError(
                f"{name} has {held}; generalising to others needs {fewest}. What remains is "
                f"generalise_to='stimuli'."
            )
