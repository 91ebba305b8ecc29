"""Expressions that training never shows, named from their prompt alone.

What belongs here: the task that leaves them out and keeps their texts among the classes; all else is that of
`task`.
"""

from typing import Any

import numpy as np
from torch import Tensor, nn

from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.text_guided.networks import GuidedFeatures
from fernet_neuro.systems.text_guided.settings import ZeroShotSettings
from fernet_neuro.systems.text_guided.task import TextGuidedTask, make_text_guided
from fernet_neuro.training.config import TrainSettings


class ZeroShotTask(TextGuidedTask):
    """Name the expression whose text is closest; some have a text, and no face in training.

    Training compares a face with the texts of the others alone, or it would learn to keep away from what it
    is to be tested on. Validation and tests compare with all.
    """

    own: ZeroShotSettings

    def forward(self, network: nn.Module, images: Tensor) -> GuidedFeatures:
        """Return features, their neutral forms and scores, those of expressions left out minus infinity."""
        found = super().forward(network, images)
        return found._replace(logits=found.logits.index_fill(1, self._left_out(found.logits), -np.inf))

    def describe(self) -> dict[str, Any]:
        """Return what `TextGuidedTask` does, and the expressions left out."""
        return {**super().describe(), "left_out": list(self.own.left_out)}

    def _left_out(self, scores: Tensor) -> Tensor:
        places = [self.classes.index(name) for name in self.own.left_out]
        return scores.new_tensor(places).long()

    def _list_classes(self) -> tuple[str, ...]:
        return tuple(sorted({*super()._list_classes(), *self.own.left_out}))


def make_zero_shot(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> TextGuidedTask:
    """Return the task over the expressions of `table` and those left out, whose pictures are taken away.

    Raises
    ------
    StimulusError, StoreError
        As `make_text_guided`.
    """
    left_out = settings.own(ZeroShotSettings).left_out

    def keep(part: StimulusTable) -> StimulusTable:
        return part.select(~np.isin(part.factor("expression"), left_out))

    val = None if val_table is None else keep(val_table)
    return make_text_guided(settings, keep(table), val, kind=ZeroShotTask)
