"""Grids, stage by stage: stimuli, training of all arms, tests, tables, figure, page.

What belongs here: the order of the stages and where each leaves its files. Every stage is a call into its
package, and each goes on where it was interrupted.
"""

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.config import write_settings
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.tables import iterate_rows, write_csv
from fernet_neuro.evaluation.labels import match_labels
from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.exceptions import FernetError, StimulusError
from fernet_neuro.experiments.arm_maps import check_arm_maps, map_arms
from fernet_neuro.experiments.cost import build_network, write_costs
from fernet_neuro.experiments.evaluation import evaluate_runs
from fernet_neuro.experiments.graph import STIMULI, NetworkSettings, order_networks
from fernet_neuro.experiments.maps import check_people
from fernet_neuro.experiments.markup import write_tables
from fernet_neuro.experiments.page_grid import write_page
from fernet_neuro.experiments.plan import KEY_LENGTH, PlannedRun, plan_network
from fernet_neuro.experiments.recipe import HELD_OUT, GridSettings, HeldOutSet
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.results import list_losses, stack_folds, write_results
from fernet_neuro.experiments.results_folder import RECIPE, RENDERED, open_stimuli
from fernet_neuro.experiments.work import Work
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.stimuli.splits import check_disjoint, partition_table
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.folder import RunFolder, digest_run

logger = logging.getLogger(__name__)
Grid = dict[tuple[str, int], PlannedRun]


@dataclass(frozen=True)
class _Job:
    """One run of the engine, or one fold of it: what, where, and with which stimuli."""

    settings: GridSettings
    work: Work
    training: dict[str, StimulusTable]
    tests: dict[str, StimulusTable]
    fold: str = ""

    @cached_property
    def grid(self) -> Grid:
        return plan_grid(self.settings, {name: table.digest() for name, table in self.training.items()})

    @property
    def networks(self) -> list[NetworkSettings]:
        """The networks that arms are trained with."""
        arms = [(self.settings.resolve(name), arm.tested) for name, arm in self.settings.arms.items()]
        return [found[name] for found, tested in arms for name in order_networks(found, [tested])]

    @property
    def classes(self) -> list[str]:
        """The expressions that every arm's network names."""
        tested = [self.settings.find_tested(arm) for arm in self.settings.arms]
        return sorted(set.intersection(*(self._find_classes(network) for network in tested)))

    def _find_classes(self, network: NetworkSettings) -> set[str]:
        shown = self.training[network.learns_from].select(**network.select).factor("expression").astype(str)
        return {*shown, *(network.section.list_further_classes() if network.section else ())}


def plan_grid(settings: GridSettings, stimuli: dict[str, str]) -> Grid:
    """Return the tested run of each arm and seed; `stimuli` are the digests of the sets to train on."""
    networks = {name: settings.resolve(name) for name in settings.arms}
    return {
        (name, seed): plan_network(networks[name], arm.tested, seed, stimuli)
        for name, arm in settings.arms.items()
        for seed in settings.seeds
    }


def run_grid(settings: GridSettings, work: Work) -> Path:
    """Run all stages and return the path of the ``index.html``.

    The folder gets ``stimuli/ runs/ banks/ evaluation/``, ``runs.csv``, ``results.csv`` (every score of every
    run), ``summary.csv`` (over seeds), ``differences.csv`` (arms compared seed by seed), ``table.csv``,
    ``table.md``, ``table.tex``, ``published.csv``, ``figures/``, ``index.html``; where rows of a test have
    labels that are no class, ``left_out.csv``; with `drop_from` ``drops.csv``; with `maps` ``arm_maps/``;
    with `folds` also ``folds.csv`` (the fold of each stimulus), and the first files have a column ``fold``.
    When it is gone on with, the recipe may have further `tests`: trained arms are tested on these without
    training again.

    Raises StimulusError if a test shows people of the training stimuli, or labels that are none of theirs; or
    the training stimuli cannot be parted into so many folds; ValueError if a network of the grid cannot be
    built.
    """
    folder = work.folder
    _check_networks(settings)
    logger.info("1/6 stimuli")
    shared = Path(settings.shared) if settings.shared else None
    jobs = _split(_prepare(settings, replace(work, shared=shared)))
    write_settings(settings, folder / RECIPE)
    logger.info("2/6 training: %d arms, %d seeds", len(settings.arms), len(settings.seeds))
    for job in jobs:
        if job.fold:
            logger.info("  fold %s of %d", job.fold, len(jobs))
        job.work.train(job.grid.values(), job.training)
    logger.info("3/6 tests: %s", ", ".join(settings.shown_tests))
    reports = {job.fold: _evaluate_all(job) for job in jobs}
    map_arms(settings, jobs[0].work, _find_places(jobs[0]), jobs[0].tests)
    logger.info("4/6 cost" if settings.costs or settings.costed else "4/6 cost: not asked for")
    write_costs(settings, folder, n_classes=len(jobs[0].classes))
    logger.info("5/6 tables and figure")
    write_csv(stack_folds({job.fold: _list_runs(job) for job in jobs}), folder / "runs.csv")
    write_results(settings, folder, reports)
    if "training_loss" in settings.columns:
        losses = {job.fold: list_losses(_find_places(job)) for job in jobs}
        write_csv(stack_folds(losses), folder / "training.csv")
    write_tables(settings, folder)
    for name in ("grid", *settings.figures):
        build_figure(name, folder, folder / "figures")
    logger.info("6/6 page")
    return write_page(settings, folder)


