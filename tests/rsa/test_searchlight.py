import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.brain.noise import compute_covariance, compute_precision
from fernet_neuro.brain.spheres import Neighbourhoods, build_neighbourhoods
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import COMPARISONS, compare_rdms
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.files.toolbox import search_with_rsatoolbox
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.searchlight import engines as _searchlight_engines
from fernet_neuro.rsa.searchlight import search as searchlight
from fernet_neuro.rsa.searchlight.kernels import rank_rows
from fernet_neuro.rsa.searchlight.search import search_patterns

N_VOXELS, N_RUNS = 4 * 5 * 3, 3


@pytest.fixture
def near():
    """Spheres of 3 mm on a grid of 2 mm, of which corners have too few voxels."""
    grid = 2.0 * np.array(list(itertools.product(range(4), range(5), range(3))))
    return build_neighbourhoods(grid, radius=3, fewest=9)


@pytest.fixture
def labels(ids, rng):
    """Each stimulus once or twice in each of three runs, in random order."""
    rows = [(name, run) for run in "CAB" for name in ids.tolist() for _ in range(2 if run == "A" else 1)]
    rows = [rows[row] for row in rng.permutation(len(rows))]
    return [name for name, _ in rows], [run for _, run in rows]


@pytest.fixture
def patterns(labels, rng):
    return rng.normal(size=(len(labels[0]), N_VOXELS)) + 5


def _one_by_one(patterns, models, near, labels, distance, comparison, find_precision=lambda voxels: None):
    """The definition: the RDM of each neighbourhood, compared with the models."""
    names, runs = labels
    found = []
    for number in range(near.n_centres):
        voxels = near.get(number)
        precision = find_precision(voxels)
        rdm = compute_rdms(
            patterns[:, voxels],
            stimulus_ids=names,
            runs=runs if distance == "crossnobis" else None,
            distance=distance,
            precision=precision,
        )
        found.append(compare_rdms(models, rdm.align_to(models.stimulus_ids), comparison).values[:, 0])
    return np.array(found).T


def _search(patterns, models, near, labels, **options):
    names, runs = labels
    return search_patterns(patterns, models, near, stimulus_ids=names, runs=runs, **options)


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["correlation", "cosine", "squared_euclidean", "crossnobis"])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_maps_are_those_of_one_rdm_at_a_time(patterns, models, near, labels, distance, comparison):
    found = _search(patterns, models, near, labels, distance=distance, comparison=comparison)
    expected = _one_by_one(patterns, models, near, labels, distance, comparison)
    assert found.values.shape == (3, near.n_centres)
    assert np.abs(found.values - expected).max() < 1e-10
    assert np.ptp(expected) > 0.1


def test_noise_of_each_voxel_is_a_diagonal_precision(patterns, models, near, labels, rng):
    variances = rng.uniform(0.2, 3, N_VOXELS)
    for distance in ("crossnobis", "mahalanobis"):
        found = _search(patterns, models, near, labels, distance=distance, noise=variances)
        expected = _one_by_one(
            patterns, models, near, labels, distance, "spearman", lambda v: np.diag(1 / variances[v])
        )
        assert np.abs(found.values - expected).max() < 1e-10
    without = _search(patterns, models, near, labels, distance="crossnobis")
    assert np.abs(found.values - without.values).max() > 0.01


def test_local_covariances_are_inverted_in_each_neighbourhood(patterns, models, near, labels, rng):
    residuals = rng.normal(size=(90, N_VOXELS)) @ rng.normal(size=(N_VOXELS, N_VOXELS))
    covariance = compute_covariance(residuals)
    by_run = {run: covariance + np.eye(N_VOXELS) * (1 + number) for number, run in enumerate("ABC")}
    cases = [
        ({"noise": covariance}, lambda v: np.linalg.inv(covariance[np.ix_(v, v)])),
        (
            {"noise": by_run},
            lambda v: {run: np.linalg.inv(matrix[np.ix_(v, v)]) for run, matrix in by_run.items()},
        ),
        ({"residuals": residuals}, lambda v: compute_precision(residuals[:, v])),
        (
            {"residuals": residuals, "noise_method": "shrinkage_diag"},
            lambda v: compute_precision(residuals[:, v], "shrinkage_diag"),
        ),
    ]
    for options, find in cases:
        found = _search(patterns, models, near, labels, distance="crossnobis", comparison="cosine", **options)
        expected = _one_by_one(patterns, models, near, labels, "crossnobis", "cosine", find)
        assert np.abs(found.values - expected).max() < 1e-10


