"""Which stimulus was shown, from patterns of brain activity: one run left out, whole blocks exchanged.

What belongs here: the read-outs, their null and their result; networks are probed in `evaluate`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.likeness import Seen
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.tables import save_tables
from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.brain.copies import check_patterns_differ
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.probes._dual import Gram, compute_gram
from fernet_neuro.stats.multiple import adjust_fdr
from fernet_neuro.stats.resampling import permute_within
from fernet_neuro.typing import PathLike

#: Penalty of the ridge read-out, times the mean squared length of a centred training row.
RIDGE_PENALTY = 1.0
#: Decisions that are held in memory at once.
_DECISIONS_AT_ONCE = 2**22
_FILES = ("results.csv", "runs.csv", "confusion.csv")


@dataclass(frozen=True, eq=False)
class DecodingResult:
    """How well stimuli are told apart.

    Parameters
    ----------
    estimates : DataFrame
        One row per participant, session and region: ``accuracy`` (balanced, a share), ``chance_level``,
        ``null_mean``, ``null_q95``, ``p_value`` (one-sided), ``p_fdr`` over the regions of one participant
        and session, and counts.
    runs : DataFrame
        Balanced accuracy in each run left out.
    confusion : DataFrame
        How often each stimulus was taken for each.
    settings : dict
    """

    estimates: pd.DataFrame
    runs: pd.DataFrame
    confusion: pd.DataFrame
    settings: dict[str, Any]

    def save(self, out: PathLike) -> Path:
        """Write ``results.csv``, ``runs.csv``, ``confusion.csv`` and ``summary.json``, the last one last."""
        summary = {
            "kind": "decoding",
            "settings": self.settings,
            "regions": self.estimates.to_dict("records"),
        }
        frames = (self.estimates, self.runs, self.confusion)
        return save_tables(out, dict(zip(_FILES, frames, strict=True)), summary)


def decode_patterns(
    patterns: Sequence[BrainPatterns],
    *,
    readout: str = "correlation",
    average: bool = False,
    centre: bool = True,
    n_permutations: int = 1000,
    seed: int = 0,
) -> DecodingResult:
    """Return how well each region tells stimuli apart in runs that its read-out has not seen.

    Parameters
    ----------
    patterns : sequence of BrainPatterns
    readout : str, default="correlation"
        A name in `READOUTS`: the class whose mean pattern correlates highest [1]_ (``correlation``) or is
        nearest (``centroid``), or ridge regression on the classes (``ridge``).
    average : bool, default=False
        Decode the mean pattern of each stimulus in each run, not each row.
    centre : bool, default=True
        Take each run's mean pattern off its rows; no label is used.
    n_permutations : int, default=1000
        Labellings of the null [2]_; 0 gives no p-value. Rows of one stimulus that follow each other in a run
        are a block: they depend on each other, so labels are exchanged between whole blocks, inside each run,
        for training and test alike.
    seed : int, default=0

    Raises
    ------
    StimulusError
        If there are fewer than two runs or stimuli, a run lacks a stimulus, labels cannot be exchanged, or
        two runs of a region hold the same values, of whatever sessions and subjects.
    ValueError
        If a name is not known or a number out of range.

    References
    ----------
    .. [1] Haxby, Gobbini, Furey, Ishai, Schouten & Pietrini (2001), Distributed and overlapping
       representations of faces and objects in ventral temporal cortex, Science 293.
    .. [2] Nichols & Holmes (2002), Nonparametric permutation tests for functional neuroimaging, Human Brain
       Mapping 15.
    """
    check_option("readout", readout, READOUTS)
    check_range("n_permutations", n_permutations, minimum=0)
    options = {"average": average, "centre": centre, "n_permutations": n_permutations, "seed": seed}
    seen = Seen()
    for item in patterns:
        check_patterns_differ(item, seen)
    # One thread: the products are small, and threads beside other programs wait for each other.
    with limit_threads(1, "blas"):
        parts = [
            _decode(item, readout, average=average, centre=centre, n_permutations=n_permutations, seed=seed)
            for item in patterns
        ]
    estimates = pd.DataFrame([part[0] for part in parts])
    if n_permutations:
        sessions = estimates.groupby(["subject", "session"])["p_value"]
        estimates["p_fdr"] = sessions.transform(lambda p: pd.Series(adjust_fdr(p.to_numpy()), p.index))
    return DecodingResult(
        estimates,
        pd.concat([part[1] for part in parts], ignore_index=True),
        pd.concat([part[2] for part in parts], ignore_index=True),
        {"readout": readout, **options},
    )


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Rows, their classes and runs, and the blocks that share both."""

    values: np.ndarray
    classes: np.ndarray
    run_of: np.ndarray
    block_of: np.ndarray
    names: list[str]
    runs: list[str]

    @property
    def first(self) -> np.ndarray:
        """First row of each block."""
        return np.unique(self.block_of, return_index=True)[1]

    @cached_property
    def gram(self) -> Gram:
        """Inner products of the rows."""
        return compute_gram(self.values)


