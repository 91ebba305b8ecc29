import itertools

import numpy as np
import pytest

from fernet_neuro.brain.noise import compute_precision
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.files.toolbox import compute_with_rsatoolbox

N_CHANNELS = 13


def _slow(patterns, ids, runs, precision):
    """The definition: a mean over ordered pairs of different runs, one pair of stimuli at a time."""
    names, run_names = list(dict.fromkeys(ids)), list(dict.fromkeys(runs))
    mean = {
        (name, run): np.mean(
            [row for row, i, r in zip(patterns, ids, runs, strict=True) if (i, r) == (name, run)], axis=0
        )
        for name in names
        for run in run_names
    }
    found = []
    for one, other in itertools.combinations(names, 2):
        total = []
        for r, s in itertools.permutations(run_names, 2):
            left, right = mean[one, r] - mean[other, r], mean[one, s] - mean[other, s]
            weights = precision(r, s)
            total.append(left @ weights @ right / len(left))
        found.append(np.mean(total))
    return np.array(found)


def _make(rng, ids, counts):
    """Rows in random order: `counts` says how often each stimulus is shown in each run."""
    labels = [(name, run) for run, times in counts.items() for name in ids for _ in range(times[name])]
    labels = [labels[row] for row in rng.permutation(len(labels))]
    patterns = rng.normal(size=(len(labels), N_CHANNELS))
    return patterns, [name for name, _ in labels], [run for _, run in labels]


@pytest.fixture
def unbalanced(rng, ids):
    """Four runs in which stimuli are shown once to three times."""
    counts = {
        run: dict(zip(ids.tolist(), rng.integers(1, 4, 7).tolist(), strict=True)) for run in (4, 1, 3, 2)
    }
    return _make(rng, ids.tolist(), counts)


@pytest.fixture
def precision(rng):
    return compute_precision(rng.normal(size=(50, N_CHANNELS)) @ rng.normal(size=(N_CHANNELS, N_CHANNELS)))


def test_any_runs_give_the_double_loop_over_pairs_of_runs(unbalanced, precision):
    patterns, names, runs = unbalanced
    for matrix in (None, precision):
        found = compute_rdms(patterns, stimulus_ids=names, runs=runs, distance="crossnobis", precision=matrix)
        used = np.eye(N_CHANNELS) if matrix is None else matrix
        assert found.stimulus_ids.tolist() == list(dict.fromkeys(names))
        assert (
            np.abs(found.dissimilarities[0] - _slow(patterns, names, runs, lambda r, s, m=used: m)).max()
            < 1e-12
        )


def test_one_precision_per_run_gives_the_double_loop_too(unbalanced, rng):
    patterns, names, runs = unbalanced
    precisions = {
        run: compute_precision(rng.normal(size=(40, N_CHANNELS)), dof=30 + run) for run in (1, 2, 3, 4)
    }

    def joint(r, s):
        return np.linalg.inv((np.linalg.inv(precisions[r]) + np.linalg.inv(precisions[s])) / 2)

    found = compute_rdms(patterns, stimulus_ids=names, runs=runs, distance="crossnobis", precision=precisions)
    assert np.abs(found.dissimilarities[0] - _slow(patterns, names, runs, joint)).max() < 1e-10
    del precisions[3]
    with pytest.raises(ValueError, match="no precision for run 3; there are: 1, 2, 4"):
        compute_rdms(patterns, stimulus_ids=names, runs=runs, distance="crossnobis", precision=precisions)


@pytest.mark.parametrize("repeats", [1, 2])
def test_balanced_runs_give_rsatoolbox(rng, ids, precision, repeats):
    counts = {run: dict.fromkeys(ids.tolist(), repeats) for run in "CABD"}
    patterns, names, runs = _make(rng, ids.tolist(), counts)
    for matrix in (None, precision, {run: precision * (2 + number) for number, run in enumerate("ABCD")}):
        theirs = matrix if not isinstance(matrix, dict) else [matrix[run] for run in "ABCD"]
        ours = compute_rdms(patterns, stimulus_ids=names, runs=runs, distance="crossnobis", precision=matrix)
        oracle = compute_with_rsatoolbox(patterns, names, "crossnobis", runs=runs, precision=theirs)
        assert np.abs(ours.dissimilarities - oracle.dissimilarities).max() < 1e-10


