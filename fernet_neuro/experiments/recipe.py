"""Recipes of dual-pathway experiments: a grid of named arms over seeds, and what they are tested on.

What belongs here: the recipe's keys, and every check of the grid that needs no picture; how it is run is in
`dual_pathway`.
"""

from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from fernet_neuro._utils.config import Settings, merge_values
from fernet_neuro._utils.validation import check_option, suggest
from fernet_neuro.experiments.stages import check_seeds, check_stage, fill_stage
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.training.config import TASKS, TrainSettings

Stage = Literal["concepts", "perception"]
Pathway = Literal["emotion", "non_emotion", "perceptual"]
Start = Literal["emotion", "non_emotion", "perceptual", "expression"]
Metric = Literal["accuracy", "mean_class_accuracy", "macro_f1"]
#: How tests name the training stimuli in ``of``.
TRAINING_SET = "stimuli"
IDENTITY_SET = "identity_stimuli"
_STAGES = ("identity", "expression", "concepts", "perception")


class HeldOutSet(Settings):
    """Stimuli beside those of training, such as to test on.

    Parameters
    ----------
    stimuli : RenderSettings or str or None
        Faces to render, or the path of a stimulus table.
    of : str or None
        In place of `stimuli`: the faces of another test, or ``"stimuli"`` for those of training, rendered
        with what `change` says.
    change : dict
        Keys of `RenderSettings` that differ from those of `of`.
    label : str or None
        How tables call it; its name by default.
    map : dict of str to str
        Names of the table's labels to names of the classes, such as ``{happy: happiness}``.
    only_known : bool
        Leave out rows whose label is no class; without it they are refused.
    allow_trained : bool
        Allow people of the training stimuli, as where equal names mean different people.
    """

    stimuli: RenderSettings | str | None = None
    of: str | None = None
    change: dict[str, Any] = Field(default_factory=dict)
    label: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    only_known: bool = False
    allow_trained: bool = False

    @model_validator(mode="before")
    @classmethod
    def _take_short_forms(cls, values: Any) -> Any:
        """Take a path, or the settings of faces to render, for the whole."""
        if isinstance(values, str):
            return {"stimuli": values}
        if isinstance(values, dict) and values and set(values) <= set(RenderSettings.model_fields):
            return {"stimuli": values}
        return values

    @model_validator(mode="after")
    def _check_source(self) -> "HeldOutSet":
        if (self.stimuli is None) == (self.of is None):
            raise ValueError("give either `stimuli` or `of`.")
        if self.change and self.of is None:
            raise ValueError("`change` belongs to `of`; change the keys of `stimuli` themselves.")
        return self


class ArmSettings(Settings):
    """One row of the table.

    Parameters
    ----------
    stage : {"concepts", "perception"}
        Which pathway is tested.
    label : str or None
        How tables and figures call it; its name by default.
    set : dict
        What differs from the recipe, such as ``{concepts.concepts.orthogonality_weight: 0}``: keys of
        `concepts`, `perception`, `identity_trunks` and `expression_trunks`, with dots.
    """

    stage: Stage
    label: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)


class CostedNetwork(Settings):
    """A network whose cost a table shows, without training it.

    Parameters
    ----------
    model, model_options
        See `models.registry.build_model`.
    """

    model: str
    model_options: dict[str, Any] = Field(default_factory=dict)


class Note(Settings):
    """A sentence below the tables that is true of rendered stimuli alone.

    Parameters
    ----------
    text : str
    about : tuple of str
        Names of sets of stimuli. The sentence is left out where one of them is a table or is not there.
    """

    text: str
    about: tuple[str, ...] = Field(min_length=1)