def _prepare(settings: GridSettings, work: Work) -> _Job:
    """Return the job with its stimuli, after every check that needs them: training may take hours."""
    tables = {}
    sources = {name: settings.find_stimuli(name) for name in settings.list_sets()}
    # Tables first: a path that leads nowhere is found before anything is rendered.
    for name, source in sorted(sources.items(), key=lambda item: not isinstance(item[1], str)):
        key = "" if isinstance(source, str) else hash_json(source.model_dump(mode="json"))[:KEY_LENGTH]
        table = open_stimuli(source, work.store / RENDERED / key, work.n_jobs, work.verbose)
        place = work.folder / "stimuli" / f"{'train' if name == STIMULI else name}.csv"
        table.write(place)
        tables[name] = StimulusTable.read(place)
    training = {name: tables[name] for name in sources if name not in settings.tests}
    job = _Job(settings, work, training, {name: tables[name] for name in settings.tests})
    left_out = [_check_test(job, name, table) for name, table in job.tests.items()]
    check_arm_maps(settings, job.tests)
    _write_left_out(pd.DataFrame([row for rows in left_out for row in rows]), work.folder / "left_out.csv")
    return job


def _split(job: _Job) -> list[_Job]:
    """Return the job itself, or one of each fold; which stimuli are in which is written to ``folds.csv``."""
    if job.settings.folds is None:
        return [job]
    _check_left_out(job)
    whole = job.training[STIMULI]
    folds = partition_table(whole, job.settings.folds)
    members = {fold.name: pd.DataFrame({"stimulus_id": whole.stimulus_ids[fold.test]}) for fold in folds}
    write_csv(stack_folds(members), job.work.folder / "folds.csv")
    return [
        replace(
            job,
            training={**job.training, STIMULI: whole.select(fold.train)},
            tests={HELD_OUT: whole.select(fold.test), **job.tests},
            fold=fold.name,
        )
        for fold in folds
    ]


def _check_left_out(job: _Job) -> None:
    """Raise if what is not parted, further sets and tables to validate on, shows anything of the folds."""
    whole = job.training[STIMULI]
    others = {name: table for name, table in job.training.items() if name != STIMULI}
    check_people([], [whole], job.networks)
    places = {network.val_stimuli for network in job.networks if network.val_stimuli}
    for name, table in {**others, **{place: StimulusTable.read(place) for place in places}}.items():
        try:
            check_people([table], [whole])
            check_disjoint(table.image_digests, whole.image_digests, "picture")
        except StimulusError as error:
            raise StimulusError(f"folds: networks that learn from {name!r}: {error}") from error


def _check_test(job: _Job, name: str, table: StimulusTable) -> list[dict[str, Any]]:
    """Return how many rows of which label are left out, since no class is called so, or raise."""
    test = job.settings.tests[name]
    labels = table.factor("expression", complete=not test.only_known).astype(str)
    try:
        known = match_labels(labels, job.classes, mapping=test.map, only_known=test.only_known)[1]
        if not test.allow_trained:
            check_people(job.training.values(), [table], job.networks)
    except (FernetError, ValueError) as error:
        place = f"--set tests.{name}"  # the message is one of `evaluate`, whose options a recipe has as keys
        hint = (
            str(error).replace("--map ", f"{place}.map.").replace("--only-known", f"{place}.only_known=true")
        )
        raise StimulusError(f"tests.{name}: {hint}") from error
    counts = pd.Series(labels[~known]).value_counts().sort_index()
    return [{"test": name, "label": str(label), "n": int(n)} for label, n in counts.items()]


