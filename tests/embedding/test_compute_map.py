import subprocess
import sys

import numpy as np
import pytest
from openTSNE import TSNE

from fernet_neuro.embedding import maps
from fernet_neuro.embedding.maps import check_perplexities, compute_map, default_perplexity

N, N_UNITS = 57, 23
IDS = [f"s{number:02d}" for number in range(N)]


@pytest.fixture
def clusters(rng):
    """Three far clusters of 19 on a line, in the order of their numbers."""
    centres = np.zeros((3, N_UNITS))
    centres[:, 4] = [0.0, 20.0, 40.0]
    return rng.standard_normal((N, N_UNITS)) + np.repeat(centres, N // 3, axis=0)


def share_of_clusters(coordinates):
    """Return how many nearest neighbours in the map are of one's own cluster."""
    distances = ((coordinates[:, None] - coordinates[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return (distances.argmin(axis=1) // (N // 3) == np.arange(N) // (N // 3)).mean()


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_a_map_keeps_clusters_their_order_and_its_numbers(clusters, method):
    first = compute_map(clusters, IDS, method=method, perplexity=9, n_pca=11, seed=3)
    again = compute_map(clusters, IDS, method=method, perplexity=9, n_pca=11, seed=3)
    assert first.coordinates.shape == (N, 2)
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    assert share_of_clusters(first.coordinates) == 1
    # Started from the first component, the middle cluster stays between the two others on its axis.
    means = first.coordinates.reshape(3, N // 3, 2).mean(axis=1)
    along = means @ (means[2] - means[0])
    assert along[0] < along[1] < along[2]
    assert first.settings["method"] == method
    assert first.settings["n_pca"] == 11
    assert first.to_frame()["stimulus_id"].tolist() == IDS


def test_coordinates_are_a_plain_array_of_their_own(clusters):
    coordinates = compute_map(clusters, IDS, perplexity=9).coordinates
    assert type(coordinates) is np.ndarray
    assert coordinates.base is None or type(coordinates.base) is np.ndarray
    assert coordinates.flags.owndata


def test_perplexity_changes_the_map(clusters):
    maps = [compute_map(clusters, IDS, perplexity=value).coordinates for value in (4, 15)]
    assert not np.allclose(*maps)


def test_features_are_not_changed(clusters):
    before = clusters.copy()
    compute_map(clusters, IDS, perplexity=9)
    np.testing.assert_array_equal(clusters, before)


def test_explained_variance_is_that_of_the_singular_values(clusters):
    settings = compute_map(clusters, IDS, perplexity=9, n_pca=5).settings
    squares = np.linalg.svd(clusters - clusters.mean(axis=0), compute_uv=False) ** 2
    assert settings["explained_variance"] == pytest.approx(squares[:5].sum() / squares.sum())


def test_stimuli_on_a_line_and_equal_stimuli_have_a_map(rng):
    line = np.outer(np.repeat(rng.standard_normal(19), 3), np.ones(N_UNITS))
    coordinates = compute_map(line, IDS, perplexity=5).coordinates
    assert np.isfinite(coordinates).all()
    assert np.ptp(coordinates, axis=0).min() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((N, N_UNITS))}, "all rows are equal"),
        ({"X": np.arange(N)[:, None] * 1.0}, r"got the shape \(57, 1\)"),
        ({"X": np.zeros(N)}, r"X must be \(n_stimuli, n_units\)"),
        ({"stimulus_ids": IDS[:-1]}, r"got \(57, 23\) and \(56,\)"),
        ({"stimulus_ids": [*IDS[:-1], IDS[0]]}, "must be unique"),
        ({"method": "tsme"}, "Did you mean 'tsne'"),
        ({"n_pca": 1}, "n_pca must be >= 2"),
        ({"perplexity": 19}, "perplexity=19 does not fit 57 stimuli: tsne takes 2 to 18 here"),
        ({"perplexity": 57, "method": "umap"}, "umap takes 2 to 56 here"),
        ({"perplexity": 1}, "takes 2 to 18 here"),
        ({"perplexity": float("nan")}, "takes 2 to 18 here"),
    ],
)
def test_what_cannot_be_mapped_is_said(clusters, change, message):
    arguments = {"X": clusters, "stimulus_ids": IDS, "perplexity": 9, **change}
    with pytest.raises(ValueError, match=message):
        compute_map(**arguments)


def test_a_value_that_is_not_finite_is_named(clusters):
    clusters[41, 7] = np.inf
    with pytest.raises(ValueError, match="stimulus 's41' has a value that is not"):
        compute_map(clusters, IDS)


def test_a_sweep_names_each_perplexity_once():
    check_perplexities([5, 30], 100)
    with pytest.raises(ValueError, match="perplexity=5 is given twice"):
        check_perplexities([5, 30, 5.0], 100)
    with pytest.raises(ValueError, match="perplexity=34 does not fit 100 stimuli"):
        check_perplexities([5, 34], 100)
    with pytest.raises(ValueError, match="6 stimuli are too few for a map by tsne; it needs at least 7"):
        check_perplexities([2], 6)


def test_the_default_perplexity_always_fits():
    for n in (7, 20, 90, 91, 92, 5000):
        check_perplexities([default_perplexity(n)], n)
    assert default_perplexity(5000) == 30
    with pytest.raises(ValueError, match="method='x' is not known"):
        default_perplexity(50, "x")


def test_map_packages_are_imported_late():
    code = (
        "import sys, fernet_neuro.embedding.pipeline;"
        "sys.exit(bool({'openTSNE', 'umap', 'torch', 'matplotlib'}.intersection(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_large_layer_is_reduced_in_single_precision_to_the_same_components(clusters, monkeypatch):
    stored = clusters.astype(np.float16)
    exact, share = maps._reduce(maps._choose_precision(stored), 5, seed=0)
    monkeypatch.setattr(maps, "_MOST_IN_DOUBLE", stored.size - 1)
    single = maps._choose_precision(stored)
    assert single.dtype == np.float32
    reduced, share_of_single = maps._reduce(single, 5, seed=0)
    np.testing.assert_allclose(reduced, exact, atol=1e-4)
    assert share_of_single == pytest.approx(share, rel=1e-5)
    flat = single.copy()
    flat[:, 6:] = 0
    assert maps._reduce(flat, 11, seed=0)[0].shape == (N, 6)


@pytest.mark.parametrize("perplexity", [2.5, 18.5])
def test_exact_neighbours_are_weighed_as_openTSNE_weighs_them(clusters, perplexity):
    plain = TSNE(
        perplexity=perplexity, initialization=maps._start(clusters, 3), neighbors="exact", n_jobs=1,
        random_state=3,
    )  # fmt: skip
    np.testing.assert_array_equal(maps._run_tsne(clusters, perplexity, 3)[0], plain.fit(clusters))
