"""Stages of dual-pathway experiments: their tasks and default networks, and what no stage may say.

What belongs here: checks that recipes of several experiments share; which stages there are is in each recipe.
"""

from collections.abc import Collection
from typing import Any

from fernet_neuro.training.config import TrainSettings

#: Task and default network of each stage.
STAGES = {
    "identity": ("identification", "resnet10-slim"),
    "expression": ("expression", "resnet10-slim"),
    "concepts": ("concepts", "crpn-conceptual"),
    "perception": ("perception", "crpn-perceptual"),
    "readout": ("identity-readout", "crpn-conceptual"),
}


def fill_stage(stage: str, values: Any) -> Any:
    """Return a stage's keys with its task, and with its network where the recipe names none.

    Examples
    --------
    >>> fill_stage("concepts", {"epochs": 5})
    {'task': 'concepts', 'model': 'crpn-conceptual', 'epochs': 5}
    """
    if not isinstance(values, dict):
        return values
    task, model = STAGES[stage]
    return {"task": task, "model": model, **values}


def check_stage(stage: str, recipe: TrainSettings | None, seeds: Collection[int] = ()) -> None:
    """Raise unless a stage has its task, and neither stimuli nor seed of its own.

    Parameters
    ----------
    stage : str
        A key of `STAGES`.
    recipe : TrainSettings or None
        Its settings; None where the experiment has no such stage.
    seeds : collection of int
        Those of the experiment, which a stage may repeat, as it may say 0.

    Raises
    ------
    ValueError
        Naming the stage.
    """
    if recipe is None:
        return
    if recipe.task != STAGES[stage][0]:
        raise ValueError(f"{stage}: task must be {STAGES[stage][0]!r}; got {recipe.task!r}.")
    if recipe.stimuli is not None:
        raise ValueError(f"{stage}: stimuli are given once, by the recipe's own keys.")
    if "seed" in recipe.model_fields_set and recipe.seed not in (0, *seeds):
        raise ValueError(f"{stage}: seeds are given once, by the recipe's own key `seeds`.")


def check_seeds(seeds: Collection[int]) -> None:
    """Raise if a seed occurs twice.

    Raises
    ------
    ValueError
        Listing them.
    """
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must differ from each other; got {list(seeds)}.")
