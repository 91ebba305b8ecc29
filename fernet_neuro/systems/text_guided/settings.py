"""Settings of text-guided training: what the task adds to a recipe.

What belongs here: keys, meaning and limits; nothing that imports torch.

References
----------
[1] Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024).
    arXiv:2409.08598.
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from fernet_neuro.training.config import TaskEntry, TaskSettings


class TextGuidedSettings(TaskSettings):
    """Learning from texts: the loss of [1], L_s + L_t + L_c.

    Parameters
    ----------
    trunk_weights : str or None
        Where the backbone starts: a run folder, a saved network or a weight file, less its classifier.
    table : str
        File of a text table, or "builtin", the one that comes with the package.
    table_digest : str or None
        The digest that the table must have, as `text show` prints it; None takes any.
    control : {"none", "shuffled", "random"}
        In place of the table's own vectors: each under another class, or random directions. Both ask
        whether language helps.
    control_seed : int
        Of the control.
    neutral : str
        The class that is neutral; its images count for L_s only.
    semantic_weight, transformation_weight, contrast_weight : float
        Of L_s, L_t and L_c; 0 leaves the term out.
    contrast : {"self", "prompt"}
        L_c, or an ordinary contrast around each prompt in its place.
    pairing : {"per_sample", "all_pairs"} or None
        Of L_c: each prompt with its own image, or with all images of the batch; None takes "all_pairs" in the
        variant "released", "per_sample" in others.
    temperature : float
        Of the contrast around prompts, unitless.
    """

    refused: ClassVar[tuple[str, ...]] = ("class_weights", "label_smoothing", "weights")
    weight_keys: ClassVar[tuple[str, ...]] = ("trunk_weights",)
    location_keys: ClassVar[tuple[str, ...]] = ("table",)
    trunk_weights: str | None = None
    table: str = "builtin"
    table_digest: str | None = None
    control: Literal["none", "shuffled", "random"] = "none"
    control_seed: int = Field(0, ge=0)
    neutral: str = "neutral"
    semantic_weight: float = Field(1.0, ge=0)
    transformation_weight: float = Field(1.0, ge=0)
    contrast_weight: float = Field(1.0, ge=0)
    contrast: Literal["self", "prompt"] = "self"
    pairing: Literal["per_sample", "all_pairs"] | None = None
    temperature: float = Field(0.07, gt=0)


TEXT_GUIDED = TaskEntry(
    "fernet_neuro.systems.text_guided.task:make_text_guided",
    "text",
    TextGuidedSettings,
    "e2n-resnet18",
    examine="fernet_neuro.systems.text_guided.matching:write_match",
)


class ZeroShotSettings(TextGuidedSettings):
    """Learning from texts without some expressions, which are then named from their prompt alone.

    Parameters
    ----------
    left_out : tuple of str
        Expressions of which no picture is trained on or validates. Their texts are among the network's
        classes, and have no part in the loss.
    """

    left_out: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_neutral(self) -> "ZeroShotSettings":
        if self.neutral in self.left_out:
            raise ValueError(
                f"left_out: the text of {self.neutral!r} is part of the loss; leave out another."
            )
        return self

    def list_further_classes(self) -> tuple[str, ...]:
        """Return the expressions left out."""
        return self.left_out


ZERO_SHOT = TaskEntry(
    "fernet_neuro.systems.text_guided.zero_shot:make_zero_shot", "text", ZeroShotSettings, "e2n-resnet18"
)
