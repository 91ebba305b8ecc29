"""Training runs tested on a table: from run folders to an `EvaluationReport`.

What belongs here: which runs may be tested on what, and the way from a run to its logits; scores are computed
in `fernet_neuro.evaluation`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.record import describe_surroundings
from fernet_neuro._utils.validation import check_option, format_options
from fernet_neuro.evaluation.labels import match_labels
from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.evaluation.result import EvaluationReport, EvaluationResult
from fernet_neuro.evaluation.seeds import summarise_runs
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.predictions import compute_logits, read_classes
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.copies import describe_copies
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.training.folder import TEST_OTHERS, RunFolder, find_run, find_trained_people, load_run
from fernet_neuro.typing import PathLike

EPOCHS = ("last", "best", "both")
#: Keys of a recipe in which runs of one recipe may differ: they do not change what a seed would give.
_FREE_KEYS = {"seed", "keep", "log_every", "log_gradients", "checkpoint_every", "cache"}


@dataclass(frozen=True)
class _TestedRun:
    """A run, checked to be complete and to name classes."""

    source: str
    folder: RunFolder
    record: dict[str, Any]
    classes: tuple[str, ...]

    @property
    def seed(self) -> str:
        return str(self.record.get("seed", 0))

    @property
    def factor(self) -> str:
        return str(self.record["task"].get("factor", "expression"))

    def load(self, epoch: str) -> LayeredModel:
        code, at, _ = self.source.partition("@")
        return load_run(self.folder.path, epoch, code=code if at else None)

    def differing_keys(self, other: "_TestedRun") -> list[str]:
        """Return the keys of the recipe that would have to be equal for both to be seeds of one recipe."""
        mine, theirs = (run.record.get("settings", {}) for run in (self, other))
        keys = sorted({*mine, *theirs} - _FREE_KEYS)
        return [key for key in keys if mine.get(key) != theirs.get(key)]


@dataclass
class _Test:
    """The rows to test on, and what a reader must know of them."""

    table: StimulusTable
    labels: np.ndarray
    digest: str
    notes: list[str] = field(default_factory=list)


def evaluate_runs(
    runs: PathLike | Sequence[str],
    table: StimulusTable | pd.DataFrame | PathLike,
    out: PathLike | None = None,
    *,
    factor: str | None = None,
    epoch: str = "both",
    mapping: Mapping[str, str] | None = None,
    only_known: bool = False,
    allow_trained: bool = False,
    level: float = 0.95,
    n_boot: int = 10_000,
    n_bins: int = 15,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 64,
    n_jobs: int = 0,
    verbose: bool = False,
) -> EvaluationReport:
    """Return how well runs of one recipe name the labels of a table, at the last and the best epoch.

    Logits are kept, so that an interrupted evaluation goes on where it was; the report is returned and not
    written.

    Parameters
    ----------
    runs : path or sequence of str
        Complete run folders; several are training seeds of one recipe.
    table : StimulusTable, DataFrame or path
        Stimuli to test on.
    out : path, default=None
        Folder whose ``stores`` keeps the logits; without one, the user's cache folder does.
    factor : str, default=None
        Column of `table` with the labels; None for what the runs were trained to name.
    epoch : {"both", "last", "best"}
        Which epoch's weights; "best" is the best on the validation share. "both" leaves out the best where
        the runs had no validation, and says so.
    mapping, only_known
        As in `evaluation.labels.match_labels`.
    allow_trained : bool, default=False
        Whether people, or the very table, that a run was trained on may be tested on.
    level, n_boot, n_bins, seed
        As in `evaluation.metrics.evaluate_predictions`.
    device, batch_size, n_jobs, verbose
        As in `extraction.extract.extract_activations`.

    Raises
    ------
    StimulusError
        If labels are not classes of the runs, or `table` shows people that a run was trained on.
    StoreError
        If a run is not complete.
    ValueError
        If runs are not seeds of one recipe, name no classes, or had no validation where "best" is asked for.

    Examples
    --------
    >>> import tempfile
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> others = fn.render_faces(identities=2, first_identity=50, views=1, sessions=1, size=32)
    >>> recipe = {"task": "expression", "model": "resnet10-slim", "model_options": {"size": 32}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = fn.train(recipe, f"{folder}/run", table=faces, epochs=1, batch_size=7, val_share=0)
    ...     report = fn.evaluate(f"{folder}/run", others, n_boot=10)
    >>> report.frame["metric"].tolist()[:2]
    ['accuracy', 'mean_class_accuracy']
    """
    check_option("epoch", epoch, EPOCHS)
    table = read_stimuli(table)
    listed = [str(runs)] if isinstance(runs, str | os.PathLike) else list(runs)
    tested = [_open_run(source) for source in listed]
    _check_seeds(tested)
    factor = factor or tested[0].factor
    test = _select_rows(table, factor, tested[0].classes, mapping, only_known=only_known)
    for run in tested:
        test.notes += _check_untrained(run, test, allowed=allow_trained)
    if said := describe_copies(test.table):
        test.notes.append(said)
    epochs = _choose_epochs(tested, epoch, test)
    extraction = {"device": device, "batch_size": batch_size, "n_jobs": n_jobs, "verbose": verbose}
    scoring = {"level": level, "n_boot": n_boot, "n_bins": n_bins, "seed": seed}
    results: dict[tuple[str, str], EvaluationResult] = {}
    stores = None if out is None else Path(out) / "stores"
    for run in tested:
        results.update(_evaluate_run(run, epochs, test, stores, extraction, scoring))
    means = {}
    if len(tested) > 1:
        means = {name: summarise_runs([results[name, run.seed] for run in tested]) for name in epochs}
    ordered = {(name, run.seed): results[name, run.seed] for name in epochs for run in tested}
    settings = _describe(tested, test, factor, mapping, epochs)
    return EvaluationReport.from_results(ordered, means=means, settings=settings, notes=test.notes)


def _open_run(source: str) -> _TestedRun:
    folder = find_run(source)
    if folder is None:
        raise ValueError(
            f"{source} is not a run folder (record.json is missing); name one of `fernet-neuro train`."
        )
    record = folder.read_record()
    factor = str(record.get("task", {}).get("factor", "expression"))
    return _TestedRun(source, folder, record, read_classes(source, factor))


def _check_seeds(runs: Sequence[_TestedRun]) -> None:
    """Raise unless the runs are training seeds of one recipe."""
    first = runs[0]
    seen: dict[str, str] = {}
    for run in runs:
        if run.seed in seen:
            raise ValueError(
                f"{seen[run.seed]} and {run.source} both have the training seed {run.seed}; several runs "
                f"must be seeds of one recipe, each given once."
            )
        seen[run.seed] = run.source
        keys = first.differing_keys(run)
        if keys or run.classes != first.classes:
            what = f"recipe ({format_options(keys)})" if keys else "classes"
            raise ValueError(
                f"{first.source} and {run.source} differ in their {what}, so they are not seeds of one "
                f"recipe; evaluate them one by one."
            )


def _select_rows(
    table: StimulusTable,
    factor: str,
    classes: Sequence[str],
    mapping: Mapping[str, str] | None,
    *,
    only_known: bool,
) -> _Test:
    labels = table.factor(factor, complete=not only_known).astype(str)
    names, known = match_labels(labels, classes, mapping=mapping, only_known=only_known)
    if known.all():
        return _Test(table, names, table.digest())
    left_out = [str(name) or "(no label)" for name in np.unique(names[~known])]
    note = f"{int((~known).sum())} of {len(table)} stimuli were left out: {format_options(left_out)}."
    return _Test(table.select(known), names[known], table.digest(), [note])


def _check_untrained(run: _TestedRun, test: _Test, *, allowed: bool) -> list[str]:
    """Return notes on what the run was trained on.

    Raises StimulusError if it was trained on this table or on people in it, unless `allowed`.
    """
    pictures = _note_pictures(run, test.table)
    found = find_trained_people(run.source, test.table.factor("identity", complete=False))
    problem = str(found)
    if run.record.get("digests", {}).get("stimuli") == test.digest:
        problem = f"{run.source} was trained on this very table"
    elif not found.trained:
        return [*([problem] if problem else []), *pictures]
    if allowed:
        return [f"{problem}: unless equal labels mean different people, scores say nothing of new ones."]
    raise StimulusError(f"{problem}; {TEST_OTHERS}")


def _note_pictures(run: _TestedRun, table: StimulusTable) -> list[str]:
    """Return a note on pictures of the table that the run was trained on, whatever their names."""
    n_trained = run.folder.count_trained(table)
    known = f"{n_trained} of {len(table)} stimuli are pictures that {run.source} was trained on"
    return [f"{known}, whatever their names: its scores are too good."] if n_trained else []


def _choose_epochs(runs: Sequence[_TestedRun], epoch: str, test: _Test) -> tuple[str, ...]:
    """Return the epochs to evaluate; what must be said of the best goes to the notes."""
    without = [run.source for run in runs if run.record.get("best") is None]
    if epoch == "both" and len(without) == len(runs):
        test.notes.append("The runs had no validation, so there is no best epoch: the last one alone.")
        return ("last",)
    if epoch != "last" and without:
        raise ValueError(
            f"{without[0]} was trained without validation, so no epoch is best; use --epoch last."
        )
    if epoch != "last":
        on_test = any(run.record.get("digests", {}).get("val_stimuli") == test.digest for run in runs)
        test.notes.append(
            "The best epoch was chosen on this very table (best on test): its scores are too good."
            if on_test
            else "The best epoch is the best on the validation stimuli of training."
        )
    return ("last", "best") if epoch == "both" else (epoch,)


def _evaluate_run(
    run: _TestedRun,
    epochs: Sequence[str],
    test: _Test,
    stores: Path | None,
    extraction: Mapping[str, Any],
    scoring: Mapping[str, Any],
) -> dict[tuple[str, str], EvaluationResult]:
    known: dict[str, EvaluationResult] = {}
    results = {}
    for name in epochs:
        model = run.load(name)
        digest = model.weight_digest()
        if digest not in known:  # the best epoch may be the last
            place = None if stores is None else stores / f"seed{run.seed}-{name}"
            logits = compute_logits(model, run.classes, test.table, place, source=run.source, **extraction)
            people = test.table.factor("identity", complete=False)
            ids = test.table.stimulus_ids
            known[digest] = evaluate_predictions(
                logits, test.labels, run.classes, groups=people, stimulus_ids=ids, **scoring
            )
        results[name, run.seed] = known[digest]
    return results


def _describe(
    runs: Sequence[_TestedRun],
    test: _Test,
    factor: str,
    mapping: Mapping[str, str] | None,
    epochs: Sequence[str],
) -> dict[str, Any]:
    return {
        "runs": [
            {
                "source": run.source,
                "seed": run.seed,
                "task": run.record.get("settings", {}).get("task"),
                "model": run.record.get("settings", {}).get("model"),
                "variant": run.record.get("settings", {}).get("variant"),
                "epochs": {name: (run.record.get(name) or {}).get("epoch") for name in epochs},
            }
            for run in runs
        ],
        "epochs": list(epochs),
        "factor": factor,
        "mapping": dict(mapping or {}),
        "stimuli": {"n": len(test.table), "digest": test.digest},
        **describe_surroundings(),
    }
