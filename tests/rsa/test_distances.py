import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from fernet_neuro.activations.array import Activations
from fernet_neuro.brain.noise import compute_precision
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa import products
from fernet_neuro.rsa.distances import DISTANCES, compute_rdms
from fernet_neuro.rsa.files.toolbox import compute_with_rsatoolbox

SIMPLE = ("correlation", "cosine", "squared_euclidean")


@pytest.fixture
def patterns(rng):
    return rng.normal(size=(7, 23)) + 3


@pytest.fixture
def precision(rng):
    return compute_precision(rng.normal(size=(60, 23)) @ rng.normal(size=(23, 23)))


def _compute(patterns, ids, distance, precision):
    given = precision if distance == "mahalanobis" else None
    return compute_rdms(patterns, stimulus_ids=ids, distance=distance, precision=given)


@pytest.mark.parametrize("distance", ["correlation", "squared_euclidean", "mahalanobis"])
def test_distances_are_those_of_rsatoolbox_in_our_order(patterns, ids, precision, distance):
    given = precision if distance == "mahalanobis" else None
    theirs = compute_with_rsatoolbox(patterns, ids, distance, precision=given)
    ours = _compute(patterns, ids, distance, precision)
    assert np.array_equal(ours.stimulus_ids, ids)
    assert np.array_equal(theirs.stimulus_ids, ids)
    assert np.abs(ours.dissimilarities - theirs.dissimilarities).max() < 1e-10


@pytest.mark.parametrize("distance", [*SIMPLE, "mahalanobis"])
def test_distances_are_those_of_scipy(patterns, ids, precision, distance):
    expected = {
        "correlation": lambda: pdist(patterns, "correlation"),
        "cosine": lambda: pdist(patterns, "cosine"),
        "squared_euclidean": lambda: pdist(patterns, "sqeuclidean") / 23,
        "mahalanobis": lambda: pdist(patterns, "mahalanobis", VI=precision) ** 2 / 23,
    }[distance]()
    found = _compute(patterns, ids, distance, precision)
    assert np.abs(found.dissimilarities[0] - expected).max() < 1e-10
    assert (found.distance, found.n_channels) == (distance, 23)
    assert found.unit


@pytest.mark.parametrize("distance", SIMPLE)
@pytest.mark.parametrize("sizes", [(1, 1), (150, 900), (400, 10**7)])
def test_the_size_of_blocks_changes_nothing(patterns, ids, distance, sizes, monkeypatch):
    whole = compute_rdms(patterns, stimulus_ids=ids, distance=distance)
    monkeypatch.setattr(products, "BAND_BYTES", sizes[0])
    monkeypatch.setattr(products, "BLOCK_BYTES", sizes[1])
    parts = compute_rdms(patterns, stimulus_ids=ids, distance=distance)
    assert np.abs(whole.dissimilarities - parts.dissimilarities).max() < 1e-13


@pytest.mark.parametrize("distance", SIMPLE)
@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint16", "bool"])
def test_other_types_of_numbers_are_added_up_in_float64(rng, ids, distance, dtype):
    values = rng.integers(0, 2 if dtype == "bool" else 100, (7, 19)).astype(dtype)
    found = compute_rdms(values, stimulus_ids=ids, distance=distance)
    exact = compute_rdms(values.astype(float), stimulus_ids=ids, distance=distance)
    assert found == exact


def test_a_large_offset_costs_correlation_no_digits(patterns, ids):
    # BOLD hovers around 10,000; inner products of raw values would lose half their digits.
    raised = compute_rdms(patterns + 2.0**20, stimulus_ids=ids)
    plain = compute_rdms((patterns + 2.0**20) - 2.0**20, stimulus_ids=ids)
    assert np.abs(raised.dissimilarities - plain.dissimilarities).max() < 1e-10


