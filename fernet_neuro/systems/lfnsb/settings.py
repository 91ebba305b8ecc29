"""Settings of the lightweight networks' training: which loss of pooled features, in which form.

What belongs here: keys, meaning and limits; nothing that imports torch.

References
----------
[1] Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
    Cosine-Harmony loss. Preprints 115488.
"""

from typing import Any, Literal

from pydantic import Field

from fernet_neuro._utils.validation import check_option
from fernet_neuro.training.config import TaskEntry, TaskSettings

#: Forms of Cosine-Harmony where a recipe leaves them open. The sign printed in [1] draws features to the
#: centres of *other* classes, against its own text: it is taken only where a recipe says ``form: paper``.
VARIANT_FORMS: dict[str, dict[str, Any]] = {
    "recommended": {"form": "separating", "train_centres": True},
    "paper": {"form": "separating", "train_centres": True},
    "released": {"form": "released", "train_centres": False},
}


class FeatureSettings(TaskSettings):
    """What is learnt beside cross-entropy: a loss of pooled features, and attention kept apart.

    Parameters
    ----------
    loss : {"cosine_harmony", "centre", "affinity", "separate"}
        See `systems.lfnsb.losses`.
    weight : float
        Of that loss; 0 leaves it out.
    form : {"separating", "released", "paper"} or None
        Of Cosine-Harmony; None takes that of the recipe's variant (`VARIANT_FORMS`).
    alpha : float
        Of Cosine-Harmony: the share of the distance to the own centre, in [0, 1].
    unbiased : bool or None
        Divide the batch's variance by n - 1; None does in the form "released" alone.
    train_centres : bool or None
        Whether centres learn, at the recipe's `loss_lr`; None takes what the variant does. As released they
        stay where they were drawn.
    attention_weight : float
        Of the loss that keeps the gates of several heads apart, for networks that have them; 0 leaves it out.
    """

    loss: Literal["cosine_harmony", "centre", "affinity", "separate"] = "cosine_harmony"
    weight: float = Field(1.0, ge=0)
    form: Literal["separating", "released", "paper"] | None = None
    alpha: float = Field(0.1, ge=0, le=1)
    unbiased: bool | None = None
    train_centres: bool | None = None
    attention_weight: float = Field(0.1, ge=0)

    def resolve(self, variant: str) -> "FeatureSettings":
        """Return a copy with what it leaves open as the variant has it.

        Raises
        ------
        ValueError
            If the variant is not known.

        Examples
        --------
        >>> FeatureSettings(alpha=0.3).resolve("released").form
        'released'
        """
        forms = VARIANT_FORMS[check_option("variant", variant, VARIANT_FORMS)]
        return self.model_copy(update={key: forms[key] for key in forms if getattr(self, key) is None})


LIGHTWEIGHT = TaskEntry(
    "fernet_neuro.systems.lfnsb.task:make_lightweight", "features", FeatureSettings, "lfnsb"
)
