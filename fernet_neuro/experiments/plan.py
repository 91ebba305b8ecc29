"""Which training runs a grid of arms needs, each once: a run is known by what goes into it, not by its arm.

What belongs here: from settings to runs and their places; training them is in `dual_pathway`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fernet_neuro._utils.hashing import hash_json
from fernet_neuro.experiments.recipe import DualPathwaySettings, ResolvedArm
from fernet_neuro.training.config import TrainSettings

#: Letters of a content key in the names of folders.
KEY_LENGTH = 12


@dataclass(frozen=True)
class PlannedRun:
    """One training run.

    Parameters
    ----------
    stage : {"identity", "expression", "concepts", "perception"}
    settings : TrainSettings
        With its seed, and without the places of other runs.
    stimuli : str
        Digest of what it learns from.
    inputs : dict of str to PlannedRun
        Runs that it starts from, by the key of the stage's section (or of the settings, where it has none)
        that names their place; all are complete before it begins.
    pinned : int or None
        Its seed, where that is one for all runs that start from it.
    """

    stage: str
    settings: TrainSettings
    stimuli: str
    inputs: dict[str, "PlannedRun"] = field(default_factory=dict)
    pinned: int | None = None

    @property
    def key(self) -> str:
        """What goes into the run, less its seed, as a digest: runs of one key are seeds of one recipe."""
        settings = self.settings.model_dump(mode="json", exclude={"seed"})
        inputs = {name: [run.key, run.pinned] for name, run in self.inputs.items()}
        content = {"stage": self.stage, "settings": settings, "stimuli": self.stimuli, "inputs": inputs}
        return hash_json(content)[:KEY_LENGTH]

    def find_place(self, store: Path) -> Path:
        """Return its run folder below `store`."""
        return store / "runs" / f"{self.stage}-{self.key}" / f"seed{self.settings.seed}"

    def list_all(self) -> Iterator["PlannedRun"]:
        """Yield the runs that it needs and then itself."""
        for run in self.inputs.values():
            yield from run.list_all()
        yield self

    def fill_places(self, store: Path) -> TrainSettings:
        """Return its settings with the places of the runs that it starts from."""
        if not self.inputs:
            return self.settings
        places = {name: str(run.find_place(store)) for name, run in self.inputs.items()}
        if self.settings.section is None:
            return self.settings.model_copy(update=places)
        return self.settings.with_section(**places)


def plan_arm(
    settings: DualPathwaySettings, name: str, seed: int, stimuli: str, people: str | None = None
) -> PlannedRun:
    """Return the run that the arm `name` is tested with, and in it all that it needs.

    Parameters
    ----------
    settings : DualPathwaySettings
    name : str
        A key of ``settings.arms``.
    seed : int
        Of every run of the arm; the identity network has its own where the recipe says so.
    stimuli : str
        Digest of the training stimuli.
    people : str or None
        Digest of what the identity network learns from; None where it is the training stimuli.
    """
    arm = settings.resolve(name)
    starts = _plan_starts(settings, arm, seed, stimuli, people or stimuli)
    if settings.arms[name].stage == "concepts":
        return _plan_concepts(arm, starts, seed, stimuli)
    perception = arm.perception.model_copy(update={"seed": seed})
    section: Any = perception.section
    inputs = {}
    if "perceptual" in starts and section.trunk_weights is None:
        inputs["trunk_weights"] = starts["perceptual"]
    if section.regime != "perceptual" and section.conceptual is None:
        inputs["conceptual"] = _plan_concepts(arm, starts, seed, stimuli)
    return PlannedRun("perception", perception, stimuli, inputs)


def _plan_starts(
    settings: DualPathwaySettings, arm: ResolvedArm, seed: int, stimuli: str, people: str
) -> dict[str, PlannedRun]:
    """Return the run that each trunk of an arm starts from, where it starts from one."""
    starts: dict[str, PlannedRun] = {}
    if settings.identity is not None:
        pinned = settings.identity_seed
        recipe = settings.identity.model_copy(update={"seed": seed if pinned is None else pinned})
        starts |= dict.fromkeys(arm.identity_trunks, PlannedRun("identity", recipe, people, pinned=pinned))
    if settings.expression is not None:
        recipe = settings.expression.model_copy(update={"seed": seed})
        known = {"weights": starts["expression"]} if "expression" in starts and recipe.weights is None else {}
        starts |= dict.fromkeys(arm.expression_trunks, PlannedRun("expression", recipe, stimuli, known))
    return starts


def _plan_concepts(arm: ResolvedArm, starts: dict[str, PlannedRun], seed: int, stimuli: str) -> PlannedRun:
    recipe = arm.concepts.model_copy(update={"seed": seed})
    section: Any = recipe.section
    is_open = {
        "emotion": section.emotion_weights is None,
        "non_emotion": section.non_emotion_weights is None
        and recipe.model_options.get("non_emotion_trunk") != "none",
    }
    inputs = {f"{part}_weights": starts[part] for part in is_open if is_open[part] and part in starts}
    return PlannedRun("concepts", recipe, stimuli, inputs)


def plan_grid(
    settings: DualPathwaySettings, stimuli: str, people: str | None = None
) -> dict[tuple[str, int], PlannedRun]:
    """Return the tested run of each arm and seed; see `plan_arm`."""
    return {
        (name, seed): plan_arm(settings, name, seed, stimuli, people)
        for name in settings.arms
        for seed in settings.seeds
    }


def list_runs(grid: dict[tuple[str, int], PlannedRun], store: Path) -> dict[Path, PlannedRun]:
    """Return all runs of a grid by place, each once, those that others need first."""
    places: dict[Path, PlannedRun] = {}
    for stage in ("identity", "expression", "concepts", "perception"):
        for tested in grid.values():
            for run in tested.list_all():
                if run.stage == stage:
                    places.setdefault(run.find_place(store), run)
    return places
