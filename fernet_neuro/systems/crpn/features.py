"""Figure 2 of the dual-pathway network, from faces to picture: what its two kinds of features carry.

What belongs here: the order of the stages of Figure 2, and the trained pathway and its maps, which Figures 3
and 4 (`styles`, `identity`) need too.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.experiments.maps import (
    check_maps,
    check_people,
    check_unseen,
    describe_network,
    finish,
    write_maps,
)
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.results_folder import claim_folder, open_stimuli
from fernet_neuro.experiments.settings import MapSettings
from fernet_neuro.experiments.work import Work
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.recipes import FeatureMapsSettings, PathwaySettings
from fernet_neuro.systems.crpn.settings import ConceptSettings
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
    claim_folder(folder, settings, resume)
    work = Work(folder, n_jobs, verbose, device)
    logger.info("1/4 stimuli")
    train = open_stimuli(settings.stimuli, folder / "stimuli" / "train", n_jobs, verbose)
    test = open_stimuli(settings.test, folder / "stimuli" / "test", n_jobs, verbose)
    people = open_people(work, settings)
    check_people((train, people), (test,))
    check_maps(test, FEATURE_LAYERS, (), settings.maps)
    for number, seed in enumerate(sorted(settings.seeds)):
        logger.info("2/4 training, seed %d", seed)
        run = train_pathway(work, settings, train, seed, people=people)
        logger.info("3/4 maps, seed %d", seed)
        place = folder / "maps" / (f"seed{seed}" if number else "")
        make_concept_maps(run, test, place, maps=settings.maps, verbose=verbose, device=device)
    logger.info("4/4 figure and page")
    lead = "Features of two encoders for faces of people whom neither has seen."
    return finish(work, "crpn-fig2", "Emotion against non-emotion features", lead)


def open_people(work: Work, settings: PathwaySettings) -> StimulusTable | None:
    """Return the faces that the identity network learns from, or None where they are those of training."""
    if settings.identity_stimuli is None:
        return None
    place = work.folder / "stimuli" / "identity"
    return open_stimuli(settings.identity_stimuli, place, work.n_jobs, work.verbose)


def train_pathway(
    work: Work,
    settings: PathwaySettings,
    table: StimulusTable,
    seed: int,
    prefix: str = "",
    *,
    people: StimulusTable | None = None,
) -> Path:
    """Train a conceptual pathway, and before it the identity network that its trunks start from.

    Parameters
    ----------
    work : Work
    settings : PathwaySettings
    table : StimulusTable
        For both, unless `people` are given.
    seed : int
        Of both.
    prefix : str
        Of the runs' names.
    people : StimulusTable or None
        For the identity network, which pathways of every prefix then share.

    Returns
    -------
    Path
        Run folder of the conceptual pathway.
    """
    section = settings.concepts.own(ConceptSettings)
    weights = {}
    if settings.identity is not None:
        name = f"{prefix}identity" if people is None else "identity"
        shown = table if people is None else people
        run = work.train(settings.identity.model_copy(update={"seed": seed}), shown, name)
        keys = [f"{part}_weights" for part in settings.identity_trunks]
        weights = {key: str(run) for key in keys if getattr(section, key) is None}
    concepts = {"seed": seed, "section": section.model_copy(update=weights)}
    return work.train(settings.concepts.model_copy(update=concepts), table, f"{prefix}concepts")


def make_concept_maps(
    run: PathLike,
    table: StimulusTable,
    out: PathLike,
    *,
    layers: Sequence[str] = FEATURE_LAYERS,
    factors: Sequence[str] = (),
    maps: MapSettings | None = None,
    verbose: bool = False,
    device: str = "auto",
) -> EmbeddingResult:
    """Map features of held-out faces in a trained conceptual pathway, for Figure 2.

    Parameters
    ----------
    run : path
        Complete run folder of stage 1.
    table : StimulusTable
        Faces of people whom it was not trained on.
    out : path
        Folder for the maps, and for the activations in ``store``; maps that are there of the same
        activations and settings are read.
    layers : sequence of str
    factors : sequence of str
        What maps are judged by; expression and identity by default.
    maps : MapSettings, optional

    Raises
    ------
    StimulusError
        If the run was trained on people of `table`, or they cannot be judged by the factors.
    StoreError
        If the run is not complete.
    ValueError
        If the maps' settings do not fit the table.
    """
    maps = maps or MapSettings()
    check_unseen(run, table)
    check_maps(table, layers, factors, maps)
    work = Work(Path(out), verbose=verbose, device=device)
    store = work.extract(Path(run), table, layers, Path(out) / "store")
    networks = dict.fromkeys(layers, describe_network(run))
    return write_maps(store, layers, out, factors=factors, maps=maps, networks=networks, verbose=verbose)


EXPERIMENT = Experiment(FeatureMapsSettings, run_feature_maps)
