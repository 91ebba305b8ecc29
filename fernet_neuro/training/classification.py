"""Cross-entropy over the values of one factor: the part that identification and expression training share.

What belongs here: labels, class weights and accuracy; which factor and what is held out is in their own
files.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import make_example
from fernet_neuro.models.siamese import SiameseNet
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.task import Items, TrainingTask


@dataclass
class ClassificationTask(TrainingTask):
    """Name the `factor` of each image.

    Parameters
    ----------
    factor : str
        A column of the table.
    train_table, val_table : StimulusTable
    class_weights : {"none", "balanced"}
    label_smoothing : float
    best_metric : str
    held_out : str
        What validation holds out, for the record; empty where the task does not say.

    Raises
    ------
    StimulusError
        If training has fewer than two classes, or validation shows one that training does not.
    """

    factor: str
    train_table: StimulusTable
    val_table: StimulusTable | None = None
    class_weights: str = "none"
    label_smoothing: float = 0.0
    best_metric: str = "accuracy"
    held_out: str = ""

    def __post_init__(self) -> None:
        self.classes = self._list_classes()
        if len(self.classes) < 2:
            raise StimulusError(
                f"training on {self.factor!r} needs two or more classes; the training stimuli have only "
                f"{format_options(self.classes)}."
            )
        self._train = self._make_items(self.train_table)
        self._val = self._make_items(self.val_table) if self.val_table is not None else None
        self._weights: Tensor | None = None
        if self.class_weights == "balanced":
            counts = np.bincount(self._train.targets, minlength=len(self.classes))
            # Mean 1 over the training stimuli. Differs from torch's weighted mean, which divides by the
            # weights that happen to be in the batch and so depends on how a batch is shared out.
            self._weights = torch.from_numpy(counts.sum() / (len(counts) * counts)).float()

    def plan_epoch(self, epoch: int) -> Items:  # noqa: ARG002 - each epoch shows all images
        """Return all training images."""
        return self._train

    def plan_validation(self) -> Items:
        """Return all validation images."""
        if self._val is None:
            raise ValueError("this task has no validation stimuli.")
        return self._val

    def forward(self, network: nn.Module, images: Tensor) -> Any:
        """Return logits (n_images, n_classes)."""
        return network(images)

    def compute_loss(self, outputs: Any, targets: Tensor, extras: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the mean over images of the weighted cross-entropy, in nats, from logits `outputs`."""
        losses = functional.cross_entropy(
            outputs, targets, reduction="none", label_smoothing=self.label_smoothing
        )
        if self._weights is not None:
            losses = losses * self._weights.to(losses.device)[targets]
        return {"loss": losses.mean()}

    def compute_metrics(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the loss, accuracy, and balanced accuracy over the classes that occur."""
        # This class's own loss: the terms of those that inherit from it need more than logits.
        loss = ClassificationTask.compute_loss(self, logits, targets, {})["loss"].item()
        return {"loss": loss, **compute_accuracies(logits.numpy(), targets.numpy())}

    def describe(self) -> dict[str, Any]:
        """Return classes, numbers of stimuli and what was held out."""
        return {
            "factor": self.factor,
            "classes": list(self.classes),
            "n_train": len(self._train),
            "n_val": 0 if self._val is None else len(self._val),
            "held_out": self.held_out,
        }

    def model_options(self) -> dict[str, Any]:
        """Return the number of classes."""
        return {"n_classes": len(self.classes)}

    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return `model` unchanged, if it has one output per class."""
        n_classes, card = len(self.classes), model.card
        with torch.no_grad():
            shape = tuple(model.module(make_example(card.preprocessing)).shape)
        if isinstance(model.module, SiameseNet) or shape != (1, n_classes):
            raise ValueError(
                f"a task over {self.factor!r} needs one output per class, shape (1, {n_classes}); model "
                f"{card.name!r} gives {shape} for one image."
            )
        return model

    def _list_classes(self) -> tuple[str, ...]:
        """Return the names of the classes, sorted."""
        return tuple(str(name) for name in np.unique(self.train_table.factor(self.factor)))

    def _make_items(self, table: StimulusTable) -> Items:
        labels = table.factor(self.factor)
        unknown = sorted(set(labels) - set(self.classes))
        if unknown:
            raise StimulusError(
                f"validation stimuli have {len(unknown)} values of {self.factor!r} that training lacks "
                f"(first: {unknown[0]!r}); leave them out or train on them."
            )
        return Items(np.arange(len(table))[:, None], np.searchsorted(np.array(self.classes), labels))


def compute_accuracies(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return accuracy, and balanced accuracy over the classes that occur, from logits (n, n_classes)."""
    correct = logits.argmax(1) == targets
    per_class = [correct[targets == value].mean() for value in np.unique(targets)]
    return {"accuracy": float(correct.mean()), "balanced_accuracy": float(np.mean(per_class))}
