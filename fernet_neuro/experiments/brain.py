"""A simulated group beside the networks of an experiment: scanned, analysed, compared by region.

What belongs here: the order of these steps and where each leaves its files; each is a call into its package
and goes on where it was interrupted.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.tables import write_csv
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.brain.bids import find_runs
from fernet_neuro.brain.derivatives import start_derivatives, write_missing_subjects
from fernet_neuro.brain.pipeline import PatternSettings, compute_run_patterns
from fernet_neuro.brain.rois import parse_roi
from fernet_neuro.brain.simulation.geometry import plant_geometry
from fernet_neuro.brain.simulation.scanner import build_volume
from fernet_neuro.brain.simulation.sidecars import read_planted
from fernet_neuro.door.simulate import simulate_brain
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.page_brain import BRAIN, RSA, SHARES, TWIN
from fernet_neuro.experiments.probes import find_store
from fernet_neuro.experiments.settings import BrainSettings
from fernet_neuro.experiments.work import Work
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, run_rsa
from fernet_neuro.rsa.brain_rdms import read_brain
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.models.factors import build_model_rdms
from fernet_neuro.rsa.models.shares import estimate_shares
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms
from fernet_neuro.stimuli.table import StimulusTable

#: Factors that regions may tell apart; those that do not vary among the stimuli shown are left out.
_FACTORS = ("view", "identity", "expression")
#: Names of layers' models by network and layer.
Names = Mapping[str, Mapping[str, str]]

logger = logging.getLogger(__name__)


def choose_stimuli(probe: StimulusTable, settings: BrainSettings) -> StimulusTable:
    """Return what the group looks at: every person with every expression once, views in turn.

    Views follow a Latin square, so that they vary with neither person nor expression.

    Raises StimulusError if there are too few people, or one of them lacks an expression.
    """
    people = list(dict.fromkeys(probe.factor("identity").tolist()))[: settings.identities]
    if len(people) < settings.identities:
        raise StimulusError(
            f"brain.identities={settings.identities} people are to be shown; the probe stimuli have "
            f"{len(people)}. Show fewer, or leave the stage out (--set brain=null)."
        )
    expressions = settings.expressions or tuple(dict.fromkeys(probe.factor("expression").tolist()))
    rows = [
        _pick(probe, person, expression, at + kind)
        for at, person in enumerate(people)
        for kind, expression in enumerate(expressions)
    ]
    return probe.select(rows)


def check_brain(settings: BrainSettings, probe: StimulusTable) -> None:
    """Check all that needs no trained network, before networks are trained for minutes or hours.

    Raises StimulusError if the stimuli are not there, or cannot have the planted geometry; ValueError if
    regions are empty or overlap.
    """
    shown = choose_stimuli(probe, settings)
    plant_geometry(shown, settings.simulation, {"pixels": compute_pixels(shown).values})
    build_volume(settings.simulation)


def prepare_brain(settings: BrainSettings, work: Work, probe: StimulusTable) -> None:
    """Simulate the group that looks at probe stimuli, and estimate its patterns; no network is needed.

    `work`: results folder, where ``brain/`` (``stimuli.csv``, ``bids``, ``patterns``) is written.
    """
    place = work.folder / BRAIN
    shown = _keep_stimuli(probe, settings, place / "stimuli.csv")
    logger.info("    simulated group: %d people", settings.simulation.subjects)
    _simulate(settings, work, shown, place / "bids")
    logger.info("    patterns of %d regions", len(settings.simulation.regions))
    _estimate_patterns(place / "bids", place / "patterns")


def compare_brain(
    settings: BrainSettings,
    work: Work,
    probe: StimulusTable,
    networks: Sequence[str],
    *,
    named: Names | None = None,
    seed: int = 0,
) -> None:
    """Estimate what the patterns of a prepared group hold, and compare its regions with networks.

    `work`: results folder, where ``brain/shares.csv`` and ``rsa/`` are written; stores of the networks are
    there. `networks`: those whose layers are compared, unless the settings name some. `named`: models of
    further networks: what they are called by network and layer. `seed`: training seed of the networks.
    """
    place = work.folder / BRAIN
    if (place / SHARES).is_file() and (work.folder / RSA / "summary.json").is_file():
        return
    logger.info("    comparison with networks")
    shown = _keep_stimuli(probe, settings, place / "stimuli.csv")
    brain = read_brain(place / "patterns", stimulus_ids=shown.stimulus_ids)
    brain = _order_regions(brain, list(settings.simulation.regions))
    _write_shares(brain, shown, place)
    models = build_models(settings, work.folder, shown, networks, named=named, seed=seed)
    _compare(settings, work, shown, brain, models)


def build_models(
    settings: BrainSettings,
    folder: Path,
    shown: StimulusTable,
    networks: Sequence[str],
    *,
    named: Names | None = None,
    seed: int = 0,
) -> RDMSet:
    """Return the RDMs of pixels, of layers that have names, and of networks' layers, each with its twin.

    Parameters are those of `compare_brain`.

    Returns an RDMSet: its table has ``model``, and for layers ``network`` and ``layer``; empty for others.
    """

    def compute(store: ActivationStore, layer: str) -> RDMSet:
        return compute_rdms(store.load(layer).align_to(shown.stimulus_ids), distance=settings.distance)

    sets = [build_model_rdms(shown, pixels=True, distance=settings.distance)]
    labels = [("pixels", "", "")]
    kinds = {"trained": "{}", "untrained": TWIN}
    for kind, name in kinds.items():
        for network, models in (named or {}).items():
            store = ActivationStore.open(find_store(folder, network, seed, kind))
            for layer, model in models.items():
                sets.append(compute(store, layer))
                labels.append((name.format(model), "", ""))
    for network in settings.networks or networks:
        for kind, name in kinds.items():
            store = ActivationStore.open(find_store(folder, network, seed, kind))
            for layer in store:
                sets.append(compute(store, layer))
                labels.append((f"{name.format(network)}/{layer}", name.format(network), layer))
    table = pd.DataFrame(labels, columns=["model", "network", "layer"])
    return replace(concat_rdms(sets), table=table)


def _pick(probe: StimulusTable, person: str, expression: str, turn: int) -> int:
    """Return the row of the first picture of a person and expression, seen from the view whose turn it is."""
    frame = probe.frame
    views = list(dict.fromkeys(frame["view"].tolist()))
    rows = np.flatnonzero((frame["identity"] == person) & (frame["expression"] == expression))
    if not len(rows):
        raise StimulusError(
            f"brain: the probe stimuli have no picture of identity {person!r} with expression "
            f"{expression!r}; name those that all have with brain.expressions, or leave the stage out (--set "
            f"brain=null)."
        )
    from_view = rows[(frame["view"].iloc[rows] == views[turn % len(views)]).to_numpy()]
    return int(from_view[0] if len(from_view) else rows[0])


def _keep_stimuli(probe: StimulusTable, settings: BrainSettings, path: Path) -> StimulusTable:
    if not path.is_file():
        choose_stimuli(probe, settings).write(path)
    return StimulusTable.read(path)


def _simulate(settings: BrainSettings, work: Work, shown: StimulusTable, out: Path) -> None:
    if out.is_dir():  # complete, or it would not be there
        return
    group = simulate_brain(shown, out, settings.simulation, n_jobs=work.n_jobs, verbose=work.verbose)
    for text in group.notices:
        logger.info("    %s", text)


def _estimate_patterns(bids: Path, out: Path) -> None:
    settings = PatternSettings(tuple(parse_roi(str(bids / "derivatives" / "rois"))))
    runs = find_runs(bids, raw=True)
    subjects = list(dict.fromkeys(run.subject for run in runs))
    # Settings hold names of files, which another place of the results folder would change.
    names = [spec.name for spec in settings.rois]
    start_derivatives(out, {"source": "bids", **settings.describe(), "rois": names})
    write_missing_subjects(
        out,
        subjects,
        lambda subject: [compute_run_patterns([run for run in runs if run.subject == subject], settings)],
        task=runs[0].task,
        images=False,
    )


def _order_regions(brain: RDMSet, regions: list[str]) -> RDMSet:
    """Return the RDMs region by region, in the order of the settings."""
    rank = brain.table["roi"].map(regions.index).to_numpy()
    return brain.take(np.argsort(rank, kind="stable"))


def _write_shares(brain: RDMSet, shown: StimulusTable, place: Path) -> None:
    """Write what is recovered of each factor beside what was planted."""
    factors = [name for name in _FACTORS if len(set(shown.factor(name, complete=False).tolist())) > 1]
    models = build_model_rdms(shown, factors, pixels=True, distance="squared_euclidean")
    found = estimate_shares(brain, models)
    planted = read_planted(place / "bids")
    found.insert(
        2, "planted", [planted[str(row.roi)].get(str(row.factor), 0.0) for row in found.itertuples()]
    )
    write_csv(found, place / SHARES)


def _compare(
    settings: BrainSettings, work: Work, shown: StimulusTable, brain: RDMSet, models: RDMSet
) -> None:
    blocks = shown.factor("identity").astype(str)
    options = RSASettings(
        settings.comparison, n_bootstraps=settings.bootstraps, n_permutations=settings.permutations,
        blocks=blocks, n_jobs=work.n_jobs, verbose=work.verbose,
    )  # fmt: skip
    RSAFolder(run_rsa(models, brain, options), models, brain, shown).save(work.folder / RSA)
