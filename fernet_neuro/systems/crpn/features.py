"""Figure 2 of the dual-pathway network, from faces to picture: what its two kinds of features carry.

What belongs here: the order of the stages of Figure 2.
"""

import logging
from pathlib import Path

from fernet_neuro.experiments.graph import STIMULI
from fernet_neuro.experiments.maps import check_maps, check_people, finish, map_seeds
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.work import Work, plan_named
from fernet_neuro.systems.crpn.recipes import FeatureMapsSettings

logger = logging.getLogger(__name__)

#: Layers of the conceptual pathway that Figure 2 maps.
FEATURE_LAYERS = ("emotion", "non_emotion")


def run_feature_maps(settings: FeatureMapsSettings, work: Work) -> Path:
    """Make Figure 2 and return the path of its ``index.html``.

    The folder gets ``stimuli/ runs/ maps/ figures/ index.html``; with several seeds the maps of all but the
    lowest lie in ``maps/seed<k>``.

    Raises StimulusError if the test shows people of the training stimuli, or cannot be judged by expression
    and identity.
    """
    logger.info("1/4 stimuli")
    train, test = work.open(settings.stimuli, "train"), work.open(settings.test, "test")
    tables = {STIMULI: train, **work.open_sets(settings)}
    check_people(tables.values(), (test,), settings.networks.values())
    check_maps(test, FEATURE_LAYERS, (), settings.maps)
    logger.info("2/4 training")
    planned = {seed: plan_named(settings.networks, "concepts", seed, tables) for seed in settings.seeds}
    work.train(planned.values(), tables)
    logger.info("3/4 maps")
    runs = {seed: run.find_place(work.store) for seed, run in planned.items()}
    map_seeds(work, runs, test, FEATURE_LAYERS, settings.maps)
    logger.info("4/4 figure and page")
    lead = "Features of two encoders for faces of people whom neither has seen."
    return finish(work, "crpn-fig2", "Emotion against non-emotion features", lead)


EXPERIMENT = Experiment(FeatureMapsSettings, run_feature_maps)
