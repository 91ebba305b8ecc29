"""Is an RSA honest? Its very pipeline on data without the effect, and how often each p value finds one there.

What belongs here: runs of an earlier analysis on null data, and the rates; making such data is in
`null_data`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from fernet_neuro._utils.progress import track
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.tables import as_typed
from fernet_neuro._utils.validation import check_between, check_range
from fernet_neuro._utils.workers import in_processes
from fernet_neuro.rsa.analysis.null_data import (
    draw_subjects,
    is_centred,
    plant_model,
    relabel,
    share_of_movable,
)
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, infer_models
from fernet_neuro.rsa.inference.regions import average_sessions, choose_inference
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stats.resampling import clopper_pearson

#: What is false in each kind of data, and the p values that claim it: table, column, and whether one false
#: positive in a region is an error for all of its models, as corrected p values promise.
NULLS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "relabelled": (
        ("estimates", "p_value", False),
        ("estimates", "p_permutation", False),
        ("estimates", "p_fdr", True),
        ("estimates", "p_bonferroni", True),
        ("estimates", "p_max", True),
        ("pairwise", "p_value", False),
        ("pairwise", "p_fdr", True),
        ("pairwise", "p_bonferroni", True),
        ("pairwise", "p_max", True),
    ),
    "no shared geometry": (("ceilings", "p_value", False),),
    "true model": (
        ("estimates", "p_ceiling", False),
        ("estimates", "p_ceiling_fdr", False),
        ("estimates", "p_ceiling_bonferroni", False),
        ("estimates", "p_ceiling_max", False),
    ),
}
_KEYS = ["null", "table", "p"]
#: Columns of the p values of all data sets.
P_VALUE_COLUMNS: dict[str, type] = {
    **dict.fromkeys(_KEYS, str), "roi": str, "model": str, "dataset": int, "p_value": float,
}  # fmt: skip
#: Fewer subjects leave so few degrees of freedom that rates say little about other groups.
_FEW_SUBJECTS = 5


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """False-positive rates of every p value that an analysis reports.

    Parameters
    ----------
    rates : DataFrame
        One row per null, p value and ``scope``: ``all`` tests of a data set together, and the ``worst``
        region and model. Columns: ``null``, ``table``, ``p``, ``scope``, ``roi``, ``model`` (of ``worst``),
        ``rate`` (share of p values at or below ``nominal``), ``low`` and ``high`` (its exact binomial
        interval), ``n_datasets``, ``n_tests`` (per data set), ``nominal``, ``is_inflated`` (``low`` above
        ``nominal``).
    settings : dict
        Of the analysis and of the calibration.
    notes : list of str
        What a reader must know of the data without the effect.
    p_values : DataFrame
        Every p value, see `P_VALUE_COLUMNS`: of which data set, by number, and which test.
    """

    rates: pd.DataFrame
    settings: dict[str, Any]
    notes: list[str]
    p_values: pd.DataFrame

    @property
    def is_calibrated(self) -> bool:
        """Whether no rate is above the nominal one beyond chance."""
        return not bool(self.rates["is_inflated"].any())

    def to_summary(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "kind": "calibration",
            "is_calibrated": self.is_calibrated,
            "settings": self.settings,
            "notes": self.notes,
            "rates": self.rates.to_dict(orient="records"),
        }


def calibrate_rsa(
    analysis: RSAFolder,
    n_datasets: int = 200,
    *,
    nominal: float = 0.05,
    confidence: float = 0.99,
    inference: str | None = None,
    first: int = 0,
    p_values: pd.DataFrame | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    verbose: bool = False,
) -> CalibrationReport:
    """Run an analysis on data without the effect, and report how often its p values find one.

    Three kinds of data are made of the measured RDMs, `n_datasets` of each, with new subjects in each
    (`null_data.draw_subjects`):

    - ``relabelled``: the labels of the stimuli are permuted, so that no model has a part in the geometry. All
      subjects get one permutation, which leaves geometry, reliability and ceilings what they are. Where the
      analysis generalises to subjects alone, each subject gets its own: one common labelling would be a true,
      if accidental, relation for these very stimuli, and finding it no mistake.
    - ``no shared geometry``: every subject has labels of its own, so that the ceiling is zero.
    - ``true model``: the mean geometry is that of one of the models, each in turn, with the measured
      deviations of subjects around it; that model is not below the ceiling.

    `nominal`: the level of the tests. `inference`: another than that of the analysis. `confidence`: of the
    intervals of rates. Of the worst region and model
    it is divided by the number of tests that it was chosen from. `first`: number of the first data set; each
    number has its own random numbers. `p_values`: of all data sets, if they were computed before, in parts.
    `n_jobs`: data sets at once. `verbose`:
    whether to show a progress bar. Raises ValueError if there are fewer than ten data sets, or a level is
    outside (0, 1).
    """
    check_range("n_datasets", n_datasets, minimum=10)
    for name, value in (("nominal", nominal), ("confidence", confidence)):
        check_between(name, value)
    analysis = replace(analysis, brain=average_sessions(analysis.brain))
    if inference is not None:
        settings = replace(analysis.settings, inference=inference).to_summary()
        analysis = replace(analysis, result=replace(analysis.result, settings=settings))
    numbers = range(first, first + n_datasets)
    tasks = [(null, number) for null in _choose_nulls(analysis) for number in numbers]
    work = in_processes(n_jobs, return_as="generator")(
        delayed(_test_dataset)(analysis, null, number, seed) for null, number in tasks
    )
    found = track(work, "data sets without the effect", total=len(tasks), verbose=verbose)
    tests = stack_p_values(found) if p_values is None else p_values
    chosen = choose_inference(analysis.settings, analysis.models.n_stimuli)
    settings = {
        **chosen.to_summary(),
        "used_inference": chosen.used_inference,
        "n_datasets": n_datasets,
        "nominal": nominal,
        "confidence": confidence,
        "calibration_seed": seed,
    }
    rates = pd.DataFrame(summarise_rates(tests, n_datasets, nominal, confidence))
    return CalibrationReport(rates, settings, _list_notes(analysis, n_datasets), tests)


def stack_p_values(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the p values of all data sets, in the columns of `P_VALUE_COLUMNS`, less those not computed."""
    tests = pd.concat(list(parts), ignore_index=True)
    return as_typed(tests.dropna(subset=["p_value"])[list(P_VALUE_COLUMNS)], P_VALUE_COLUMNS, is_filled=False)


