"""Is a probe, an embedding or a decoding honest? The very analysis on labels that mean nothing.

What belongs here: labels exchanged as the test exchanges them, over one measured data set, and the p values
that the same settings find there; RSA makes its own data in `rsa.analysis.calibration`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.tables import loading
from fernet_neuro._utils.validation import check_range
from fernet_neuro._utils.workers import in_processes
from fernet_neuro.activations.store import ActivationStore, is_store
from fernet_neuro.brain.derivatives import read_patterns
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.embedding.comparison import plan_comparison
from fernet_neuro.embedding.pipeline import Judge, check_embedding, map_layers
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.probes.decoding import decode_patterns
from fernet_neuro.probes.design import find_labelled
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.probes.exchange import Exchange, plan_exchange, plan_number_exchange
from fernet_neuro.probes.result import ProbeReport
from fernet_neuro.rsa.analysis.calibration import (
    CalibrationReport,
    calibrate_rsa,
    check_numbers,
    stack_p_values,
    summarise_rates,
)
from fernet_neuro.rsa.analysis.run import RSAFolder
from fernet_neuro.stats.resampling import permute_within
from fernet_neuro.stimuli.table import StimulusTable, check_same_stimuli, read_stimuli
from fernet_neuro.typing import PathLike

#: Labellings that are drawn, at most, until folds show all classes.
_MOST_DRAWS = 200
#: One data set without the effect: from its stream of random numbers to a row per p value.
_Dataset = Callable[[np.random.Generator], pd.DataFrame]


def calibrate(
    like: PathLike,
    n_datasets: int = 200,
    *,
    source: PathLike | None = None,
    stimuli: PathLike | None = None,
    nominal: float = 0.05,
    confidence: float = 0.99,
    inference: str | None = None,
    first: int = 0,
    p_values: pd.DataFrame | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    verbose: bool = False,
) -> CalibrationReport:
    """Repeat an earlier analysis on data without the effect, and report how often its p values find one.

    RSA as `calibrate_rsa` says. Probes, embeddings and decodings keep what was measured and exchange labels
    between the units of their own test; folds are drawn anew for each labelling.

    Parameters
    ----------
    like : path
        Folder that `rsa`, `probe`, `embed` or `brain decode` wrote.
    n_datasets : int, default=200
        Data sets without the effect, of each kind.
    source : path, default=None
        Store of a probe or an embedding, or patterns of a decoding; needed where the folder holds none.
    stimuli : path, default=None
        Labels that a probe or an embedding took in place of the store's own.
    nominal, confidence : float
        Level of the tests, and probability of the intervals of rates.
    inference : str, default=None
        Of RSA alone: another than that of the analysis.
    first : int, default=0
        Number of the first data set. Each number has its own random numbers, so that data sets computed in
        several parts are those of one call.
    p_values : DataFrame, default=None
        The p values of all data sets (`CalibrationReport.p_values` of the parts, stacked), where they were
        computed before; only the rates are.
    seed, n_jobs, verbose
        As everywhere.

    Returns
    -------
    CalibrationReport
        Of probes and embeddings every layer has a rate (``model``), and every family of layers one.

    Raises
    ------
    StoreError
        If the folder, or the store, is of no such analysis or cannot be read.
    ValueError
        If a source is needed or is another, a number is out of range, or nothing was tested.
    """
    check_range("n_datasets", n_datasets, minimum=10)
    if p_values is not None:
        check_numbers(p_values, n_datasets)
    folder = Path(like)
    given = {"nominal": nominal, "confidence": confidence}
    plan = _find_plan(folder)
    if plan is None:
        return calibrate_rsa(
            RSAFolder.load(folder), n_datasets, inference=inference, first=first, p_values=p_values,
            seed=seed, n_jobs=n_jobs, verbose=verbose, **given,
        )  # fmt: skip
    if inference is not None:
        raise ValueError("inference is of RSA alone; leave it out (--inference).")
    make, settings = plan(folder, source, stimuli)
    numbers = range(first, first + n_datasets)
    work = in_processes(n_jobs, return_as="generator")(
        delayed(_run)(make, number, seed) for number in numbers
    )
    found = track(work, "data sets without the effect", total=n_datasets, verbose=verbose)
    tests = stack_p_values(found) if p_values is None else p_values
    if tests.empty:
        raise ValueError(f"{folder} was made without permutations, so there is no p value to calibrate.")
    settings = {**settings, "n_datasets": n_datasets, **given, "calibration_seed": seed}
    rates = pd.DataFrame(summarise_rates(tests, n_datasets, nominal, confidence))
    return CalibrationReport(rates, settings, [_NOTE], tests)


_NOTE = (
    "the data sets are labellings of one measured data set, not independent studies: rates speak of its "
    "people, stimuli and features."
)


def _find_plan(folder: Path) -> Callable[..., tuple[_Dataset, dict[str, Any]]] | None:
    """Return what makes data sets for the analysis in a folder; None where it is taken for an RSA."""
    if (folder / "coordinates.csv").is_file():
        return _plan_embedding
    if (folder / "runs.csv").is_file() and (folder / "confusion.csv").is_file():
        return _plan_decoding
    return _plan_probe if (folder / "null.npz").is_file() else None


def _run(make: _Dataset, number: int, seed: int) -> pd.DataFrame:
    return make(make_rng(seed, "calibration", number)).assign(null="relabelled", dataset=number)


def _plan_probe(folder: Path, source: Any, stimuli: Any) -> tuple[_Dataset, dict[str, Any]]:
    settings = ProbeReport.load(folder).settings
    if len(settings["training_seeds"]) > 1:
        raise ValueError(
            f"{folder} is of several networks, whose p values are of their mean; probe one of them alone "
            f"(fernet-neuro probe SOURCE ... --out ONE), and calibrate that (--like ONE)."
        )
    store = _open_store(folder, source, settings["stores"]["network"])
    table = store.stimuli if stimuli is None else read_stimuli(stimuli)
    return partial(_probe_nothing, store, table, settings), {**settings, "analysis": "probe"}


def _probe_nothing(
    store: ActivationStore, table: StimulusTable, settings: dict[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    target, holdout = settings["target"], settings["holdout"]
    within = (settings["permute_within"] or "").removesuffix("fold").removesuffix(" and ") or None
    rows = find_labelled(table, target, holdout, within)
    part = table.select(rows)
    exchange = _plan_exchange(part, settings, within)
    relabelled = table.factor(target, complete=False).astype(object)
    draws = settings["n_permutations"]
    probe = partial(
        run_probe, store, layers=settings["layers"], target=target,
        holdout=holdout, readouts=settings["readouts"], controls=(), seed=int(rng.integers(2**31)),
        n_permutations=max((n for name, n in draws.items() if name not in ("logistic", "sgd")), default=0),
        n_permutations_iterative=max((draws.get(name, 0) for name in ("logistic", "sgd")), default=0),
        permute_within=within, n_folds=settings["n_folds"], labelled_only=bool(settings["left_out"]),
        scale=settings["scale"], **settings.get("penalty", {}),
    )  # fmt: skip
    for n_left in reversed(range(_MOST_DRAWS)):
        relabelled[rows] = _exchange_labels(exchange, part.factor(target), rng)
        try:
            report = probe(table=_with_labels(table, target, relabelled))
            break
        except StimulusError:  # labels that were exchanged freely may leave a fold with one class
            if not n_left:
                raise
    frame = pd.DataFrame(report.layers).assign(model=lambda rows: rows["layer"] + " " + rows["readout"])
    return _list_p_values(frame, "layers", ["readout"])


def _plan_exchange(table: StimulusTable, settings: dict[str, Any], within: str | None) -> Exchange:
    """Return the exchange by which a probe tested, of classes or of numbers."""
    if settings["scale"] != "numbers":
        return plan_exchange(table, settings["target"], settings["holdout"], within)
    ranks = np.unique(table.factor(settings["target"]), return_inverse=True)[1]
    return plan_number_exchange(table, ranks, within)


def _exchange_labels(exchange: Exchange, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the labels with those of the units exchanged, shape (n_stimuli,)."""
    return np.unique(labels)[exchange.draw(1, rng)[0][exchange.unit_of]]


