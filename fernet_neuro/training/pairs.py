"""Pairs of faces, same or different, and how well scores tell them apart.

What belongs here: making and reading pairs, and verification measures in NumPy; networks are not known
here.

References
----------
[1] Huang, G. B., Ramesh, M., Berg, T., & Learned-Miller, E. (2007). Labeled Faces in the Wild. University of
    Massachusetts, Amherst, Technical Report 07-49. Its "View 2" chooses a threshold on nine folds and tests
    it on the tenth.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.foreign import read_foreign
from fernet_neuro._utils.labels import to_label
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.tables import write_csv
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import AlignmentError, FernetWarning, StimulusError
from fernet_neuro.stimuli._columns import to_canonical
from fernet_neuro.stimuli.copies import find_copies
from fernet_neuro.stimuli.datasets.lfw import read_lfw_pairs
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

#: Columns of a pairs table: fold number, two stimulus ids, and whether they show one person.
PAIR_COLUMNS = ("fold", "stimulus_id_1", "stimulus_id_2", "same")


@dataclass(frozen=True)
class VerificationResult:
    """How well a network tells same from different people.

    Parameters
    ----------
    folds : DataFrame
        One row per fold: ``fold, n_pairs, threshold, accuracy``.
    accuracy, accuracy_se : float
        Mean over folds, and its standard error (shares, 0 to 1; chance level .5). The error is NaN for one
        fold.
    eer, auc : float
        Equal-error rate and area under the ROC curve over all pairs (shares, 0 to 1).
    scores : DataFrame
        The pairs with their ``score``, larger for more alike.
    """

    folds: pd.DataFrame
    accuracy: float
    accuracy_se: float
    eer: float
    auc: float
    scores: pd.DataFrame

    def to_dict(self) -> dict[str, object]:
        """Return the summary as plain values for JSON; a missing standard error is None."""
        return {
            "n_pairs": len(self.scores),
            "n_folds": len(self.folds),
            "accuracy": self.accuracy,
            "accuracy_se": None if np.isnan(self.accuracy_se) else self.accuracy_se,
            "eer": self.eer,
            "auc": self.auc,
            "chance_level": 0.5,
            "folds": self.folds.to_dict(orient="records"),
        }


def compute_eer(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the equal-error rate: where as many different pairs pass as same pairs are turned away.

    `scores` (n_pairs,): larger for more alike. `same` (n_pairs,). Returns share of errors, 0 to 1; between
    two thresholds it is interpolated linearly on the ROC curve. Raises ValueError if one kind of pair is
    missing or a score is not finite.
    """
    false_accepts, hits = _compute_roc(scores, same)
    misses = 1 - hits
    # misses - false_accepts falls from 1 to -1 along the curve, so it crosses 0 in exactly one segment.
    after = int(np.argmax(misses - false_accepts <= 0))
    gap = misses - false_accepts
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(false_accepts[after - 1] + share * (false_accepts[after] - false_accepts[after - 1]))


