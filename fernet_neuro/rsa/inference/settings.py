"""What an inference is asked for: one set of settings, said and checked once for all of them.

What belongs here: the settings and how a function takes them; what the data allow is checked in `regions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from fernet_neuro._utils.validation import check_between, check_option, check_range, format_options, suggest
from fernet_neuro.rsa.compare import COMPARISONS
from fernet_neuro.rsa.inference.random_effects import Effects, list_effect_sets

#: What an inference may generalise to, and the random effects that are then resampled.
TARGETS: dict[str, tuple[str, ...]] = {
    "both": ("subjects", "stimuli"),
    "subjects": ("subjects",),
    "stimuli": ("stimuli",),
}
#: How it is found out how estimates vary.
INFERENCES = ("auto", "components", "bootstrap")
#: What computes the values of bootstrap samples.
ENGINES = ("own", "rsatoolbox")
_WITHOUT_CLOSED_FORM = ("kendall_tau_a",)
_FEWEST_BOOTSTRAPS = 10


@dataclass(frozen=True)
class InferenceSettings:
    """How models and brains are compared, and what is inferred from it.

    Every function of `rsa.inference` takes one, or single settings by their names:
    ``infer_rsa(models, brain, comparison="pearson", n_bootstraps=5000)``.

    Parameters
    ----------
    comparison : str, default="rho_a"
        A name in ``compare.COMPARISONS``. Cosines are 0 by chance only with ``crossnobis`` distances; for
        others a note in the results says what tests against 0 are worth.
    generalise_to : {"both", "subjects", "stimuli"}, default="both"
        ``both``: to new subjects and new stimuli. ``subjects``: to new subjects with these stimuli.
        ``stimuli``: to new stimuli with these subjects.
    n_bootstraps : int, default=1000
        Bootstrap samples, 10 or more; variance components draw none.
    n_permutations : int, default=1000
        Random exchanges of the stimuli's names for ``p_permutation``, the test that a model tells nothing
        about which stimulus is which in these subjects; 0 for none. Fits are done again in each.
    n_assignments : int, default=50
        Random assignments to folds over which a cross-validated score is a mean.
    blocks : sequence of n_stimuli labels, default=None
        Such as the identity shown. Stimuli with one label are drawn together, are never on both sides of a
        fold, and count as one in the degrees of freedom; names are exchanged within blocks and between whole
        blocks of equal size, so that a model that only tells blocks apart has no ``p_permutation`` (NaN).
    level : float, default=0.95
        Coverage of the intervals.
    engine : {"own", "rsatoolbox"}, default="own"
        ``own``: all samples at once. ``rsatoolbox``: the same samples of fixed models, one after the other,
        by its functions; not with blocks of several stimuli, whose pairs it cannot weigh.
    seed : int, default=0
    n_jobs : int, default=1
        Threads; comparisons of ranks use them. The results do not change.
    verbose : bool, default=False
        Whether to show progress.
    inference : {"auto", "components", "bootstrap"}, default="auto"
        How it is found out how estimates vary. ``components``: variance components in closed form, of fixed
        models and by all comparisons but ``kendall_tau_a``; the rest is by the bootstrap, and a note says so.
        ``bootstrap``: over samples of subjects and stimuli. ``auto``: components where there are five stimuli
        (or blocks) or more and the engine is our own, else the bootstrap; ``used_inference`` says which.

    Raises
    ------
    ValueError
        If an option is not known, a number is out of range, or variance components are asked of rsatoolbox.

    Examples
    --------
    >>> InferenceSettings("pearson", blocks=["Ann", "Ann", "Bob"]).blocks
    ('Ann', 'Ann', 'Bob')
    """

    comparison: str = "rho_a"
    generalise_to: str = "both"
    n_bootstraps: int = 1000
    n_permutations: int = 1000
    n_assignments: int = 50
    blocks: Any = None
    level: float = 0.95
    engine: str = "own"
    seed: int = 0
    n_jobs: int = 1
    verbose: bool = False
    inference: str = "auto"

    def __post_init__(self) -> None:
        check_option("comparison", self.comparison, COMPARISONS)
        check_option("generalise_to", self.generalise_to, TARGETS)
        check_option("engine", self.engine, ENGINES)
        check_option("inference", self.inference, INFERENCES)
        if self.inference == "components":
            self.check_own_engine("inference='components'")
        check_range("n_bootstraps", self.n_bootstraps, minimum=_FEWEST_BOOTSTRAPS)
        check_range("n_permutations", self.n_permutations, minimum=0)
        check_range("n_assignments", self.n_assignments, minimum=1)
        check_range("n_jobs", self.n_jobs, minimum=1)
        check_between("level", self.level)
        if self.blocks is not None:
            labels = np.asarray(self.blocks, dtype=object).ravel()
            object.__setattr__(self, "blocks", tuple(str(label) for label in labels))

    @property
    def effects(self) -> tuple[str, ...]:
        """The random effects that are resampled."""
        return TARGETS[self.generalise_to]

    @property
    def effect_sets(self) -> list[Effects]:
        """All sets of the random effects."""
        return list_effect_sets(self.effects)

    @property
    def is_closed(self) -> bool:
        """Whether variance components may be used and have a closed form, so that nothing is drawn."""
        is_own = self.engine == "own" and self.comparison not in _WITHOUT_CLOSED_FORM
        return is_own and self.inference != "bootstrap"

    @property
    def used_inference(self) -> str:
        """``components`` or ``bootstrap``: which of them is used, where ``auto`` has been settled."""
        return "components" if self.is_closed else "bootstrap"

    def check_own_engine(self, what: str) -> None:
        """Refuse another engine than our own."""
        if self.engine != "own":
            raise ValueError(f"{what} is for engine='own'; got engine={self.engine!r}.")


Settings = TypeVar("Settings", bound=InferenceSettings)


def settle(settings: Settings | None, changes: Mapping[str, Any], default: Settings) -> Settings:
    """Return `settings`, or else `default`, with the changes made."""
    names = [item.name for item in fields(default)]
    for name in changes:
        if name not in names:
            raise TypeError(f"{name!r} is not a setting; use: {format_options(names)}.{suggest(name, names)}")
    return replace(settings or default, **changes)