def _plan_embedding(folder: Path, source: Any, stimuli: Any) -> tuple[_Dataset, dict[str, Any]]:
    settings = EmbeddingResult.load(folder).settings
    store = _open_store(folder, source, settings["store_key"])
    table = store.stimuli if stimuli is None else read_stimuli(stimuli)
    check_same_stimuli(table.stimulus_ids, store.stimuli.stimulus_ids, ("the table", "the store"))
    return partial(_embed_nothing, store, table, settings), {**settings, "analysis": "embed"}


def _embed_nothing(
    store: ActivationStore, table: StimulusTable, settings: dict[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    seed = int(rng.integers(2**31))
    judges = {
        factor: _judge_nothing(table, factor, how["n_neighbours"], settings, seed)
        for factor, how in settings["factors"].items()
    }
    made = map_layers(  # a map never sees labels, and serves every factor
        store, settings["layers"], table, method=settings["method"], perplexities=settings["perplexities"],
        seed=seed,
    )  # fmt: skip
    for layer in made:
        for judge in judges.values():
            judge.add(*layer)
    found = [_list_quality(judge.to_frame()) for judge in judges.values()]
    return pd.concat(found, ignore_index=True)


def _judge_nothing(
    table: StimulusTable, factor: str, n_neighbours: int, settings: dict[str, Any], seed: int
) -> Judge:
    """Return what judges maps by exchanged labels of a factor; the other factors stay what they are."""
    comparison = plan_comparison(table, factor)
    labels = np.array(comparison.classes)[comparison.draw(1, seed + 1)[0]]
    comparisons = check_embedding(
        _with_labels(table, factor, labels), settings["layers"], settings["method"],
        settings["perplexities"], [factor], n_neighbours=n_neighbours,
    )  # fmt: skip
    return Judge(comparisons, n_neighbours, settings["n_permutations"], seed, with_trust=False)


def _list_quality(quality: pd.DataFrame) -> pd.DataFrame:
    names = quality["factor"] + " " + quality["layer"] + " " + quality["space"] + " " + quality["measure"]
    return _list_p_values(quality.assign(model=names), "quality", ["factor", "space", "measure"])


def _plan_decoding(folder: Path, source: Any, _stimuli: Any) -> tuple[_Dataset, dict[str, Any]]:
    with loading(folder, ("summary.json", "results.csv", "confusion.csv"), "brain decode PATTERNS"):
        settings = read_json(folder / "summary.json")["settings"]
        frame = pd.read_csv(folder / "results.csv", dtype={"subject": str, "roi": str, "session": str})
        names = set(pd.read_csv(folder / "confusion.csv", dtype=str)["true"])
    if source is None:
        raise ValueError(f"{folder} holds no patterns; name their folder (--source PATTERNS).")
    patterns = read_patterns(
        Path(source), subjects=frame["subject"].unique().tolist(), rois=frame["roi"].unique().tolist()
    )
    chosen = [item.select(stimulus_ids=[name for name in item.stimuli if name in names]) for item in patterns]
    return partial(_decode_nothing, chosen, settings), {**settings, "analysis": "decode"}


def _decode_nothing(
    patterns: list[BrainPatterns], settings: dict[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    options = {**settings, "seed": int(rng.integers(2**31))}
    estimates = decode_patterns([_shuffle_blocks(item, rng) for item in patterns], **options).estimates
    frame = estimates.assign(model=estimates["subject"] + " " + estimates["session"].fillna("").astype(str))
    return pd.concat(
        [
            _tests(frame, "results", "p_value", frame["roi"], frame["model"]),
            _families(frame, "results", "p_fdr", ["model"]),
        ]
    )


def _shuffle_blocks(item: BrainPatterns, rng: np.random.Generator) -> BrainPatterns:
    """Return patterns whose blocks (neighbouring rows of one stimulus) trade stimuli inside each run."""
    cells = np.array([f"{run}\x1f{name}" for run, name in zip(item.runs, item.stimulus_ids, strict=True)])
    block_of = np.concatenate([[0], np.cumsum(cells[1:] != cells[:-1])])
    first = np.unique(block_of, return_index=True)[1]
    codes = np.unique(item.stimulus_ids, return_inverse=True)[1][first]
    drawn = permute_within(codes, np.unique(item.runs[first], return_inverse=True)[1], rng, 1)[0]
    return replace(item, stimulus_ids=np.unique(item.stimulus_ids)[drawn[block_of]])


def _open_store(folder: Path, source: Any, key: str) -> ActivationStore:
    """Return the store that an analysis read, by its key, from where it is named or beside the results."""
    places = [Path(source)] if source is not None else [path.parent for path in folder.rglob("manifest.json")]
    stores = [ActivationStore.open(place) for place in places if is_store(place)]
    for store in stores:
        if store.key == key:
            return store
    if source is not None:
        raise StoreError(f"{source} is not the store that {folder} was made from.")
    raise ValueError(f"{folder} does not hold the store that it was made from; name it (--source STORE).")


def _with_labels(table: StimulusTable, factor: str, labels: np.ndarray) -> StimulusTable:
    return replace(table, frame=table.frame.assign(**{factor: labels}))


def _list_p_values(frame: pd.DataFrame, table: str, family: list[str]) -> pd.DataFrame:
    """Return the p value of each row, and the least corrected one of each family of layers."""
    tests = _tests(frame, table, "p_value", "", frame["model"])
    return pd.concat([tests, _families(frame, table, "p_value_max", family)])


def _tests(frame: pd.DataFrame, table: str, p: str, roi: Any, model: Any) -> pd.DataFrame:
    return pd.DataFrame({"table": table, "p": p, "roi": roi, "model": model, "p_value": frame.get(p)})


def _families(frame: pd.DataFrame, table: str, p: str, family: list[str]) -> pd.DataFrame:
    if p not in frame:
        return pd.DataFrame()
    least: Iterator[Any] = iter(frame.groupby(family, sort=False)[p].min().items())
    rows = [(table, p, "", key if isinstance(key, str) else " ".join(key), value) for key, value in least]
    return pd.DataFrame(rows, columns=["table", "p", "roi", "model", "p_value"])
