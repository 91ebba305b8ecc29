"""Training of the lightweight networks: cross-entropy, a loss of pooled features, and attention kept apart.

What belongs here: which terms there are and what each is given; the terms themselves are in `losses`.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import make_example
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.lfnsb.losses import CentredLoss, attention_loss
from fernet_neuro.systems.lfnsb.settings import FeatureSettings
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.expression import split_expressions


@dataclass
class LightweightTask(ClassificationTask):
    """Name the expression, with features near the centre of theirs.

    The logged terms are unweighted: ``cross_entropy``, the loss of features by its name, and ``attention``
    for networks with several heads; one whose weight is 0 is neither computed nor logged.

    Parameters
    ----------
    features : FeatureSettings
        Complete: nothing is left to a variant.
    seed : int
        Of the centres.
    """

    features: FeatureSettings = field(default_factory=lambda: FeatureSettings().resolve("recommended"))
    seed: int = 0
    best_metric: str = "balanced_accuracy"

    def forward(self, network: nn.Module, images: Tensor) -> Any:
        """Return pooled features, logits and gates; see `networks.LightFeatures`."""
        return network(images, full=True)

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits (n_images, n_classes)."""
        return network(images)

    def compute_loss(self, outputs: Any, targets: Tensor, extras: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted sum of the terms, and each term by name, unweighted."""
        parts = {"cross_entropy": super().compute_loss(outputs.logits, targets, extras)["loss"]}
        if self.loss_module is not None:
            parts[self.features.loss] = self.loss_module(outputs.pooled, targets)
        if "attention" in self.part_weights:
            parts["attention"] = torch.as_tensor(attention_loss(outputs.gates))
        return self.sum_parts(parts)

    def describe(self) -> dict[str, Any]:
        """Return what `ClassificationTask` does, and the settings of the loss of features in full."""
        return {**super().describe(), "features": self.features.model_dump()}

    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return the network as it is, with centres as wide as its pooled features drawn for the loss.

        Raises
        ------
        ValueError
            If the network has no pooled features to learn from, or the wrong number of outputs.
        """
        with torch.no_grad():
            n_features, n_heads = _find_features(model)
        wanted = self.features
        self.loss_module = self._make_loss(n_features) if wanted.weight else None
        further = {wanted.loss: wanted.weight, "attention": wanted.attention_weight if n_heads > 1 else 0}
        self.part_weights = {"cross_entropy": 1.0, **{name: w for name, w in further.items() if w}}
        return super().prepare_model(model)

    def _make_loss(self, n_features: int) -> CentredLoss:
        wanted = self.features
        own = ("form", "alpha", "unbiased") if wanted.loss == "cosine_harmony" else ()
        return CentredLoss(
            wanted.loss,
            len(self.classes),
            n_features,
            make_rng(self.seed, "centres"),
            train_centres=bool(wanted.train_centres),
            **{key: getattr(wanted, key) for key in own},
        )


def make_lightweight(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> LightweightTask:
    """Return the task over the expressions of `table`; see `split_expressions` for what is held out.

    Raises
    ------
    StimulusError
        If validation shows someone who is trained on, unless ``val_by`` is not about identity.
    """
    train, val, held_out = split_expressions(settings, table, val_table)
    return LightweightTask(
        "expression",
        train,
        val,
        class_weights=settings.class_weights,
        label_smoothing=settings.label_smoothing,
        held_out=held_out,
        features=settings.own(FeatureSettings).resolve(settings.variant),
        seed=settings.seed,
    )


def _find_features(model: LayeredModel) -> tuple[int, int]:
    """Return how many pooled features a network has, and how many heads with gates."""
    try:
        found = model.module(make_example(model.card.preprocessing), full=True)
        return found.pooled.shape[1], len(found.gates)
    except (TypeError, AttributeError):
        raise ValueError(
            f"task 'lightweight' learns from pooled features, and model {model.card.name!r} shows none; use "
            f"lfnsb or one of its relatives, or task 'expression'."
        ) from None