@pytest.mark.parametrize("distance", [*SIMPLE, "mahalanobis"])
def test_equal_patterns_have_distance_zero_and_none_is_negative(patterns, ids, precision, distance):
    patterns[4] = patterns[1]
    square = _compute(patterns, ids, distance, precision).to_squares()[0]
    assert abs(square[1, 4]) < 1e-14
    assert distance == "mahalanobis" or (square >= 0).all()


@pytest.mark.parametrize("distance", SIMPLE)
def test_the_order_of_stimuli_is_kept(patterns, ids, distance, rng):
    order = rng.permutation(7)
    moved = compute_rdms(patterns[order], stimulus_ids=ids[order], distance=distance)
    back = moved.align_to(ids)
    straight = compute_rdms(patterns, stimulus_ids=ids, distance=distance)
    assert np.allclose(back.dissimilarities, straight.dissimilarities, atol=1e-14)


def test_invariances_of_each_distance(patterns, ids, rng):
    def vector(values, distance):
        return compute_rdms(values, stimulus_ids=ids, distance=distance).dissimilarities

    scale, shift = rng.uniform(0.5, 2, (7, 1)), rng.normal(size=(7, 1))
    rotation = np.linalg.qr(rng.normal(size=(23, 23)))[0]
    offset = rng.normal(size=23)
    assert np.allclose(vector(patterns * scale + shift, "correlation"), vector(patterns, "correlation"))
    assert np.allclose(vector(patterns * scale, "cosine"), vector(patterns, "cosine"))
    assert np.allclose(vector(patterns @ rotation, "cosine"), vector(patterns, "cosine"))
    assert np.allclose(
        vector(patterns @ rotation + offset, "squared_euclidean"), vector(patterns, "squared_euclidean")
    )
    assert not np.allclose(vector(patterns + shift, "cosine"), vector(patterns, "cosine"))


def test_repeated_stimuli_are_averaged_in_the_order_they_come_first(rng, ids):
    rows = rng.normal(size=(16, 23))
    labels = np.concatenate([ids, ids[::-1], ids[:2]])
    means = np.stack([rows[labels == name].mean(axis=0) for name in ids])
    found = compute_rdms(rows, stimulus_ids=labels)
    assert np.array_equal(found.stimulus_ids, ids)
    assert np.allclose(found.dissimilarities[0], pdist(means, "correlation"), atol=1e-12)


def test_activations_bring_their_labels(patterns, ids):
    layer = Activations(patterns.astype(np.float32), ids, "layer4")
    found = compute_rdms(layer, labels={"model": "resnet18"})
    assert found.table.to_dict("list") == {"layer": ["layer4"], "model": ["resnet18"]}
    with pytest.raises(ValueError, match="stimulus_ids go with an array"):
        compute_rdms(layer, stimulus_ids=ids)


def test_a_memory_map_is_read_as_it_is(patterns, ids, tmp_path):
    values = patterns.astype(np.float32)
    np.save(tmp_path / "layer.npy", values)
    mapped = np.load(tmp_path / "layer.npy", mmap_mode="r")
    assert compute_rdms(mapped, stimulus_ids=ids) == compute_rdms(values, stimulus_ids=ids)


def test_values_that_are_not_finite_are_named(patterns, ids):
    patterns[3, 11] = np.nan
    patterns[5, 2:4] = np.inf
    message = (
        r"layer 'fc' hold 3 values that are not finite \(first: nan for stimulus 'face1' in channel 11\)"
    )
    for distance in SIMPLE:
        with pytest.raises(ValueError, match=message):
            compute_rdms(Activations(patterns, ids, "fc"), distance=distance)
    patterns[3, 11], patterns[5, 3] = np.inf, -np.inf
    with pytest.raises(ValueError, match=r"first: inf for stimulus 'face1'"):
        compute_rdms(np.repeat(patterns, 2, axis=0), stimulus_ids=np.repeat(ids, 2))
    huge = np.full((7, 23), 1e308)
    with pytest.raises(ValueError, match="too large to add up"):
        compute_rdms(huge, stimulus_ids=ids)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.1])
