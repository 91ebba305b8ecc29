"""A task for the tests whose loss learns too: logits are pulled to class centres that are trained.

Run by ``runpy`` it trains in place of the task "expression", with its settings, out and table as globals.
"""

import torch
from torch import nn

from fernet_neuro.training import expression
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.fit import fit


class CentreTask(ClassificationTask):
    """Cross-entropy and the mean squared distance of logits to the centre of their class."""

    def __post_init__(self):
        super().__post_init__()
        self.part_weights = {"cross_entropy": 1.0, "pull": 1.0}
        n_classes = len(self.classes)
        centres = torch.arange(n_classes**2).reshape(n_classes, n_classes).sin()
        self.loss_module = nn.ParameterDict({"centres": nn.Parameter(centres)})

    def compute_loss(self, outputs, targets, extras):
        pull = (outputs - self.loss_module["centres"][targets]).square().mean()
        entropy = super().compute_loss(outputs, targets, extras)["loss"]
        return self.sum_parts({"cross_entropy": entropy, "pull": pull})


def make_centres(settings, table, val_table=None):
    train, val, held_out = expression.split_expressions(settings, table, val_table)
    return CentreTask("expression", train, val, held_out=held_out)


if __name__ == "__main__":
    expression.make_expression = make_centres
    fit(settings, out, table=table, resume=True, device="cpu")  # noqa: F821
