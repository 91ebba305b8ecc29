"""Dual-pathway experiments, stage by stage: stimuli, training of all arms, tests, tables, figure, page.

What belongs here: the order of the stages and where each leaves its files. Every stage is a call into its
package, and each goes on where it was interrupted.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.config import write_settings
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.tables import write_csv
from fernet_neuro.evaluation.labels import match_labels
from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.exceptions import FernetError, StimulusError
from fernet_neuro.experiments.cost import build_network, write_costs
from fernet_neuro.experiments.evaluation import evaluate_runs
from fernet_neuro.experiments.markup import write_tables
from fernet_neuro.experiments.page_grid import write_page
from fernet_neuro.experiments.plan import KEY_LENGTH, PlannedRun, list_runs, plan_grid
from fernet_neuro.experiments.predictions import read_classes
from fernet_neuro.experiments.recipe import IDENTITY_SET, TRAINING_SET, DualPathwaySettings, HeldOutSet
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.results import write_results
from fernet_neuro.experiments.results_folder import (
    RECIPE,
    RENDERED,
    claim_folder,
    freeing_folder,
    open_stimuli,
)
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.stimuli.splits import check_disjoint
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.concept_bank import ConceptBank, build_concept_bank
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import RunFolder, load_run
from fernet_neuro.typing import PathLike

logger = logging.getLogger(__name__)
#: Files of the training sets below ``stimuli/``; tests have their names.
_FILES = {TRAINING_SET: "train", IDENTITY_SET: "identity"}


@dataclass(frozen=True)
class _Job:
    """One run of the engine: what, where, with which stimuli and how."""

    settings: DualPathwaySettings
    folder: Path
    n_jobs: int
    verbose: bool
    device: str
    train: StimulusTable
    people: StimulusTable
    tests: dict[str, StimulusTable]

    @property
    def store(self) -> Path:
        """Where rendered faces, runs and banks lie."""
        return find_store(self.settings, self.folder)

    @property
    def classes(self) -> list[str]:
        return [str(name) for name in np.unique(self.train.factor("expression"))]


def find_store(settings: DualPathwaySettings, folder: Path) -> Path:
    """Return where rendered faces, runs and banks lie: shared, or with the results."""
    return Path(settings.shared) if settings.shared else folder


def run_dual_pathway(
    settings: DualPathwaySettings,
    out: PathLike,
    *,
    resume: bool = False,
    n_jobs: int = 1,
    verbose: bool = False,
    device: str = "auto",
) -> Path:
    """Run all stages into the folder `out` and return the path of its ``index.html``.

    Parameters
    ----------
    settings : DualPathwaySettings
        The recipe; kept as ``recipe.yaml``.
    out : path
        Results folder: ``stimuli/ runs/ banks/ evaluation/``, ``runs.csv``, ``results.csv`` (every score of
        every run), ``summary.csv`` (over seeds), ``differences.csv`` (arms compared seed by seed),
        ``table.csv``, ``table.md``, ``table.tex``, ``published.csv``, ``figures/``, ``index.html``.
    resume : bool
        Go on in a folder that the same recipe began; finished stages are not run again. The recipe may have
        further `tests`: trained arms are tested on these without training again.

    Raises
    ------
    StoreError
        If `out` holds something and `resume` is off, or was begun with another recipe.
    StimulusError
        If a test shows people of the training stimuli, or labels that are none of theirs.
    ValueError
        If a network of the grid cannot be built.
    """
    folder = Path(out)
    is_new = claim_folder(folder, settings, resume, growing=("tests",))
    logger.info("1/6 stimuli")
    with freeing_folder(folder, is_new=is_new):
        job = _prepare(settings, folder, n_jobs, verbose, device)
    write_settings(settings, folder / RECIPE)
    grid = plan_grid(settings, job.train.digest(), job.people.digest())
    runs = list_runs(grid, job.store)
    logger.info("2/6 training: %d arms, %d runs", len(settings.arms), len(runs))
    _train_all(job, runs)
    logger.info("3/6 tests: %s", ", ".join(job.tests))
    reports = _evaluate_all(job, grid)
    logger.info("4/6 cost" if settings.cost or settings.costed else "4/6 cost: not asked for")
    write_costs(settings, folder, n_classes=len(job.classes))
    logger.info("5/6 tables and figure")
    write_csv(_list_runs(job, grid), folder / "runs.csv")
    write_results(settings, folder, reports)
    write_tables(settings, folder)
    build_figure("crpn-table", folder, folder / "figures")
    logger.info("6/6 page")
    return write_page(settings, folder)


def _prepare(settings: DualPathwaySettings, folder: Path, n_jobs: int, verbose: bool, device: str) -> _Job:
    """Return the job with its stimuli, after every check that needs them: training may take hours."""
    store = find_store(settings, folder)
    tables = {}
    sources = {name: settings.find_stimuli(name) for name in settings.list_sets()}
    # Tables first: a path that leads nowhere is found before anything is rendered.
    for name, source in sorted(sources.items(), key=lambda item: not isinstance(item[1], str)):
        key = "" if isinstance(source, str) else hash_json(source.model_dump(mode="json"))[:KEY_LENGTH]
        table = open_stimuli(source, store / RENDERED / key, n_jobs, verbose)
        place = folder / "stimuli" / f"{_FILES.get(name, name)}.csv"
        table.write(place)
        tables[name] = StimulusTable.read(place)
    tables = {name: tables[name] for name in sources}
    train = tables.pop(TRAINING_SET)
    people = tables.pop(IDENTITY_SET, train)
    job = _Job(settings, folder, n_jobs, verbose, device, train, people, tables)
    for name, table in tables.items():
        _check_test(job, name, table)
    _check_networks(job)
    return job


def _check_test(job: _Job, name: str, table: StimulusTable) -> None:
    test = job.settings.tests[name]
    labels = table.factor("expression", complete=not test.only_known).astype(str)
    trained, people, shown = (
        set(part.factor("identity", complete=False).tolist()) - {""}
        for part in (job.train, job.people, table)
    )
    try:
        match_labels(labels, job.classes, mapping=test.map, only_known=test.only_known)
        if not test.allow_trained:
            check_disjoint(trained | people, shown, "identity")
    except (FernetError, ValueError) as error:
        raise StimulusError(f"tests.{name}: {error}") from error


def _check_networks(job: _Job) -> None:
    """Build the network of each stage of each arm once."""
    built: set[str] = set()
    for name, arm in job.settings.arms.items():
        for recipe in _list_recipes(job.settings, name):
            key = hash_json([recipe.model, recipe.model_options, recipe.variant])
            if key in built:
                continue
            try:
                build_network(recipe, n_classes=len(job.classes))
            except (TypeError, ValueError) as error:
                raise ValueError(f"arm {name!r} ({arm.stage}): {error}") from error
            built.add(key)


def _list_recipes(settings: DualPathwaySettings, name: str) -> list[TrainSettings]:
    arm = settings.resolve(name)
    if settings.arms[name].stage == "concepts":
        return [arm.concepts]
    section: Any = arm.perception.section
    return [arm.perception] if section.regime == "perceptual" else [arm.concepts, arm.perception]


def _train_all(job: _Job, runs: dict[Path, PlannedRun]) -> None:
    for number, (place, run) in enumerate(runs.items(), start=1):
        logger.info("    %d of %d: %s, seed %d", number, len(runs), place.parent.name, run.settings.seed)
        recipe = run.fill_places(job.store)
        teacher = run.inputs.get("conceptual")
        if run.stage == "perception" and teacher is not None:
            bank = _make_bank(job, teacher)
            recipe = recipe.with_section(bank=str(bank))
        table = job.people if run.stage == "identity" else job.train
        fit(recipe, place, table=table, resume=place.exists(), verbose=job.verbose, device=job.device)


def _make_bank(job: _Job, teacher: PlannedRun) -> Path:
    """Return the place of a teacher's concept bank over the training stimuli, which is made once."""
    run = teacher.find_place(job.store)
    place = job.store / "banks" / run.relative_to(job.store / "runs")
    model = load_run(run)
    if not place.exists():
        bank = build_concept_bank(
            model, job.train, classes=read_classes(str(run)), verbose=job.verbose, device=job.device
        )
        bank.save(place)
    ConceptBank.load(place, teacher_digest=model.weight_digest(), stimuli_digests=[job.train.digest()])
    return place


