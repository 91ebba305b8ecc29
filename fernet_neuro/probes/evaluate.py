"""Probes of labelled activations: one layer in `evaluate_probe`, all layers with controls in `run_probe`.

What belongs here: the door from stores and tables to results; labels are in `design`, fits in `readout`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from joblib import delayed, effective_n_jobs

from fernet_neuro._utils.progress import track
from fernet_neuro._utils.record import list_versions
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro._utils.workers import in_processes
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.copies import warn_of_equal_answers
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.activations.store import ActivationStore, check_stores_differ
from fernet_neuro.probes._dual import Gram, arrange
from fernet_neuro.probes._primal import Rows
from fernet_neuro.probes.controls import (
    CONTROLS,
    N_DRAWS,
    ControlTask,
    compare_control,
    compare_quantity_control,
    plan_control,
    score_control,
    score_quantity_control,
)
from fernet_neuro.probes.design import ProbeDesign, digest_labels, find_labelled, plan_design
from fernet_neuro.probes.gather import gather_control, gather_quantity, gather_result
from fernet_neuro.probes.quantity import choose_scale, score_quantity
from fernet_neuro.probes.readout import ITERATIVE, FoldScore, Labels, ReadoutSettings, score_folds
from fernet_neuro.probes.result import ProbeReport, ProbeResult
from fernet_neuro.probes.uncertainty import compare_sources, pool_twins
from fernet_neuro.stimuli.splits import Fold, make_folds
from fernet_neuro.stimuli.table import StimulusTable, check_same_stimuli

_VERSIONED = ("fernet-neuro", "numpy", "scipy", "scikit-learn", "numba", "pandas")


def evaluate_probe(
    activations: Activations,
    table: StimulusTable,
    *,
    target: str,
    folds: Sequence[Fold],
    readout: str = "ridge",
    n_permutations: int = 1000,
    permute_within: str | None = "auto",
    seed: int = 0,
    holdout: str = "custom",
    penalty: float | None = None,
    penalties: Sequence[float] | None = None,
    n_inner_folds: int = 3,
    source: str = "network",
    layer_index: int = 0,
    n_jobs: int = 1,
    scale: str = "auto",
) -> ProbeResult:
    """Return how well one read-out of one layer tells the classes, or the numbers, of `target` in test parts.

    Parameters
    ----------
    activations : Activations
        One layer, shape (n_stimuli, n_units).
    table : StimulusTable
        The same stimuli in the same order.
    target : str
        Factor that is read out.
    folds : sequence of Fold
        From `fernet_neuro.stimuli.splits.make_folds`.
    readout : {"ridge", "lda", "nearest-mean", "logistic", "sgd"}, default="ridge"
        The read-out; "lda" and "nearest-mean" have no penalty. Numbers are read out by "ridge" alone.
    n_permutations : int, default=1000
        Exchanges of labels for the null; 0 gives no p value. Each repeats the whole procedure, with the
        choice of the penalty. For "logistic" and "sgd" each is fitted anew, which takes long.
    permute_within : str or None, default="auto"
        What is exchanged; see `fernet_neuro.probes.exchange.plan_exchange`.
    seed : int, default=0
        Seed of the exchanges, of the bootstrap, and of the batches of "sgd".
    holdout : str, default="custom"
        What the folds hold out. If it names a factor, no value of it may be on both sides of a fold.
    penalty : float, default=None
        Absolute penalty (squared activation units), as scikit-learn's ``alpha``; None chooses one in each
        training fold.
    penalties : sequence of float, default=None
        Candidates relative to the mean squared length of a centred training row; None for the read-out's own.
    n_inner_folds : int, default=3
        Inner folds of the choice.
    source : str, default="network"
        What the activations come from, for the record.
    layer_index : int, default=0
        Place of the layer in forward order, for the record.
    n_jobs : int, default=1
        Threads for the null; -1 for one per core. The result does not depend on it.
    scale : {"auto", "classes", "numbers"}, default="auto"
        As in `run_probe`.

    Raises
    ------
    AlignmentError
        If activations and table are not of the same stimuli in the same order.
    StimulusError
        If the table lacks a factor, has one class only, a held-out value is on both sides of a fold, or the
        labels cannot be exchanged.
    ValueError
        If an argument is out of range or a value is not finite.
    """
    check_same_stimuli(activations.stimulus_ids, table.stimulus_ids, ("activations", "the table"))
    check_range("n_permutations", n_permutations, 0)
    settings = ReadoutSettings(readout, penalty, tuple(penalties) if penalties else None, n_inner_folds, seed)
    scale = _check_scale(table, target, scale, [readout])
    design = plan_design(table, target, holdout, folds, permute_within, seed, n_permutations, scale)
    labels, named = design.labels(n_permutations), (source, activations.layer, layer_index)
    return _score(design, _arrange(activations), labels, settings, named, count_jobs(n_jobs))


def _check_scale(table: StimulusTable, target: str, scale: str, readouts: Sequence[str]) -> str:
    """Return how the target is read out; raise if a read-out takes no numbers."""
    chosen = choose_scale(table, target, scale)
    for name in readouts:
        if chosen == "numbers" and name != "ridge":
            raise ValueError(
                f"target {target!r} is a quantity, and {name!r} reads out classes; use the read-out 'ridge', "
                f"or take the values for classes (scale='classes', --scale classes)."
            )
    return chosen


def _score(
    design: ProbeDesign,
    features: Gram | Rows,
    labels: Labels,
    fit: ReadoutSettings,
    named: tuple[str, str, int],
    n_jobs: int,
) -> ProbeResult:
    if design.is_quantity:
        found = score_quantity(features, design.classes, labels, design.folds, design.strata, fit)
        return gather_quantity(design, found, fit, *named)
    scores = score_folds(features, labels, design.folds, design.strata, fit, n_jobs=n_jobs)
    return gather_result(design, scores, fit, *named)


def run_probe(
    store: ActivationStore,
    *,
    table: StimulusTable | None = None,
    layers: Sequence[str] | None = None,
    target: str = "expression",
    holdout: str = "identity",
    readouts: Sequence[str] = ("ridge",),
    n_permutations: int = 1000,
    n_permutations_iterative: int = 0,
    permute_within: str | None = "auto",
    controls: Sequence[str] = CONTROLS,
    untrained_stores: Sequence[ActivationStore] = (),
    penalty: float | None = None,
    penalties: Sequence[float] | None = None,
    n_folds: int = 10,
    labelled_only: bool = False,
    seed: int = 0,
    n_jobs: int = 1,
    verbose: bool = False,
    scale: str = "auto",
) -> ProbeReport:
    """Return read-outs of the layers of a store, with controls and p values corrected over layers.

    All layers, sources and read-outs see the same folds and the same exchanges of labels.

    Parameters
    ----------
    store : ActivationStore
        Activations of the network.
    table : StimulusTable, default=None
        Labels to read out, of the store's stimuli in its order; None for the store's own.
    layers : sequence of str, default=None
        Layers to probe; None for all of the store.
    target : str, default="expression"
        Factor that is read out.
    holdout : {"identity", "view", "expression", "session", "random", "kdef10"}
        What no test stimulus shares with a training stimulus.
    readouts : sequence of {"ridge", "lda", "nearest-mean", "logistic", "sgd"}
        Read-outs; each is a family of its own for the correction over layers.
    n_permutations : int, default=1000
        Exchanges of labels for "ridge", "lda" and "nearest-mean".
    n_permutations_iterative : int, default=0
        Exchanges for "logistic" and "sgd", which are fitted anew for each; the summary says how many.
    permute_within : str or None, default="auto"
        What is exchanged; see `fernet_neuro.probes.exchange.plan_exchange`.
    controls : sequence of {"pixels", "untrained", "random-labels"}
        Controls; one that cannot be made is named with the reason in ``settings["controls_left_out"]``.
    untrained_stores : sequence of ActivationStore, default=()
        Activations of untrained twins, same layers and stimuli; needed for the control "untrained". Of
        several, scores are means, and differences are held against how much the twins differ [1]_; labels are
        exchanged for the first alone, which is enough for a cautious null of the mean.
    penalty, penalties
        As in `evaluate_probe`.
    n_folds : int, default=10
        Folds of the hold-outs "identity" and "random".
    labelled_only : bool, default=False
        Whether to leave out stimuli that lack a label which folds or exchanges go by; otherwise one that does
        is an error. ``settings["left_out"]`` counts them.
    seed : int, default=0
        Seed of folds, exchanges, arbitrary labels and batches.
    n_jobs : int, default=1
        Layers probed at once, each in a process; -1 for one per core. The result does not depend on it.
    verbose : bool, default=False
        Whether to show a progress bar.
    scale : {"auto", "classes", "numbers"}, default="auto"
        Whether `target` names classes, or is a quantity: R2 against the mean of the training part, over all
        test stimuli, and Spearman's rank correlation, the mean over folds. "auto" takes a column that holds
        numbers for a quantity, unless it is identity, expression, view or session.

    Raises
    ------
    LayerNotFoundError
        If a store lacks a layer.
    AlignmentError
        If `table` or the twin's store is of other stimuli.
    StoreError
        If two twins are one network.
    StimulusError
        If the table lacks a factor, has one class only, or the labels cannot be exchanged.
    ValueError
        If an argument is not known or out of range, or a value is not finite.

    References
    ----------
    .. [1] Crawford, J. R. and Howell, D. C. (1998). Comparing an individual's test score against norms
       derived from small samples. The Clinical Neuropsychologist, 12(4), 482-486.
    """
    n_jobs = count_jobs(n_jobs)
    check_stores_differ(untrained_stores)
    for name in controls:
        check_option("controls", name, CONTROLS)
    n_draws = {
        name: check_range("n_permutations_iterative", n_permutations_iterative, 0)
        if name in ITERATIVE
        else check_range("n_permutations", n_permutations, 0)
        for name in readouts
    }
    grid = tuple(penalties) if penalties else None
    fits = [ReadoutSettings(name, penalty, grid, seed=seed) for name in readouts]
    table = store.stimuli if table is None else table
    check_same_stimuli(table.stimulus_ids, store.stimuli.stimulus_ids, ("the stimulus table", "the store"))
    n_stimuli = len(table)
    if labelled_only:
        table = table.select(find_labelled(table, target, holdout, permute_within))
    design = _plan(
        table, target, holdout, readouts, scale, n_folds, permute_within, seed,
        max(n_draws.values(), default=0),
    )  # fmt: skip
    warn_of_equal_answers(store, table)
    task, left_out = _plan_controls(design, controls, untrained_stores)
    made = [name for name in controls if name not in left_out]
    sources = _list_sources(store, layers, made, untrained_stores)
    outer = min(n_jobs, len(sources))
    # Layers side by side in processes scale better than threads inside one; a lone layer gets the threads.
    work = in_processes(outer, return_as="generator")(
        delayed(_probe_source)(design, source, fits, n_draws, task, n_jobs // outer) for source in sources
    )
    results = []
    for found in track(work, "probe", total=len(sources), verbose=verbose):
        results += found
    compare_sources(design, results)
    results = pool_twins(design, results)
    settings = {
        "target": target,
        "holdout": holdout,
        "scale": "numbers" if design.is_quantity else "classes",
        "layers": [source.layer for source in sources if source.name == "network"],
        "readouts": list(readouts),
        "n_permutations": {name: n_draws[name] for name in readouts},
        "permute_within": design.exchange.within,
        "exchangeable_units": design.exchange.units,
        "n_folds": len(design.folds),
        "penalty": {"penalty": penalty, "penalties": None if grid is None else list(grid)},
        "seed": seed,
        "training_seeds": [0],
        "controls": made,
        "controls_left_out": left_out,
        "control_task": None
        if task is None
        else {"holdout": task.holdout, "n_draws": {name: N_DRAWS[name] for name in readouts}},
        "stores": {
            "network": store.key,
            **{f"untrained{number or ''}": held.key for number, held in enumerate(untrained_stores)},
        },
        "networks": [store.network],
        "stimuli": {"n": len(table), "digest": digest_labels(table, target)},
        "left_out": n_stimuli - len(table),
        "versions": list_versions(_VERSIONED),
    }
    return ProbeReport.from_results(results, settings)


def check_probe(
    table: StimulusTable,
    *,
    target: str,
    holdout: str,
    readouts: Sequence[str] = ("ridge",),
    n_permutations: int = 1000,
    permute_within: str | None = "auto",
    penalty: float | None = None,
    n_folds: int = 10,
    labelled_only: bool = False,
    seed: int = 0,
    scale: str = "auto",
) -> None:
    """Raise what `run_probe` would raise about labels, folds and read-outs, without any activations.

    Raises
    ------
    StimulusError
        If the table lacks a factor, has one class only, or the labels cannot be exchanged.
    ValueError
        If an argument is not known or out of range.
    """
    for name in readouts:
        ReadoutSettings(name, penalty)
    if labelled_only:
        table = table.select(find_labelled(table, target, holdout, permute_within))
    _plan(table, target, holdout, readouts, scale, n_folds, permute_within, seed, n_permutations)


def _plan(
    table: StimulusTable,
    target: str,
    holdout: str,
    readouts: Sequence[str],
    scale: str,
    n_folds: int,
    permute_within: str | None,
    seed: int,
    n_permutations: int,
) -> ProbeDesign:
    scale = _check_scale(table, target, scale, readouts)
    balanced = target if scale == "classes" else None
    folds = make_folds(table, holdout, target=balanced, n_folds=n_folds, seed=seed)
    return plan_design(table, target, holdout, folds, permute_within, seed, n_permutations, scale)


@dataclass(frozen=True, eq=False)
class _Source:
    """One layer of one source, loaded when its turn comes."""

    name: str
    layer: str
    index: int
    store: ActivationStore | None
    twin: int = 0

    def load(self, table: StimulusTable) -> Activations:
        if self.store is None:
            return compute_pixels(table)
        held = self.store.load(self.layer)
        return held if held.n_stimuli == len(table) else held.align_to(table.stimulus_ids)


def count_jobs(n_jobs: int) -> int:
    """Return the number of threads: -1 stands for one per core that this process may use.

    Raises
    ------
    ValueError
        If it is neither -1 nor positive.
    """
    if n_jobs == -1:
        return int(effective_n_jobs(-1))
    return int(check_range("n_jobs", n_jobs, 1))


def _plan_controls(
    design: ProbeDesign, controls: Sequence[str], untrained_stores: Sequence[ActivationStore]
) -> tuple[ControlTask | None, dict[str, str]]:
    """Return the control task, and the controls that cannot be made with the reason."""
    left_out, task = {}, None
    if (
        "pixels" in controls
        and len(design.table)
        and not any(item.is_file() for item in design.table.paths())
    ):
        left_out["pixels"] = (
            f"none of the pictures is where the table says, such as {design.table.paths()[0]}; a store that "
            f"was moved leads to them from its old place"
        )
    if "untrained" in controls and not untrained_stores:
        left_out["untrained"] = "no activations of an untrained twin were given"
    if "random-labels" in controls:
        plan = plan_control(
            design.table, design.target, design.holdout, design.folds, seed=design.seed,
            ranks=design.codes if design.is_quantity else None,
        )  # fmt: skip
        if isinstance(plan, str):
            left_out["random-labels"] = plan
        else:
            task = plan
    return task, left_out


def _list_sources(
    store: ActivationStore,
    layers: Sequence[str] | None,
    controls: Sequence[str],
    untrained_stores: Sequence[ActivationStore],
) -> list[_Source]:
    """Return all layers to probe, the network's first, after checking that they are there."""
    names = list(dict.fromkeys(layers)) if layers else list(store.layers)
    stores = [("network", 0, store)]
    if "untrained" in controls:
        stores += [("untrained", number, held) for number, held in enumerate(untrained_stores)]
    for _, _, held in stores:
        ids = held.stimuli.stimulus_ids
        check_same_stimuli(ids, store.stimuli.stimulus_ids, ("an untrained twin's store", "the store"))
        for layer in names:
            held.load(layer)
    order = {layer: index for index, layer in enumerate(store.layers)}
    sources = [
        _Source(name, layer, order[layer], held, twin)
        for name, twin, held in stores
        for layer in sorted(names, key=order.__getitem__)
    ]
    return [*sources, _Source("pixels", "pixels", -1, None)] if "pixels" in controls else sources


