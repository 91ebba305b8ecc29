"""Naming the expression by its text, and learning what takes it away from a face.

What belongs here: the task that trains a text-guided network; the terms of its loss are in `losses`.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.trunks import load_trunk
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.stimuli.text_table import TextTable, make_random_table, read_text_table
from fernet_neuro.systems.text_guided.losses import (
    prompt_contrast_loss,
    self_contrast_loss,
    transformation_loss,
)
from fernet_neuro.systems.text_guided.networks import GuidedFeatures, TextGuidedNet, TextScores, set_texts
from fernet_neuro.systems.text_guided.settings import TextGuidedSettings
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.expression import split_expressions


@dataclass
class TextGuidedTask(ClassificationTask):
    """Name the expression whose text a face is closest to.

    The logged terms are unweighted: ``semantic`` (L_s), ``transformation`` (L_t) and ``contrast`` (L_c); one
    whose weight is 0 is neither computed nor logged.

    Parameters
    ----------
    texts : TextTable
        Has a row for each expression of the training stimuli, and for the neutral one.
    own : TextGuidedSettings
    pairing : str
        See `TextGuidedSettings`.

    Raises
    ------
    StimulusError
        If an expression has no text; see also `ClassificationTask`.
    ValueError
        If all weights are 0.
    """

    texts: TextTable = field(default_factory=lambda: read_text_table("builtin"))
    own: TextGuidedSettings = field(default_factory=TextGuidedSettings)
    pairing: str = "per_sample"
    best_metric: str = "balanced_accuracy"

    def __post_init__(self) -> None:
        super().__post_init__()
        # The neutral text serves L_t also where no neutral face is shown.
        rows = list(dict.fromkeys((*self.classes, self.own.neutral)))
        self._rows = torch.from_numpy(self.texts.select(rows).vectors)
        self._neutral = rows.index(self.own.neutral)
        weights = {
            "semantic": self.own.semantic_weight,
            "transformation": self.own.transformation_weight,
            "contrast": self.own.contrast_weight,
        }
        self.part_weights = {name: weight for name, weight in weights.items() if weight > 0}
        if not self.part_weights:
            raise ValueError(
                "all weights of the loss are 0, so nothing would be learnt; give text.semantic_weight, "
                "text.transformation_weight or text.contrast_weight."
            )

    def model_options(self) -> dict[str, Any]:
        """Return the number of classes and the width of the texts."""
        return {**super().model_options(), "width": self.texts.width}

    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return the network with the texts of its classes in their place.

        Raises
        ------
        ValueError
            If it is not a text-guided network with its transformation, or of another width than the texts; or
            it has an ordinary classifier, which knows no texts, and other terms than L_s are asked for.
        StoreError
            If the trunk's weights cannot be read or do not fit.
        """
        module = model.module
        if not isinstance(module, TextGuidedNet) or module.neutral is None:
            raise ValueError(
                f"task 'text-guided' trains a text-guided network with its transformation, and model "
                f"{model.card.name!r} is not one; use model: e2n-resnet18."
            )
        if isinstance(module.logits, TextScores):
            set_texts(module, self._rows[: len(self.classes)])
        elif self.loss_parts != ("semantic",):
            raise ValueError(
                "a network with head='linear' learns discrete labels alone; set text.transformation_weight=0 "
                "and text.contrast_weight=0."
            )
        model = super().prepare_model(model)
        source = self.own.trunk_weights
        return model if source is None else load_trunk(model, module.trunk, source)

    def forward(self, network: nn.Module, images: Tensor) -> GuidedFeatures:
        """Return features, their neutral forms and scores."""
        return network(images, full=True)

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return scores (n_images, n_classes)."""
        return network(images)

    def compute_loss(
        self,
        outputs: GuidedFeatures,
        targets: Tensor,
        extras: dict[str, Tensor],  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return the weighted sum of the terms, and each term by name, unweighted."""
        return self.sum_parts({name: self._compute(name, outputs, targets) for name in self.part_weights})

    def describe(self) -> dict[str, Any]:
        """Return what `ClassificationTask` does, the texts, and the weight of each term."""
        return {
            **super().describe(),
            "texts": {
                "encoder": self.texts.encoder,
                "revision": self.texts.revision,
                "licence": self.texts.licence,
                "digest": self.texts.digest(),
                "prompts": dict(zip(self.texts.classes, map(list, self.texts.prompts), strict=True)),
            },
            "loss_terms": {name: {"weight": weight} for name, weight in self.part_weights.items()},
            "contrast": f"{self.own.contrast}, {self.pairing}",
        }

    def input_digests(self) -> dict[str, str | None]:
        """Return the digest of the texts."""
        return {"texts": self.texts.digest()}

    def _compute(self, term: str, outputs: GuidedFeatures, targets: Tensor) -> Tensor:
        rows = self._rows.to(outputs.visual)
        given = (outputs.visual, outputs.neutral, rows, targets)
        if term == "semantic":
            # The network's own scores, over its classes: L_s at the scale that it was built with.
            return functional.cross_entropy(outputs.logits, targets)
        if term == "transformation":
            return transformation_loss(*given, neutral_class=self._neutral)
        if self.own.contrast == "prompt":
            return prompt_contrast_loss(*given, neutral_class=self._neutral, temperature=self.own.temperature)
        return self_contrast_loss(*given, neutral_class=self._neutral, pairing=self.pairing)


def make_text_guided(
    settings: TrainSettings,
    table: StimulusTable,
    val_table: StimulusTable | None = None,
    *,
    kind: type[TextGuidedTask] = TextGuidedTask,
) -> TextGuidedTask:
    """Return the task over the expressions of `table`; see `split_expressions` for what is held out.

    Raises
    ------
    StimulusError
        If validation shows someone who is trained on, unless ``val_by`` is not about identity, or an
        expression has no text.
    StoreError
        If the text table cannot be read, or is not the one whose digest the recipe gives.
    """
    own = settings.own(TextGuidedSettings)
    train, val, held_out = split_expressions(settings, table, val_table)
    default = "all_pairs" if settings.variant == "released" else "per_sample"
    return kind(
        "expression",
        train,
        val,
        held_out=held_out,
        texts=choose_texts(own),
        own=own,
        pairing=own.pairing or default,
    )


def choose_texts(own: TextGuidedSettings) -> TextTable:
    """Return the recipe's text table, or the control that stands in its place.

    Raises
    ------
    StoreError
        If the table cannot be read, or is not the one whose digest the recipe gives.
    """
    table = read_text_table(own.table, digest=own.table_digest)
    if own.control == "shuffled":
        return table.shuffle_classes(own.control_seed)
    if own.control == "random":
        return make_random_table(table.classes, table.width, seed=own.control_seed)
    return table
