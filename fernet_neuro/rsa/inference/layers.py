"""Which layer of a network is most like a brain region: an interval for the peak, and an unbiased score.

What belongs here: the choice of a layer and what may be said after it; scores of given layers are in
`fixed`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import format_options
from fernet_neuro.rsa.inference.bootstrap import compare_samples
from fernet_neuro.rsa.inference.fitted import score_once
from fernet_neuro.rsa.inference.folds import count_blocks_needed
from fernet_neuro.rsa.inference.regions import Region, split_regions
from fernet_neuro.rsa.inference.resample import Compared, Resamples, code_blocks
from fernet_neuro.rsa.inference.settings import InferenceSettings, settle
from fernet_neuro.rsa.models.flexible import FlexibleModel
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli
from fernet_neuro.rsa.result import PEAK_COLUMNS

#: Columns that tell networks apart, in order of preference.
NETWORK_COLUMNS = ("network", "source")


@dataclass(frozen=True, eq=False)
class LayerChoice:
    """Where the layers of networks are most like regions of the brain.

    Parameters
    ----------
    peaks : DataFrame
        One row per region and network, as ``RSAResult.peaks``, with a column ``network``: the layer with the
        best score of all the data and its position (the first layer's is 0); the ends of the interval of the
        peak; the ``share`` of bootstrap samples with this peak; ``nested_score``, that of layers chosen on
        other subjects and other stimuli than those of the score; NaN where these are too few for folds.
    shares : DataFrame
        One row per region, network and layer: ``roi``, ``network``, ``layer``, ``position``, ``estimate``
        (the score of all the data) and ``share`` (of bootstrap samples in which this layer is the best).
    """

    peaks: pd.DataFrame
    shares: pd.DataFrame


def choose_layers(
    layers: RDMSet, brain: RDMSet, settings: InferenceSettings | None = None, **changes: Any
) -> LayerChoice:
    """Find the layer of each network that is most like each region, and say how sure that is.

    The score of the best of many layers is too high where it was chosen on the data that score it. The nested
    score is not: in each fold over subjects and stimuli [1]_, the layer is the one with the best mean
    comparison among training subjects and training stimuli, and is scored on test subjects and test stimuli.
    Test folds hold fewer pairs, so nested scores vary more than those of all stimuli.

    Parameters
    ----------
    layers : RDMSet
        Its table needs ``layer``; rows of a network in forward order. Networks are told apart by ``network``
        or else ``source``.
    brain : RDMSet
        Of the same stimuli in the same order. Its table needs ``subject``; ``roi`` and ``session`` are
        optional. Sessions are averaged.
    settings, **changes
        As in `infer_rsa`; there are no permutations here.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If a column is missing, or a network has two layers of one name.

    References
    ----------
    .. [1] Schuett et al. (2023), Statistical inference on representational geometries, eLife 12.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids = np.array([f"face{row:02d}" for row in range(14)])
    >>> layers = RDMSet(rng.uniform(size=(3, 91)), ids, pd.DataFrame({"layer": ["conv1", "conv2", "fc"]}))
    >>> noisy = layers.dissimilarities[1] + 0.3 * rng.normal(size=(5, 91))
    >>> brain = RDMSet(noisy, ids, pd.DataFrame({"subject": list("abcde"), "roi": "FFA"}))
    >>> choose_layers(layers, brain, comparison="pearson", n_bootstraps=100).peaks["layer"].tolist()
    ['conv2']
    """
    chosen = settle(settings, changes, InferenceSettings())
    check_same_stimuli(layers, brain, ("the layers", "the brain RDMs"))
    codes = code_blocks(chosen.blocks, brain.n_stimuli)
    networks = _split_networks(layers)
    peaks, shares = [], []
    with limit_threads(1, "blas"):  # many small products: threads only wait
        for region in split_regions(brain):
            drawn = region.resample(chosen)
            for network, rdms in networks.items():
                estimate, best = _find_best(rdms, region, drawn, chosen)
                labels = {"roi": region.roi, "network": network}
                names = rdms.table["layer"].astype(str).tolist()
                nested = _score_nested(rdms, region, codes, chosen, network)
                peak = _describe_peak(names, estimate, best, chosen.level)
                peaks.append({**labels, **peak, "nested_score": nested})
                shares.append(_describe_layers(names, estimate, best).assign(**labels))
    columns = ["roi", "network", "layer", "position", "estimate", "share"]
    return LayerChoice(
        pd.DataFrame(peaks)[["roi", "network", *list(PEAK_COLUMNS)[1:]]],
        pd.concat(shares, ignore_index=True)[columns],
    )


def _split_networks(layers: RDMSet) -> dict[str, RDMSet]:
    if "layer" not in layers.table:
        have = format_options(layers.table) or "none"
        raise ValueError(f"the layers' RDMs need a column 'layer'; they have: {have}.")
    found = {}
    for network, rows in layers.rows_by(find_network_column(layers)).items():
        found[network] = layers.take(rows)
        names = found[network].table["layer"]
        if names.duplicated().any():
            raise ValueError(
                f"network {network!r} has two RDMs of layer {str(names[names.duplicated()].iloc[0])!r}; tell "
                f"networks apart with a column 'network'."
            )
    return found


def find_network_column(layers: RDMSet) -> str:
    """Return the column that tells networks apart, or the first that could."""
    return next((name for name in NETWORK_COLUMNS if name in layers.table), NETWORK_COLUMNS[0])


def _score_nested(
    rdms: RDMSet, region: Region, codes: np.ndarray, settings: InferenceSettings, network: str
) -> float:
    """Return the score of layers chosen on other data, NaN where there are too few blocks for folds."""
    if int(codes.max()) + 1 < count_blocks_needed(codes, 2):
        return np.nan
    rng = make_rng(settings.seed, "nested", region.roi, network)
    return float(score_once([FlexibleModel(rdms, "selected")], region, codes, settings, rng).values.mean())


def _find_best(
    rdms: RDMSet, region: Region, samples: Resamples, settings: InferenceSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores (n_layers,) of all the data, and the best layer (n_bootstraps,) of each sample."""
    sides = (region.rdms.dissimilarities, rdms.dissimilarities)
    once = np.ones((1, samples.stimuli.shape[1]), dtype=int)
    none = np.empty((1, 0, region.n_subjects), dtype=int)
    scores = compare_samples(Compared(*sides, once, none, settings.comparison))[0]
    estimate = scores[0].mean(axis=0)
    if "stimuli" in settings.effects:
        none = np.empty((samples.n_bootstraps, 0, region.n_subjects), dtype=int)
        asked = Compared(*sides, samples.stimuli, none, settings.comparison, samples.blocks, settings.n_jobs)
        scores = compare_samples(asked)[0]
    counts = samples.subjects if "subjects" in settings.effects else np.ones_like(samples.subjects)
    return estimate, (counts[:, None, :] @ scores)[:, 0].argmax(axis=1)


def _describe_peak(
    layers: list[str], estimate: np.ndarray, best: np.ndarray, level: float
) -> dict[str, object]:
    peak = int(estimate.argmax())
    # Ends are layers, and the peak itself is never outside.
    low = min(int(np.quantile(best, (1 - level) / 2, method="lower")), peak)
    high = max(int(np.quantile(best, (1 + level) / 2, method="higher")), peak)
    return {
        "layer": layers[peak],
        "position": float(peak),
        "low_layer": layers[low],
        "high_layer": layers[high],
        "low_position": float(low),
        "high_position": float(high),
        "share": float((best == peak).mean()),
    }


def _describe_layers(layers: list[str], estimate: np.ndarray, best: np.ndarray) -> pd.DataFrame:
    shares = np.bincount(best, minlength=len(layers)) / len(best)
    positions = np.arange(len(layers), dtype=float)
    return pd.DataFrame({"layer": layers, "position": positions, "estimate": estimate, "share": shares})