def test_a_constant_pattern_is_named_and_has_no_correlation(patterns, ids, value):
    patterns[[2, 6]] = value
    with pytest.raises(
        ValueError, match=r"2 of 7 patterns are constant over channels \(first: stimulus 'tool10'\)"
    ):
        compute_rdms(patterns, stimulus_ids=ids)
    assert compute_rdms(patterns, stimulus_ids=ids, distance="squared_euclidean").n_rdms == 1


def test_a_zero_pattern_is_named_and_has_no_cosine(patterns, ids):
    patterns[6] = 0
    with pytest.raises(ValueError, match=r"zero in every channel \(first: stimulus 'hand11'\)"):
        compute_rdms(patterns, stimulus_ids=ids, distance="cosine")


@pytest.mark.parametrize(
    ("values", "names", "options", "error", "message"),
    [
        (np.ones((3, 4)), "ab", {}, AlignmentError, "patterns have 3 rows but 2 stimulus_ids"),
        (np.ones((1, 4)), "a", {}, ValueError, "two or more stimuli; patterns have 1"),
        (np.ones((4, 0)), "abcd", {}, ValueError, r"\(n_rows, n_channels\); got float64 \(4, 0\)"),
        (np.ones(4), "abcd", {}, ValueError, r"got float64 \(4,\)"),
        (np.array([["x"], ["y"]]), "ab", {}, ValueError, "must be real numbers"),
        (np.ones((3, 1)), "abc", {}, ValueError, "correlation needs two or more channels"),
        (
            np.ones((3, 2)),
            "abc",
            {"distance": "euclid"},
            ValueError,
            r"'euclid' is not known.*'squared_euclidean'",
        ),
        (np.ones((3, 2)), "abc", {"runs": [1, 1, 2]}, ValueError, "runs are for crossnobis"),
        (np.ones((3, 2)), "abc", {"precision": np.eye(2)}, ValueError, "takes no precision"),
        (np.ones((3, 2)), "abc", {"distance": "mahalanobis"}, ValueError, "needs a precision"),
        (np.ones((3, 2)), "abc", {"distance": "crossnobis"}, ValueError, "needs runs"),
        (np.ones((3, 2)), None, {}, ValueError, "needs stimulus_ids"),
        (
            np.ones((3, 2)),
            "abc",
            {"distance": "mahalanobis", "precision": {1: np.eye(2)}},
            ValueError,
            "one per run is for crossnobis",
        ),
        (
            np.ones((3, 2)),
            "abc",
            {"distance": "mahalanobis", "precision": np.eye(3)},
            ValueError,
            r"shape \(2, 2\).*got \(3, 3\)",
        ),
        (
            np.ones((3, 2)),
            "abc",
            {"distance": "mahalanobis", "precision": np.array([[1, 0.5], [0, 1]])},
            ValueError,
            "must be symmetric",
        ),
        (
            np.ones((3, 2)),
            "abc",
            {"distance": "mahalanobis", "precision": np.array([[1, np.nan], [np.nan, 1]])},
            ValueError,
            "precision is nan for channels 0 and 1",
        ),
    ],
)
def test_what_makes_no_rdm_is_refused_in_one_line(values, names, options, error, message):
    with pytest.raises(error, match=message) as caught:
        compute_rdms(values, stimulus_ids=None if names is None else list(names), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("distance", [name for name in DISTANCES if name != "crossnobis"])
def test_two_clusters_are_found(rng, distance):
    centres = rng.normal(size=(2, 31)) * 3
    patterns = np.repeat(centres, 4, axis=0) + rng.normal(size=(8, 31))
    precision = np.eye(31) if distance == "mahalanobis" else None
    names = [f"s{row}" for row in range(8)]
    square = compute_rdms(patterns, stimulus_ids=names, distance=distance, precision=precision).to_squares()[
        0
    ]
    within = square[:4, :4][np.triu_indices(4, 1)]
    assert square[:4, 4:].min() > within.max()
    assert cdist(centres, centres).max() > 0
