"""Figure 4 of the dual-pathway network: identity in the non-emotion features, before and after fine-tuning.

What belongs here: the order of its stages and where each leaves its files.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fernet_neuro._utils.rows import scale_rows
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.evaluation.result import EvaluationResult
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.graph import STIMULI, change_networks
from fernet_neuro.experiments.maps import (
    check_maps,
    describe_network,
    finish,
    gather_scores,
    map_networks,
    write_scores,
)
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.work import Work, plan_named
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.recipes import IdentitySettings
from fernet_neuro.training.folder import RunFolder
from fernet_neuro.training.held_out import hold_out_groups, hold_out_within_identity

logger = logging.getLogger(__name__)

#: The network before fine-tuning; those after it are called by their mode.
BEFORE = "before"
#: Layers that are read, and what maps are judged by.
FEATURES, READOUT = "non_emotion", "identity"
FACTORS = ("identity", "expression")
#: How test pictures are named from features: by the nearest mean of training pictures, or by the read-out.
NEAREST_MEAN, TRAINED_READOUT = "nearest mean", "read-out"


def run_identity(settings: IdentitySettings, work: Work) -> Path:
    """Make Figure 4 and return the path of its ``index.html``.

    The folder gets ``stimuli/`` (with ``people-train.csv`` and ``people-test.csv``), ``runs/``,
    ``identity/accuracies.csv``, ``identity/maps/seed<k>/``, ``figures/``, ``index.html``.

    Raises StimulusError if pictures of the people cannot be held out as asked, or the test pictures cannot be
    judged by identity and expression.
    """
    logger.info("1/5 stimuli")
    stage1 = work.open(settings.stimuli, "train")
    train, test = _split_people(settings, work)
    tables = {STIMULI: stage1, **work.open_sets(settings), "people": train}
    networks = (BEFORE, *settings.modes)
    check_maps(test, networks, FACTORS, settings.maps)
    results: dict[tuple[str, str], dict[int, EvaluationResult]] = {}
    for seed in settings.seeds:
        logger.info("2/5 training, seed %d", seed)
        runs = _train_all(work, settings, tables, seed)
        logger.info("3/5 accuracies, seed %d", seed)
        stores = {name: _extract(work, run, train, test, seed, name) for name, run in runs.items()}
        for name, parts in stores.items():
            for how, result in _judge(runs[name], parts).items():
                results.setdefault((name, how), {})[seed] = result
        logger.info("4/5 maps, seed %d", seed)
        features = {name: np.array(parts["test"].load(FEATURES).values) for name, parts in stores.items()}
        place = work.folder / "identity" / "maps" / f"seed{seed}"
        map_networks(work, runs, features, test, place, factors=FACTORS, maps=settings.maps)
    variant = describe_network(next(iter(runs.values())))["variant"]
    frames = [
        gather_scores(by_seed, "poses", network=name, method=how, variant=variant)
        for (name, how), by_seed in results.items()
    ]
    write_scores(frames, work.folder / "identity" / "accuracies.csv")
    logger.info("5/5 figure and page")
    lead = "Who is shown, in the features of the non-emotion encoder, before and after it learns to tell."
    return finish(work, "crpn-fig4", "Identity in the non-emotion features", lead)


def split_people(
    table: StimulusTable, held_out: str, test_share: float, seed: int
) -> tuple[StimulusTable, StimulusTable]:
    """Return training and test pictures of the same people, none of the latter a near-copy of the former.

    `held_out`: one of "pose", "view", "expression"; see `IdentitySettings`. `test_share`: share of the poses
    of each person, or of the views or expressions of the table. Raises StimulusError if the table cannot be
    split so, or somebody is only in one part.
    """
    if held_out == "pose":
        rows = hold_out_within_identity(table, test_share, seed)
    else:
        rows = hold_out_groups(table, held_out, test_share, seed)
    train, test = (table.select(part) for part in rows)
    people = [set(part.factor("identity").tolist()) for part in (train, test)]
    alone = sorted(people[0] ^ people[1])
    if alone:
        raise StimulusError(
            f"{len(alone)} of {len(people[0] | people[1])} people have pictures in only one part "
            f"(first: {alone[0]!r}) when a share of {test_share:g} of {held_out}s is held out; give more "
            f"pictures of them, or change test_share."
        )
    return train, test


def _split_people(settings: IdentitySettings, work: Work) -> tuple[StimulusTable, StimulusTable]:
    """Return the two parts, written so that the folder says which picture is in which."""
    place, table = work.folder / "stimuli", work.open(settings.people, "people")
    parts = split_people(table, settings.held_out, settings.test_share, settings.split_seed)
    for name, part in zip(("train", "test"), parts, strict=True):
        part.write(place / f"people-{name}.csv")
    return StimulusTable.read(place / "people-train.csv"), StimulusTable.read(place / "people-test.csv")


def _train_all(
    work: Work, settings: IdentitySettings, tables: Mapping[str, StimulusTable], seed: int
) -> dict[str, Path]:
    """Return the runs by network: before fine-tuning, and after it in each mode."""
    planned = {BEFORE: plan_named(settings.networks, "concepts", seed, tables)}
    for mode in settings.modes:
        networks = change_networks(settings.networks, {"readout.readout.mode": mode})
        planned[mode] = plan_named(networks, "readout", seed, tables, {"readout": f"readout-{mode}"})
    work.train(planned.values(), tables)
    return {name: run.find_place(work.store) for name, run in planned.items()}


def _extract(
    work: Work, run: Path, train: StimulusTable, test: StimulusTable, seed: int, name: str
) -> dict[str, ActivationStore]:
    layers = [FEATURES] if name == BEFORE else [FEATURES, READOUT]
    place = work.folder / "identity" / "stores" / f"seed{seed}" / name
    return {
        "train": work.extract(run, train, [FEATURES], place / "train"),
        "test": work.extract(run, test, layers, place / "test"),
    }


def _judge(run: Path, stores: Mapping[str, ActivationStore]) -> dict[str, EvaluationResult]:
    """Return how well people on test pictures are named, by each method that a network has."""
    test = stores["test"].stimuli
    people = test.factor("identity")
    # The people are the classes, so intervals are over other poses of them, each with all its sessions.
    poses = test.combine("identity", "expression", "view")
    common: dict[str, Any] = {"groups": poses, "stimulus_ids": test.stimulus_ids}
    features = {name: np.array(store.load(FEATURES).values, dtype=float) for name, store in stores.items()}
    classes, similarities = compare_with_means(
        features["train"], stores["train"].stimuli.factor("identity"), features["test"]
    )
    results = {NEAREST_MEAN: evaluate_predictions(similarities, people, classes, **common)}
    if READOUT in stores["test"].layers:
        names = RunFolder(run).read_record()["task"]["identities"]
        logits = np.array(stores["test"].load(READOUT).values, dtype=float)
        results[TRAINED_READOUT] = evaluate_predictions(logits, people, names, **common)
    return results


def compare_with_means(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return classes and the cosine of each test row with the mean training row of each class.

    `train` (n_train, n_units). `labels` (n_train,). `test` (n_test, n_units). Returns `classes`: sorted.
    `similarities` (n_test, n_classes): -1 to 1; 0 for a row or mean of length 0.
    """
    classes, codes = np.unique(labels.astype(str), return_inverse=True)
    means = np.stack([train[codes == code].mean(axis=0, dtype=float) for code in range(len(classes))])
    return tuple(str(name) for name in classes), scale_rows(test) @ scale_rows(means).T


EXPERIMENT = Experiment(IdentitySettings, run_identity)
