"""What a training run is, in plain values: the `TrainSettings` recipe.

What belongs here: the recipe's keys, their meaning, units and limits; nothing that imports torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    Field,
    PositiveFloat,
    SerializeAsAny,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from fernet_neuro._utils.config import Settings
from fernet_neuro._utils.validation import check_option
from fernet_neuro.catalogue import Entries

Augmentation = Literal["hflip", "crop", "random-crop", "colour", "erase"]

#: Keys that name files: a run is tied to what these hold (by digest), not to where they lie.
LOCATION_KEYS = ("stimuli", "val_stimuli", "weights")


class TaskSettings(Settings):
    """What one task adds to a recipe: base of the sections that tasks bring.

    Attributes
    ----------
    weight_keys : tuple of str
        Keys that name networks which training starts from or learns from.
    location_keys : tuple of str
        Further keys that name files.
    refused : tuple of str
        Keys of `TrainSettings` that the task has no use for, or says in a key of its own.
    """

    weight_keys: ClassVar[tuple[str, ...]] = ()
    location_keys: ClassVar[tuple[str, ...]] = ()
    refused: ClassVar[tuple[str, ...]] = ()

    @property
    def has_validation(self) -> bool:
        """Whether these settings name something to validate on."""
        return False

    def list_used_weights(self) -> tuple[str, ...]:
        """Return those of `weight_keys` that training makes use of with these settings."""
        return self.weight_keys

    def list_further_classes(self) -> tuple[str, ...]:
        """Return classes that the network names though no training stimulus shows them."""
        return ()


class VerificationSettings(TaskSettings):
    """What verification adds to a recipe.

    Parameters
    ----------
    pairs, val_pairs : str or None
        Pair files (LFW's format or CSV); without them pairs are drawn by seed.
    pairs_per_epoch : int or None
        Pairs drawn in each epoch, half of them same; None takes one per image.
    """

    location_keys: ClassVar[tuple[str, ...]] = ("pairs", "val_pairs")
    refused: ClassVar[tuple[str, ...]] = ("class_weights",)
    pairs: str | None = None
    val_pairs: str | None = None
    pairs_per_epoch: int | None = Field(None, ge=2)

    @property
    def has_validation(self) -> bool:
        """Whether there are pairs to validate on."""
        return self.val_pairs is not None


@dataclass(frozen=True)
class TaskEntry:
    """One registered task.

    Parameters
    ----------
    make : str
        ``"module:function"``, called with settings, table and validation table; it returns a `TrainingTask`.
    section : str
        The key of the recipe that holds the task's own settings; empty where it has none.
    settings : type of TaskSettings or None
        What that section holds.
    model : str
        The network where a recipe names none.
    share : str
        ``"module:function"`` that makes what several runs of an experiment have in common, once. It is called
        before each run with its settings, its table and the folder of all runs, and with ``verbose`` and
        ``device``, and returns the settings with the places of what it made. Empty where there is nothing.
    examine : str
        ``"module:function"`` that asks of a trained network what read-outs do not. It is called with the
        store of its layers, those of its untrained twins, and a new folder for its files. Empty where there
        is nothing.

    Examples
    --------
    >>> EXPRESSION.make
    'fernet_neuro.training.expression:make_expression'
    """

    make: str
    section: str = ""
    settings: type[TaskSettings] | None = None
    model: str = "resnet10-slim"
    share: str = ""
    examine: str = ""


T = TypeVar("T", bound=TaskSettings)
IDENTIFICATION = TaskEntry("fernet_neuro.training.identification:make_identification")
VERIFICATION = TaskEntry(
    "fernet_neuro.training.verification:make_verification", "verification", VerificationSettings
)
EXPRESSION = TaskEntry("fernet_neuro.training.expression:make_expression")
#: All tasks, those of systems too.
TASKS: Mapping[str, TaskEntry] = Entries("tasks", TaskEntry)


def check_ascending(values: tuple[float, float]) -> tuple[float, float]:
    """Return a smallest and a largest value, or raise if they are in the other order."""
    if values[0] > values[1]:
        raise ValueError("the smallest value comes first, then the largest")
    return values


class AffineSettings(Settings):
    """A random turn, scaling and shift of an image, about its centre.

    Parameters
    ----------
    degrees : float
        Largest turn either way.
    scale : tuple of float
        Smallest and largest factor.
    shift : float
        Largest shift either way along each axis, as a share of the side; rounded to whole pixels.
    """

    degrees: float = Field(0.0, ge=0, le=180)
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    shift: float = Field(0.0, ge=0, lt=1)

    _check_order = field_validator("scale")(check_ascending)


class WarpSettings(Settings):
    """Changes of an image's geometry that are made together or not at all, in this order; gaps are black.

    Parameters
    ----------
    p : float
        Probability of the coin that each image throws, in (0, 1].
    rotate : float or None
        Largest turn either way, in degrees.
    affine : AffineSettings or None
    pad_crop : int or None
        Width in pixels of a black border out of which the image is cut again at a random place.
    """

    p: float = Field(1.0, gt=0, le=1)
    rotate: float | None = Field(None, gt=0, le=180)
    affine: AffineSettings | None = None
    pad_crop: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _check_any(self) -> "WarpSettings":
        if not (self.rotate or self.affine or self.pad_crop):
            raise ValueError("a warp needs one or more of rotate, affine and pad_crop.")
        return self


class TrainSettings(Settings):
    """A training recipe.

    Parameters
    ----------
    task : str
        One of `TASKS`: "identification" and "expression" are cross-entropy over identities and expressions,
        "verification" over same and different pairs of a Siamese network; systems bring further ones.
    section : TaskSettings or None
        What the task itself adds. A recipe gives it under the task's own key, such as ``concepts``.
    model, model_options, variant
        What `models.registry.build_model` builds, by default the task's own; options such as
        ``{size: 64}``. The number of classes is filled in from the table.
    weights : str or None
        A weight file, saved network or trained network of the package to start from, less its classifier;
        None starts from random weights.
    stimuli, val_stimuli : str or None
        Tables to train on and to validate on. Without the second, `val_share` of the first is held out.
    select, val_select : dict
        Values of factors that training and validation are limited to, such as ``{split: train}`` and
        ``{split: [test]}`` where one table holds both parts, as a data set's own does.
    val_share : float
        Share held out for validation, in [0, 1); 0 for none.
    val_by : {"auto", "identity", "session", "view", "random"}
        What is held out as a whole. "random" holds out rows within each identity, keeping pictures that
        differ only in session on one side; "auto" is "random" for identification and "identity" otherwise.
    class_weights : {"none", "balanced"}
        "balanced" weighs each class by the inverse of its frequency, mean weight 1 over the training stimuli.
    last_batch : {"drop", "keep"}
        What is left of an epoch beyond full batches: left to the next epochs, or a smaller batch of its own.
    sampling : {"all", "balanced"}
        "all" shows each item once an epoch; "balanced" draws as many with replacement, each class equally
        often.
    label_smoothing : float
        In [0, 1), unitless.
    flooding : float or None
        Level b below which the loss of a batch is raised again: ``|loss - b| + b`` is minimised [1]_. Logs
        show the loss itself.
    epochs, batch_size : int
        `batch_size` counts images (pairs, for verification) over all processes together.
    optimiser, lr, momentum, betas, weight_decay
        `momentum` belongs to sgd, `betas` to adam and adamw.
    sam_rho : float or None
        Radius of sharpness-aware minimization around `optimiser` [2]_, such as 0.05: the gradient is taken
        where the loss is highest within it, at the cost of a second pass over each batch.
    loss_lr, loss_weight_decay : float or None
        Of the parameters of the loss itself, such as class centres; None is as for the network. Follows the
        same schedule.
    schedule, min_lr, cycle_length, cycle_unit, step_epochs, step_factor
        `schedule` is one of "cosine", which falls from `lr` to `min_lr`; "cosine-cycle", which swings between
        the two, down in `cycle_length` and up in as much, counted in `cycle_unit`; "step", which multiplies
        by `step_factor` each `step_epochs`; "exponential", which does so each epoch; and "constant".
    warmup_epochs, warmup_lr
        Epochs before the schedule, in which the rate rises linearly to `lr`, or is `warmup_lr` throughout.
    augment : list of {"hflip", "crop", "random-crop", "colour", "erase"}
        Random changes to training images. "random-crop" cuts the network's input out of the central square of
        the larger image that its preprocessing resizes to, in place of its centre; "crop" shifts what was cut
        and repeats its edge pixels.
    crop_padding : float
        Largest shift of "crop", as a share of the image's side.
    erase_area : tuple of float
        Smallest and largest patch of "erase", as shares of the image's area.
    warps : list of WarpSettings
        Random changes of geometry, each group with a probability of its own, such as
        ``[{p: 0.2, rotate: 5, pad_crop: 8}]``; after cropping and before "colour" and "erase".
    seed : int
        Of the initial weights, the held-out share, data order, pairs, augmentation and dropout.
    precision : {"no", "fp16", "bf16"}
        Mixed precision.
    freeze_batchnorm : bool
        Keep batch-normalisation statistics as they are, as when fine-tuning with small batches.
    checkpoint_every : int or None
        Steps between checkpoints; one is always written at the end of an epoch.
    keep : {"last", "best"}
        Which epoch's weights become the run's model; the record names both.
    log_every : int
        Steps between rows with the loss of a single batch in log.csv; 0 for none.
    log_gradients : int
        Steps between rows of log.csv with the length of the gradient of each term of the loss; 0 for none.
        Each measurement takes one more pass backward for each term.
    cache : {"auto", "memory", "none"}
        Hold decoded images in memory; "auto" does where they fill at most a quarter of it.
    channels_last : bool
        Lay tensors out with channels last; often faster, never a different network.

    References
    ----------
    .. [1] Ishida, T., et al. (2020). Do we need zero training loss after achieving zero training error? ICML.
    .. [2] Foret, P., et al. (2021). Sharpness-aware minimization for efficiently improving generalization.
       ICLR.
    """

    task: str = "identification"
    section: SerializeAsAny[TaskSettings] | None = None
    model: str = "resnet10-slim"
    model_options: dict[str, Any] = Field(default_factory=dict)
    variant: str = "recommended"
    weights: str | None = None
    stimuli: str | None = None
    val_stimuli: str | None = None
    select: dict[str, Any] = Field(default_factory=dict)
    val_select: dict[str, Any] = Field(default_factory=dict)
    val_share: float = Field(0.1, ge=0, lt=1)
    val_by: Literal["auto", "identity", "session", "view", "random"] = "auto"
    class_weights: Literal["none", "balanced"] = "none"
    last_batch: Literal["drop", "keep"] = "drop"
    sampling: Literal["all", "balanced"] = "all"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    flooding: float | None = Field(None, gt=0)
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(64, ge=2)
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(5e-4, ge=0)
    sam_rho: float | None = Field(None, gt=0)
    loss_lr: float | None = Field(None, gt=0)
    loss_weight_decay: float | None = Field(None, ge=0)
    schedule: Literal["cosine", "cosine-cycle", "step", "exponential", "constant"] = "cosine"
    min_lr: float = Field(0.0, ge=0)
    cycle_length: float = Field(5.0, gt=0)
    cycle_unit: Literal["epoch", "step"] = "epoch"
    warmup_epochs: float = Field(0.0, ge=0)
    warmup_lr: float | None = Field(None, gt=0)
    step_epochs: float = Field(30.0, gt=0)
    step_factor: float = Field(0.1, gt=0, le=1)
    augment: tuple[Augmentation, ...] = ()
    crop_padding: float = Field(0.08, ge=0, le=0.5)
    erase_area: tuple[PositiveFloat, Annotated[float, Field(le=1)]] = (0.02, 0.2)
    warps: tuple[WarpSettings, ...] = ()
    seed: int = Field(0, ge=0)
    precision: Literal["no", "fp16", "bf16"] = "no"
    freeze_batchnorm: bool = False
    checkpoint_every: int | None = Field(None, ge=1)
    keep: Literal["last", "best"] = "last"
    log_every: int = Field(0, ge=0)
    log_gradients: int = Field(0, ge=0)
    cache: Literal["auto", "memory", "none"] = "auto"
    channels_last: bool = False

    _check_order = field_validator("erase_area")(check_ascending)

    @field_validator("select", "val_select", mode="before")
    @classmethod
    def _take_all(cls, value: Any) -> Any:
        """Read null as no selection, so that a recipe can undo that of its base."""
        return {} if value is None else value

    @model_validator(mode="before")
    @classmethod
    def _read_section(cls, values: Any) -> Any:
        """Take the task's own settings from the key that the task gives them, with default values."""
        if not isinstance(values, dict):
            return values
        if "experiment" in values:
            raise ValueError("this is the recipe of an experiment, not of a training; use `run` for it.")
        task = values.get("task", cls.model_fields["task"].default)
        entry = TASKS[check_option("task", task, TASKS)]
        others = _list_sections() - {entry.section}
        for key in sorted(others & {key for key, value in values.items() if value is not None}):
            raise ValueError(f"the section {key!r} belongs to another task than {task!r}.")
        kept = {key: value for key, value in values.items() if key not in {*others, entry.section}}
        for key in set(kept) - set(cls.model_fields):
            _refuse_key_of_section(key)
        kept.setdefault("model", entry.model)
        if entry.settings is None:
            return kept
        # A model of this one key, so that errors name the key.
        fields: Any = {entry.section: (entry.settings, ...)}
        reader: Any = create_model("Section", __base__=Settings, **fields)
        read = reader.model_validate({entry.section: values.get(entry.section) or {}})
        return {**kept, "section": getattr(read, entry.section)}

    @model_serializer(mode="wrap")
    def _write_section(self, handler: Any) -> dict[str, Any]:
        values = handler(self)
        section, task = values.pop("section", None), values.pop("task", self.task)
        named = {} if section is None else {TASKS[self.task].section: section}
        return {"task": task, **named, **values}

    @model_validator(mode="after")
    def _check_together(self) -> "TrainSettings":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be less than epochs ({self.epochs}), or "
                f"the rate would never reach lr; set warmup_epochs=0 as well, or train for more epochs."
            )
        self._check_steps()
        has_table = self.val_stimuli or self.val_select or (self.section and self.section.has_validation)
        self._check_refused()
        if self.keep == "best" and self.val_share == 0 and not has_table:
            raise ValueError("keep='best' needs validation: give val_share above 0, or val_stimuli.")
        return self

    def _check_steps(self) -> None:
        """Refuse rates, samples and optimisers that cannot go together."""
        if self.warmup_lr is not None and not self.warmup_epochs:
            raise ValueError("warmup_lr is the rate during warm-up; give warmup_epochs above 0 as well.")
        if self.min_lr and not (self.schedule.startswith("cosine") and self.min_lr < self.lr):
            raise ValueError(
                f"min_lr ({self.min_lr:g}) is where schedules 'cosine' and 'cosine-cycle' end, below lr "
                f"({self.lr:g}); schedule is {self.schedule!r}."
            )
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError("sampling and class_weights balance the same classes twice; choose one of them.")
        if self.sam_rho is not None and self.precision == "fp16":
            raise ValueError("sam_rho does not work with precision='fp16'; use 'bf16' or 'no'.")

    def _check_refused(self) -> None:
        """Refuse what the task has no use for, or a key of its own."""
        section = self.section or TaskSettings()
        for key in section.refused:
            if getattr(self, key) != type(self).model_fields[key].default:
                keys = [f"{TASKS[self.task].section}.{name}" for name in section.weight_keys]
                instead = f"; give {' or '.join(keys)}" if key == "weights" else ""
                raise ValueError(f"task {self.task!r} does not take {key!r}{instead}.")

    def own(self, kind: type[T]) -> T:
        """Return the task's own settings, which are of this kind.

        Raises
        ------
        TypeError
            If the task's own settings are of another kind.
        """
        if not isinstance(self.section, kind):
            raise TypeError(f"task {self.task!r} has no {kind.__name__}.")
        return self.section

    def with_section(self, **changes: Any) -> "TrainSettings":
        """Return a copy in whose task's own settings some keys are changed."""
        return self.model_copy(update={"section": self.own(TaskSettings).model_copy(update=changes)})

    def list_weight_sources(self) -> list[str]:
        """Return the places of networks that training starts from, or learns from."""
        own = [getattr(self.section, key) for key in (self.section.weight_keys if self.section else ())]
        return [source for source in (self.weights, *own) if source is not None]


