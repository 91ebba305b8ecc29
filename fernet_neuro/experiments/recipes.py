"""Experiments by name: the key ``experiment`` of a recipe says which one it is.

What belongs here: names, and the way from a recipe's file to the experiment that runs it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fernet_neuro._utils.config import Settings, read_recipe, read_settings
from fernet_neuro._utils.validation import check_option
from fernet_neuro.experiments.config import TransferSettings
from fernet_neuro.experiments.dual_pathway import run_dual_pathway
from fernet_neuro.experiments.dual_pathway_config import DualPathwaySettings
from fernet_neuro.experiments.dual_pathway_figures import run_feature_maps
from fernet_neuro.experiments.dual_pathway_figures_config import (
    FeatureMapsSettings,
    IdentitySettings,
    StylesSettings,
)
from fernet_neuro.experiments.dual_pathway_figures_identity import run_identity
from fernet_neuro.experiments.dual_pathway_figures_styles import run_styles
from fernet_neuro.experiments.transfer import run_transfer
from fernet_neuro.models.devices import pick_device
from fernet_neuro.typing import PathLike


@dataclass(frozen=True)
class Experiment:
    """What one kind of recipe holds, and what runs it."""

    settings: type[Settings]
    run: Callable[..., Path]


#: The first is what a recipe without the key is.
EXPERIMENTS: dict[str, Experiment] = {
    "identity-to-expression": Experiment(TransferSettings, run_transfer),
    "dual-pathway": Experiment(DualPathwaySettings, run_dual_pathway),
    "crpn-fig2": Experiment(FeatureMapsSettings, run_feature_maps),
    "crpn-fig3": Experiment(StylesSettings, run_styles),
    "crpn-fig4": Experiment(IdentitySettings, run_identity),
}


def run_recipe(recipe: PathLike, out: PathLike, overrides: Iterable[str] = (), **options: Any) -> Path:
    """Run the experiment that a recipe describes and return the path of its page.

    Parameters
    ----------
    recipe : path
        YAML; its key ``experiment`` is one of `EXPERIMENTS`, the first by default.
    out : path
        Results folder.
    overrides : iterable of str
        ``key=value`` texts on top of the recipe.
    **options
        ``resume, n_jobs, verbose, device``, see `transfer.run_transfer`.

    Raises
    ------
    ValueError
        If the experiment is unknown, a key or value of the recipe is wrong, or the device is not there.
    """
    pick_device(options.get("device", "auto"))  # before anything is made
    overrides = tuple(overrides)
    name = read_recipe(recipe, overrides).get("experiment", next(iter(EXPERIMENTS)))
    experiment = EXPERIMENTS[check_option("experiment", name, EXPERIMENTS)]
    return experiment.run(read_settings(experiment.settings, recipe, overrides), out, **options)