def _decode(
    item: BrainPatterns, readout: str, *, average: bool, centre: bool, n_permutations: int, seed: int
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    data = _prepare(item, average=average, centre=centre)
    labels = data.classes[data.first][None]
    if n_permutations:
        rng = make_rng(seed, "decoding", item.subject, item.session)
        draws = permute_within(labels[0], data.run_of[data.first], rng, n_permutations)
        labels = np.concatenate([labels, draws])
    guesses = [READOUTS[readout](data, run, labels) for run in range(len(data.runs))]
    scores = np.stack(
        [_score(guess, labels, data, run) for run, guess in enumerate(guesses)], axis=1
    )  # (n_labellings, n_runs)
    accuracy, null = float(scores[0].mean()), scores[1:].mean(axis=1)
    where = {"subject": item.subject, "session": item.session, "roi": item.roi}
    row: dict[str, Any] = {
        **where, "readout": readout, "accuracy": accuracy, "chance_level": 1 / len(data.names),
        "n_voxels": item.n_voxels, "n_classes": len(data.names), "n_runs": len(data.runs),
        "n_rows": len(data.values), "n_blocks": len(data.first), "n_permutations": n_permutations,
    }  # fmt: skip
    if n_permutations:
        # Scores closer than 1e-9 are equal: their order would hang on the order of summation.
        row |= {
            "null_mean": float(null.mean()),
            "null_q95": float(np.quantile(null, 0.95)),
            "p_value": float((1 + (null >= accuracy - 1e-9).sum()) / (1 + n_permutations)),
        }
    by_run = pd.DataFrame(
        [{**where, "run": name, "accuracy": float(scores[0, run])} for run, name in enumerate(data.runs)]
    )
    return row, by_run, _confuse(guesses, data, where)


def _prepare(item: BrainPatterns, *, average: bool, centre: bool) -> _Blocks:
    names, runs = item.stimuli, item.run_names
    if len(names) < 2 or len(runs) < 2:
        raise StimulusError(
            f"decoding needs two or more stimuli and runs; {item.roi} of subject {item.subject} has "
            f"{len(names)} and {len(runs)}."
        )
    classes = np.array([names.index(name) for name in item.stimulus_ids.tolist()])
    run_of = np.array([runs.index(name) for name in item.runs.tolist()])
    cells = run_of * len(names) + classes
    absent = np.setdiff1d(np.arange(len(names) * len(runs)), cells)
    if len(absent):
        run, name = divmod(int(absent[0]), len(names))
        raise StimulusError(
            f"run {runs[run]} of {item.roi} of subject {item.subject} has no pattern of {names[name]!r}; "
            f"leave out that run or that stimulus."
        )
    values = np.asarray(item.values, dtype=np.float64)
    if average:
        counts = np.bincount(cells)
        sums = np.zeros((len(counts), values.shape[1]))
        np.add.at(sums, cells, values)
        values, cells = sums / counts[:, None], np.arange(len(counts))
        run_of, classes = np.divmod(cells, len(names))
    if centre:
        means = np.stack([values[run_of == run].mean(axis=0) for run in range(len(runs))])
        values = values - means[run_of]
    changes = np.flatnonzero(np.diff(cells) != 0) + 1
    block_of = np.zeros(len(cells), dtype=int)
    block_of[changes] = 1
    return _Blocks(values, classes, run_of, np.cumsum(block_of), names, runs)


def _guess_centroid(data: _Blocks, run: int, labels: np.ndarray, *, correlate: bool) -> np.ndarray:
    """Return the class of each test row under each labelling, shape (n_labellings, n_test)."""
    values = data.values - data.values.mean(axis=1, keepdims=True) if correlate else data.values
    test = data.run_of == run
    blocks = np.flatnonzero(data.run_of[data.first] != run)
    indicator = (data.block_of[:, None] == blocks).astype(float)
    sums, sizes = indicator.T @ values, indicator.sum(axis=0)
    inner, cross = sums @ sums.T, values[test] @ sums.T
    guesses = np.empty((len(labels), int(test.sum())), dtype=int)
    step = max(1, _DECISIONS_AT_ONCE // (len(blocks) * len(data.names) + test.sum() * len(data.names)))
    for start in range(0, len(labels), step):
        # Weights of blocks in the mean of each class, (n_draws, n_blocks, n_classes).
        shown = labels[start : start + step, blocks, None] == np.arange(len(data.names))
        weights = shown / (shown * sizes[:, None]).sum(axis=1, keepdims=True)
        squares = np.maximum((weights * _multiply(inner, weights)).sum(axis=1), 0)[:, None]
        products = _multiply(cross, weights)
        if correlate:
            decisions = products / np.sqrt(np.where(squares > 0, squares, np.inf))
        else:
            decisions = products - squares / 2
        guesses[start : start + step] = decisions.argmax(axis=2)
    return guesses


def _multiply(matrix: np.ndarray, stack: np.ndarray) -> np.ndarray:
    """Return ``matrix @ stack`` for a stack of matrices, as one product: many small ones are slow."""
    return np.moveaxis(np.tensordot(matrix, stack, axes=(1, 1)), 0, 1)


def _guess_ridge(data: _Blocks, run: int, labels: np.ndarray) -> np.ndarray:
    """Return as `_guess_centroid` does, from ridge regression on +1 and -1 for each class."""
    train, test = np.flatnonzero(data.run_of != run), np.flatnonzero(data.run_of == run)
    blocks = np.flatnonzero(data.run_of[data.first] != run)
    kernel = data.gram.fold(train, test)
    indicator = (data.block_of[train][:, None] == blocks).astype(float)
    weights = kernel.weigh(RIDGE_PENALTY * kernel.scale, indicator)
    guesses = np.empty((len(labels), len(test)), dtype=int)
    step = max(1, _DECISIONS_AT_ONCE // (len(test) * len(data.names)))
    for start in range(0, len(labels), step):
        shown = labels[start : start + step, blocks, None] == np.arange(len(data.names))
        guesses[start : start + step] = _multiply(weights.T, shown.astype(float)).argmax(axis=2)
    return guesses


def _score(guess: np.ndarray, labels: np.ndarray, data: _Blocks, run: int) -> np.ndarray:
    """Return the balanced accuracy in one run under each labelling, shape (n_labellings,)."""
    true = labels[:, data.block_of[data.run_of == run]]
    shares = [
        ((guess == name) & (true == name)).sum(axis=1) / (true == name).sum(axis=1)
        for name in range(len(data.names))
    ]
    return np.mean(shares, axis=0)


def _confuse(guesses: list[np.ndarray], data: _Blocks, where: dict[str, str]) -> pd.DataFrame:
    counts = np.zeros((len(data.names), len(data.names)), dtype=int)
    for run, guess in enumerate(guesses):
        np.add.at(counts, (data.classes[data.run_of == run], guess[0]), 1)
    return pd.DataFrame(
        [
            {**where, "true": true, "guess": guess, "count": int(counts[row, column])}
            for row, true in enumerate(data.names)
            for column, guess in enumerate(data.names)
        ]
    )


#: Read-outs by name: the classes of the test rows of one run under many labellings of the blocks.
READOUTS: dict[str, Callable[[_Blocks, int, np.ndarray], np.ndarray]] = {
    "correlation": partial(_guess_centroid, correlate=True),
    "centroid": partial(_guess_centroid, correlate=False),
    "ridge": _guess_ridge,
}
