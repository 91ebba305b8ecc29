"""The transfer experiment: faces, networks, activations, read-outs, brains, figures, page.

What belongs here: what each part needs of others, and where it leaves its files. Every part is a call into
its package, and each goes on where it was interrupted.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fernet_neuro._utils.atomic import atomic_folder
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.catalogue import load
from fernet_neuro.evaluation.labels import match_labels
from fernet_neuro.exceptions import FernetError, StimulusError
from fernet_neuro.experiments.brain import check_brain, compare_brain, prepare_brain
from fernet_neuro.experiments.cost import build_network
from fernet_neuro.experiments.evaluation import evaluate_runs
from fernet_neuro.experiments.graph import STIMULI
from fernet_neuro.experiments.maps import check_maps, check_people, map_seeds
from fernet_neuro.experiments.page_beside import BESIDE
from fernet_neuro.experiments.probes import (
    check_layers,
    drop_twins,
    extract_stores,
    find_run,
    find_store,
    probe_network,
)
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.settings import list_twins
from fernet_neuro.experiments.side_by_side import Part
from fernet_neuro.experiments.work import Work, plan_named
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.stimuli.splits import check_disjoint, split_table
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.transfer.page import write_report
from fernet_neuro.systems.transfer.recipe import BesideSettings, TransferSettings
from fernet_neuro.training.config import TASKS

#: Figures of networks that are compared, of stimuli and networks as they are, and of brains.
_READ_OUT_FIGURES = ("transfer-bars", "layer-profile", "confusion")
_PLAIN_FIGURES = ("stimulus-sheet", "architecture")
_BRAIN_FIGURES = ("rsa-layer-roi",)
#: What is done with brains: simulated and scanned, then compared.
_GROUP, _COMPARISON = "simulated group", "comparison with brains"

logger = logging.getLogger(__name__)


def run_transfer(settings: TransferSettings, work: Work) -> Path:
    """Run all stages and return the path of the ``index.html``.

    The folder gets ``stimuli/ runs/ stores/ probes/ figures/ index.html``, for networks `beside`
    ``beside/probes/ beside/examined/ evaluation/ maps/``, and with brains ``brain/ rsa/``.

    Raises StimulusError if an identity is in both the training and the probe stimuli, or a network cannot be
    tested or mapped on the latter, or they are not what a group is to look at; ValueError if a network cannot
    be built, or the group not be simulated.
    """
    folder = work.folder
    logger.info("1/3 stimuli")
    train, probe = _prepare_stimuli(settings, work)
    tables = {STIMULI: train, **work.open_sets(settings)}
    check_people(tables.values(), [probe], settings.networks.values())
    check_beside(settings, train, probe)
    if settings.brain is not None:
        check_brain(settings.brain, probe)
    compared = settings.list_compared()
    if settings.layers is not None:
        check_layers({name: settings.networks[name] for name in compared}, settings.layers, in_all=False)
    trained = (*compared, *settings.beside)
    logger.info(
        "2/3 networks, read-outs%s, figures: %s", ", brains" if settings.brain else "", ", ".join(trained)
    )
    planned = [
        plan_named(settings.networks, name, seed, tables) for name in trained for seed in settings.seeds
    ]
    work.train(planned, tables, then=_list_parts(settings, folder, probe))
    logger.info("3/3 page")
    return write_report(folder)


def _list_parts(settings: TransferSettings, folder: Path, probe: StimulusTable) -> dict[str, Part]:
    """Return what is done beside and after training, part by part: scanning, reading out, figures."""
    # Of many layers first: what is short at the end leaves no process waiting long for the other.
    longest = sorted(settings.beside, key=lambda name: len(settings.beside[name].layers), reverse=True)
    read_outs = {name: f"read-out of {name}" for name in (*settings.list_compared(), *longest)}
    parts: dict[str, Part] = {}
    if settings.brain is not None:
        parts[_GROUP] = Part(partial(prepare_brain, settings.brain, probe=probe))
    for name, part in read_outs.items():
        runs = frozenset(str(find_run(folder, name, seed)) for seed in settings.seeds)
        parts[part] = Part(partial(_read_out, settings, name=name, probe=probe), runs)
    if settings.brain is not None:
        compare = partial(
            compare_brain, settings.brain, probe=probe, networks=settings.list_compared(),
            named={name: beside.layers for name, beside in settings.beside.items()}, seed=settings.seeds[0],
        )  # fmt: skip
        parts[_COMPARISON] = Part(compare, frozenset(parts))
    compared = frozenset(read_outs[name] for name in settings.list_compared())
    needs = dict.fromkeys(_PLAIN_FIGURES, frozenset[str]()) | dict.fromkeys(_READ_OUT_FIGURES, compared)
    for name, beside in settings.beside.items():
        needs |= dict.fromkeys(beside.figures, frozenset([read_outs[name]]))
    if settings.brain is not None:
        needs |= dict.fromkeys(_BRAIN_FIGURES, frozenset([_COMPARISON]))
    return parts | {f"figure {name}": Part(partial(_draw, name), needed) for name, needed in needs.items()}


def _draw(name: str, work: Work) -> None:
    build_figure(name, work.folder, work.folder / "figures")


def check_beside(settings: TransferSettings, train: StimulusTable, probe: StimulusTable) -> None:
    """Check all that needs no trained network, before networks are trained for minutes or hours.

    Raises ValueError if a network cannot be built, or the maps' settings do not fit the stimuli;
    StimulusError if a label of the probe stimuli was not trained on, or they cannot be mapped by factors.
    """
    for name, beside in settings.beside.items():
        classes: list[str] = []
        if beside.factor is not None:
            classes = [str(label) for label in np.unique(train.factor(beside.factor))]
            try:
                match_labels(probe.factor(beside.factor).astype(str), classes)
            except (FernetError, ValueError) as error:
                raise StimulusError(f"{name} cannot be tested on the probe stimuli: {error}") from error
        if beside.maps is not None:
            check_maps(probe, list(beside.layers), (), beside.maps)
        try:
            build_network(settings.networks[name], n_classes=max(len(classes), 2))
        except (TypeError, ValueError) as error:
            raise ValueError(f"networks.{name}: {error}") from error


def _read_out(settings: TransferSettings, work: Work, name: str, probe: StimulusTable) -> None:
    """Read a network out, beside untrained ones whose answers are dropped when that is done; test it."""
    beside = settings.beside.get(name)
    place = work.folder / (f"{BESIDE}/probes" if beside else "probes")
    asked = [place / name / item.target / "summary.json" for item in settings.probes]
    asked += _list_examined(settings, work, name)
    if not all(path.exists() for path in asked):
        twins = list_twins(settings.seeds, max((item.twins for item in settings.probes), default=1))
        layers = tuple(beside.layers) if beside else settings.layers
        for seed in settings.seeds:
            extract_stores(work, name, seed, probe, layers, twins, settings.dtype)
        split_seed = settings.split_seed
        probe_network(work, name, place, settings.probes, seeds=settings.seeds, split_seed=split_seed)
        _examine(settings, work, name, twins)
    drop_twins(work.folder, name, settings.seeds)
    if beside is not None:
        _test(settings, work, name, beside, probe)
        if beside.maps is not None:
            runs = {seed: find_run(work.folder, name, seed) for seed in settings.seeds}
            map_seeds(work, runs, probe, list(beside.layers), beside.maps)


def _list_examined(settings: TransferSettings, work: Work, name: str) -> list[Path]:
    """Return where stands what a network's task asks of it beside read-outs, seed by seed."""
    asks = name in settings.beside and TASKS[settings.networks[name].task].examine
    place = work.folder / BESIDE / "examined" / name
    return [place / f"seed{seed}" for seed in settings.seeds] if asks else []