def check_numbers(p_values: pd.DataFrame, n_datasets: int) -> None:
    """Raise ValueError unless `p_values` are of the data sets 0 to `n_datasets` - 1."""
    numbers = set(p_values["dataset"])
    if numbers != set(range(n_datasets)):
        raise ValueError(
            f"p values are of {len(numbers)} data sets, not of all {n_datasets} from number 0 on."
        )


def make_null_brain(
    analysis: RSAFolder, null: str, number: int, rng: np.random.Generator
) -> tuple[RDMSet, str | None]:
    """Return brain RDMs in which a claim is false, and the name of the model that is true in them, if any."""
    settings = analysis.settings
    brain = draw_subjects(analysis.brain, rng)
    if null == "true model":
        row = number % analysis.models.n_rdms
        planted = plant_model(brain, analysis.models.dissimilarities[row], settings.comparison)
        return planted, analysis.models.names[row]
    alone = null == "no shared geometry" or settings.generalise_to == "subjects"
    options = {"blocks": settings.blocks, "by_subject": alone, "comparison": settings.comparison}
    return relabel(brain, rng, **options), None


def _choose_nulls(analysis: RSAFolder) -> list[str]:
    """Return the nulls whose claims the analysis makes."""
    reported = [null for null, claims in NULLS.items() if _is_reported(analysis.result, claims)]
    # A fitted model that is true pays for its fit, and a mean over seeds for the others: below the ceiling,
    # and rightly so.
    is_plain = analysis.settings.fit == "fixed" and not analysis.settings.over_seeds
    return [null for null in reported if null != "true model" or is_plain]


def _is_reported(result: RSAResult, claims: tuple[tuple[str, str, bool], ...]) -> bool:
    return any(getattr(result, table)[column].notna().any() for table, column, _ in claims)


def _test_dataset(analysis: RSAFolder, null: str, number: int, seed: int) -> pd.DataFrame:
    """Return the p values of one data set: a row per claim, region and model, or per region."""
    rng = make_rng(seed, "calibration", null, number)
    brain, true_model = make_null_brain(analysis, null, number, rng)
    settings: RSASettings = replace(analysis.settings, seed=int(rng.integers(2**31)))
    if null != "relabelled":
        settings = replace(settings, n_permutations=0)
    result = infer_models(analysis.models, brain, settings)
    rows = [row for claim in NULLS[null] for row in _read_p_values(result, claim, true_model)]
    return pd.DataFrame(rows).assign(null=null, dataset=number)