class DualPathwaySettings(Settings):
    """Arms of the dual-pathway network of Lu, Zhuang & Luo (AAAI 2024), each trained with every seed.

    Parameters
    ----------
    title : str
        Heading of tables and page.
    stimuli : RenderSettings or str
        Faces to render for training, or the path of a stimulus table.
    tests : dict of str to HeldOutSet
        What every arm is tested on; none shows a person of the training stimuli.
    identity : TrainSettings or None
        A network that names people; trunks start from it.
    identity_stimuli : HeldOutSet or None
        The people it learns to name, such as others, as VGGFace2's were; those of `stimuli` by default.
    identity_seed : int or None
        One identity network of this seed for all; None trains one per seed.
    expression : TrainSettings or None
        A network that names the expressions of the training stimuli, of each seed: small emotion trunks that
        are not trained before do not get off the ground. It should hold out the same share of people as the
        stages that start from it.
    identity_trunks, expression_trunks : tuple of {"emotion", "non_emotion", "perceptual"}
        Which trunks start from the identity and from the expression network; the non-emotion trunk stays
        like it. "expression" in `identity_trunks` is the expression network itself.
    concepts, perception : TrainSettings
        The two stages.
    arms : dict of str to ArmSettings
        What is compared. Arms whose stage 1 is the same share its runs.
    reference : str or None
        The arm that others are compared with, seed by seed; the first by default.
    seeds : tuple of int
        Every arm has a run of each; intervals and tests are over them.
    metrics : tuple of str
        Scores of the tables; figures show the first.
    epoch : {"last", "best"}
        The epoch that the main table and the figure show, fixed beforehand; both are computed.
    published : dict of str to dict of str to (float or str)
        Printed values by arm and column, such as ``{crpn: {RAF-DB: 89.71}}``; they get columns of their own.
    comparators : dict of str to dict of str to (float or str)
        Printed values of other people's networks, as rows without a value of ours.
    published_source : str
        Where they are printed.
    published_chance : dict of str to float
        Chance of the published columns in %, where it is known.
    cost : bool
        Count parameters and multiply-adds of each arm's network and measure its time per image.
    costed : dict of str to CostedNetwork
        Further networks to cost, such as those of the paper at their size.
    notes : tuple of (str or Note)
        Sentences that stand below the tables.
    shared : str or None
        Folder where experiments share rendered faces and training runs of equal content; None keeps them in
        the results folder. One experiment at a time may write to it.
    """

    experiment: Literal["dual-pathway"] = "dual-pathway"
    title: str = "Dual-pathway network"
    stimuli: RenderSettings | str
    tests: dict[str, HeldOutSet] = Field(min_length=1)
    identity: TrainSettings | None = None
    identity_stimuli: HeldOutSet | None = None
    identity_seed: int | None = Field(None, ge=0)
    expression: TrainSettings | None = None
    identity_trunks: tuple[Start, ...] = ("non_emotion",)
    expression_trunks: tuple[Pathway, ...] = ("emotion",)
    concepts: TrainSettings = Field(
        default_factory=lambda: TrainSettings(task="concepts", model="crpn-conceptual")
    )
    perception: TrainSettings = Field(
        default_factory=lambda: TrainSettings(task="perception", model="crpn-perceptual")
    )
    arms: dict[str, ArmSettings] = Field(min_length=1)
    reference: str | None = None
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    metrics: tuple[Metric, ...] = Field(("accuracy", "mean_class_accuracy"), min_length=1)
    epoch: Literal["last", "best"] = "last"
    published: dict[str, dict[str, float | str]] = Field(default_factory=dict)
    comparators: dict[str, dict[str, float | str]] = Field(default_factory=dict)
    published_source: str = "Lu, Zhuang & Luo (2024)"
    published_chance: dict[str, float] = Field(default_factory=dict)
    cost: bool = False
    costed: dict[str, CostedNetwork] = Field(default_factory=dict)
    notes: tuple[str | Note, ...] = ()
    shared: str | None = None

    @field_validator(*_STAGES, mode="before")
    @classmethod
    def _fill_task(cls, values: Any, info: Any) -> Any:
        """Give each stage its task, and its network where the recipe names none."""
        return fill_stage(str(info.field_name), values)

    @model_validator(mode="after")
    def _check_grid(self) -> "DualPathwaySettings":
        """Check everything that arms and tests refer to, before anything is rendered or trained."""
        self._check_stages()
        for name, arm in self.arms.items():
            self._check_arm(name, arm)
        for name in self.published:
            check_option("published: arm", name, self.arms)
        for name in self.comparators:
            if name in self.arms:
                raise ValueError(
                    f"comparators: {name!r} is an arm; its printed values belong to `published`."
                )
        if self.reference is not None:
            check_option("reference", self.reference, self.arms)
        check_seeds(self.seeds)
        if reserved := {TRAINING_SET, IDENTITY_SET} & set(self.tests):
            raise ValueError(f"tests: {sorted(reserved)[0]!r} is the name of another set; choose another.")
        for name in self.list_sets():
            self.find_stimuli(name)
        return self

    def _check_stages(self) -> None:
        for stage in _STAGES:
            check_stage(stage, getattr(self, stage), self.seeds)
        for key in ("identity_seed", "identity_stimuli"):
            if self.identity is None and getattr(self, key) is not None:
                raise ValueError(f"{key} needs `identity`, the settings of the identity network.")

    def _check_arm(self, name: str, arm: ArmSettings) -> None:
        for key in arm.set:
            if arm.stage == "concepts" and key.split(".")[0] == "perception":
                raise ValueError(f"arm {name!r}: {key!r} belongs to stage 2, and the arm ends with stage 1.")
        try:
            tested = getattr(self.resolve(name), arm.stage)
            if self.epoch == "best" and tested.val_share == 0 and tested.val_stimuli is None:
                raise ValueError(f"epoch 'best' needs validation, and {arm.stage}.val_share is 0.")
        except ValidationError as error:
            faults = [_explain(item) for item in error.errors()]
            raise ValueError(f"arm {name!r}: {'; '.join(faults)}") from None
        except ValueError as error:
            raise ValueError(f"arm {name!r}: {error}") from None

    def resolve(self, name: str) -> "ResolvedArm":
        """Return the two stages of the arm `name`, with what it changes.

        Raises
        ------
        ValueError
            If a key is unknown or a value is not allowed.
        """
        values: dict[str, Any] = {
            stage: getattr(self, stage).model_dump(mode="json") for stage in ("concepts", "perception")
        }
        values["identity_trunks"] = list(self.identity_trunks if self.identity else ())
        values["expression_trunks"] = list(self.expression_trunks if self.expression else ())
        for key, value in self.arms[name].set.items():
            _put(values, key, value)
        return ResolvedArm.model_validate(values)

    def list_sets(self) -> tuple[str, ...]:
        """Return the names of all sets of stimuli: those of training first, then the tests."""
        own = (IDENTITY_SET,) if self.identity_stimuli is not None else ()
        return (TRAINING_SET, *own, *self.tests)

    def find_stimuli(self, name: str, seen: tuple[str, ...] = ()) -> RenderSettings | str:
        """Return what the set `name` shows, with what it takes from other sets.

        Raises
        ------
        ValueError
            If it refers to no set, to itself, or to a table; or a changed key or value is wrong.
        """
        if check_option("of", name, self.list_sets()) == TRAINING_SET:
            return self.stimuli
        shown = self.tests.get(name) or self.identity_stimuli or HeldOutSet(stimuli="")
        if shown.of is None:
            return shown.stimuli or ""
        place = name if name == IDENTITY_SET else f"tests.{name}"
        if shown.of in (name, *seen):
            raise ValueError(f"{place}: `of` leads back to itself ({' -> '.join((*seen, name, shown.of))}).")
        source = self.find_stimuli(shown.of, (*seen, name))
        if isinstance(source, str):
            raise ValueError(
                f"{place}: `of` must name rendered faces, and {shown.of!r} is a table; give `stimuli` in its "
                f"place, or leave the set out."
            )
        return _change_faces(source, shown.change, f"{place}.change")

    def list_notes(self) -> list[str]:
        """Return the sentences of `notes` that hold for these stimuli."""
        rendered = {name for name in self.list_sets() if not isinstance(self.find_stimuli(name), str)}
        kept = [note for note in self.notes if isinstance(note, str) or set(note.about) <= rendered]
        return [note if isinstance(note, str) else note.text for note in kept]

    def label_of(self, arm: str) -> str:
        """Return how tables call an arm."""
        return self.arms[arm].label or arm

    @property
    def reference_arm(self) -> str:
        """The arm that others are compared with."""
        return self.reference or next(iter(self.arms))


