import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import INNER_PRODUCTS
from fernet_neuro.rsa.inference.partition import _compute_shares, infer_partition
from fernet_neuro.rsa.models.partition import partition_variance
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import PARTITION_COLUMNS, RSAResult
from fernet_neuro.stats.calibration import false_positive_rate

AXES = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))[0]


def _simulate(seed, n_stimuli=28, n_subjects=5, effect=0.0):
    """Three features, of which the first is planted in the patterns of all subjects."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(3, n_stimuli, 8))
    base = effect * features[0] @ AXES[:8] + rng.normal(size=(n_stimuli, 40))
    noisy = base + rng.normal(size=(n_subjects, n_stimuli, 40))
    ids = np.array([f"face{row:03d}" for row in range(n_stimuli)])
    table = pd.DataFrame({"subject": [f"{row:02d}" for row in range(n_subjects)], "roi": "FFA"})
    names = pd.DataFrame({"model": ["identity", "view", "pixels"]})
    return (
        RDMSet(np.stack([pdist(item, "sqeuclidean") for item in features]), ids, names),
        RDMSet(np.stack([pdist(item, "sqeuclidean") for item in noisy]), ids, table),
    )


@pytest.mark.parametrize("comparison", INNER_PRODUCTS)
def test_uncorrected_shares_are_means_of_those_of_single_subjects(comparison):
    models, brain = _simulate(1, n_stimuli=12, n_subjects=5, effect=1.0)
    found = infer_partition(models, brain, comparison=comparison, n_bootstraps=20).set_index("models")
    expected = partition_variance(brain, models, comparison).shares.groupby("models")["share"].mean()
    assert np.abs(found["uncorrected"] - expected[found.index]).max() < 1e-7
    assert list(found["component"]) == ["unique"] * 3 + ["common"] * 4 + ["total"]


@pytest.mark.parametrize("comparison", INNER_PRODUCTS)
def test_shares_of_a_sample_are_those_of_its_copies_written_out(comparison, rng):
    models, brain = _simulate(2, n_stimuli=12, n_subjects=5, effect=1.0)
    counts = rng.multinomial(12, np.full(12, 1 / 12), 3)
    vectors = np.vstack([models.dissimilarities, brain.dissimilarities])
    found = _compute_shares(vectors, counts.astype(float), 3, comparison)
    for sample, times in zip(found, counts, strict=True):
        order = np.repeat(np.arange(12), times)
        copies = [_write_out(rdms, order) for rdms in (brain, models)]
        shares = partition_variance(*copies, comparison).shares["share"].to_numpy().reshape(5, 8)
        assert np.abs(sample.T - shares).max() < 1e-6


def _write_out(rdms, order):
    squares = rdms.to_squares()[:, order][:, :, order]
    squares[:, order[:, None] == order] = np.nan
    rows, columns = np.triu_indices(len(order), 1)
    ids = np.array([f"copy{row}" for row in range(len(order))])
    return RDMSet(squares[:, rows, columns], ids, rdms.table)


def test_corrected_shares_add_up_to_the_total():
    models, brain = _simulate(3, effect=1.0)
    found = infer_partition(models, brain, n_bootstraps=50)
    is_total = found["component"] == "total"
    assert found.loc[~is_total, "share"].sum() == pytest.approx(found.loc[is_total, "share"].iloc[0])
    assert (found["low"] < found["share"]).all()
    assert (found["share"] < found["high"]).all()


@pytest.mark.slow
def test_shares_of_unrelated_models_scatter_around_nothing_and_intervals_cover_it():
    found = [infer_partition(*_simulate(seed), n_bootstraps=100, seed=seed) for seed in range(40)]
    unique = pd.concat(found).query("component == 'unique'")
    bias, plain = unique["share"].mean(), unique["uncorrected"].mean()
    assert plain > 0.004
    assert abs(bias) < 0.25 * plain
    outside = (unique["low"] > 0) | (unique["high"] < 0)
    assert false_positive_rate(np.where(outside, 0.0, 1.0)).is_calibrated


@pytest.mark.slow
def test_intervals_cover_what_many_stimuli_show():
    models, brain = _simulate(9999, n_stimuli=300, n_subjects=4, effect=1.8)
    truth = infer_partition(models, brain, n_bootstraps=10, generalise_to="subjects").set_index("models")
    assert truth.loc["identity", "uncorrected"] > 0.1
    found = [
        infer_partition(*_simulate(seed, n_subjects=7, effect=1.8), n_bootstraps=100, seed=seed)
        for seed in range(40)
    ]
    frame = pd.concat(found).set_index("models").loc["identity"]
    misses = (frame["low"] > truth.loc["identity", "uncorrected"]) | (
        frame["high"] < truth.loc["identity", "uncorrected"]
    )
    assert false_positive_rate(np.where(misses, 0.0, 1.0)).is_calibrated
    assert (frame["low"] > 0).mean() > 0.8
    # The plain share is too high, since noise of these stimuli and subjects counts as explained.
    assert abs(frame["share"].mean() - truth.loc["identity", "uncorrected"]) < 0.03


def test_blocks_widen_intervals_where_stimuli_repeat(rng):
    models, brain = _simulate(5, n_stimuli=14, effect=1.5)
    order = np.repeat(np.arange(14), 2)
    twice = [_repeat(rdms, order, rng) for rdms in (models, brain)]
    spread = {}
    for name, blocks in (("alone", None), ("blocks", np.repeat(np.arange(14), 2))):
        frame = infer_partition(*twice, blocks=blocks, n_bootstraps=300).set_index("models")
        spread[name] = frame.loc["identity", "high"] - frame.loc["identity", "low"]
    assert spread["blocks"] > 1.2 * spread["alone"]


@pytest.mark.slow
@pytest.mark.parametrize("comparison", ["pearson", "whitened_pearson", "spearman"])
def test_shares_of_a_model_of_the_blocks_are_covered_where_blocks_are_drawn(comparison):
    """Seven people in four photographs each; the brain knows who is who, and nothing else."""
    people, poses = np.repeat(np.arange(7), 4), np.tile(np.arange(4), 7)
    left, right = np.triu_indices(28, 1)
    identity, pose = ((labels[left] != labels[right]).astype(float) for labels in (people, poses))
    ids = np.array([f"photo{row:02d}" for row in range(28)])
    models = RDMSet(np.stack([identity, pose]), ids, pd.DataFrame({"model": ["identity", "pose"]}))
    table = pd.DataFrame({"subject": [str(row) for row in range(5)]})
    found = []
    for seed in range(25):
        noise = 0.4 * np.random.default_rng(seed).normal(size=(5, len(left)))
        brain = RDMSet(identity + noise, ids, table)
        options = {"comparison": comparison, "n_bootstraps": 80, "seed": seed}
        found.append(infer_partition(models, brain, blocks=people, **options).iloc[0])
    frame = pd.DataFrame(found)
    assert set(frame["models"]) == {"identity"}
    # Stimuli are all there are, so what subjects add to the share is all that the plain share has too much.
    truth = frame["uncorrected"].mean()
    if comparison == "pearson":
        assert truth == pytest.approx(identity.var() / (identity.var() + 0.16), abs=0.02)
    assert abs(frame["share"].mean() - truth) < 0.05
    assert ((frame["low"] <= truth) & (truth <= frame["high"])).mean() >= 0.9
    assert (frame["low"] > 0.1).all()


def _repeat(rdms, order, rng):
    squares = rdms.to_squares()[:, order][:, :, order]
    rows, columns = np.triu_indices(len(order), 1)
    vectors = squares[:, rows, columns] + 0.01 * rng.random((rdms.n_rdms, len(rows)))
    return RDMSet(vectors, np.array([f"photo{row}" for row in range(len(order))]), rdms.table)


def test_regions_are_split_one_by_one_and_go_into_a_result(tmp_path):
    models, brain = _simulate(4, n_stimuli=12, n_subjects=4, effect=1.0)
    table = pd.DataFrame({"subject": [*brain.table["subject"]] * 2, "roi": np.repeat(["FFA", "EVC"], 4)})
    both = RDMSet(np.vstack([brain.dissimilarities, brain.dissimilarities]), brain.stimulus_ids, table)
    found = infer_partition(models, both, n_bootstraps=20)
    assert list(found)[:6] == list(PARTITION_COLUMNS)
    halves = [found[found["roi"] == roi].drop(columns="roi").reset_index(drop=True) for roi in ("FFA", "EVC")]
    pd.testing.assert_frame_equal(*halves)
    from fernet_neuro.rsa.inference.fixed import infer_rsa

    plain = infer_rsa(models, both, n_bootstraps=20, n_permutations=0)
    parts = {name: getattr(plain, name) for name in ("estimates", "pairwise", "subjects", "ceilings")}
    result = RSAResult(settings=plain.settings, partition=found, **parts)
    result.save(tmp_path)
    assert RSAResult.load(tmp_path) == result


def test_what_cannot_be_split_is_refused():
    models, brain = _simulate(1, n_stimuli=12, n_subjects=4)
    with pytest.raises(ValueError, match="comparison='rho_a' is not known"):
        infer_partition(models, brain, comparison="rho_a")
    with pytest.raises(ValueError, match="takes 2 to 8 models; got 1"):
        infer_partition(models.take([0]), brain)
    with pytest.raises(ValueError, match=r"region 'FFA' has one subject only .* What remains is"):
        infer_partition(models, brain.take([0]))
    assert np.isfinite(
        infer_partition(models, brain.take([0]), generalise_to="stimuli", n_bootstraps=20)["low"]
    ).all()
    with pytest.raises(ValueError, match="12 stimuli in 3 blocks are too few for generalise_to='both'"):
        infer_partition(models, brain, blocks=np.repeat([1, 2, 3], 4))
    with pytest.raises(ValueError, match="generalise_to='all' is not known"):
        infer_partition(models, brain, generalise_to="all")
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        infer_partition(models, brain, level=2)
    with pytest.raises(ValueError, match="n_bootstraps must be >= 10"):
        infer_partition(models, brain, n_bootstraps=1)
    with pytest.raises(AlignmentError, match="the models and the brain RDMs differ first"):
        infer_partition(models.align_to(models.stimulus_ids[::-1]), brain)
