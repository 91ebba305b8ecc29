"""Brain RDMs region by region, samples of their subjects and stimuli, and what cannot be inferred from them.

What belongs here: what every inference does with the brain's table and with blocks of stimuli before and
after it computes anything; the tables that it fills are in `tables`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.progress import track
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.files.whose import check_whose
from fernet_neuro.rsa.inference.resample import Resamples, code_blocks, draw_permutations, draw_resamples
from fernet_neuro.rsa.inference.settings import InferenceSettings, Settings
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli
from fernet_neuro.rsa.result import RSAResult

#: With fewer stimuli, many samples hold too few different ones to be compared; and with fewer blocks, hardly
#: two samples differ.
FEWEST_STIMULI, FEWEST_BLOCKS = 6, 4
#: With fewer, nothing is left to tell what varies with pairs of stimuli from what varies with stimuli.
FEWEST_UNITS = 5
_BY_BOOTSTRAP = "intervals and tests are by the bootstrap"
#: Distances that are 0 on average where patterns do not differ, so that cosines are 0 by chance.
SIGNED_DISTANCES = ("crossnobis",)
#: Leaving one of two subjects out leaves one: samples then say nothing about how a ceiling varies.
FEWEST_FOR_CEILING_TEST = 3


@dataclass(frozen=True, eq=False)
class Region:
    """The RDMs of one region: one per subject, sessions averaged.

    `roi`: empty where the table has no such column.
    """

    roi: str
    subjects: list[str]
    rdms: RDMSet

    @property
    def n_subjects(self) -> int:
        """Number of subjects."""
        return len(self.subjects)

    def resample(self, settings: InferenceSettings) -> Resamples:
        """Draw the bootstrap samples of subjects and stimuli."""
        n = (settings.n_bootstraps, self.n_subjects, self.rdms.n_stimuli)
        return draw_resamples(*n, blocks=settings.blocks, seed=settings.seed)

    def count(self, settings: InferenceSettings) -> dict[str, int]:
        """Return the number of units of each random effect; a block of stimuli is one."""
        n_units = int(code_blocks(settings.blocks, self.rdms.n_stimuli).max()) + 1
        counted = {"subjects": self.n_subjects, "stimuli": n_units}
        return {name: counted[name] for name in settings.effects}


def choose_inference(settings: Settings, n_stimuli: int) -> Settings:
    """Return settings in which ``auto`` has become what so many stimuli, or their blocks, allow."""
    if settings.inference != "auto":
        return settings
    n_units = int(code_blocks(settings.blocks, n_stimuli).max()) + 1
    is_closed = settings.is_closed and (n_units >= FEWEST_UNITS or "stimuli" not in settings.effects)
    return replace(settings, inference="components" if is_closed else "bootstrap")


def explain_bootstrap(asked: InferenceSettings, n_stimuli: int) -> str:
    """Return why fixed models are inferred by the bootstrap though components may be used; else ""."""
    n_units = int(code_blocks(asked.blocks, n_stimuli).max()) + 1
    if asked.inference == "bootstrap" or choose_inference(asked, n_stimuli).used_inference == "components":
        return ""
    if asked.engine != "own":
        return f"{asked.engine} has no variance components: {_BY_BOOTSTRAP}."
    if not asked.is_closed:
        return (
            f"variance components of {asked.comparison} have no closed form: {_BY_BOOTSTRAP}. rho_a has one, "
            f"and allows for ties as well."
        )
    return (
        f"variance components need {FEWEST_UNITS} stimuli, or blocks of them, and there are {n_units}: "
        f"{_BY_BOOTSTRAP}."
    )


def open_regions(
    models: RDMSet, brain: RDMSet, settings: InferenceSettings
) -> tuple[list[Region], np.ndarray]:
    """Return the regions, and the block of each stimulus (n_stimuli,), of data that allow what is asked."""
    check_same_stimuli(models, brain, ("the models", "the brain RDMs"))
    codes = code_blocks(settings.blocks, brain.n_stimuli)
    regions = split_regions(brain)
    check_subjects(regions, settings)
    check_stimuli(codes, settings, min(region.n_subjects for region in regions))
    return regions, codes


def infer_by_region(
    models: RDMSet,
    brain: RDMSet,
    settings: InferenceSettings,
    infer_region: Callable[[Region, Resamples | None, np.ndarray | None], dict[str, pd.DataFrame]],
    why: str = "",
    **described: Any,
) -> RSAResult:
    """Return the tables that `infer_region` fills from a region, its samples and the permutations, if any.

    There are no samples where variance components have a closed form. `why`: from `explain_bootstrap`.
    """
    regions, codes = open_regions(models, brain, settings)
    for region in regions:  # says which RDM is constant, or shares too few pairs
        compare_rdms(region.rdms, models, settings.comparison)
    orders = None
    if settings.n_permutations:
        orders = draw_permutations(
            settings.n_permutations, brain.n_stimuli, blocks=settings.blocks, seed=settings.seed
        )
    tables = [
        infer_region(region, None if settings.is_closed else region.resample(settings), orders)
        for region in track(regions, "regions", total=len(regions), verbose=settings.verbose)
    ]
    described = describe(settings, regions, codes, **described)
    described["notes"] = [*([why] if why else []), *described["notes"]]
    return RSAResult(settings=described, **join_tables(tables))


def join_tables(tables: Sequence[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Return the tables of all regions as one of each name."""
    return {name: pd.concat([part[name] for part in tables], ignore_index=True) for name in tables[0]}


