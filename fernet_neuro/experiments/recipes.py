"""Experiments by name: the key ``experiment`` of a recipe says which one it is.

What belongs here: the way from a recipe's file to the experiment that runs it.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fernet_neuro._utils.config import read_recipe, read_settings
from fernet_neuro._utils.validation import check_option, format_options
from fernet_neuro.catalogue import Entries
from fernet_neuro.experiments.graph import GraphSettings
from fernet_neuro.experiments.results_folder import removing_on_failure, start_results_folder
from fernet_neuro.experiments.sharing import Sharing
from fernet_neuro.experiments.work import Work
from fernet_neuro.models.devices import pick_device
from fernet_neuro.typing import PathLike


@dataclass(frozen=True)
class Experiment:
    """What one kind of recipe holds, and what runs it.

    Parameters
    ----------
    settings : type of GraphSettings
        The recipe's keys; their ``experiment`` is its name.
    run : callable
        ``run(settings, work)`` goes through all stages in the folder of `work` and returns the path of the
        page. It makes its checks before it trains: what fails until then leaves no folder behind.
    growing : tuple of str
        Keys of the recipe, mappings, that may have more entries when a folder is gone on with.
    """

    settings: type[GraphSettings]
    run: Callable[[Any, Work], Path]
    growing: tuple[str, ...] = ()


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
        See `run_experiment`.

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
    kind = EXPERIMENTS[check_option("experiment", name, EXPERIMENTS)].settings
    return run_experiment(read_settings(kind, recipe, overrides), out, **options)


def run_experiment(
    settings: GraphSettings,
    out: PathLike,
    *,
    resume: bool = False,
    n_jobs: int = 1,
    verbose: bool = False,
    device: str = "auto",
    share: bool = False,
) -> Path:
    """Run the experiment of these settings into the folder `out` and return the path of its ``index.html``.

    Parameters
    ----------
    settings : GraphSettings
        The recipe; kept as ``recipe.yaml``.
    out : path
        Results folder.
    resume : bool
        Go on in a folder that the same recipe began; finished stages are not run again.
    n_jobs : int
        Processes that render faces, run probes and, without an accelerator, do parts of the experiment
        (trainings, read-outs, figures) side by side.
    verbose : bool
        Show progress bars.
    device : str
        "auto", "cpu" or an accelerator's name such as "cuda".
    share : bool
        Do it together with other processes that were given the same, on this machine or on others that see
        `out`; `resume` is then on.

    Raises
    ------
    GoesOnElsewhereError
        With `share`, when all networks are trained and another process goes on.
    StoreError
        If `out` holds something and `resume` is off, or was begun with another recipe.
    StimulusError
        If stimuli cannot be used as asked, such as people who are both trained on and tested on.
    ValueError
        If a network cannot be built, or settings do not fit the stimuli.
    """
    experiment, folder = EXPERIMENTS[settings.experiment], Path(out)
    work = Work(folder, n_jobs, verbose, device, sharing=Sharing(folder) if share else None)
    with nullcontext() if work.sharing is None else work.sharing.taking_part():
        is_new = start_results_folder(folder, settings, resume or share, growing=experiment.growing)
        with removing_on_failure(folder, is_new=is_new):
            return experiment.run(settings, work)
