"""Who is shown, read out of the non-emotion features of a trained conceptual pathway [1, Figure 4].

What belongs here: which parts learn in either mode, and the loss; the network is in `networks`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.validation import check_option
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.concepts import check_conceptual, fix_confidence_at_one
from fernet_neuro.systems.crpn.networks import ConceptFeatures
from fernet_neuro.systems.crpn.settings import ReadoutSettings
from fernet_neuro.training.classification import ClassificationTask, compute_accuracies
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.folder import RunFolder, load_run
from fernet_neuro.training.identification import split_identities
from fernet_neuro.training.task import Items

MODES = ("non_emotion", "all")


@dataclass
class IdentityReadoutTask(ClassificationTask):
    """Name who is shown from the non-emotion features, which learn with the read-out.

    Parameters
    ----------
    conceptual : LayeredModel
        The trained pathway to start from.
    emotions : tuple of str
        Its classes, in order.
    mode : {"non_emotion", "all"}
        Only the non-emotion encoder and the read-out learn, everything else stays to the bit; or everything
        learns, and in place of the emotion classifier and its confidence a new classifier over the training
        table's expressions, by plain cross-entropy.

    Raises
    ------
    StimulusError
        See `ClassificationTask`; in mode "all" likewise for the expressions.
    """

    conceptual: LayeredModel = field(kw_only=True)
    emotions: tuple[str, ...] = field(kw_only=True)
    mode: str = "non_emotion"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("mode", self.mode, MODES)
        if self.mode == "all":
            emotion = ClassificationTask("expression", self.train_table, self.val_table)
            self.emotions = emotion.classes
            self._train = _add_emotions(self._train, emotion.plan_epoch(0))
            self._val = _add_emotions(self._val, emotion.plan_validation()) if self._val else None
            self.part_weights = {"identity": 1.0, "emotion": 1.0}

    def forward(self, network: nn.Module, images: Tensor) -> ConceptFeatures:
        """Return features and the scores of both read-outs."""
        return network(images, full=True)

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits (n_images, n_identities), in mode "all" followed by those of the expressions."""
        identity, emotion = _pick_logits(self.forward(network, images))
        return identity if self.mode == "non_emotion" else torch.hstack((identity, emotion))

    def compute_loss(
        self, outputs: ConceptFeatures, targets: Tensor, extras: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the cross-entropy over people, in mode "all" plus that over expressions, in nats."""
        return self._sum_losses(*_pick_logits(outputs), targets, extras.get("emotion"))

    def compute_metrics(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the losses, and accuracy and balanced accuracy over people."""
        identity, emotion = logits[:, : len(self.classes)], logits[:, len(self.classes) :]
        shown = self.plan_validation().extras.get("emotion")
        losses = self._sum_losses(
            identity, emotion, targets, None if shown is None else torch.from_numpy(shown)
        )
        values = {name: value.item() for name, value in losses.items()}
        return {**values, **compute_accuracies(identity.numpy(), targets.numpy())}

    def describe(self) -> dict[str, Any]:
        """Return mode, numbers of stimuli, what was held out, and the names behind both outputs.

        ``classes`` are those of the network's logits, expressions; ``identities`` those of its layer
        ``identity``.
        """
        return {
            **super().describe(),
            "factor": "expression",
            "classes": list(self.emotions),
            "identities": list(self.classes),
            "mode": self.mode,
        }

    def model_options(self) -> dict[str, Any]:
        """Return the options of the pathway to start from, with the people and expressions of the table."""
        sizes = {"n_classes": len(self.emotions), "n_identities": len(self.classes)}
        return {**self.conceptual.card.options, **sizes}

    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return the network with the trained pathway's weights, less what is replaced; the rest frozen."""
        module = check_conceptual(model, "identity-readout")
        replaced = ("identity.",) if self.mode == "non_emotion" else ("identity.", "scores.", "confidence.")
        trained = self.conceptual.module.state_dict().items()
        kept = {name: item for name, item in trained if not name.startswith(replaced)}
        module.load_state_dict({**module.state_dict(), **kept})
        module.unfreeze_non_emotion_trunk()
        if self.mode == "all":
            fix_confidence_at_one(module)
            return model
        for part in (module.emotion, module.confidence, module.scores):
            part.requires_grad_(False)
        # Not its weights alone: running statistics would move too.
        module.emotion.freeze_trunk()
        return model

    def _sum_losses(
        self, identity: Tensor, emotion: Tensor, people: Tensor, expressions: Tensor | None
    ) -> dict[str, Tensor]:
        of_people = functional.cross_entropy(identity, people)
        if expressions is None:
            return {"loss": of_people}
        of_expressions = functional.cross_entropy(emotion, expressions)
        return self.sum_parts({"identity": of_people, "emotion": of_expressions})


def make_identity_readout(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> IdentityReadoutTask:
    """Return the read-out of the people in `table`; some pictures of each are held out.

    Raises StoreError if the recipe's `conceptual` is not a complete run; ValueError if it holds no conceptual
    pathway with a non-emotion encoder, the recipe names another network, or it holds out whole identities.
    """
    readout = settings.own(ReadoutSettings)
    if readout.conceptual is None:
        raise ValueError("readout.conceptual is missing; give the run folder of a conceptual pathway.")
    conceptual = _load_conceptual(settings, readout.conceptual)
    train, val, held_out = split_identities(settings, table, val_table)
    return IdentityReadoutTask(
        "identity",
        train,
        val,
        held_out=held_out,
        conceptual=conceptual,
        emotions=tuple(RunFolder(Path(readout.conceptual)).read_record()["task"]["classes"]),
        mode=readout.mode,
    )


def _load_conceptual(settings: TrainSettings, run: str) -> LayeredModel:
    conceptual = load_run(run)
    if check_conceptual(conceptual, settings.task).non_emotion is None:
        raise ValueError(
            f"{run} was trained without a non-emotion encoder, so there is nothing to read "
            f"identity from; train it with a non_emotion_trunk."
        )
    card = conceptual.card
    if settings.model != card.name:
        raise ValueError(f"model is {settings.model!r}, and {run} holds a {card.name!r}; use that.")
    for key, value in settings.model_options.items():
        if card.options.get(key, value) != value:
            raise ValueError(
                f"model_options.{key}={value!r}, and {run} has {card.options[key]!r}; leave "
                f"model_options out."
            )
    return conceptual


def _pick_logits(outputs: ConceptFeatures) -> tuple[Tensor, Tensor]:
    if outputs.identity is None:
        raise ValueError("the network has no read-out of identities; set model_options.n_identities.")
    return outputs.identity, outputs.logits


def _add_emotions(people: Items, emotions: Items) -> Items:
    return Items(people.rows, people.targets, {**people.extras, "emotion": np.asarray(emotions.targets)})