def compute_auc(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a same pair scores above a different one, ties half.

    Raises ValueError if one kind of pair is missing or a score is not finite.
    """
    false_accepts, hits = _compute_roc(scores, same)
    return float(np.trapezoid(hits, false_accepts))


def choose_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the threshold of the highest accuracy; a pair is called same if its score is at or above it.

    It lies midway between two neighbouring scores; of equally good ones the lowest is taken.
    """
    order = np.argsort(scores, kind="stable")
    ranked, is_same = scores[order], same[order]
    # Cut k calls the k lowest scores different; only cuts between unequal scores can be made by a threshold.
    n_correct = (
        np.concatenate([[0], np.cumsum(~is_same)]) + is_same.sum() - np.concatenate([[0], np.cumsum(is_same)])
    )
    possible = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    cut = int(np.argmax(np.where(possible, n_correct, -1)))
    if cut in (0, len(ranked)):
        return float(ranked[0] if cut == 0 else np.nextafter(ranked[-1], np.inf))
    low, high = ranked[cut - 1], ranked[cut]
    middle = low + (high - low) / 2
    return float(middle if low < middle <= high else high)


def evaluate_scores(pairs: pd.DataFrame, scores: np.ndarray) -> VerificationResult:
    """Return accuracy over folds, each at the threshold chosen on all others [1], with overall EER and AUC.

    `pairs`: with the columns `PAIR_COLUMNS`. With a single fold its threshold is chosen on itself. `scores`
    (n_pairs,): larger for more alike.
    """
    same, fold = pairs["same"].to_numpy(dtype=bool), pairs["fold"].to_numpy()
    names = np.unique(fold)
    rows = []
    for name in names:
        test = fold == name
        train = ~test if len(names) > 1 else test
        threshold = choose_threshold(scores[train], same[train])
        accuracy = float(np.mean((scores[test] >= threshold) == same[test]))
        rows.append((int(name), int(test.sum()), threshold, accuracy))
    folds = pd.DataFrame(rows, columns=["fold", "n_pairs", "threshold", "accuracy"])
    accuracies = folds["accuracy"].to_numpy()
    error = accuracies.std(ddof=1) / np.sqrt(len(accuracies)) if len(accuracies) > 1 else np.nan
    return VerificationResult(
        folds,
        float(accuracies.mean()),
        float(error),
        compute_eer(scores, same),
        compute_auc(scores, same),
        pairs.assign(score=scores),
    )


def draw_pairs(
    identities: np.ndarray, n_pairs: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of images, the even ones of one person and the odd ones of two.

    `identities` (n_images,). Returns `rows` (n_pairs, 2). `same` (n_pairs,). Raises StimulusError if there
    are fewer than two people, or nobody has two pictures.
    """
    names, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    anchors = np.flatnonzero(counts[person] > 1)
    if len(names) < 2 or len(anchors) == 0:
        raise StimulusError(
            f"pairs need two or more people, one of them with two or more pictures; got {len(names)} people "
            f"with {len(identities)} pictures."
        )
    rows = np.empty((n_pairs, 2), dtype=int)
    same = np.arange(n_pairs) % 2 == 0
    by_person = np.argsort(person, kind="stable")
    first_of = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.empty(len(person), dtype=int)
    place[by_person] = np.arange(len(person))
    # A step of 1..count-1 within a person's pictures, or past them among all others, never lands on itself.
    anchor = rng.choice(anchors, same.sum())
    size, start = counts[person[anchor]], first_of[person[anchor]]
    rows[same] = np.stack(
        [anchor, by_person[start + (place[anchor] - start + rng.integers(1, size)) % size]], axis=1
    )
    anchor = rng.integers(0, len(person), n_pairs - same.sum())
    size, start = counts[person[anchor]], first_of[person[anchor]]
    step = rng.integers(0, len(person) - size)
    rows[~same] = np.stack([anchor, by_person[(start + size + step) % len(person)]], axis=1)
    return rows, same


def make_pairs(
    table: StimulusTable, *, n_folds: int = 10, n_per_fold: int = 600, seed: int = 0
) -> pd.DataFrame:
    """Return self-made pairs in folds as LFW has them: half same, half different, and nobody in two folds.

    `n_folds`, `n_per_fold`: LFW's own protocol has 10 folds of 600 [1]. Returns a DataFrame: with the columns
    `PAIR_COLUMNS`, fold by fold. Raises StimulusError if there are fewer than two people per fold, or a fold
    has nobody with two pictures.
    """
    identities = table.factor("identity")
    names = np.unique(identities)
    if len(names) < 2 * n_folds:
        raise StimulusError(
            f"{n_folds} folds with different people need {2 * n_folds} identities or more; "
            f"the table has {len(names)}."
        )
    rng = make_rng(seed, "verification pairs")
    parts = []
    for fold, people in enumerate(np.array_split(rng.permutation(names), n_folds), start=1):
        members = np.flatnonzero(np.isin(identities, people))
        rows, same = draw_pairs(identities[members], n_per_fold, rng)
        ids = table.stimulus_ids[members[rows]]
        parts.append(pd.DataFrame(dict(zip(PAIR_COLUMNS, (fold, ids[:, 0], ids[:, 1], same), strict=True))))
    return pd.concat(parts, ignore_index=True)


def read_pairs(path: PathLike, table: StimulusTable) -> pd.DataFrame:
    """Read pairs of stimuli of `table` from a ``.csv`` with columns `PAIR_COLUMNS`, or LFW's ``.txt`` files.

    Raises StimulusError if the file is missing or is not such a file; AlignmentError if a pair names a
    stimulus that the table lacks.
    """
    source = Path(path)
    if not source.is_file():
        raise StimulusError(f"pairs file {source} does not exist.")
    if source.suffix.lower() != ".csv":
        return read_lfw_pairs(source, table)
    try:
        pairs = read_foreign(source)
    except (ValueError, OSError) as error:
        raise StimulusError(f"pairs file {source} cannot be read: {error}") from None
    missing = [name for name in PAIR_COLUMNS if name not in pairs]
    if missing:
        raise StimulusError(
            f"pairs file {source} lacks the columns {format_options(missing)}; "
            f"it needs {format_options(PAIR_COLUMNS)}."
        )
    if pairs.empty:
        raise StimulusError(f"pairs file {source} has a header and no pairs.")
    pairs["fold"] = to_canonical(pairs["fold"])
    for name in ("stimulus_id_1", "stimulus_id_2"):
        pairs[name] = pairs[name].map(to_label)
    pairs["same"] = _read_same(pairs["same"], source)
    find_pair_rows(pairs, table)
    return pairs


def _read_same(column: pd.Series, source: Path) -> pd.Series:
    values = column.str.lower().map({"true": True, "1": True, "false": False, "0": False})
    wrong = column[values.isna()]
    if len(wrong):
        raise StimulusError(
            f"pairs file {source} says {wrong.iloc[0]!r} under same (row {wrong.index[0]}); write True or "
            f"False."
        )
    return values.astype(bool)


def write_pairs(pairs: pd.DataFrame, path: PathLike) -> None:
    """Write pairs as the ``.csv`` that `read_pairs` reads, complete or not at all."""
    write_csv(pairs, path)


def check_pairs_differ(pairs: pd.DataFrame, table: StimulusTable) -> None:
    """Raise if folds share a pair of pictures, in whatever order and under whatever names.

    Warns of pairs that show one picture twice, which no network can fail. Raises StimulusError naming both
    pairs.
    """
    rows = find_pair_rows(pairs, table)
    used, places = np.unique(rows, return_inverse=True)
    codes = np.sort(find_copies(table.select(used))[places.reshape(-1, 2)], axis=1)
    ids = table.stimulus_ids[rows]
    first: dict[tuple[int, int], int] = {}
    for number, (low, high) in enumerate(codes.tolist()):
        other = first.setdefault((low, high), number)
        folds = pairs["fold"].iloc[[other, number]].tolist()
        if folds[0] != folds[1]:
            told = [" and ".join(map(repr, ids[row].tolist())) for row in (other, number)]
            raise StimulusError(
                f"the pair {told[0]} of fold {folds[0]} is in fold {folds[1]} too (as {told[1]}); folds must "
                f"share no pair. Leave one out."
            )
    twice = np.flatnonzero(codes[:, 0] == codes[:, 1])
    if len(twice):
        one, two = ids[twice[0]].tolist()
        warnings.warn(
            f"{len(twice)} of {len(pairs)} pairs show one picture twice (first: {one!r} and {two!r}); leave "
            f"them out.",
            FernetWarning,
            stacklevel=3,
        )


def find_pair_rows(pairs: pd.DataFrame, table: StimulusTable) -> np.ndarray:
    """Return the rows of `table` that each pair shows, int of shape (n_pairs, 2).

    Raises AlignmentError if a pair names a stimulus that the table lacks.
    """
    position = {name: row for row, name in enumerate(table.stimulus_ids)}
    ids = pairs[["stimulus_id_1", "stimulus_id_2"]].to_numpy(dtype=str)
    absent = sorted({name for name in ids.ravel() if name not in position})
    if absent:
        raise AlignmentError(
            f"{len(absent)} stimuli of the pairs are not in the stimulus table (first: {absent[0]!r})."
        )
    return np.array([[position[first], position[second]] for first, second in ids], dtype=int).reshape(-1, 2)


def find_pair_identities(pairs: pd.DataFrame, table: StimulusTable) -> set[str]:
    """Return the people that the pairs show, as far as `table` labels them.

    Raises AlignmentError if a pair names a stimulus that the table lacks.
    """
    identities = table.factor("identity", complete=False)
    return set(identities[find_pair_rows(pairs, table).ravel()].tolist()) - {""}


def _compute_roc(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rates of false accepts and of hits as the threshold falls, from (0, 0) to (1, 1)."""
    scores, same = np.asarray(scores, dtype=float), np.asarray(same, dtype=bool)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} verification scores are not finite."
        )
    if same.all() or not same.any():
        raise ValueError("verification needs pairs of both kinds, same and different.")
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(scores[order][1:] != scores[order][:-1], True)
    hits = np.cumsum(same[order])[last_of_ties] / same.sum()
    false_accepts = np.cumsum(~same[order])[last_of_ties] / (~same).sum()
    return np.concatenate([[0.0], false_accepts]), np.concatenate([[0.0], hits])