def _evaluate_all(
    job: _Job, grid: dict[tuple[str, int], PlannedRun]
) -> dict[tuple[str, str], EvaluationReport]:
    """Return the report of each test and arm; those of the same weights and stimuli are read."""
    reports = {}
    for arm in job.settings.arms:
        runs = [str(grid[arm, seed].find_place(job.store)) for seed in job.settings.seeds]
        weights = [_digest_weights(run) for run in runs]
        for test, table in job.tests.items():
            place = job.folder / "evaluation" / test / arm
            digest = _digest_inputs(job.settings.tests[test], table, weights)
            if not _is_evaluated(place, digest):
                logger.info("    %s: %s", test, arm)
                _evaluate(job, test, table, runs, place, digest).save(place)
            reports[test, arm] = EvaluationReport.load(place)
    return {(test, arm): reports[test, arm] for test in job.tests for arm in job.settings.arms}


def _digest_weights(run: str) -> dict[str, str]:
    """Return the digest of a run's weights by epoch."""
    record = RunFolder(Path(run)).read_record()
    return {epoch: load_run(run, epoch).weight_digest() for epoch in ("last", "best") if record.get(epoch)}


def _digest_inputs(asked: HeldOutSet, table: StimulusTable, weights: list[dict[str, str]]) -> str:
    """Return the digest of what decides the scores of an arm on a test."""
    how = asked.model_dump(mode="json", include={"map", "only_known", "allow_trained"})
    return hash_json({"how": how, "stimuli": table.digest(), "weights": weights})


def _is_evaluated(place: Path, digest: str) -> bool:
    if not (place / "summary.json").is_file():
        return False
    return EvaluationReport.load(place).settings.get("inputs_digest") == digest


def _evaluate(
    job: _Job, test: str, table: StimulusTable, runs: list[str], place: Path, digest: str
) -> EvaluationReport:
    asked = job.settings.tests[test]
    report = evaluate_runs(
        runs,
        table,
        place,
        factor="expression",
        mapping=asked.map,
        only_known=asked.only_known,
        allow_trained=asked.allow_trained,
        device=job.device,
    )
    kept = {key: value for key, value in report.settings.items() if key != "runs"}
    return replace(report, settings={**kept, "inputs_digest": digest})


def _list_runs(job: _Job, grid: dict[tuple[str, int], PlannedRun]) -> pd.DataFrame:
    """Return which run each arm and seed was tested with, and which it learnt from."""
    rows = []
    for (arm, seed), tested in grid.items():
        for run in tested.list_all():
            place = run.find_place(job.store)
            rows.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "stage": run.stage,
                    "is_tested": run is tested,
                    "run": place.relative_to(job.store).as_posix(),
                    "variant": run.settings.variant,
                }
            )
    return pd.DataFrame(rows)


EXPERIMENT = Experiment(DualPathwaySettings, run_dual_pathway)
