"""The dual-pathway network beside the networks of a transfer experiment: trained, tested, read out, mapped.

What belongs here: the order of these steps and where each leaves its files; each is a call into its package
and goes on where it was interrupted.
"""

import logging
from pathlib import Path

import numpy as np

from fernet_neuro._utils.validation import check_type
from fernet_neuro.evaluation.labels import match_labels
from fernet_neuro.exceptions import FernetError, StimulusError
from fernet_neuro.experiments.cost import build_network
from fernet_neuro.experiments.evaluation import evaluate_runs
from fernet_neuro.experiments.maps import check_maps
from fernet_neuro.experiments.probes import extract_stores, find_run, probe_network
from fernet_neuro.experiments.settings import CONCEPTUAL, PERCEPTUAL
from fernet_neuro.experiments.work import Work
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.features import FEATURE_LAYERS, make_concept_maps
from fernet_neuro.systems.crpn.settings import PerceptionSettings
from fernet_neuro.systems.transfer.recipe import PathwaysSettings, TransferSettings
from fernet_neuro.training.config import TrainSettings

#: Layers that are read out, by pathway.
LAYERS = {CONCEPTUAL: FEATURE_LAYERS, PERCEPTUAL: ("perceptual",)}
#: Where the read-outs of both pathways lie in a results folder, apart from those of the compared networks.
PROBES = Path("pathways") / "probes"

logger = logging.getLogger(__name__)


def check_pathways(settings: PathwaysSettings, train: StimulusTable, probe: StimulusTable) -> None:
    """Check all that needs no trained network, before networks are trained for minutes or hours.

    Raises
    ------
    ValueError
        If a network cannot be built, or the maps' settings do not fit the stimuli.
    StimulusError
        If an expression of the probe stimuli was not trained on, or they cannot be mapped by factors.
    """
    classes = [str(name) for name in np.unique(train.factor("expression"))]
    try:
        match_labels(probe.factor("expression").astype(str), classes)
    except (FernetError, ValueError) as error:
        raise StimulusError(f"dual_pathway cannot be tested on the probe stimuli: {error}") from error
    check_maps(probe, FEATURE_LAYERS, (), settings.maps)
    for stage in ("concepts", "perception"):
        try:
            build_network(getattr(settings, stage), n_classes=len(classes))
        except (TypeError, ValueError) as error:
            raise ValueError(f"dual_pathway.{stage}: {error}") from error


def run_pathways(settings: TransferSettings, work: Work, train: StimulusTable, probe: StimulusTable) -> None:
    """Train both pathways with every seed, then test, read out and map them on the probe stimuli.

    Parameters
    ----------
    settings : TransferSettings
        With `dual_pathway`; the networks that trunks start from are trained.
    work : Work
        Results folder, where ``runs/conceptual`` and ``runs/perceptual``, ``evaluation``, ``pathways/probes``
        and ``maps`` are written.
    train, probe : StimulusTable
        Of different people.
    """
    for seed in settings.seeds:
        _train_both(settings, work, train, seed)
    for name, layers in LAYERS.items():
        _evaluate(settings, work, name, probe)
        for seed in settings.seeds:
            extract_stores(work.folder, name, seed, probe, layers, verbose=work.verbose, device=work.device)
        probe_network(
            settings, work.folder, name, work.folder / PROBES, n_jobs=work.n_jobs, verbose=work.verbose
        )
    _map(settings, work, probe)


def _train_both(settings: TransferSettings, work: Work, train: StimulusTable, seed: int) -> None:
    stages = check_type("settings.dual_pathway", settings.dual_pathway, PathwaysSettings)
    logger.info("    conceptual pathway, seed %d", seed)
    trunks = {key: str(find_run(work.folder, name, seed)) for key, name in stages.trunks.items()}
    sources = {f"{key}_weights": run for key, run in trunks.items() if key != PERCEPTUAL}
    teacher = work.train(_fill(stages.concepts, seed, sources), train, CONCEPTUAL)
    logger.info("    perceptual pathway, seed %d", seed)
    sources = {"trunk_weights": trunks[PERCEPTUAL]} if PERCEPTUAL in trunks else {}
    if stages.perception.own(PerceptionSettings).regime != "perceptual":
        sources["conceptual"] = str(teacher)
    work.train(_fill(stages.perception, seed, sources), train, PERCEPTUAL)


def _fill(recipe: TrainSettings, seed: int, sources: dict[str, str]) -> TrainSettings:
    """Return a stage's recipe with its seed and the places of the runs that it starts from."""
    return recipe.with_section(**sources).model_copy(update={"seed": seed})


def _evaluate(settings: TransferSettings, work: Work, name: str, probe: StimulusTable) -> None:
    place = work.folder / "evaluation" / name
    if (place / "summary.json").is_file():
        return
    logger.info("    test of the %s pathway", name)
    runs = [str(find_run(work.folder, name, seed)) for seed in settings.seeds]
    evaluate_runs(runs, probe, place, factor="expression", device=work.device).save(place)


def _map(settings: TransferSettings, work: Work, probe: StimulusTable) -> None:
    """Map the features of each seed; maps of all but the lowest lie in ``maps/seed<k>``."""
    stages = check_type("settings.dual_pathway", settings.dual_pathway, PathwaysSettings)
    for number, seed in enumerate(sorted(settings.seeds)):
        logger.info("    maps, seed %d", seed)
        make_concept_maps(
            find_run(work.folder, CONCEPTUAL, seed),
            probe,
            work.folder / "maps" / (f"seed{seed}" if number else ""),
            maps=stages.maps,
            verbose=work.verbose,
            device=work.device,
        )
