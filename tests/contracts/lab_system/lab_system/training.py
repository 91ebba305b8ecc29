"""A small network, a loss with trainable centres, and the task that trains one with the other."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from fernet_neuro.models.blueprint import Blueprint, centred_preprocessing, check_common_options
from fernet_neuro.models.entry import ModelEntry
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TaskEntry, TaskSettings, TrainSettings
from fernet_neuro.training.expression import split_expressions


class LabNet(nn.Module):
    """Two convolutions, a pooled feature, and a classifier."""

    def __init__(self, n_classes: int, n_channels: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(n_channels, width, 5, 4), nn.BatchNorm2d(width), nn.ReLU())
        self.pool = nn.Sequential(
            nn.Conv2d(width, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.fc = nn.Linear(width, n_classes)

    def forward(self, images: Tensor, *, full: bool = False) -> Any:
        features = self.pool(self.stem(images))
        return (features, self.fc(features)) if full else self.fc(features)


def build_lab_net(*, n_classes: int, size: int, channels: str, width: int) -> Blueprint:
    n_channels = check_common_options(n_classes, size, channels)
    module = LabNet(n_classes, n_channels, width)
    return Blueprint(module, centred_preprocessing(size, channels), ("stem", "pool", "fc"))


class CentreLoss(nn.Module):
    """Mean squared distance of features to the centre of their class; the centres learn."""

    def __init__(self, n_classes: int, n_features: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(Tensor(n_classes, n_features).zero_())

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        return (features - self.centres[targets]).square().sum(1).mean()


class LabSettings(TaskSettings):
    """What the task adds to a recipe."""

    refused: ClassVar[tuple[str, ...]] = ("class_weights",)
    centre_weight: float = Field(0.1, ge=0)
    n_features: int = 16


@dataclass
class LabTask(ClassificationTask):
    """Cross-entropy, and features near the centre of their expression."""

    centre_weight: float = 0.1
    n_features: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        self.part_weights = {"cross_entropy": 1.0, "centre": self.centre_weight}
        self.loss_module = CentreLoss(len(self.classes), self.n_features)

    def forward(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        return network(images, full=True)

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        return network(images)

    def compute_loss(self, outputs: Any, targets: Tensor, extras: dict[str, Tensor]) -> dict[str, Tensor]:
        features, logits = outputs
        entropy = super().compute_loss(logits, targets, extras)["loss"]
        assert self.loss_module is not None
        centre = self.loss_module(features, targets)
        return self.sum_parts({"cross_entropy": entropy, "centre": centre})


def make_lab_task(settings: TrainSettings, table: Any, val_table: Any = None) -> LabTask:
    train, val, held_out = split_expressions(settings, table, val_table)
    own = settings.own(LabSettings)
    return LabTask(
        "expression",
        train,
        val,
        held_out=held_out,
        centre_weight=own.centre_weight,
        n_features=own.n_features,
    )


LAB_NET = ModelEntry(
    build_lab_net, "two convolutions", {"n_classes": 7, "size": 32, "channels": "rgb", "width": 16}
)
LAB_EXPRESSION = TaskEntry("lab_system.training:make_lab_task", "lab", LabSettings)
