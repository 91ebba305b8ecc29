"""Stage 1 of the dual-pathway network: emotion concepts learn apart from a frozen non-emotion encoder.

What belongs here: the conceptual pathway's loss [1, Eq. 9] and which of its parts learn; the terms themselves
are in `losses`, the network in `networks`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.losses.confidence import focal_loss, logit_weighted_cross_entropy, rank_regularisation
from fernet_neuro.losses.contrastive import concept_contrastive_loss
from fernet_neuro.losses.disentanglement import orthogonality_loss
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.networks import ConceptFeatures, ConceptualPathway, load_trunk
from fernet_neuro.systems.crpn.settings import FOCAL_EPSILON, FOCAL_WEIGHTS, ConceptSettings, pick_form
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.expression import split_expressions

#: A bias at which the sigmoid is 1 to the last bit of float32.
_SURE = 40.0
_logger = logging.getLogger(__name__)

Term = Callable[[ConceptFeatures, Tensor], Tensor]


@dataclass
class ConceptTask(ClassificationTask):
    """Learn emotion features that are clustered, weighted by confidence, and unrelated to the rest of a face.

    The logged terms are unweighted: ``orthogonality`` (L_orth), ``classification`` (L_WCE, the focal loss, or
    the plain cross-entropy), ``ranking`` (L_RR) and ``contrast`` (L_CC); one whose weight is 0 is neither
    computed nor logged. Parts of the network that no term reaches do not learn.

    Parameters
    ----------
    concepts : ConceptSettings
    variant : {"recommended", "paper", "released"}
        Gives the forms that `concepts` leaves open.

    Raises
    ------
    ValueError
        If all weights are 0, a form needs the confidence that is switched off, or the focal loss has no
        weight for a class.
    StimulusError
        See `ClassificationTask`.

    Notes
    -----
    With several processes each term sees its own process's share of a batch, and gradients are averaged. The
    cross-entropy is then that of one process; the orthogonality, the ranking and the contrast are those of
    smaller batches, as in the authors' own training on four GPUs.
    """

    concepts: ConceptSettings = field(default_factory=ConceptSettings)
    variant: str = "recommended"
    best_metric: str = "balanced_accuracy"

    def __post_init__(self) -> None:
        super().__post_init__()
        settings = self.concepts
        weights = self._list_weights()
        if not any(weights.values()):
            raise ValueError(
                "all weights of the conceptual loss are 0, so nothing would be learnt; raise "
                "confidence_weight, orthogonality_weight or contrastive_weight."
            )
        if not settings.confidence and settings.task_loss == "focal":
            raise ValueError(
                "task_loss='focal' is of the confidence-weighted scores and confidence is off; leave "
                "task_loss out for the plain cross-entropy."
            )
        self._class_weights = self._find_class_weights() if self._form("task_loss") == "focal" else None
        self._terms = {name: term for name, term in self._list_terms().items() if weights[name] > 0}
        self.part_weights = {name: weights[name] for name in self._terms}

    def forward(self, network: nn.Module, images: Tensor) -> ConceptFeatures:
        """Return features, confidences and scores."""
        return network(images, full=True)

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits (n_images, n_classes)."""
        return network(images)

    def compute_loss(
        self,
        outputs: ConceptFeatures,
        targets: Tensor,
        extras: dict[str, Tensor],  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return the weighted sum of the terms, and each term by name, unweighted [1, Eq. 9]."""
        return self.sum_parts({name: term(outputs, targets) for name, term in self._terms.items()})

    def describe(self) -> dict[str, Any]:
        """Return classes, numbers of stimuli, what was held out, and each term's weight and form."""
        terms = {
            name: {"weight": weight, "form": self._name_form(name)}
            for name, weight in self.part_weights.items()
        }
        return {**super().describe(), "variant": self.variant, "loss_terms": terms}

    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return the network with trained trunks in their places, and nothing learning that no term reaches.

        Raises ValueError if it is not a conceptual pathway, lacks a non-emotion encoder to be orthogonal to,
        or has other outputs; StoreError if a trunk's weights cannot be read or do not fit.
        """
        module = check_conceptual(model, "concepts")
        if self.concepts.orthogonality_weight and module.non_emotion is None:
            raise ValueError(
                "orthogonality needs a non-emotion encoder, and non_emotion_trunk is 'none'; give a trunk, "
                "or set concepts.orthogonality_weight: 0."
            )
        model = super().prepare_model(model)
        for part, source in self._list_sources().items():
            if source is not None:
                model = load_trunk(model, part, source)
        if module.non_emotion is not None and self.concepts.non_emotion_weights is None:
            _logger.warning(
                "concepts.non_emotion_weights is not given: the frozen non-emotion trunk has random weights."
            )
        self._freeze_unreached(module)
        return model

    def _list_sources(self) -> dict[str, str | None]:
        return {"emotion": self.concepts.emotion_weights, "non_emotion": self.concepts.non_emotion_weights}

    def _list_weights(self) -> dict[str, float]:
        settings = self.concepts
        ranking = {"ranking": settings.confidence_weight} if settings.confidence else {}
        return {
            "orthogonality": settings.orthogonality_weight,
            "classification": settings.confidence_weight,
            **ranking,
            "contrast": settings.contrastive_weight,
        }

    def _list_terms(self) -> dict[str, Term]:
        """Return all terms, whatever their weights, as functions of outputs and targets."""
        settings = self.concepts
        reduction, contrast = self._form("orthogonality"), self._form("contrast")
        ranking = {
            "ranking": lambda outputs, _: rank_regularisation(
                outputs.confidence, share=settings.rank_share, margin=settings.rank_margin
            )
        }
        return {
            "orthogonality": lambda outputs, _: orthogonality_loss(
                outputs.emotion, outputs.non_emotion, reduction=reduction
            ),
            "classification": self._classify,
            **(ranking if settings.confidence else {}),
            "contrast": lambda outputs, targets: concept_contrastive_loss(
                outputs.emotion, targets, temperature=settings.temperature, form=contrast
            ),
        }

    def _classify(self, outputs: ConceptFeatures, targets: Tensor) -> Tensor:
        if not self.concepts.confidence:
            return functional.cross_entropy(outputs.scores, targets)
        if self._class_weights is None:
            return logit_weighted_cross_entropy(outputs.scores, outputs.confidence, targets)
        return focal_loss(outputs.logits, targets, class_weights=self._class_weights, epsilon=FOCAL_EPSILON)

    def _form(self, key: str) -> str:
        if key == "task_loss" and not self.concepts.confidence:
            return "cross_entropy"
        return pick_form(self.variant, self.concepts, key)

    def _name_form(self, term: str) -> str:
        return "" if term == "ranking" else self._form("task_loss" if term == "classification" else term)

    def _find_class_weights(self) -> Tensor:
        for name in self.classes:
            if name not in FOCAL_WEIGHTS:
                raise ValueError(
                    f"the released focal loss has no weight for the class {name!r}; it has: "
                    f"{format_options(FOCAL_WEIGHTS)}.{suggest(name, FOCAL_WEIGHTS)} Use task_loss: wce."
                )
        return torch.tensor([FOCAL_WEIGHTS[name] for name in self.classes])

    def _freeze_unreached(self, module: ConceptualPathway) -> None:
        """Leave out of training what gets no gradient: several processes could not agree on it."""
        settings = self.concepts
        if not settings.confidence:
            fix_confidence_at_one(module)
        if not settings.confidence_weight:
            module.confidence.requires_grad_(False)
            module.scores.requires_grad_(False)
        if module.non_emotion is not None and not settings.orthogonality_weight:
            module.non_emotion.requires_grad_(False)
        if module.identity is not None:
            module.identity.requires_grad_(False)


def check_conceptual(model: LayeredModel, task: str) -> ConceptualPathway:
    """Return the module of `model`, a conceptual pathway.

    Raises ValueError if it is another network.
    """
    if not isinstance(model.module, ConceptualPathway):
        raise ValueError(
            f"task {task!r} trains a conceptual pathway, and model {model.card.name!r} is none; use "
            f"model: crpn-conceptual."
        )
    return model.module


def fix_confidence_at_one(module: ConceptualPathway) -> None:
    """Fix the confidence in every image at 1, so that logits are the plain scores."""
    nn.init.zeros_(module.get_parameter("confidence.0.weight"))
    nn.init.constant_(module.get_parameter("confidence.0.bias"), _SURE)
    module.confidence.requires_grad_(False)


def make_concepts(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> ConceptTask:
    """Return stage 1 over the expressions of `table`; see `split_expressions` for what is held out.

    Raises StimulusError if validation shows someone who is trained on, unless ``val_by`` is not about
    identity; ValueError (see `ConceptTask`).
    """
    train, val, held_out = split_expressions(settings, table, val_table)
    return ConceptTask(
        "expression",
        train,
        val,
        held_out=held_out,
        concepts=settings.own(ConceptSettings),
        variant=settings.variant,
    )
