"""Which layer of a network is most like a brain region: an interval for the peak, and an unbiased score.

What belongs here: the choice of a layer and what may be said after it; scores of given layers are in
`inference`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import check_option, check_range, format_options
from fernet_neuro.rsa.compare import COMPARISONS
from fernet_neuro.rsa.inference.bootstrap import compare_samples
from fernet_neuro.rsa.inference.fitted import score_once
from fernet_neuro.rsa.inference.folds import count_blocks_needed
from fernet_neuro.rsa.inference.regions import Region, check_level, list_targets, split_regions
from fernet_neuro.rsa.inference.resample import Resamples, code_blocks, draw_resamples
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
    layers: RDMSet,
    brain: RDMSet,
    *,
    comparison: str = "rho_a",
    generalise_to: str = "both",
    n_bootstraps: int = 1000,
    blocks: np.ndarray | None = None,
    n_assignments: int = 50,
    level: float = 0.95,
    seed: int = 0,
    n_jobs: int = 1,
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
    comparison, generalise_to, n_bootstraps, blocks, level, seed, n_jobs
        As in `infer_rsa`.
    n_assignments : int, default=50
        Random assignments to folds over which a nested score is a mean.

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
    check_option("comparison", comparison, COMPARISONS)
    list_targets(generalise_to)
    check_range("n_bootstraps", n_bootstraps, minimum=1)
    check_range("n_assignments", n_assignments, minimum=1)
    check_level(level)
    check_same_stimuli(layers, brain, ("the layers", "the brain RDMs"))
    codes = code_blocks(blocks, brain.n_stimuli)
    has_folds = int(codes.max()) + 1 >= count_blocks_needed(codes, 2)
    networks = _split_networks(layers)
    peaks, shares = [], []
    with threadpool_limits(limits=1, user_api="blas"):  # many small products: threads only wait
        for region in split_regions(brain):
            drawn = draw_resamples(n_bootstraps, region.n_subjects, brain.n_stimuli, blocks=codes, seed=seed)
            for network, rdms in networks.items():
                estimate, best = _find_best(rdms, region, drawn, comparison, generalise_to, n_jobs)
                nested = np.nan
                if has_folds:
                    rng = make_rng(seed, "nested", region.roi, network)
                    chosen = FlexibleModel(rdms, "selected")
                    scores = score_once([chosen], region, comparison, codes, n_assignments, rng)
                    nested = float(scores.values.mean())
                labels = {"roi": region.roi, "network": network}
                found = _describe(rdms.table["layer"].astype(str).tolist(), estimate, best, level)
                peaks.append({**labels, **found[0], "nested_score": nested})
                shares.append(found[1].assign(**labels))
    columns = ["roi", "network", "layer", "position", "estimate", "share"]
    return LayerChoice(
        pd.DataFrame(peaks)[["roi", "network", *list(PEAK_COLUMNS)[1:]]],
        pd.concat(shares, ignore_index=True)[columns],
    )


def _split_networks(layers: RDMSet) -> dict[str, RDMSet]:
    if "layer" not in layers.table:
        have = format_options(layers.table) or "none"
        raise ValueError(f"the layers' RDMs need a column 'layer'; they have: {have}.")
    column = next((name for name in NETWORK_COLUMNS if name in layers.table), None)
    labels = layers.table[column].astype(str).to_numpy() if column else np.full(layers.n_rdms, "")
    found = {}
    for network in dict.fromkeys(labels.tolist()):
        rdms = layers.take(np.flatnonzero(labels == network))
        repeated = rdms.table["layer"][rdms.table["layer"].duplicated()]
        if len(repeated):
            raise ValueError(
                f"network {network!r} has two RDMs of layer {str(repeated.iloc[0])!r}; tell networks apart "
                f"with a column 'network'."
            )
        found[network] = rdms
    return found


def _find_best(
    rdms: RDMSet, region: Region, samples: Resamples, comparison: str, generalise_to: str, n_jobs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores (n_layers,) of all the data, and the best layer (n_bootstraps,) of each sample."""
    factors = list_targets(generalise_to)[0]
    data, models = region.rdms.dissimilarities, rdms.dissimilarities
    once = np.ones((1, samples.stimuli.shape[1]), dtype=int)
    none = np.empty((1, 0, region.n_subjects), dtype=int)
    estimate = compare_samples(data, models, once, none, comparison)[0][0].mean(axis=0)
    if "stimuli" in factors:
        none = np.empty((samples.n_bootstraps, 0, region.n_subjects), dtype=int)
        scores = compare_samples(
            data, models, samples.stimuli, none, comparison, blocks=samples.blocks, n_jobs=n_jobs
        )[0]
    else:
        scores = compare_samples(data, models, once, none, comparison)[0]
    counts = samples.subjects if "subjects" in factors else np.ones_like(samples.subjects)
    sums = (counts[:, None, :] @ scores)[:, 0]
    return estimate, sums.argmax(axis=1)


def _describe(
    layers: list[str], estimate: np.ndarray, best: np.ndarray, level: float
) -> tuple[dict[str, object], pd.DataFrame]:
    peak = int(estimate.argmax())
    shares = np.bincount(best, minlength=len(layers)) / len(best)
    # Ends are layers, and the peak itself is never outside.
    low = min(int(np.quantile(best, (1 - level) / 2, method="lower")), peak)
    high = max(int(np.quantile(best, (1 + level) / 2, method="higher")), peak)
    row: dict[str, object] = {
        "layer": layers[peak],
        "position": float(peak),
        "low_layer": layers[low],
        "high_layer": layers[high],
        "low_position": float(low),
        "high_position": float(high),
        "share": float(shares[peak]),
    }
    frame = pd.DataFrame(
        {
            "layer": layers,
            "position": np.arange(len(layers), dtype=float),
            "estimate": estimate,
            "share": shares,
        }
    )
    return row, frame
