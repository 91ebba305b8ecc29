import itertools

import numpy as np
import pytest
from joblib import parallel_config
from scipy import ndimage, stats

from fernet_neuro.brain import group
from fernet_neuro.brain.group import (
    CORRECTIONS,
    PEAK_COLUMNS,
    GroupMap,
    check_smallest_p,
    find_peaks,
    infer_group,
)
from fernet_neuro.stats.calibration import false_positive_rate

AFFINE = np.array([[-3.0, 0, 0, 30], [0, 3.0, 0, -21], [0, 0, 2.5, 12], [0, 0, 0, 1]])
SHAPE = (7, 8, 6)
N_SUBJECTS = 9


@pytest.fixture
def mask(rng):
    inside = np.ones(SHAPE, dtype=bool)
    inside[0, :3] = inside[:, 7, 5] = False
    return inside


def _smooth_noise(rng, mask, n_subjects=N_SUBJECTS):
    rows = ndimage.gaussian_filter(rng.normal(size=(n_subjects, *mask.shape)), (0, 1, 1, 1))
    return rows[:, mask] / rows.std()


def _blob(mask, centre=(4, 3, 2), reach=1.6):
    distances = np.linalg.norm(np.argwhere(mask) - np.array(centre), axis=1)
    return (distances <= reach).astype(float)