@pytest.mark.parametrize("distance", ["correlation", "squared_euclidean"])
@pytest.mark.parametrize("comparison", ["spearman", "pearson", "rho_a", "cosine", "whitened_cosine"])
def test_maps_are_those_of_rsatoolbox(patterns, models, near, labels, distance, comparison):
    options = {"distance": distance, "comparison": comparison}
    found = _search(patterns, models, near, labels, **options)
    oracle = search_with_rsatoolbox(patterns, models, near, labels[0], **options)
    assert np.abs(found.values - oracle).max() < 1e-10


def test_parts_blocks_and_threads_change_nothing(patterns, models, near, labels, monkeypatch):
    for distance in ("correlation", "crossnobis"):
        whole = _search(patterns, models, near, labels, distance=distance)
        with monkeypatch.context() as patch:
            patch.setattr(_searchlight_engines, "TABLE_BYTES", 30 * 21 * 8)
            patch.setattr(searchlight, "BLOCK_BYTES", 5 * 21 * 8)
            pieces = _search(patterns, models, near, labels, distance=distance, n_jobs=2)
        assert np.array_equal(whole.values, pieces.values)


def test_parts_reach_few_enough_voxels(near):
    parts = _searchlight_engines.plan_parts(near, 8, 8 * 40)
    assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]
    assert (parts[0][0], parts[-1][1]) == (0, near.n_centres)
    assert len(parts) > 1
    for start, stop in parts:
        assert len(np.unique(near.members[near.starts[start] : near.starts[stop]])) <= 40


def test_stimuli_are_matched_by_name(patterns, models, near, labels, ids):
    found = _search(patterns, models, near, labels)
    turned = models.align_to(ids[::-1])
    assert np.abs(_search(patterns, turned, near, labels).values - found.values).max() < 1e-12
    renamed = RDMSet(models.dissimilarities, np.roll(ids, 1), models.table)
    assert np.abs(_search(patterns, renamed, near, labels).values - found.values).max() > 0.1


def test_pairs_that_a_model_lacks_are_left_out(patterns, models, near, labels):
    values = models.dissimilarities.copy()
    values[1, [2, 9, 17]] = np.nan
    gappy = RDMSet(values, models.stimulus_ids, models.table)
    found = _search(patterns, gappy, near, labels, comparison="whitened_pearson")
    expected = _one_by_one(patterns, gappy, near, labels, "correlation", "whitened_pearson")
    assert np.abs(found.values - expected).max() < 1e-10


def test_a_planted_geometry_is_found_where_it_is(rng, ids, near, models):
    names = np.tile(ids, 4)
    runs = np.repeat(np.arange(4), len(ids))
    shape = rng.normal(size=(len(ids), N_VOXELS))
    planted = np.zeros(N_VOXELS, dtype=bool)
    planted[near.get(12)] = True
    rows = rng.normal(size=(len(names), N_VOXELS)) + 4 * np.tile(shape * planted, (4, 1))
    model = compute_rdms(shape[:, planted], stimulus_ids=ids, distance="squared_euclidean")
    found = search_patterns(rows, model, near, stimulus_ids=names, runs=runs, distance="crossnobis")
    assert found.values.argmax() == 12
    assert found.values.max() > 0.8
    away = [row for row in range(near.n_centres) if not planted[near.get(row)].any()]
    assert np.abs(found.values[0, away].mean()) < 0.3


def test_a_map_knows_its_voxels(patterns, models, near, labels):
    found = _search(patterns, models, near, labels)
    volume = found.to_voxels()
    assert volume.shape == (3, N_VOXELS)
    assert np.array_equal(volume[:, near.centres], found.values)
    assert np.isnan(volume).sum() == 3 * (N_VOXELS - near.n_centres) > 0
    frame = found.frame
    row = frame[(frame["model"] == "shape") & (frame["voxel"] == near.centres[4])].iloc[0]
    assert row["value"] == found.values[1, 4]
    assert row["n_voxels"] == near.sizes[4]
    assert len(frame) == found.values.size


def test_ranks_are_those_of_scipy(rng):
    from scipy.stats import rankdata

    vectors = rng.integers(0, 9, (11, 37)).astype(float)
    assert np.array_equal(rank_rows(vectors), rankdata(vectors, axis=1) - 19)


def test_models_of_other_stimuli_are_refused(patterns, models, near, labels, ids):
    other = RDMSet(models.dissimilarities, [*ids[:-1], "hand12"], models.table)
    with pytest.raises(AlignmentError, match=r"the patterns are of 1 stimuli.*'hand11'.*Did you mean"):
        _search(patterns, other, near, labels)
    keep = [name != "car7" for name in labels[0]]
    names, runs = (list(itertools.compress(items, keep)) for items in labels)
    with pytest.raises(AlignmentError, match=r"the models are of 1 stimuli.*first: 'car7'"):
        search_patterns(patterns[keep], models, near, stimulus_ids=names, runs=runs)


