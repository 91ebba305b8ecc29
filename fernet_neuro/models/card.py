"""What a network is, in plain values: the `ModelCard` noun."""

from dataclasses import asdict, dataclass, field
from typing import Any

from fernet_neuro.models.preprocessing import Preprocessing

#: What the card of a network says whose weights are as they were drawn.
NO_TRAINING = "none (random weights)"
#: What an untrained twin of a network learnt from.
UNTRAINED_TWIN = "none (untrained twin, random weights)"


@dataclass(frozen=True)
class ModelCard:
    """Where a network comes from and what it expects; saved beside its weights.

    Parameters
    ----------
    name : str
        Registered name, such as ``"resnet18"``, or ``"module:function"``.
    variant : str
        Which of several published forms, such as ``"recommended"``.
    preprocessing : Preprocessing
        What to do to a decoded image first.
    options : dict
        Keyword arguments that rebuild the module, such as ``{"n_classes": 70}``; JSON values only.
    seed : int or None
        Seed of the initial weights; None where they came from a file.
    training_data, licence, source, paper : str
        Free text; empty where there is none.
    measured : list of dict
        How well it does: ``stimuli`` and ``score`` (on what, and which), ``value`` and ``chance_level``, and
        whatever else there is, such as ``low`` and ``high``, the ends of the interval.
    """

    name: str
    preprocessing: Preprocessing
    variant: str = "recommended"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    training_data: str = NO_TRAINING
    licence: str = ""
    source: str = ""
    paper: str = ""
    measured: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain values for JSON."""
        return {**asdict(self), "preprocessing": self.preprocessing.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelCard":
        """Return the card that `to_dict` wrote."""
        return cls(**{**values, "preprocessing": Preprocessing.from_dict(values["preprocessing"])})
