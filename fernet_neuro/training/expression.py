"""Expression classification: cross-entropy over the expressions of the training table.

What belongs here: how an expression task is made from a recipe and its tables.
"""

from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.data import check_people_apart, split_validation


def make_expression(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> ClassificationTask:
    """Return the task of naming the expression; people held out are, by default, not trained on.

    Raises
    ------
    StimulusError
        If `val_table` shows someone who is in `table`, unless ``val_by`` is not about identity.
    """
    if settings.val_by in ("auto", "identity") and val_table is not None:
        check_people_apart(table, val_table)
    train, val = split_validation(settings, table, val_table, default="identity")
    return ClassificationTask(
        "expression",
        train,
        val,
        class_weights=settings.class_weights,
        label_smoothing=settings.label_smoothing,
        best_metric="balanced_accuracy",
    )