def test_a_run_without_a_condition_is_named(patterns, models, near, labels):
    keep = [(name, run) != ("car7", "B") for name, run in zip(*labels, strict=True)]
    names, runs = (list(itertools.compress(items, keep)) for items in labels)
    with pytest.raises(ValueError, match="run 'B' of patterns has no pattern of 1 of 7 stimuli"):
        search_patterns(patterns[keep], models, near, stimulus_ids=names, runs=runs, distance="crossnobis")


def test_voxels_without_information_are_named(patterns, models, near, labels):
    broken = patterns.copy()
    broken[3, [7, 31]] = np.nan
    with pytest.raises(ValueError, match=r"2 of 60 voxels hold values that are not finite \(first: voxel 7"):
        _search(broken, models, near, labels)
    broken = patterns.copy()
    broken[:, 9] = 0
    with pytest.raises(ValueError, match=r"1 of 60 voxels are constant over all .*first: voxel 9"):
        _search(broken, models, near, labels)


def test_a_pattern_that_is_constant_around_a_voxel_is_named(patterns, models, near, labels):
    number = 5
    rows = np.flatnonzero(np.array(labels[0]) == "tool3")
    patterns[np.ix_(rows, near.get(number))] = 2.5
    with pytest.raises(ValueError, match=r"'tool3' is constant over the \d+ voxels around"):
        _search(patterns, models, near, labels)
    patterns[np.ix_(rows, near.get(number))] = 0
    with pytest.raises(ValueError, match="'tool3' is zero over the"):
        _search(patterns, models, near, labels, distance="cosine")
    _search(patterns, models, near, labels, distance="squared_euclidean")


def test_a_flat_rdm_is_named(rng, near, models, ids):
    half = rng.normal(size=(len(ids), N_VOXELS))
    rows = np.concatenate([half, -half])
    with pytest.raises(ValueError, match=rf"spearman is not defined in {near.n_centres} of .*model 'pixels'"):
        search_patterns(rows, models, near, stimulus_ids=[*ids, *ids], distance="squared_euclidean")


def test_arguments_that_do_not_go_together_are_refused(patterns, models, near, labels):
    ones = np.ones(N_VOXELS)
    for options, message in (
        ({"noise": ones}, "'correlation' takes no noise"),
        ({"distance": "mahalanobis"}, "'mahalanobis' needs noise or residuals"),
        ({"distance": "crossnobis", "noise": ones, "residuals": patterns}, "not both"),
        ({"distance": "crossnobis", "noise": 0 * ones}, r"60 of 60 are not \(first: 0 of voxel 0\)"),
        ({"distance": "crossnobis", "noise": ones[1:]}, r"variances must have shape \(60,\); got \(59,\)"),
        ({"distance": "crossnobis", "noise": np.ones((3, 3))}, r"got \(3, 3\)"),
        ({"distance": "crossnobis", "noise": {"A": np.eye(N_VOXELS)}}, "no noise covariance for run '[BC]'"),
        ({"distance": "crossnobis", "residuals": patterns[:, 1:]}, r"\(n_samples, 60\); got"),
        ({"distance": "correlations"}, "Did you mean 'correlation'"),
        ({"comparison": "spearmen"}, "Did you mean 'spearman'"),
    ):
        with pytest.raises(ValueError, match=message):
            _search(patterns, models, near, labels, **options)
    with pytest.raises(ValueError, match="needs runs"):
        search_patterns(patterns, models, near, stimulus_ids=labels[0], distance="crossnobis")
    few = Neighbourhoods.from_lists([[0, 1, 2]], [1], 5)
    with pytest.raises(ValueError, match="are of 5 voxels, but patterns have 60"):
        _search(patterns, models, few, labels)
    constant = replace(models, dissimilarities=np.ones((3, 21)))
    with pytest.raises(ValueError, match="all dissimilarities of RDM 'pixels' are the same"):
        _search(patterns, constant, near, labels)


def test_no_model_is_favoured_without_signal(rng, ids, near):
    """The mean over data sets of a map of noise is 0, for models of any shape."""
    values = np.vstack([rng.uniform(0, 1, (2, 21)), rng.integers(0, 2, 21)])
    models = RDMSet(values, ids, pd.DataFrame({"model": ["a", "b", "c"]}))
    names, runs = np.tile(ids, N_RUNS), np.repeat(np.arange(N_RUNS), len(ids))
    for distance in ("correlation", "crossnobis"):
        means = [
            search_patterns(
                rng.normal(size=(len(names), N_VOXELS)), models, near,
                stimulus_ids=names, runs=runs, distance=distance,
            ).values.mean(axis=1)
            for _ in range(150)
        ]  # fmt: skip
        error = np.std(means, axis=0) / np.sqrt(150)
        assert (np.abs(np.mean(means, axis=0)) < 4 * error).all()