def describe(
    settings: InferenceSettings, regions: Sequence[Region], codes: np.ndarray, **described: Any
) -> dict[str, Any]:
    """Return the settings of a result, and notes on inferences that do not exist."""
    names = ["engine", "inference", "comparison", "generalise_to", "n_bootstraps", "n_permutations"]
    return {
        **{name: getattr(settings, name) for name in (*names, "level", "seed")},
        "used_inference": settings.used_inference,
        "cross_validated": False,
        "n_blocks": None if settings.blocks is None else int(codes.max()) + 1,
        "n_subjects": {region.roi: region.n_subjects for region in regions},
        "notes": list_notes(regions, settings),
        **described,
    }


def split_regions(brain: RDMSet) -> list[Region]:
    """Return the regions of a set of brain RDMs, in order of first occurrence.

    Several RDMs of a subject and region (sessions) are averaged.
    """
    if "subject" not in brain.table:
        have = ", ".join(map(str, brain.table)) or "none"
        raise ValueError(f"the brain RDMs need a column 'subject'; they have: {have}.")
    means = average_sessions(brain)
    regions = {roi: means.take(rows) for roi, rows in means.rows_by("roi").items()}
    return [Region(roi, list(rdms.table["subject"].astype(str)), rdms) for roi, rdms in regions.items()]


def average_sessions(brain: RDMSet) -> RDMSet:
    """Return one RDM per region and subject, the mean of the sessions, as every inference begins."""
    if "subject" in brain.table:
        check_whose(brain)
    return brain.mean([name for name in ("roi", "subject") if name in brain.table])


def check_subjects(regions: Iterable[Region], settings: InferenceSettings, fewest: int = 2) -> None:
    """Refuse regions with too few subjects to say anything about others."""
    for region in regions:
        if "subjects" in settings.effects and region.n_subjects < fewest:
            name = f"region {region.roi!r}" if region.roi else "the brain"
            alone = f"one subject only ({region.subjects[0]!r})"
            held = alone if region.n_subjects == 1 else f"{region.n_subjects} subjects"
            raise ValueError(
                f"{name} has {held}; generalising to others needs {fewest}. What remains is "
                f"generalise_to='stimuli' (--generalise-to stimuli): intervals and tests over stimuli, and "
                f"the permutation test."
            )


def check_stimuli(codes: np.ndarray, settings: InferenceSettings, n_subjects: int) -> None:
    """Refuse too few stimuli, or blocks of them (codes from 0), to say anything about others.

    `n_subjects`: fewest of a region.
    """
    n_stimuli, n_blocks = len(codes), int(codes.max()) + 1
    if "stimuli" not in settings.effects:
        return
    can_draw = n_stimuli >= FEWEST_STIMULI and n_blocks >= FEWEST_BLOCKS
    is_closed = settings.is_closed and settings.inference == "components"
    if n_blocks >= FEWEST_UNITS if is_closed else can_draw:
        return
    remains = ["generalise_to='subjects' (--generalise-to subjects)"] if n_subjects > 1 else []
    needed = f"{FEWEST_STIMULI} stimuli and {FEWEST_BLOCKS} blocks are needed"
    if is_closed:
        needed = f"variance components need {FEWEST_UNITS} stimuli, or blocks of them"
        if can_draw:
            remains.append("inference='bootstrap' (--inference bootstrap)")
    raise ValueError(
        f"{n_stimuli} stimuli in {n_blocks} blocks are too few for generalise_to={settings.generalise_to!r}: "
        f"{needed}. What remains is {', or '.join(remains) or 'to measure more subjects or stimuli'}."
    )


def has_ceiling_test(region: Region, settings: InferenceSettings) -> bool:
    """Return whether samples of the random effects say how noise ceilings vary."""
    return region.n_subjects >= (FEWEST_FOR_CEILING_TEST if "subjects" in settings.effects else 2)


def list_notes(regions: Sequence[Region], settings: InferenceSettings) -> list[str]:
    """Return what a reader must know of inferences that do not exist or say little."""
    notes = []
    for region in regions:
        name = region.roi or "the brain"
        if region.n_subjects == 1:
            notes.append(f"{name}: one subject, so there are no noise ceilings.")
        elif not has_ceiling_test(region, settings):
            notes.append(f"{name}: two subjects, so noise ceilings have no interval and no test.")
        if "cosine" in settings.comparison and region.rdms.distance not in SIGNED_DISTANCES:
            notes.append(
                f"{name}: dissimilarities may all be positive, and so are their cosines with any model: only "
                f"p (labels) (p_permutation) then means something. p (p_value), pairs and the test of the "
                f"ceiling do not: flat RDMs are close to all others."
            )
    return notes
