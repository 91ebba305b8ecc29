"""Identification: cross-entropy over the people of the training table.

What belongs here: how an identification task is made from a recipe and its tables.
"""

from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.data import split_validation


def make_identification(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> ClassificationTask:
    """Return the task of naming who is shown.

    Held out are, unless the recipe says otherwise, some pictures of every person.

    Raises
    ------
    ValueError
        If the recipe holds out whole identities, which leaves nothing to name them by.
    """
    if settings.val_by == "identity":
        raise ValueError(
            "val_by='identity' cannot validate identification: nobody held out has a class; "
            "use random or session."
        )
    train, val = split_validation(settings, table, val_table, default="random")
    return ClassificationTask(
        "identity",
        train,
        val,
        class_weights=settings.class_weights,
        label_smoothing=settings.label_smoothing,
    )