class ResolvedArm(Settings):
    """The stages of one arm: the recipe's, with what the arm changes."""

    concepts: TrainSettings
    perception: TrainSettings
    identity_trunks: tuple[Start, ...]
    expression_trunks: tuple[Pathway, ...]

    @model_validator(mode="after")
    def _check_trunks(self) -> "ResolvedArm":
        both = sorted(set(self.identity_trunks) & set(self.expression_trunks))
        if both:
            raise ValueError(
                f"{both[0]!r} is in both identity_trunks and expression_trunks; it has one start."
            )
        return self


def _change_faces(source: RenderSettings, change: dict[str, Any], place: str) -> RenderSettings:
    for key in change:
        check_option(f"{place}: key", key, RenderSettings.model_fields)
    try:
        return RenderSettings.model_validate({**source.model_dump(), **change})
    except ValidationError as error:
        raise ValueError(f"{place}: {'; '.join(_explain(item) for item in error.errors())}") from None


def _explain(item: Any) -> str:
    """Return one validation error as a sentence; a rule about several keys speaks for itself."""
    key = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if not key or isinstance(item["input"], dict):
        return f"{key}: {message}" if key else message
    return f"{key}: {message} (got {item['input']!r})"


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a key with dots that exists in nested `values`; a network's options may be new."""
    *parents, last = key.split(".")
    inside: Any = values
    for depth, part in enumerate((*parents, last)):
        if not isinstance(inside, dict):
            raise ValueError(f"{'.'.join(parents[:depth])!r} is a single value and has no keys below it.")
        free = depth > 0 and parents[depth - 1] == "model_options"
        if part not in inside and not free:
            raise ValueError(f"unknown key {key!r}.{suggest(part, inside)}")
        if part == last and depth == len(parents):
            break
        inside = inside[part]
    if last == "seed":
        raise ValueError("seeds are given once, by the recipe's own key `seeds`.")
    if last in {"task", *TASKS, *(TASKS[name].section for name in TASKS)}:
        raise ValueError(f"{key!r} cannot be changed as a whole; name its keys.")
    old = inside.get(last)
    inside[last] = merge_values(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