def _probe_source(
    design: ProbeDesign,
    source: _Source,
    fits: Sequence[ReadoutSettings],
    n_draws: dict[str, int],
    task: ControlTask | None,
    n_jobs: int,
) -> list[ProbeResult]:
    """Return the results of all read-outs of one layer and, for the network, those of its control task."""
    features = _arrange(source.load(design.table))
    results = []
    for fit in fits:
        labels = design.labels(0 if source.twin else n_draws[fit.name])
        named = (source.name, source.layer, source.index)
        result = _score(design, features, labels, fit, named, n_jobs)
        results.append(result)
        if task is None or source.name != "network":
            continue
        if design.is_quantity:
            result.control.update(_compare_quantity(design, task, features, fit, result.score))
        else:
            arbitrary = _score_control(design, task, features, fit, n_jobs)
            result.control.update(compare_control(task, arbitrary, result.balanced_accuracy))
            results.append(gather_control(design, task, arbitrary, fit, source.layer, source.index))
    return results


def _compare_quantity(
    design: ProbeDesign, task: ControlTask, features: Gram | Rows, fit: ReadoutSettings, r2: float
) -> dict[str, Any]:
    scores = score_quantity_control(
        task, features, design.classes, design.codes, design.strata, fit, seed=design.seed
    )
    return compare_quantity_control(task, scores, design.classes[design.codes], r2)


def _score_control(
    design: ProbeDesign, task: ControlTask, features: Gram | Rows, fit: ReadoutSettings, n_jobs: int
) -> list[FoldScore]:
    return score_control(
        task, features, design.codes, len(design.classes), design.strata, fit, seed=design.seed, n_jobs=n_jobs
    )


def _arrange(activations: Activations) -> Gram | Rows:
    try:
        return arrange(activations.values)
    except ValueError as error:
        raise ValueError(f"layer {activations.layer!r}: {error}") from None
