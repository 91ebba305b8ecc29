"""What the networks of a grid cost in use: parameters, multiply-adds and time per image.

What belongs here: which networks are costed and against which; counting and timing are in `models`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.tables import read_text, write_csv
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.entry import MODELS
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.timing import measure_run_times
from fernet_neuro.training.config import TrainSettings


def build_network(recipe: TrainSettings, *, n_classes: int, in_use: bool = False) -> LayeredModel:
    """Return the untrained network of a recipe, for `n_classes`.

    `in_use`: leave out what only training needs, see `ModelEntry.in_use`. Raises ValueError, TypeError if the
    network or an option is unknown or wrong.
    """
    return _build(recipe.model, recipe.model_options, recipe.variant, n_classes, in_use)


def _build(
    model: str, options: Mapping[str, Any], variant: str, n_classes: int, in_use: bool
) -> LayeredModel:
    entry = MODELS.get(model)
    given = {"n_classes": n_classes, **options}
    if entry is not None:  # an unknown one is told by its builder
        given = {key: value for key, value in given.items() if key in options or key in entry.options}
        given |= entry.in_use if in_use else {}
    return build_model(model, seed=0, variant=variant, **given)


def write_costs(settings: GridSettings, folder: Path, *, n_classes: int, n_repeats: int = 15) -> None:
    """Write ``cost.csv`` into the results folder if it is asked for and not there of these networks.

    One row per arm, with ``group`` "arm", and one per network of ``settings.costed``. ``time_ratio`` is the
    time per image over that of the group's first network (for arms: the reference arm's), as the median over
    repeats in which the networks took turns, from ``time_ratio_low`` to ``time_ratio_high``, the quartiles.
    ``inputs_digest`` is that of all networks, their group and the number of repeats.

    `n_classes`: of the arms' networks. `n_repeats`: turns of each network.
    """
    place = folder / "cost.csv"
    if not (settings.costs or settings.costed):
        return
    digest = _digest_networks(settings, n_classes, n_repeats)
    if place.is_file() and set(read_text(place).get("inputs_digest", ())) == {digest}:
        return
    parts = []
    if settings.costs:
        parts.append(_cost_arms(settings, n_classes, n_repeats))
    if settings.costed:
        models = {
            name: _build(network.model, network.model_options, "recommended", n_classes, True)
            for name, network in settings.costed.items()
        }
        parts.append(_cost(models, next(iter(models)), n_repeats).assign(group="network"))
    write_csv(pd.concat(parts, ignore_index=True).assign(inputs_digest=digest), place)


def _digest_networks(settings: GridSettings, n_classes: int, n_repeats: int) -> str:
    """Return the digest of what decides the content of ``cost.csv``, but for the machine that measures."""
    arms = {}
    for name in (settings.reference_arm, *settings.arms) if settings.costs else ():
        recipe = settings.find_tested(name)
        arms[name] = [recipe.model, recipe.model_options, recipe.variant]
    costed = {name: network.model_dump(mode="json") for name, network in settings.costed.items()}
    # Rows and the first network, which times are relative to, have an order; keys of JSON have none.
    order = [settings.reference_arm, *arms, *costed]
    return hash_json([arms, costed, order, n_classes, n_repeats])


def _cost_arms(settings: GridSettings, n_classes: int, n_repeats: int) -> pd.DataFrame:
    """Return one row per arm; arms of equal networks share one measurement."""
    models: dict[str, LayeredModel] = {}
    shared: dict[str, str] = {}
    for name in (settings.reference_arm, *settings.arms):
        recipe = settings.find_tested(name)
        key = repr((recipe.model, sorted(recipe.model_options.items()), recipe.variant))
        shared.setdefault(name, key)
        if key not in models:
            models[key] = build_network(recipe, n_classes=n_classes, in_use=True)
    costs = _cost(models, shared[settings.reference_arm], n_repeats).set_index("name")
    rows = costs.loc[[shared[name] for name in settings.arms]].reset_index(drop=True)
    return rows.assign(name=list(settings.arms), group="arm")


def _cost(models: Mapping[str, LayeredModel], reference: str, n_repeats: int) -> pd.DataFrame:
    times = measure_run_times(models, n_repeats=n_repeats)
    rows = []
    for name, model in models.items():
        counted = compute_cost(model)
        low, middle, high = np.quantile(times[name] / times[reference], (0.25, 0.5, 0.75))
        rows.append(
            {
                "name": name,
                "model": counted["model"],
                "size": model.card.preprocessing.size,
                "params": counted["params"],
                "macs": counted["macs"],
                "milliseconds": 1000 * float(np.median(times[name])),
                "time_ratio": middle,
                "time_ratio_low": low,
                "time_ratio_high": high,
                "n_repeats": n_repeats,
            }
        )
    return pd.DataFrame(rows)
