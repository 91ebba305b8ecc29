"""Figure 2 of the dual-pathway network, from faces to picture: what its two kinds of features carry.

What belongs here: the order of the stages of Figure 2.
"""

import logging
from pathlib import Path

from fernet_neuro.experiments.maps import check_maps, check_people, finish, map_features
from fernet_neuro.experiments.plan import plan_network
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.results_folder import open_stimuli, start_results_folder
from fernet_neuro.experiments.work import Work
from fernet_neuro.systems.crpn.recipes import FeatureMapsSettings
from fernet_neuro.typing import PathLike

logger = logging.getLogger(__name__)

#: Layers of the conceptual pathway that Figure 2 maps.
FEATURE_LAYERS = ("emotion", "non_emotion")


def run_feature_maps(
    settings: FeatureMapsSettings,
    out: PathLike,
    *,
    resume: bool = False,
    n_jobs: int = 1,
    verbose: bool = False,
    device: str = "auto",
) -> Path:
    """Make Figure 2 into the folder `out` and return the path of its ``index.html``.

    Parameters
    ----------
    settings : FeatureMapsSettings
        The recipe; kept as ``recipe.yaml``.
    out : path
        Results folder: ``stimuli/ runs/ maps/ figures/ index.html``; with several seeds the maps of all but
        the lowest lie in ``maps/seed<k>``.
    resume : bool
        Go on in a folder that the same recipe began; finished stages are not run again.

    Raises
    ------
    StoreError
        If `out` holds something and `resume` is off, or was begun with another recipe.
    StimulusError
        If the test shows people of the training stimuli, or cannot be judged by expression and identity.
    """
    folder = Path(out)
    start_results_folder(folder, settings, resume)
    work = Work(folder, n_jobs, verbose, device)
    logger.info("1/4 stimuli")
    train = open_stimuli(settings.stimuli, folder / "stimuli" / "train", n_jobs, verbose)
    test = open_stimuli(settings.test, folder / "stimuli" / "test", n_jobs, verbose)
    tables = {"stimuli": train, **work.open_sets(settings)}
    check_people(tables.values(), (test,))
    digests = {name: table.digest() for name, table in tables.items()}
    check_maps(test, FEATURE_LAYERS, (), settings.maps)
    for number, seed in enumerate(sorted(settings.seeds)):
        logger.info("2/4 training, seed %d", seed)
        run = plan_network(settings.networks, "concepts", seed, digests, by_name=True)
        work.train([run], tables)
        logger.info("3/4 maps, seed %d", seed)
        place = folder / "maps" / (f"seed{seed}" if number else "")
        map_features(
            run.find_place(work.store), test, place, FEATURE_LAYERS, maps=settings.maps, verbose=verbose,
            device=device,
        )  # fmt: skip
    logger.info("4/4 figure and page")
    lead = "Features of two encoders for faces of people whom neither has seen."
    return finish(work, "crpn-fig2", "Emotion against non-emotion features", lead)


EXPERIMENT = Experiment(FeatureMapsSettings, run_feature_maps)