def _simulate(rng, signal, n_data_sets):
    """Mean crossnobis and mean squared Euclidean distances over data sets with correlated noise."""
    mixing = rng.normal(size=(N_CHANNELS, N_CHANNELS)) / np.sqrt(N_CHANNELS)
    precision = np.linalg.inv(mixing @ mixing.T + 0.1 * np.eye(N_CHANNELS))
    n_stimuli, n_runs = len(signal), 3
    names = np.tile([f"s{row}" for row in range(n_stimuli)], n_runs)
    runs = np.repeat(np.arange(n_runs), n_stimuli)
    found = []
    for _ in range(n_data_sets):
        noise = rng.normal(size=(len(names), N_CHANNELS)) @ mixing.T
        noise += np.sqrt(0.1) * rng.normal(size=noise.shape)
        rows = np.tile(signal, (n_runs, 1)) + noise
        cross = compute_rdms(rows, stimulus_ids=names, runs=runs, distance="crossnobis", precision=precision)
        plain = compute_rdms(rows, stimulus_ids=names, distance="mahalanobis", precision=precision)
        found.append([cross.dissimilarities[0], plain.dissimilarities[0]])
    return np.array(found).transpose(1, 0, 2), precision


def test_without_signal_the_mean_is_zero_where_a_plain_distance_is_biased(rng):
    (cross, plain), _ = _simulate(rng, np.zeros((5, N_CHANNELS)), 400)
    error = cross.mean(axis=1).std() / np.sqrt(len(cross))
    assert abs(cross.mean()) < 4 * error
    assert (cross < 0).mean() > 0.3
    # Two means of three runs differ by noise of variance 2 / 3 in every direction.
    assert abs(plain.mean() - 2 / 3) < 0.05


def test_with_signal_the_mean_is_the_true_distance(rng):
    signal = rng.normal(size=(5, N_CHANNELS))
    (cross, plain), precision = _simulate(rng, signal, 400)
    true = compute_rdms(
        signal, stimulus_ids=list("abcde"), distance="mahalanobis", precision=precision
    ).dissimilarities[0]
    errors = cross.std(axis=0) / np.sqrt(len(cross))
    assert (np.abs(cross.mean(axis=0) - true) < 4 * errors).all()
    assert (plain.mean(axis=0) - true > 5 * errors).all()


def test_a_run_without_a_stimulus_is_named(unbalanced):
    patterns, names, runs = unbalanced
    keep = [not (name in ("car7", "tool3") and run == 3) for name, run in zip(names, runs, strict=True)]
    names, runs = (list(itertools.compress(items, keep)) for items in (names, runs))
    with pytest.raises(
        ValueError, match=r"run 3 of patterns has no pattern of 2 of 7 stimuli \(first: '"
    ) as caught:
        compute_rdms(patterns[keep], stimulus_ids=names, runs=runs, distance="crossnobis")
    assert "car7" in str(caught.value) or "tool3" in str(caught.value)


def test_one_run_or_a_row_without_run_is_refused(unbalanced):
    patterns, names, runs = unbalanced
    with pytest.raises(ValueError, match="two or more runs; patterns have 1"):
        compute_rdms(patterns, stimulus_ids=names, runs=[1] * len(runs), distance="crossnobis")
    with pytest.raises(AlignmentError, match=f"{len(runs)} rows but {len(runs) - 1} runs"):
        compute_rdms(patterns, stimulus_ids=names, runs=runs[1:], distance="crossnobis")


def test_a_value_that_is_not_finite_is_named(unbalanced):
    patterns, names, runs = unbalanced
    patterns[8, 5] = np.nan
    with pytest.raises(ValueError, match=f"nan for stimulus '{names[8]}' in channel 5"):
        compute_rdms(patterns, stimulus_ids=names, runs=runs, distance="crossnobis")
