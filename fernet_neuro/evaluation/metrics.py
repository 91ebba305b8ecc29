"""How well logits name the labels: accuracies, F1, calibration and confusions, each with its interval.

What belongs here: which scores there are, over what, and their chance levels; scores as functions of sums are
in `sums`, units and draws in `resampling`, ends of intervals in `intervals`, files in `result`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import check_between, check_range, format_options, suggest
from fernet_neuro.evaluation.calibration import bin_confidence, compute_certainty
from fernet_neuro.evaluation.intervals import Folded, Mean, Share
from fernet_neuro.evaluation.resampling import find_units, resample_sums, sum_units
from fernet_neuro.evaluation.result import EvaluationResult, Score
from fernet_neuro.evaluation.sums import Case, Sums, average_known, divide

#: With fewer images per bin the calibration error is mostly noise.
_LEAST_IN_BIN = 20


def evaluate_predictions(
    logits: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    classes: Sequence[str],
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    stimulus_ids: Sequence[str] | np.ndarray | None = None,
    level: float = 0.95,
    n_boot: int = 10_000,
    n_bins: int = 15,
    seed: int = 0,
) -> EvaluationResult:
    """Return how well logits name the labels of images, with intervals over other images or people.

    Means over classes are over those that the labels show. The network may have more classes; answering with
    one of them is wrong.

    Parameters
    ----------
    logits : ndarray of shape (n_images, n_classes)
        Natural units; the largest is the answer, the softmax its probability.
    labels : sequence of str of shape (n_images,)
        Names of the true classes.
    classes : sequence of str
        Names of the classes, in the order of the logits.
    groups : sequence of str of shape (n_images,), default=None
        Who is shown, empty where unknown. People are then resampled with all their images, since images of
        one person are not independent and intervals over images would be too narrow.
    stimulus_ids : sequence of str, default=None
        For the record; None numbers the images.
    level : float, default=0.95
        Probability that an interval covers.
    n_boot : int, default=10000
        Bootstrap samples.
    n_bins : int, default=15
        Bins of confidence, with equal numbers of images; fewer where a bin would have less than 20.
    seed : int, default=0
        Seed of the bootstrap; networks on the same images with one seed are resampled together.

    Raises
    ------
    ValueError
        If shapes do not fit, a logit is not finite, a label is not a class, or an argument is out of range.

    References
    ----------
    .. [1] Guo, C. et al. (2017). On calibration of modern neural networks. ICML, 1321-1330.
    """
    check_range("n_bins", n_bins, minimum=1)
    check_between("level", level)
    logits, targets = _check_answers(logits, labels, classes)
    most_bins = max(1, min(n_bins, len(targets) // _LEAST_IN_BIN))
    case = _build_case(logits, targets, classes, groups, most_bins)
    ids = np.arange(len(targets)) if stimulus_ids is None else np.asarray(stimulus_ids)
    settings = {
        "level": level,
        "n_boot": n_boot,
        "n_bins": most_bins,
        "seed": seed,
        "units": case.units.name,
        "n_units": len(case.units),
        "n_images": len(targets),
    }
    scores, calibration = _score(case, level, n_boot, seed)
    predictions = _list_predictions(case, ids, groups)
    return EvaluationResult(
        case.classes, scores, predictions, calibration, settings, _list_notes(case, level)
    )


def _build_case(
    logits: np.ndarray,
    targets: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str] | np.ndarray | None,
    n_bins: int,
) -> Case:
    certainty = compute_certainty(logits, targets)
    bins = bin_confidence(certainty.confidence, n_bins)
    units = find_units(None if groups is None else np.asarray(groups), len(targets))
    return Case(tuple(classes), targets, certainty, bins, units)


def _score(case: Case, level: float, n_boot: int, seed: int) -> tuple[tuple[Score, ...], pd.DataFrame]:
    """Return all scores with their resamples, and the bins of confidence."""
    sums = sum_units(case.features(), case.units)
    draws = resample_sums(sums, n_boot, make_rng(seed, "evaluation", "bootstrap"))
    shape = len(case.classes), int(case.bins.max()) + 1
    point, resampled = Sums(np.asarray(sums.sum(axis=0))[None], *shape), Sums(draws, *shape)
    scores = (*_score_overall(case, point, resampled, sums, level), *_score_classes(case, point, resampled))
    return scores, _describe_bins(case, point, resampled, level)


def _check_answers(
    logits: np.ndarray, labels: Sequence[str] | np.ndarray, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    logits, names = np.asarray(logits, dtype=float), np.asarray(labels, dtype=str)
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(f"classes must be two or more different names; got {format_options(classes)}.")
    if len(names) == 0 or logits.shape != (len(names), len(classes)):
        raise ValueError(
            f"logits must be (n_images, n_classes) for labels (n_images,), at least one image; got "
            f"{logits.shape} for {len(names)} labels and {len(classes)} classes."
        )
    if not np.isfinite(logits).all():
        raise ValueError(f"logits of image {int(np.argmin(np.isfinite(logits).all(axis=1)))} are not finite.")
    codes = {name: code for code, name in enumerate(classes)}
    unknown = [str(name) for name in np.unique(names) if name not in codes]
    if unknown:
        raise ValueError(
            f"label {unknown[0]!r} is not a class of the network; its classes are: {format_options(classes)}."
            f"{suggest(unknown[0], classes)}"
        )
    return logits, np.array([codes[name] for name in names])


def _score_overall(case: Case, point: Sums, draws: Sums, sums: sparse.csr_array, level: float) -> list[Score]:
    shares = point.true[0] / point.n[0]
    present, n = shares > 0, int(point.n[0])
    chance = 1 / present.sum()
    per_class = _count_units(case, case.targets)[present]
    # A class that one unit shows does not tell how its units differ, so neither does a mean over classes.
    n_units = len(case.units) if per_class.min() > 1 else 1
    least = int(present.sum() * per_class.min())
    grouped = case.units.is_grouped

    def macro(values: np.ndarray, resampled: np.ndarray) -> Share:
        draws_of_mean = average_known(resampled[:, present])
        return Share(float(values[present].mean()), draws_of_mean, n_units, n, False, grouped, least)

    accuracy = float(point.accuracy()[0])
    right = Share(accuracy, draws.accuracy(), len(case.units), n, True, grouped, len(case.units))
    gaps = Folded.from_terms(point.bin_gaps[0] / n, draws.bin_gaps / draws.n[:, None], len(case.units), level)
    entropy = -float((shares[present] * np.log(shares[present])).sum())
    return [
        Score("accuracy", "", right, n, float(shares.max())),
        Score("mean_class_accuracy", "", macro(point.recall()[0], draws.recall()), n, chance),
        Score("macro_f1", "", macro(point.f1()[0], draws.f1()), n, chance),
        Score("ece", "", gaps, n, gaps.expected),
        Score("nll", "", _mean_of(point.log_loss, draws.log_loss, point, draws, sums, -2), n, entropy),
        Score(
            "brier",
            "",
            _mean_of(point.brier, draws.brier, point, draws, sums, -1),
            n,
            1 - float((shares**2).sum()),
        ),
    ]


def _mean_of(
    total: np.ndarray, resampled: np.ndarray, point: Sums, draws: Sums, sums: sparse.csr_array, column: int
) -> Mean:
    value = float(total[0] / point.n[0])
    by_unit = sums[:, [column, -3]].toarray()
    return Mean(value, resampled / draws.n, by_unit[:, 0] - value * by_unit[:, 1])


def _score_classes(case: Case, point: Sums, draws: Sums) -> list[Score]:
    """Return recall, precision and F1 of each class that the labels show."""
    shares = point.true[0] / point.n[0]
    showing = _count_units(case, case.targets)
    answering = _count_units(case, case.certainty.predicted)
    measures = (
        ("recall", point.recall(), draws.recall(), showing, point.true, True),
        ("precision", point.precision(), draws.precision(), answering, point.predicted, True),
        ("f1", point.f1(), draws.f1(), showing, point.true, False),
    )
    scores = []
    for code in np.flatnonzero(shares):
        for name, value, resampled, n_units, count, is_proportion in measures:
            n, units = int(count[0, code]), int(n_units[code])
            share = Share(
                float(value[0, code]), resampled[:, code], units, n, is_proportion,
                case.units.is_grouped, units,
            )  # fmt: skip
            scores.append(Score(name, case.classes[code], share, n, float(shares[code])))
    return scores


def _count_units(case: Case, codes: np.ndarray) -> np.ndarray:
    """Return in how many units each class of `codes` (n_images,) occurs, shape (n_classes,)."""
    pairs = np.unique(np.stack([case.units.codes, codes]), axis=1)
    return np.bincount(pairs[1], minlength=len(case.classes))


def _list_predictions(
    case: Case, stimulus_ids: np.ndarray, groups: Sequence[str] | np.ndarray | None
) -> pd.DataFrame:
    names, certain = np.array(case.classes), case.certainty
    frame = pd.DataFrame(
        {
            "stimulus_id": stimulus_ids.astype(str),
            "identity": "" if groups is None else np.asarray(groups, dtype=str),
            "true": names[case.targets],
            "predicted": names[certain.predicted],
            "confidence": certain.confidence,
        }
    )
    columns = [f"probability_{name}" for name in case.classes]
    return pd.concat([frame, pd.DataFrame(certain.probabilities, columns=columns)], axis=1)


def _describe_bins(case: Case, point: Sums, draws: Sums, level: float) -> pd.DataFrame:
    """Return one row per bin of confidence: where it lies, how sure and how often right the network is."""
    rows = []
    for code in range(point.in_bin.shape[1]):
        inside = case.bins == code
        confidence, n = case.certainty.confidence[inside], int(inside.sum())
        n_units = len(np.unique(case.units.codes[inside]))
        value = float(point.bin_hits[0, code] / n)
        resampled = divide(draws.bin_hits[:, code], draws.in_bin[:, code])
        share = Share(value, resampled, n_units, n, True, case.units.is_grouped, n_units)
        low, high = share.interval(level) or (np.nan, np.nan)
        rows.append((code, confidence.min(), confidence.max(), n, confidence.mean(), value, low, high))
    columns = ["bin", "confidence_low", "confidence_high", "n", "confidence", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _list_notes(case: Case, level: float) -> list[str]:
    """Return what a reader must know of this evaluation, in sentences."""
    per_class = _count_units(case, case.targets)
    absent = [name for name, count in zip(case.classes, per_class, strict=True) if count == 0]
    notes = [
        f"Intervals ({100 * level:g} %) are over {len(case.units)} {case.units.name}, the network held fixed."
        if case.units.is_grouped
        else f"Intervals ({100 * level:g} %) are over {len(case.units)} images taken as independent: "
        f"no identities are named."
    ]
    if case.units.n_unnamed:
        notes.append(f"{case.units.n_unnamed} images name no identity; each counts as another person.")
    if absent:
        notes.append(
            f"No image shows {format_options(absent)}: means over classes are over the "
            f"{len(case.classes) - len(absent)} classes shown."
        )
    single = [name for name, count in zip(case.classes, per_class, strict=True) if count == 1]
    if single or len(case.units) == 1:
        unit = "person" if case.units.is_grouped else "image"
        notes.append(
            f"Only one {unit} shows {format_options(single) or 'all'}, so some intervals are missing."
        )
    return notes