def explain_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return one ``key: old -> new`` per recipe key that differs; places of files do not count."""
    before, current = (_flatten(leave_out_places(values)) for values in (before, now))
    return [
        f"{key}: {before.get(key)!r} -> {current.get(key)!r}"
        for key in [*current, *(set(before) - set(current))]
        if before.get(key) != current.get(key)
    ]


def leave_out_places(values: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's plain values without those that name files, which mean nothing elsewhere."""
    task = TASKS[values["task"]]
    own = task.settings.weight_keys + task.settings.location_keys if task.settings else ()
    return {
        name: {key: item for key, item in value.items() if key not in own}
        if name == task.section and isinstance(value, dict)
        else value
        for name, value in values.items()
        if name not in LOCATION_KEYS
    }


def _refuse_key_of_section(key: str) -> None:
    """Raise if a key of the recipe belongs into the section of a task."""
    for name, entry in TASKS.items():
        if entry.settings is not None and key in entry.settings.model_fields:
            raise ValueError(f"{key!r} is a key of task {name!r} and is given as {entry.section}.{key}.")


def _list_sections() -> set[str]:
    return {TASKS[name].section for name in TASKS} - {""}


def _flatten(values: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of sections as ``section.key``; a section that is absent has none."""
    sections = _list_sections()
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name not in sections:
            flat[name] = value
        elif value is not None:
            flat |= {f"{name}.{key}": item for key, item in value.items()}
    return flat
