"""Diets, stage by stage: faces, networks, activations, read-outs, tables, figure, page.

What belongs here: the order of the stages and where each leaves its files; each goes on where it was
interrupted.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.maps import check_people
from fernet_neuro.experiments.plan import PlannedRun, plan_network
from fernet_neuro.experiments.probes import check_layers, find_layers
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.settings import list_twins
from fernet_neuro.experiments.work import Work
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.extraction.sources import TWIN_SEED
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import untrained_twin
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.transfer.diets.page import write_page
from fernet_neuro.systems.transfer.diets.readouts import read_out
from fernet_neuro.systems.transfer.diets.settings import Arm, DietsSettings
from fernet_neuro.systems.transfer.diets.tables import write_tables
from fernet_neuro.training.folder import load_run

logger = logging.getLogger(__name__)
Tables = Mapping[str, StimulusTable]


def run_diets(settings: DietsSettings, work: Work) -> Path:
    """Run all stages and return the path of the ``index.html``.

    The folder gets ``stimuli/ runs/ stores/ probes/ readouts.csv differences.csv figures/ index.html``.

    Raises StimulusError if an identity is both trained on and read out, or people show too little; ValueError
    if a network cannot be built or lacks a layer.
    """
    logger.info("1/5 stimuli")
    fed = _prepare_diets(settings, work)
    tests = {
        name: _write_table(work, name, work.open(settings.find_stimuli(name), name))
        for name in settings.tests
    }
    check_people(fed.values(), tests.values(), settings.networks.values())
    check_layers(settings.networks, settings.layers, in_all=True)
    arms = settings.list_arms()
    logger.info("2/5 training: %d networks, %d seeds each", len(arms), len(settings.seeds))
    work.train([plan_arm(settings, arm, seed, fed) for arm in arms for seed in settings.seeds], fed)
    logger.info("3/5 activations")
    for name, table in tests.items():
        _extract(settings, work, arms, name, table)
    logger.info("4/5 read-outs")
    for name in tests:
        for probe in settings.probes:
            read_out(settings, work, arms, name, probe)
    logger.info("5/5 tables, figure, page")
    write_tables(settings, work.folder)
    build_figure("diets", work.folder, work.folder / "figures")
    return write_page(settings, work.folder)


def plan_arm(settings: DietsSettings, arm: Arm, seed: int, fed: Tables) -> PlannedRun:
    """Return the run of one network on one diet."""
    network = settings.networks[arm.network].model_copy(update={"stimuli": arm.stimuli})
    digests = {arm.stimuli: fed[arm.stimuli].digest()}
    return plan_network({arm.network: network}, arm.network, seed, digests, folders={arm.network: arm.name})


def find_run(folder: Path, arm: Arm, seed: int) -> Path:
    """Return the run folder of a network."""
    return folder / "runs" / arm.name / f"seed{seed}"


def _prepare_diets(settings: DietsSettings, work: Work) -> dict[str, StimulusTable]:
    """Return what networks learn, by diet and number of people: everybody has as many pictures in each."""
    full = {diet: work.open(settings.feed(diet), diet) for diet in settings.diets}
    n_pictures = min(int(table.frame["identity"].value_counts().min()) for table in full.values())
    if n_pictures < 2:
        raise StimulusError("a person of one diet has fewer than 2 pictures; give it more `sessions`.")
    fed = {}
    for diet, table in full.items():
        kept = even_out(table, n_pictures, settings.split_seed)
        people = list(dict.fromkeys(kept.factor("identity")))
        for size in settings.sizes:
            part = kept.select(kept.frame["identity"].isin(people[:size]).to_numpy())
            fed[f"{diet}-{size}"] = _write_table(work, f"{diet}-{size}", part)
    return fed


def _write_table(work: Work, name: str, table: StimulusTable) -> StimulusTable:
    place = work.folder / "stimuli" / f"{name}.csv"
    table.write(place)
    return StimulusTable.read(place)


def even_out(table: StimulusTable, n_pictures: int, seed: int) -> StimulusTable:
    """Return `n_pictures` pictures of every person, chosen at random, in the order of the table."""
    kept = []
    for person, rows in table.frame.groupby("identity", sort=False).indices.items():
        rng = make_rng(seed, "pictures kept", str(person))
        kept += sorted(rng.choice(rows, n_pictures, replace=False))
    return table.select(sorted(kept))


def _extract(
    settings: DietsSettings, work: Work, arms: Sequence[Arm], test: str, table: StimulusTable
) -> None:
    """Keep what layers of all networks, and of untrained ones of every kind, answer to a test."""
    place = work.folder / "stores" / test
    n_twins = max(probe.twins for probe in settings.probes)
    for arm in arms:
        for seed in settings.seeds:
            model = load_run(find_run(work.folder, arm, seed))
            layers = list(find_layers(model, settings.layers).values())
            _keep(work, model, table, layers, place / arm.name / f"seed{seed}")
        # Only the last layer knows the number of people: untrained networks of one kind serve all its arms.
        for number in list_twins(settings.seeds, n_twins):
            twin = place / f"{arm.network}-untrained" / f"seed{number}"
            if not twin.is_dir():
                _keep(work, untrained_twin(model, TWIN_SEED + number), table, layers, twin)


def _keep(work: Work, model: LayeredModel, table: StimulusTable, layers: Sequence[str], out: Path) -> None:
    extract_activations(model, table, layers, out, verbose=work.verbose, device=work.device)


EXPERIMENT = Experiment(DietsSettings, run_diets)
