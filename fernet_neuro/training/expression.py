"""Expression classification: cross-entropy over the expressions of the training table.

What belongs here: how an expression task is made from a recipe and its tables, and how people are kept apart
in it, which the dual-pathway tasks share.
"""

import logging

from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.held_out import check_people_apart, name_held_out, names_people, split_validation

_logger = logging.getLogger(__name__)


def make_expression(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> ClassificationTask:
    """Return the task of naming the expression; see `split_expressions` for what is held out.

    Raises StimulusError if `val_table` shows someone who is in `table`, unless ``val_by`` is not about
    identity.
    """
    train, val, held_out = split_expressions(settings, table, val_table)
    return ClassificationTask(
        "expression",
        train,
        val,
        class_weights=settings.class_weights,
        label_smoothing=settings.label_smoothing,
        best_metric="balanced_accuracy",
        held_out=held_out,
    )


def split_expressions(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> tuple[StimulusTable, StimulusTable | None, str]:
    """Return tables to train on and to validate on, and for the record what was held out.

    People held out are, by default, not trained on. Where a table names nobody, as RAF-DB's does, people
    cannot be kept apart: a random share of each expression is held out then, or `val_table` is taken as it
    is, and both a log message and the record say so.

    Raises StimulusError if `val_table` shows someone who is in `table`, or with ``val_by`` "identity" a table
    names nobody.
    """
    held_out = name_held_out(settings, table, val_table, "identity")
    train, val = split_validation(settings, table, val_table, "identity", classes="expression")
    if held_out == "random within class":
        _logger.warning(
            "The stimuli have no identities: a random %g of each expression validates, perhaps of people who "
            "are also trained on.",
            settings.val_share,
        )
    if val_table is None or settings.val_by not in ("auto", "identity"):
        return train, val, held_out
    if settings.val_by == "identity" or (names_people(table) and names_people(val_table)):
        check_people_apart(table, val_table)
        return train, val, held_out
    _logger.warning(
        "Training or validation stimuli have no identities, so nobody checked that they show other people."
    )
    return train, val, f"{held_out} (people not compared)"