def _all_flips(maps):
    """One t map for each of all sign flips, the observed one first."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(maps))))
    return np.array([stats.ttest_1samp(maps * row[:, None], 0).statistic for row in signs])


def test_t_and_mean_are_those_of_a_one_sample_test(rng, mask):
    maps = _smooth_noise(rng, mask)
    found = infer_group(maps, mask, AFFINE, n_permutations=39)
    assert np.allclose(found.t, stats.ttest_1samp(maps, 0).statistic, rtol=1e-9)
    assert np.array_equal(found.statistic, found.t)
    assert np.allclose(found.mean, maps.mean(axis=0))
    assert found.null.shape == (39,)


def test_corrected_p_values_are_those_of_all_sign_flips(rng, mask):
    maps = _smooth_noise(rng, mask, 6) + 3 * _blob(mask)
    flips = _all_flips(maps)
    exact = (flips.max(axis=1)[:, None] >= flips[0] * (1 - 1e-9)).mean(axis=0)
    found = infer_group(maps, mask, AFFINE, n_permutations=4000)
    assert found.p_values.min() >= 1 / 64
    error = np.sqrt(exact * (1 - exact) / 4000)
    assert (np.abs(found.p_values - exact) <= 4.5 * error + 1 / 4000).all()
    assert exact.min() < 0.1 < exact.max()


@pytest.mark.parametrize("correction", ["cluster_size", "cluster_mass"])
def test_corrected_p_values_of_clusters_are_those_of_all_sign_flips(rng, mask, correction):
    maps = _smooth_noise(rng, mask, 6)
    threshold = stats.t.isf(0.2, 5)

    def measure(t):
        volume = np.zeros(SHAPE)
        volume[mask] = t
        labels, count = ndimage.label(volume > threshold)
        weights = np.ones(SHAPE) if correction == "cluster_size" else volume - threshold
        sums = np.concatenate([[0.0], ndimage.sum(weights, labels, range(1, count + 1))])
        return sums[labels][mask]

    observed, *others = (measure(t) for t in _all_flips(maps))
    largest = np.array([observed.max(), *(row.max() for row in others)])
    exact = (largest[:, None] >= observed * (1 - 1e-9)).mean(axis=0)
    found = infer_group(maps, mask, AFFINE, correction=correction, cluster_p=0.2, n_permutations=1000)
    assert np.allclose(found.statistic, observed, rtol=1e-6)
    error = np.sqrt(exact * (1 - exact) / 1000)
    assert (np.abs(found.p_values - exact) <= 4.5 * error + 1 / 1000).all()
    assert (found.p_values[observed == 0] == 1).all()
    assert len(np.unique(observed)) > 2


@pytest.mark.slow
@pytest.mark.parametrize("correction", ["max_t", "cluster_size"])
def test_groups_without_effect_are_significant_as_often_as_they_should(rng, mask, correction):
    n_groups = 200 if correction == "max_t" else 60
    smallest = [
        infer_group(
            _smooth_noise(rng, mask), mask, AFFINE,
            correction=correction, cluster_p=0.01, n_permutations=19, seed=seed,
        ).p_values.min()
        for seed in range(n_groups)
    ]  # fmt: skip
    assert false_positive_rate(smallest).is_calibrated
    # Not cautious either: p-values of a true null are uniform.
    assert false_positive_rate(smallest, 0.5).rate > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_every_correction_is_calibrated(rng, mask, correction):
    smallest = [
        infer_group(
            _smooth_noise(rng, mask), mask, AFFINE,
            correction=correction, cluster_p=0.01, n_permutations=59, seed=seed,
        ).p_values.min()
        for seed in range(60 if correction == "tfce" else 200)
    ]  # fmt: skip
    assert false_positive_rate(smallest).is_calibrated


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_planted_blob_is_found_where_it_is(rng, mask, correction):
    blob = _blob(mask) > 0
    maps = _smooth_noise(rng, mask) + 2.5 * blob
    found = infer_group(maps, mask, AFFINE, correction=correction, cluster_p=0.001, n_permutations=39)
    significant = found.p_values <= 0.05
    assert significant[blob].mean() > 0.5
    assert significant[~blob].mean() < 0.05
    peaks = find_peaks(found, mask, AFFINE)
    assert peaks["is_significant"].all()
    first = np.linalg.inv(AFFINE) @ [*peaks.loc[0, ["x_mm", "y_mm", "z_mm"]].astype(float), 1]
    assert np.linalg.norm(first[:3] - (4, 3, 2)) <= 1.7


def test_the_same_seed_gives_the_same_null_and_another_another(rng, mask):
    maps = _smooth_noise(rng, mask)
    one, same, other = (
        infer_group(maps, mask, AFFINE, n_permutations=49, seed=seed).null for seed in (3, 3, 4)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_null_is_the_same_in_any_number_of_processes(rng, mask, monkeypatch):
    maps = _smooth_noise(rng, mask)
    monkeypatch.setattr(group, "_BATCH", 20)
    one = infer_group(maps, mask, AFFINE, n_permutations=50, seed=3)
    with parallel_config(backend="threading"):
        several = infer_group(maps, mask, AFFINE, n_permutations=50, seed=3, n_jobs=3)
    assert one.null.shape == (50,)
    assert np.array_equal(one.null, several.null)
    assert np.array_equal(one.p_values, several.p_values)
    assert len(set(one.null.round(9).tolist())) > 40, "batches differ"


def _group(t, p_values, mean=None):
    t = np.asarray(t, dtype=float)
    mean = t / 10 if mean is None else mean
    return GroupMap(mean, t, t, np.asarray(p_values, dtype=float), np.zeros(19), "max_t", 9, 0.05)


def test_peaks_are_one_row_per_cluster_in_mm():
    mask = np.ones((5, 1, 3), dtype=bool)
    t, p_values = np.zeros((5, 3)), np.ones((5, 3))
    t[0, :2], p_values[0, :2] = (3, 4), 0.04
    t[3, 2], p_values[3, 2] = 6, 0.01
    t[2, 0] = 9  # not significant, for a reason that the table need not know
    peaks = find_peaks(_group(t.ravel(), p_values.ravel()), mask, AFFINE, model="pixels")
    assert list(peaks.columns) == list(PEAK_COLUMNS)
    assert peaks["cluster"].tolist() == [1, 2]
    assert peaks[["x_mm", "y_mm", "z_mm"]].to_numpy().tolist() == [[21, -21, 17], [30, -21, 14.5]]
    assert peaks["n_voxels"].tolist() == [1, 2]
    assert peaks["volume_mm3"].tolist() == [22.5, 45]
    assert peaks["t"].tolist() == [6, 4]
    assert peaks["mean"].tolist() == [0.6, 0.4]
    assert peaks["p_value"].tolist() == [0.01, 0.04]
    assert peaks["is_significant"].tolist() == [True, True]
    assert set(peaks["model"]) == {"pixels"}


def test_without_any_cluster_the_largest_t_inside_the_mask_is_shown():
    mask = np.ones((4, 1, 2), dtype=bool)
    mask[0] = False
    peaks = find_peaks(_group([-5, -4, -2, -3, -6, -7], [1.0] * 6), mask, AFFINE)
    row = peaks.iloc[0]
    assert (len(peaks), row["cluster"], row["n_voxels"], row["t"]) == (1, 0, 0, -2)
    assert not row["is_significant"]
    assert (row["x_mm"], row["z_mm"]) == (24, 12)


def test_too_few_subjects_for_any_p_value_are_refused(rng, mask):
    maps = _smooth_noise(rng, mask, 4)
    with pytest.raises(ValueError, match=r"4 subjects have 16 sign flips.* than 0.0625.*needs 5 or more"):
        infer_group(maps, mask, AFFINE, n_permutations=99)
    assert check_smallest_p(5, 10_000) == 1 / 32
    assert check_smallest_p(20, 999) == 1 / 1000
    with pytest.raises(ValueError, match=r"7 subjects .* a test at 0.001 needs 10 or more"):
        check_smallest_p(7, 10_000, 0.001)
    with pytest.raises(ValueError, match=r"with 18 permutations .* smaller than 0.0526; .* needs 19 or more"):
        check_smallest_p(12, 18)


def test_maps_that_cannot_be_tested_are_refused(rng, mask):
    maps = _smooth_noise(rng, mask)
    with pytest.raises(ValueError, match="as in the mask; got"):
        infer_group(maps[:, 1:], mask, AFFINE)
    broken = maps.copy()
    broken[2, 8] = np.nan
    with pytest.raises(ValueError, match="map of subject 2 is nan in voxel 8"):
        infer_group(broken, mask, AFFINE)
    broken = maps.copy()
    broken[:, [4, 11]] = 0
    with pytest.raises(ValueError, match=r"the same value in 2 of \d+ voxels \(first: 0 in voxel 4\)"):
        infer_group(broken, mask, AFFINE)
    with pytest.raises(ValueError, match="Did you mean 'cluster_size'"):
        infer_group(maps, mask, AFFINE, correction="cluster_sizes")
    with pytest.raises(ValueError, match="cluster_p must be"):
        infer_group(maps, mask, AFFINE, correction="cluster_size", cluster_p=5)