def _write_left_out(rows: pd.DataFrame, path: Path) -> None:
    """Say in the log and in a file which rows of tests are left out; there is no file where none is."""
    path.unlink(missing_ok=True)
    for row in iterate_rows(rows):
        logger.info("    %s: %d images of %r are left out, no class is called so", row.test, row.n, row.label)
    if len(rows):
        write_csv(rows, path)


def _check_networks(settings: GridSettings) -> None:
    """Build each network that an arm needs once, before any stimulus is made; for any number of classes."""
    built: set[str] = set()
    for arm, asked in settings.arms.items():
        networks = settings.resolve(arm)
        for name in order_networks(networks, [asked.tested]):
            recipe = networks[name]
            key = hash_json([recipe.model, recipe.model_options, recipe.variant])
            if key not in built:
                try:
                    build_network(recipe, n_classes=2)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"arm {arm!r} ({name}): {error}") from error
            built.add(key)


def _find_places(job: _Job) -> dict[tuple[str, int], Path]:
    return {key: run.find_place(job.work.store) for key, run in job.grid.items()}


def _evaluate_all(job: _Job) -> dict[tuple[str, str], EvaluationReport]:
    """Return the report of each test and arm; those of the same weights and stimuli are read."""
    reports, places = {}, _find_places(job)
    for arm in job.settings.arms:
        runs = [str(places[arm, seed]) for seed in job.settings.seeds]
        weights = [_digest_weights(run) for run in runs]
        for test, table in job.tests.items():
            place = job.work.folder / "evaluation" / (f"fold{job.fold}" if job.fold else "") / test / arm
            digest = _digest_inputs(job.settings.shown_tests[test], table, weights)
            if not _is_evaluated(place, digest):
                logger.info("    %s: %s", test, arm)
                _evaluate(job, test, table, runs, place, digest).save(place)
            reports[test, arm] = EvaluationReport.load(place)
    return {(test, arm): reports[test, arm] for test in job.tests for arm in job.settings.arms}


def _digest_weights(run: str) -> dict[str, str]:
    """Return the digest of a run's weights by epoch."""
    record = RunFolder(Path(run)).read_record()
    return {epoch: digest_run(run, epoch) for epoch in ("last", "best") if record.get(epoch)}


def _digest_inputs(asked: HeldOutSet, table: StimulusTable, weights: list[dict[str, str]]) -> str:
    """Return the digest of what decides the scores of an arm on a test."""
    how = asked.model_dump(mode="json", include={"map", "only_known", "allow_trained"})
    return hash_json({"how": how, "stimuli": table.digest(), "weights": weights})


def _is_evaluated(place: Path, digest: str) -> bool:
    if not (place / "summary.json").is_file():
        return False
    return EvaluationReport.load(place, tables=()).settings.get("inputs_digest") == digest


def _evaluate(
    job: _Job, test: str, table: StimulusTable, runs: list[str], place: Path, digest: str
) -> EvaluationReport:
    asked = job.settings.shown_tests[test]
    report = evaluate_runs(
        runs,
        table,
        place,
        factor="expression",
        mapping=asked.map,
        only_known=asked.only_known,
        allow_trained=asked.allow_trained,
        device=job.work.device,
    )
    kept = {key: value for key, value in report.settings.items() if key != "runs"}
    return replace(report, settings={**kept, "inputs_digest": digest})


def _list_runs(job: _Job) -> pd.DataFrame:
    """Return which run each arm and seed was tested with, and which it learnt from."""
    rows = []
    for (arm, seed), tested in job.grid.items():
        for run in tested.list_all():
            place = run.find_place(job.work.store)
            rows.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "network": run.network,
                    "is_tested": run is tested,
                    "run": place.relative_to(job.work.store).as_posix(),
                    "variant": run.settings.variant,
                }
            )
    return pd.DataFrame(rows)


EXPERIMENT = Experiment(GridSettings, run_grid, growing=("tests",))