def _test(
    settings: TransferSettings, work: Work, name: str, beside: BesideSettings, probe: StimulusTable
) -> None:
    place = work.folder / "evaluation" / name
    if beside.factor is None or (place / "summary.json").is_file():
        return
    logger.info("    test of the %s network", name)
    runs = [str(find_run(work.folder, name, seed)) for seed in settings.seeds]
    evaluate_runs(runs, probe, place, factor=beside.factor, device=work.device).save(place)


def _examine(settings: TransferSettings, work: Work, name: str, twins: Sequence[int]) -> None:
    """Ask of a network what its task asks beside read-outs; finished ones are left."""
    examine = TASKS[settings.networks[name].task].examine
    for place, seed in zip(_list_examined(settings, work, name), settings.seeds, strict=False):
        if place.is_dir():
            continue
        untrained = [find_store(work.folder, name, number, "untrained") for number in twins]
        with atomic_folder(place) as new:
            load(examine)(
                ActivationStore.open(find_store(work.folder, name, seed, "trained")),
                [ActivationStore.open(store) for store in untrained],
                new,
            )


def _prepare_stimuli(settings: TransferSettings, work: Work) -> tuple[StimulusTable, StimulusTable]:
    place, table = work.folder / "stimuli", work.open(settings.stimuli, "faces")
    if settings.probe_stimuli is None:
        train, probe = split_table(
            table, by="identity", test_share=settings.probe_share, seed=settings.split_seed
        )
    else:
        train, probe = table, StimulusTable.read(settings.probe_stimuli)
    check_disjoint(train.factor("identity"), probe.factor("identity"), "identity")
    for name, part in (("train", train), ("probe", probe)):
        part.write(place / f"{name}.csv")
    return StimulusTable.read(place / "train.csv"), StimulusTable.read(place / "probe.csv")


EXPERIMENT = Experiment(TransferSettings, run_transfer)
