"""What the loop needs to know of a task: what an epoch shows, what that should give, how well it did.

What belongs here: the interface that the tasks of this package share; each task has its own file.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.table import StimulusTable


@dataclass(frozen=True)
class Items:
    """What is shown and what it should give.

    Parameters
    ----------
    rows : ndarray of int of shape (n_items, n_images_per_item)
        Rows of a table: one image per item, or two for pairs.
    targets : ndarray of int of shape (n_items,)
    extras : dict of str to ndarray of shape (n_items, ...)
        What else the loss needs to know of each item, such as the features that a teacher gave it.
    """

    rows: np.ndarray
    targets: np.ndarray
    extras: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)


class TrainingTask(ABC):
    """One kind of training.

    Attributes
    ----------
    train_table, val_table : StimulusTable
        What `Items.rows` count in; the second is None without validation.
    best_metric : str
        The validation metric, larger is better, that names the best epoch.
    part_weights : dict of str to float
        The weight of each term in the loss, by name; empty for a loss of one term. The log shows the terms
        beside the loss.
    loss_module : Module or None
        What of the loss learns, such as class centres: the same in every process at the start. It is trained
        at the recipe's `loss_lr` and kept in checkpoints, and is not a part of the network.
    """

    train_table: StimulusTable
    val_table: StimulusTable | None
    best_metric: str
    part_weights: Mapping[str, float] = MappingProxyType({})
    loss_module: nn.Module | None = None

    @property
    def loss_parts(self) -> tuple[str, ...]:
        """Names of the terms of the loss."""
        return tuple(self.part_weights)

    def sum_parts(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted sum of the terms as ``loss``, and each term by name, unweighted."""
        weighted = [self.part_weights[name] * part for name, part in parts.items()]
        return {"loss": torch.stack(weighted).sum(), **parts}

    def prepare_run(  # noqa: B027 - most tasks need nothing
        self, folder: Path, device: torch.device, *, n_jobs: int = 0, verbose: bool = False
    ) -> None:
        """Make what the loss needs beside the items, or find it where a killed run left it complete.

        Called before the first step of each attempt, in the main process first.

        Parameters
        ----------
        folder : Path
            The run folder, which has its record.
        device : torch.device
            Of the run.
        n_jobs : int
            Worker processes that decode.
        verbose : bool
            Show progress bars.
        """

    @abstractmethod
    def plan_epoch(self, epoch: int) -> Items:
        """Return what epoch `epoch` shows, in a fixed order; the loop shuffles."""

    @abstractmethod
    def plan_validation(self) -> Items:
        """Return what validation shows."""

    def observe(self, pixels: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - most tasks need nothing
        """Return what the loss needs to know of the pixels shown, such as what a live teacher makes of them.

        Parameters
        ----------
        pixels : Tensor of shape (n_items * n_images_per_item, 3, size, size)
            After augmentation and before normalisation, in 0..255.
        """
        return {}

    @abstractmethod
    def forward(self, network: nn.Module, images: Tensor) -> Any:
        """Return what `compute_loss` takes; the images of one item follow each other in `images`."""

    @abstractmethod
    def compute_loss(self, outputs: Any, targets: Tensor, extras: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return scalars by name: ``loss``, which is minimised, and each of `loss_parts`.

        Parameters
        ----------
        outputs
            From `forward`.
        targets : int Tensor of shape (n_items,)
        extras : dict of str to Tensor of shape (n_items, ...)
            The items' extras, and what `observe` returned.
        """

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits (n_items, n_classes) for validation, where `forward` returns more than these."""
        return self.forward(network, images)

    @abstractmethod
    def compute_metrics(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Return validation metrics by name, ``loss`` among them, from logits (n_items, n_classes)."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain values for the record: classes, numbers of stimuli, what was held out."""

    def train_identities(self) -> set[str]:
        """Return the people that training shows, as far as they are labelled."""
        return set(self.train_table.factor("identity", complete=False).tolist()) - {""}

    def input_digests(self) -> dict[str, str | None]:
        """Return digests of what the task reads beside tables and weights, which a resumed run must find."""
        return {}

    @abstractmethod
    def model_options(self) -> dict[str, Any]:
        """Return the options that the task sets on the network, such as ``n_classes``."""

    @abstractmethod
    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return `model` as training starts from it, such as with pre-trained parts in their places.

        Raises
        ------
        ValueError
            If its outputs are not those of the task.
        """
