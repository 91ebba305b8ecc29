from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import COMPARISONS, compare_rdms
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.layers import choose_layers
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import PEAK_COLUMNS, RSAResult
from fernet_neuro.stats.calibration import false_positive_rate

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6"]


def _simulate(seed, peak=None, n_stimuli=24, n_subjects=8, strength=1.0):
    """Six layers, neighbours alike, of which one (or none) is what the brain has; shared noise besides."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(size=(n_stimuli, 20))]
    for _ in LAYERS[1:]:
        layers.append(0.8 * layers[-1] + 0.6 * rng.normal(size=(n_stimuli, 20)))
    base = rng.normal(size=(n_stimuli, 20))
    if peak is not None:
        base = strength * layers[peak] + 0.5 * base
    noisy = base + 0.7 * rng.normal(size=(n_subjects, n_stimuli, 20))
    ids = np.array([f"face{row:02d}" for row in range(n_stimuli)])
    table = pd.DataFrame({"subject": [f"{row:02d}" for row in range(n_subjects)], "roi": "FFA"})
    return (
        RDMSet(
            np.stack([pdist(item, "sqeuclidean") for item in layers]), ids, pd.DataFrame({"layer": LAYERS})
        ),
        RDMSet(np.stack([pdist(item, "sqeuclidean") for item in noisy]), ids, table),
    )


def _choose(seed, peak, **options):
    chosen = {"comparison": "pearson", "n_bootstraps": 200, "n_assignments": 20, **options}
    return choose_layers(*_simulate(seed, peak), seed=seed, **chosen)


def test_the_score_of_a_layer_chosen_on_other_data_is_centred_on_nothing_and_the_naive_one_is_not():
    found = [_choose(seed, None) for seed in range(60)]
    nested = np.array([item.peaks["nested_score"].iloc[0] for item in found])
    naive = np.array([item.shares["estimate"].max() for item in found])
    error = nested.std(ddof=1) / np.sqrt(len(nested))
    assert abs(nested.mean()) < 3 * error
    assert naive.mean() > 6 * naive.std(ddof=1) / np.sqrt(len(naive))
    assert naive.mean() > nested.mean() + 6 * error


@pytest.mark.slow
def test_a_planted_peak_is_found_and_its_interval_covers_it():
    peaks = pd.concat([_choose(seed, 3).peaks for seed in range(40)])
    assert (peaks["layer"] == "conv4").mean() > 0.7
    misses = (peaks["low_position"] > 3) | (peaks["high_position"] < 3)
    assert false_positive_rate(np.where(misses, 0.0, 1.0)).is_calibrated
    assert (peaks["high_position"] - peaks["low_position"] < 5).mean() > 0.8
    assert (peaks["nested_score"] > 0.2).mean() > 0.9


@pytest.mark.parametrize("comparison", ["pearson", "rho_a", "whitened_pearson"])
def test_drawing_blocks_does_not_lift_the_layer_that_knows_the_blocks(comparison):
    """Of two layers one knows who is who, the other what else the brain has, and the latter is better."""
    people = np.repeat(np.arange(7), 4)
    left, right = np.triu_indices(28, 1)
    identity = (people[left] != people[right]).astype(float)
    ids = np.array([f"photo{row:02d}" for row in range(28)])
    table = pd.DataFrame({"subject": [str(row) for row in range(10)]})
    shares = {"alone": [], "blocks": []}
    for seed in range(10):
        rng = np.random.default_rng(seed)
        rest = rng.normal(size=len(left))
        values = [identity + 0.05 * rng.normal(size=len(left)), rest + 2.2 * rng.normal(size=len(left))]
        layers = RDMSet(np.stack(values), ids, pd.DataFrame({"layer": ["identity", "rest"]}))
        brain = RDMSet(identity + rest + 0.3 * rng.normal(size=(10, len(left))), ids, table)
        for name, blocks in (("alone", None), ("blocks", people)):
            options = {"comparison": comparison, "n_bootstraps": 150, "n_assignments": 1, "seed": seed}
            found = choose_layers(layers, brain, blocks=blocks, **options).shares.set_index("layer")
            shares[name].append(found.loc["identity", "share"])
    assert np.mean(shares["blocks"]) == pytest.approx(np.mean(shares["alone"]), abs=0.12)
    assert np.mean(shares["blocks"]) < 0.4


def test_a_peak_nobody_can_see_has_a_wide_interval():
    clear, none = _choose(1, 2).peaks, _choose(2, None).peaks
    widths = [float((item["high_position"] - item["low_position"]).iloc[0]) for item in (clear, none)]
    assert widths[1] > widths[0]
    assert none["share"].iloc[0] < clear["share"].iloc[0]


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_estimates_are_the_comparisons_of_all_the_data_and_shares_add_up(comparison):
    layers, brain = _simulate(3, 2, n_stimuli=12, n_subjects=5)
    found = choose_layers(layers, brain, comparison=comparison, n_bootstraps=50, n_assignments=3)
    expected = compare_rdms(brain, layers, comparison).values.mean(axis=0)
    assert np.allclose(found.shares["estimate"], expected, atol=1e-10)
    assert found.shares["share"].sum() == pytest.approx(1)
    assert found.shares["position"].tolist() == [0, 1, 2, 3, 4, 5]
    peak = found.peaks.iloc[0]
    assert peak["position"] == expected.argmax()
    assert peak["layer"] == LAYERS[int(peak["position"])]
    assert peak["low_layer"] == LAYERS[int(peak["low_position"])]
    assert peak["high_layer"] == LAYERS[int(peak["high_position"])]
    assert peak["low_position"] <= peak["position"] <= peak["high_position"]
    assert peak["share"] == found.shares["share"][int(peak["position"])]


@pytest.mark.parametrize("generalise_to", ["both", "subjects", "stimuli"])
def test_new_subjects_alone_leave_less_doubt_than_new_stimuli_too(generalise_to):
    found = _choose(6, 3, generalise_to=generalise_to, n_bootstraps=400)
    both = _choose(6, 3, n_bootstraps=400)
    assert found.peaks["share"].iloc[0] >= both.peaks["share"].iloc[0] - 0.05
    assert found.peaks["nested_score"].iloc[0] == both.peaks["nested_score"].iloc[0]


def test_the_only_layer_is_the_peak_and_its_nested_score_is_that_of_no_choice():
    layers, brain = _simulate(7, 0)
    found = choose_layers(layers.take([0]), brain, comparison="pearson", n_bootstraps=20).peaks.iloc[0]
    assert found["share"] == 1
    assert found["low_layer"] == found["high_layer"] == "conv1"
    # Within folds, the same comparison over fewer pairs.
    assert found["nested_score"] == pytest.approx(
        compare_rdms(brain, layers.take([0]), "pearson").values.mean(), abs=0.1
    )


def test_networks_and_regions_have_peaks_of_their_own_that_go_into_a_result(tmp_path):
    layers, brain = _simulate(8, 4, n_subjects=4)
    other = _simulate(9, None)[0]
    table = pd.DataFrame({"network": np.repeat(["trained", "untrained"], 6), "layer": LAYERS * 2})
    both = RDMSet(np.vstack([layers.dissimilarities, other.dissimilarities]), layers.stimulus_ids, table)
    regions = pd.DataFrame({"subject": [*brain.table["subject"]] * 2, "roi": np.repeat(["FFA", "OFA"], 4)})
    brains = RDMSet(np.vstack([brain.dissimilarities] * 2), brain.stimulus_ids, regions)
    found = choose_layers(both, brains, comparison="pearson", n_bootstraps=50, n_assignments=5)
    assert found.peaks[["roi", "network"]].values.tolist() == [
        [roi, network] for roi in ("FFA", "OFA") for network in ("trained", "untrained")
    ]
    alone = choose_layers(layers, brain, comparison="pearson", n_bootstraps=50, n_assignments=5)
    assert found.peaks["layer"].iloc[0] == alone.peaks["layer"].iloc[0] == "conv5"
    assert set(PEAK_COLUMNS) < set(found.peaks)
    plain = infer_rsa(both.take([0, 1]), brains, n_bootstraps=20, n_permutations=0)
    result = replace(plain, peaks=found.peaks)
    result.save(tmp_path)
    assert RSAResult.load(tmp_path) == result


def test_what_has_no_layers_is_refused():
    layers, brain = _simulate(1, 2, n_stimuli=12, n_subjects=4)
    with pytest.raises(ValueError, match="need a column 'layer'; they have: none"):
        choose_layers(RDMSet(layers.dissimilarities, layers.stimulus_ids), brain)
    repeated = RDMSet(
        layers.dissimilarities, layers.stimulus_ids, pd.DataFrame({"layer": ["fc", *LAYERS[:4], "fc"]})
    )
    with pytest.raises(ValueError, match="network '' has two RDMs of layer 'fc'; tell networks apart"):
        choose_layers(repeated, brain)
    with pytest.raises(ValueError, match="comparison='rho' is not known"):
        choose_layers(layers, brain, comparison="rho")
    with pytest.raises(ValueError, match="generalise_to='all' is not known"):
        choose_layers(layers, brain, generalise_to="all")
    with pytest.raises(ValueError, match="n_bootstraps must be >= 1"):
        choose_layers(layers, brain, n_bootstraps=0)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        choose_layers(layers, brain, level=1)
    with pytest.raises(AlignmentError, match="the layers and the brain RDMs differ first"):
        choose_layers(layers.align_to(layers.stimulus_ids[::-1]), brain)
    with pytest.raises(ValueError, match="samples of 1 units hardly ever have 2 different ones"):
        choose_layers(layers, brain, blocks=np.full(12, "one face"))


def test_too_few_stimuli_for_folds_leave_the_interval_of_the_peak():
    layers, brain = _simulate(1, 2, n_stimuli=12, n_subjects=4)
    few = [rdms.align_to(rdms.stimulus_ids[:5]) for rdms in (layers, brain)]
    faces = np.repeat(["a", "b", "c"], 4)
    for sides, blocks in ((few, None), ((layers, brain), faces)):
        peak = choose_layers(*sides, blocks=blocks, n_bootstraps=50).peaks.iloc[0]
        assert np.isnan(peak["nested_score"])
        assert peak["low_position"] <= peak["position"] <= peak["high_position"]
