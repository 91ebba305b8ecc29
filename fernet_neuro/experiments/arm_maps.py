"""Maps of what the networks of a grid's arms make of the same faces, one map for each arm and seed.

What belongs here: which layer of which run is mapped, and where maps lie.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fernet_neuro.experiments.maps import check_maps, map_networks
from fernet_neuro.experiments.recipe import ArmMaps, GridSettings
from fernet_neuro.experiments.results_folder import ARM_MAPS
from fernet_neuro.experiments.work import Work
from fernet_neuro.stimuli.table import StimulusTable

logger = logging.getLogger(__name__)


def check_arm_maps(settings: GridSettings, tests: Mapping[str, StimulusTable]) -> None:
    """Raise ValueError or StimulusError if what the recipe wants mapped cannot be; see `check_maps`."""
    if settings.maps is not None:
        check_maps(_choose(settings.maps, tests), list(settings.arms), settings.maps.factors, settings.maps)


def map_arms(
    settings: GridSettings,
    work: Work,
    places: Mapping[tuple[str, int], Path],
    tests: Mapping[str, StimulusTable],
) -> None:
    """Write the maps of each seed: layers are called by their arms, and p values corrected over arms.

    `places`: the run of each arm and seed. `tests`: by name.
    """
    maps = settings.maps
    if maps is None:
        return
    table = _choose(maps, tests)
    for seed in settings.seeds:
        logger.info("    maps, seed %d", seed)
        place = work.folder / ARM_MAPS / f"seed{seed}"
        runs = {arm: places[arm, seed] for arm in settings.arms}
        features = {
            arm: np.array(
                work.extract(run, table, [maps.layer], place / "stores" / arm).load(maps.layer).values
            )
            for arm, run in runs.items()
        }
        map_networks(work, runs, features, table, place, factors=maps.factors, maps=maps)


def _choose(maps: ArmMaps, tests: Mapping[str, StimulusTable]) -> StimulusTable:
    return tests[maps.test or next(iter(tests))]
