"""What the loop needs to know of a task: what an epoch shows, what that should give, how well it did.

What belongs here: the interface that the tasks of this package share; each task has its own file.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from fernet_neuro.stimuli.table import StimulusTable


@dataclass(frozen=True)
class Items:
    """What is shown and what it should give.

    Parameters
    ----------
    rows : ndarray of int of shape (n_items, n_images_per_item)
        Rows of a table: one image per item, or two for pairs.
    targets : ndarray of int of shape (n_items,)
    """

    rows: np.ndarray
    targets: np.ndarray

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
    """

    train_table: StimulusTable
    val_table: StimulusTable | None
    best_metric: str

    @abstractmethod
    def plan_epoch(self, epoch: int) -> Items:
        """Return what epoch `epoch` shows, in a fixed order; the loop shuffles."""

    @abstractmethod
    def plan_validation(self) -> Items:
        """Return what validation shows."""

    @abstractmethod
    def forward(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits (n_items, n_classes); the images of one item follow each other in `images`."""

    @abstractmethod
    def compute_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return one loss per item, shape (n_items,)."""

    @abstractmethod
    def compute_metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return validation metrics by name from logits (n_items, n_classes)."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain values for the record: classes, numbers of stimuli, what was held out."""

    def train_identities(self) -> set[str]:
        """Return the people that training shows, as far as they are labelled."""
        return set(self.train_table.factor("identity", complete=False).tolist()) - {""}

    @abstractmethod
    def model_options(self) -> dict[str, Any]:
        """Return the options that the task sets on the network, such as ``n_classes``."""
