"""Several training runs of one recipe: means over them, with intervals over seeds and over images apart.

What belongs here: what is combined over runs; one run is evaluated in `metrics`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fernet_neuro.evaluation.result import EvaluationResult, Score, build_rows
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.stats.resampling import stratified_t_interval
from fernet_neuro.stimuli.table import check_same_stimuli

#: What the interval over runs is called.
SEEDS = "training seeds"


def summarise_runs(results: Sequence[EvaluationResult]) -> pd.DataFrame:
    """Return mean scores over training runs, each with an interval over images and one over seeds.

    The first says how far the mean of these very networks would move with other images (or people), the
    second how far it would move with other seeds on these very images; neither covers both.

    `results`: one per training run, of the same images, bootstrapped with the same seed. Returns a DataFrame:
    columns as in `result.METRIC_COLUMNS`; rows whose ``interval`` is "training seeds" have Student's t over
    runs, ``n_units`` of them, and no ends where there is one run. Raises ValueError if there is no result;
    AlignmentError if results are of other images, labels, classes or settings.
    """
    if not results:
        raise ValueError("results must hold at least one evaluation; got none.")
    _check_comparable(results)
    level = results[0].settings["level"]
    groups = [list(scores) for scores in zip(*(result.scores for result in results), strict=True)]
    over_images = build_rows([_average(scores) for scores in groups], results[0].settings)
    over_seeds = [_interval_over_seeds(scores, level) for scores in groups]
    low, high = np.array(over_seeds).T
    named = np.where(np.isnan(low), "", SEEDS)
    frame = over_images.assign(low=low, high=high, interval=named, n_units=len(results))
    return pd.concat([over_images, frame], ignore_index=True)


def _check_comparable(results: Sequence[EvaluationResult]) -> None:
    first = results[0]
    for other in results[1:]:
        ids = (other.predictions["stimulus_id"], first.predictions["stimulus_id"])
        check_same_stimuli(*ids, ("one evaluation", "the first"))
        for what, one, two in (
            ("classes", other.classes, first.classes),
            ("settings", other.settings, first.settings),
            ("labels", list(other.predictions["true"]), list(first.predictions["true"])),
        ):
            if one != two:
                raise AlignmentError(
                    f"evaluations differ in their {what}, so no mean can be taken; evaluate them alike."
                )


def _average(scores: Sequence[Score]) -> Score:
    first = scores[0]
    spread = type(first.spread).average([score.spread for score in scores])
    chance = float(np.mean([score.chance_level for score in scores]))
    # Runs name a class differently often, which changes what its precision is over.
    return replace(first, spread=spread, chance_level=chance, n=min(score.n for score in scores))


def _interval_over_seeds(scores: Sequence[Score], level: float) -> tuple[float, float]:
    values = np.array([score.spread.value for score in scores])
    if len(values) < 2 or np.isnan(values).any():
        return np.nan, np.nan
    # One stratum: Student's t on the mean.
    deviations = (values - values.mean()) / len(values)
    low, high = stratified_t_interval(values.mean(), deviations, np.zeros(len(values)), level=level)
    least, most = scores[0].spread.bounds
    return max(low, least), min(high, most)
