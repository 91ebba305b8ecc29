"""Cross-validation of one training recipe: a grid of a single arm, whose test is the fold left out.

What belongs here: from the recipe of a training to that of its grid; folds, runs and tables are the grid's.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.config import fill_settings, read_recipe
from fernet_neuro.catalogue import load
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.recipes import run_experiment
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TASKS, TrainSettings
from fernet_neuro.typing import PathLike

#: Keys that say which stimuli train and which validate; here the folds do.
_PARTS = ("select", "val_select", "val_stimuli")


def cross_validate(
    recipe: PathLike,
    stimuli: PathLike,
    out: PathLike,
    overrides: Iterable[str] = (),
    *,
    folds: int = 10,
    **options: Any,
) -> pd.DataFrame:
    """Train by a recipe without each fold of a table in turn, and test on the fold left out.

    Folds are stratified by expression, and all pictures of one identity are in one fold. What the recipe says
    of `select`, `val_select` and `val_stimuli` does not count: all stimuli of the table are parted. Its
    `val_share` is held out of the training folds, and none where it validates on stimuli of its own.

    Parameters
    ----------
    recipe : path
        Of a training that names expressions.
    stimuli : path
        The table to part.
    out : path
        Results folder, as of the experiment `grid`.
    overrides : iterable of str
        ``key=value`` texts on top of the recipe.
    folds : int
    **options
        As `experiments.recipes.run_experiment`.

    Returns
    -------
    DataFrame
        ``summary.csv``: the mean over folds of each metric, its interval, and ``sd``, the standard deviation
        over folds. ``results.csv`` in `out` has every fold.

    Raises
    ------
    ValueError
        If the recipe does not train the naming of expressions.
    StimulusError
        If the stimuli cannot be parted into so many folds, all of which show every expression.
    """
    values = read_recipe(recipe, overrides)
    kept = {key: value for key, value in values.items() if key not in (*_PARTS, "stimuli")}
    if any(values.get(key) for key in _PARTS[1:]):
        kept["val_share"] = 0.0
    training = fill_settings(TrainSettings, kept, {})
    _check_task(training, StimulusTable.read(stimuli))
    name = Path(recipe).stem
    grid = {
        "title": f"{name}: cross-validation in {folds} folds",
        "stimuli": str(stimuli),
        "folds": folds,
        "networks": {name: {key: value for key, value in kept.items() if key != "seed"}},
        "arms": {name: {"tested": name}},
        "seeds": [training.seed],
        "epoch": training.keep,
        "columns": ["accuracy", "mean_class_accuracy", "macro_f1", "training_loss"],
    }
    run_experiment(fill_settings(GridSettings, grid, {}), out, **options)
    return pd.read_csv(Path(out) / "summary.csv")


def _check_task(training: TrainSettings, table: StimulusTable) -> None:
    task = load(TASKS[training.task].make)(training, table)
    if getattr(task, "factor", None) != "expression":
        raise ValueError(
            f"cross-validation tests the naming of expressions, and task {training.task!r} trains another; "
            f"use a recipe of task 'expression' or of a system's own."
        )
