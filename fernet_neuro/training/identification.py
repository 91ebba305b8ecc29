"""Identification: cross-entropy over the people of the training table.

What belongs here: how an identification task is made from a recipe and its tables.
"""

from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.held_out import name_held_out, split_validation


def make_identification(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> ClassificationTask:
    """Return the task of naming who is shown; see `split_identities` for what is held out.

    Raises ValueError if the recipe holds out whole identities, which leaves nothing to name them by.
    """
    train, val, held_out = split_identities(settings, table, val_table)
    return ClassificationTask(
        "identity",
        train,
        val,
        class_weights=settings.class_weights,
        label_smoothing=settings.label_smoothing,
        held_out=held_out,
    )


def split_identities(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> tuple[StimulusTable, StimulusTable | None, str]:
    """Return tables to train on and to validate on, and for the record what was held out.

    Held out are, unless the recipe says otherwise, some pictures of every person.

    Raises ValueError if the recipe holds out whole identities, which leaves nothing to name them by.
    """
    if settings.val_by == "identity":
        raise ValueError(
            f"val_by='identity' cannot validate {settings.task}: nobody held out has a class; "
            f"use random or session."
        )
    train, val = split_validation(settings, table, val_table, default="random")
    return train, val, name_held_out(settings, table, val_table, default="random")
