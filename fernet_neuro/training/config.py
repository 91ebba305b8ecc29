"""What a training run is, in plain values: the `TrainSettings` recipe.

What belongs here: the recipe's keys, their meaning, units and limits; nothing that imports torch.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from fernet_neuro._utils.config import Settings
from fernet_neuro.training.pathways_config import ConceptSettings, PerceptionSettings, ReadoutSettings

Task = Literal["identification", "verification", "expression", "concepts", "perception", "identity-readout"]
Augmentation = Literal["hflip", "crop", "colour", "erase"]

#: Keys that name files: a run is tied to what these hold (by digest), not to where they lie.
LOCATION_KEYS = ("stimuli", "val_stimuli", "pairs", "val_pairs", "weights")
#: Those inside the sections of the dual-pathway tasks; all but the last name networks.
SECTION_WEIGHT_KEYS = ("emotion_weights", "non_emotion_weights", "trunk_weights", "conceptual")
SECTION_LOCATION_KEYS = (*SECTION_WEIGHT_KEYS, "bank")
#: The section of each task that has one.
SECTIONS = {"concepts": "concepts", "perception": "perception", "identity-readout": "readout"}


class TrainSettings(Settings):
    """A training recipe.

    Parameters
    ----------
    task : {"identification", "verification", "expression", "concepts", "perception", "identity-readout"}
        Cross-entropy over identities, over same/different of a Siamese network, or over expressions; the two
        stages of the dual-pathway network, and the identity read-out from its non-emotion features.
    concepts, perception, readout : settings or None
        What these last three tasks add, see `pathways_config`; None where the task is another.
    model, model_options, variant
        What `models.registry.build_model` builds; options such as ``{size: 64}``. The number of classes is
        filled in from the table.
    weights : str or None
        A weight file or saved network to start from, less its classifier; None starts from random weights.
    stimuli, val_stimuli : str or None
        Tables to train on and to validate on. Without the second, `val_share` of the first is held out.
    select, val_select : dict
        Values of factors that training and validation are limited to, such as ``{split: train}`` and
        ``{split: [test]}`` where one table holds both parts, as a data set's own does.
    val_share : float
        Share held out for validation, in [0, 1); 0 for none.
    val_by : {"auto", "identity", "session", "view", "random"}
        What is held out as a whole. "random" holds out rows within each identity, keeping pictures that
        differ in session alone on one side; "auto" is "random" for identification and "identity" otherwise.
    pairs, val_pairs : str or None
        Pair files (LFW's format or CSV) for verification; without them pairs are drawn by seed.
    pairs_per_epoch : int or None
        Pairs drawn in each epoch, half of them same; None takes one per image.
    class_weights : {"none", "balanced"}
        "balanced" weighs each class by the inverse of its frequency, mean weight 1 over the training stimuli.
    label_smoothing : float
        In [0, 1), unitless.
    epochs, batch_size : int
        `batch_size` counts images (pairs, for verification) over all processes together.
    optimiser, lr, momentum, betas, weight_decay
        `momentum` belongs to sgd, `betas` to adam and adamw.
    schedule : {"cosine", "cosine-cycle", "step", "constant"}
        "step" multiplies by `step_factor` each `step_epochs`; "cosine-cycle" swings between `lr` and 0, down
        in `cycle_length` and up in as much, counted in `cycle_unit`; `warmup_epochs` of linear warm-up come
        first.
    augment : list of {"hflip", "crop", "colour", "erase"}
        Random changes to training images.
    crop_padding : float
        Largest shift of "crop", as a share of the image's side.
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
    cache : {"auto", "memory", "none"}
        Hold decoded images in memory; "auto" does where they fill at most a quarter of it.
    channels_last : bool
        Lay tensors out with channels last; often faster, never a different network.
    """

    task: Task = "identification"
    concepts: ConceptSettings | None = None
    perception: PerceptionSettings | None = None
    readout: ReadoutSettings | None = None
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
    pairs: str | None = None
    val_pairs: str | None = None
    pairs_per_epoch: int | None = Field(None, ge=2)
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(64, ge=2)
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Literal["cosine", "cosine-cycle", "step", "constant"] = "cosine"
    cycle_length: float = Field(5.0, gt=0)
    cycle_unit: Literal["epoch", "step"] = "epoch"
    warmup_epochs: float = Field(0.0, ge=0)
    step_epochs: float = Field(30.0, gt=0)
    step_factor: float = Field(0.1, gt=0, le=1)
    augment: tuple[Augmentation, ...] = ()
    crop_padding: float = Field(0.08, ge=0, le=0.5)
    seed: int = Field(0, ge=0)
    precision: Literal["no", "fp16", "bf16"] = "no"
    freeze_batchnorm: bool = False
    checkpoint_every: int | None = Field(None, ge=1)
    keep: Literal["last", "best"] = "last"
    log_every: int = Field(0, ge=0)
    cache: Literal["auto", "memory", "none"] = "auto"
    channels_last: bool = False

    @model_validator(mode="before")
    @classmethod
    def _fill_section(cls, values: Any) -> Any:
        """Give a dual-pathway task its section with default values."""
        section = SECTIONS.get(values.get("task", "")) if isinstance(values, dict) else None
        return {**values, section: values.get(section) or {}} if section else values

    @model_validator(mode="after")
    def _check_together(self) -> "TrainSettings":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be less than epochs ({self.epochs}), or "
                f"the rate would never reach lr; set warmup_epochs=0 as well, or train for more epochs."
            )
        if self.task != "verification" and (self.pairs or self.val_pairs or self.pairs_per_epoch):
            raise ValueError(f"pairs belong to task verification, and task is {self.task!r}.")
        for section in SECTIONS.values():
            if getattr(self, section) is not None and section != SECTIONS.get(self.task):
                raise ValueError(f"the section {section!r} belongs to another task than {self.task!r}.")
        self._check_section_task()
        has_table = self.val_stimuli or self.val_select or self.val_pairs
        if self.keep == "best" and self.val_share == 0 and not has_table:
            raise ValueError("keep='best' needs validation: give val_share above 0, or val_stimuli.")
        return self

    def _check_section_task(self) -> None:
        """Refuse what the dual-pathway tasks have a key of their own for, or no use."""
        if self.task not in SECTIONS:
            return
        if self.class_weights != "none" or self.label_smoothing:
            raise ValueError(f"task {self.task!r} takes neither class_weights nor label_smoothing.")
        if self.weights is not None:
            section = SECTIONS[self.task]
            keys = [
                f"{section}.{key}"
                for key in SECTION_WEIGHT_KEYS
                if key in type(getattr(self, section)).model_fields
            ]
            raise ValueError(f"task {self.task!r} does not take `weights`; give {' or '.join(keys)}.")

    def list_weight_sources(self) -> list[str]:
        """Return the places of networks that training starts from, or learns from."""
        section = getattr(self, SECTIONS.get(self.task, ""), None)
        own = [getattr(section, key, None) for key in SECTION_WEIGHT_KEYS]
        return [source for source in (self.weights, *own) if source is not None]


def explain_changes(before: dict[str, Any], now: TrainSettings) -> list[str]:
    """Return one ``key: old -> new`` per recipe key that differs; places of files do not count."""
    current, before = (
        _flatten(leave_out_places(now.model_dump(mode="json"))),
        _flatten(leave_out_places(before)),
    )
    return [
        f"{key}: {before.get(key)!r} -> {current.get(key)!r}"
        for key in [*current, *(set(before) - set(current))]
        if before.get(key) != current.get(key)
    ]


def leave_out_places(values: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's plain values without those that name files, which mean nothing elsewhere."""
    return {
        name: {key: item for key, item in value.items() if key not in SECTION_LOCATION_KEYS}
        if name in SECTIONS.values() and isinstance(value, dict)
        else value
        for name, value in values.items()
        if name not in LOCATION_KEYS
    }


def _flatten(values: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of sections as ``section.key``; a section that is absent has none."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name not in SECTIONS.values():
            flat[name] = value
        elif value is not None:
            flat |= {f"{name}.{key}": item for key, item in value.items()}
    return flat