def _read_p_values(
    result: RSAResult, claim: tuple[str, str, bool], true_model: str | None
) -> Iterator[dict[str, Any]]:
    table, column, is_family = claim
    frame = getattr(result, table)
    if true_model is not None:
        frame = frame[frame["model"] == true_model]
    frame = frame[frame[column].notna()]
    shared: dict[str, Any] = {"table": table, "p": column}
    if is_family:
        for roi, least in frame.groupby("roi", sort=False)[column].min().items():
            yield {**shared, "roi": roi, "model": "any", "p_value": float(least)}
    else:
        for roi, test, p_value in zip(frame["roi"], _name_tests(frame), frame[column], strict=True):
            yield {**shared, "roi": roi, "model": test, "p_value": float(p_value)}


def _name_tests(frame: pd.DataFrame) -> pd.Series:
    if "model" in frame:
        return frame["model"]
    if "model_1" in frame:
        return frame["model_1"] + " - " + frame["model_2"]
    return pd.Series("", index=frame.index)


def summarise_rates(
    tests: pd.DataFrame, n_datasets: int, nominal: float, confidence: float
) -> Iterator[dict[str, Any]]:
    """Yield the rate of each p value over all tests, and that of the worst region and model."""
    for keys, rows in tests.groupby(_KEYS, sort=False):
        labels = dict(zip(_KEYS, keys, strict=True))
        is_hit = rows["p_value"] <= nominal
        # Tests of one data set depend on one another; with the interval of as many tests as there are data
        # sets, none is narrower than it may be.
        per_dataset = is_hit.groupby(rows["dataset"]).mean()
        yield {
            **labels, "scope": "all", "roi": "", "model": "",
            **_describe_rate(per_dataset.sum(), len(per_dataset), nominal, confidence),
            "n_tests": round(len(rows) / n_datasets, 2),
        }  # fmt: skip
        groups = is_hit.groupby([rows["roi"], rows["model"]], sort=False).agg(["mean", "sum", "size"])
        if len(groups) > 1:
            place = int(groups["mean"].argmax())
            (roi, model), worst = groups.index[place], groups.iloc[place]
            strict = 1 - (1 - confidence) / len(groups)
            yield {
                **labels, "scope": "worst", "roi": roi, "model": model,
                **_describe_rate(worst["sum"], int(worst["size"]), nominal, strict),
                "n_tests": 1.0,
            }  # fmt: skip


def _describe_rate(count: float, n: int, nominal: float, confidence: float) -> dict[str, Any]:
    low, high = clopper_pearson(count, n, confidence)
    return {
        "rate": float(count / n),
        "low": low,
        "high": high,
        "n_datasets": n,
        "nominal": nominal,
        "is_inflated": bool(low > nominal),
    }


def _list_notes(analysis: RSAFolder, n_datasets: int) -> list[str]:
    n_subjects = int(analysis.result.estimates["n_subjects"].min())
    notes = [
        f"the {n_datasets} data sets of each kind are draws from one measured data set, not {n_datasets} "
        f"independent studies: rates speak of its geometry, its {n_subjects} subjects' spread and its models."
    ]
    if n_subjects < _FEW_SUBJECTS and analysis.settings.generalise_to != "stimuli":
        notes.append(
            f"with {n_subjects} subjects the spread between subjects is itself hardly known, and other "
            f"groups may differ."
        )
    if analysis.settings.generalise_to == "subjects":
        notes.append("each subject is relabelled on its own: the tests speak of these very stimuli.")
    if analysis.settings.blocks is not None:
        share = share_of_movable(analysis.settings.blocks, analysis.models.n_stimuli)
        notes.append(
            f"labels move between blocks of equal size ({share:.0%} of the stimuli have one) and inside "
            f"blocks; what blocks share beyond that is levelled."
        )
    if is_centred(analysis.brain, analysis.settings.comparison):
        notes.append("each RDM's mean is taken off: without an effect distances are zero, as of crossnobis.")
    elif "cosine" in analysis.settings.comparison:
        kind = analysis.brain.distance or "of a kind that the file does not name"
        notes.append(
            f"distances ({kind}) are above zero without any effect, and so are their cosines with every "
            f"model, highest with flat ones. Compare by pearson or whitened_pearson, or take crossnobis "
            f"distances."
        )
    if analysis.settings.over_seeds:
        notes.append("tests against the ceiling are not calibrated: no single seed is the mean over seeds.")
    if analysis.settings.fit != "fixed":
        notes.append("tests against the ceiling are not calibrated: a fitted model pays for its fit.")
    return notes
