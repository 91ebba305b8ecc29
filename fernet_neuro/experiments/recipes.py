"""Experiments by name: the key ``experiment`` of a recipe says which one it is.

What belongs here: the way from a recipe's file to the experiment that runs it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fernet_neuro._utils.config import Settings, read_recipe, read_settings
from fernet_neuro._utils.validation import check_option, format_options
from fernet_neuro.catalogue import Entries
from fernet_neuro.models.devices import pick_device
from fernet_neuro.typing import PathLike


@dataclass(frozen=True)
class Experiment:
    """What one kind of recipe holds, and what runs it.

    Parameters
    ----------
    settings : type of Settings
        The recipe's keys.
    run : callable
        ``run(settings, out, *, resume, n_jobs, verbose, device)`` returns the path of the page.
    """

    settings: type[Settings]
    run: Callable[..., Path]


#: All experiments, those of systems too.
EXPERIMENTS: Mapping[str, Experiment] = Entries("experiments", Experiment)


def run_recipe(recipe: PathLike, out: PathLike, overrides: Iterable[str] = (), **options: Any) -> Path:
    """Run the experiment that a recipe describes and return the path of its page.

    Parameters
    ----------
    recipe : path
        YAML; its key ``experiment`` is one of `EXPERIMENTS`.
    out : path
        Results folder.
    overrides : iterable of str
        ``key=value`` texts on top of the recipe.
    **options
        ``resume, n_jobs, verbose, device``, see `experiments.run.run_grid`.

    Raises
    ------
    ValueError
        If the experiment is missing or unknown, or a key or value of the recipe is wrong.
    """
    pick_device(options.get("device", "auto"))  # before anything is made
    overrides = tuple(overrides)
    name = read_recipe(recipe, overrides).get("experiment")
    if name is None:
        raise ValueError(
            f"recipe {recipe} has no key `experiment`, which is one of: {format_options(EXPERIMENTS)}; "
            f"the recipe of a single training is for `train`."
        )
    experiment = EXPERIMENTS[check_option("experiment", name, EXPERIMENTS)]
    return experiment.run(read_settings(experiment.settings, recipe, overrides), out, **options)
