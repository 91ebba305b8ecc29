import numpy as np
import pytest
from scipy import stats

from fernet_neuro.stats.resampling import bootstrap_mean_interval, clopper_pearson, permute_within


def test_permute_within_keeps_each_group_s_labels(rng):
    labels = rng.integers(0, 3, 35)
    groups = np.repeat(np.arange(5), 7)[rng.permutation(35)]
    permuted = permute_within(labels, groups, rng, 11)
    assert permuted.shape == (11, 35)
    assert (permuted != labels).any()
    for group in range(5):
        inside = groups == group
        np.testing.assert_array_equal(
            np.sort(permuted[:, inside], axis=1), np.tile(np.sort(labels[inside]), (11, 1))
        )


def test_free_permutation_reaches_every_order_equally_often(rng):
    permuted = permute_within(np.array(["a", "b", "c"]), None, rng, 6000)
    orders, counts = np.unique(["".join(row) for row in permuted], return_counts=True)
    assert len(orders) == 6
    assert stats.chisquare(counts).pvalue > 1e-4


def test_blocks_keep_one_label(rng):
    blocks = np.repeat(np.arange(12), 2)
    groups = np.repeat(np.arange(3), 8)
    labels = np.repeat(np.tile(list("abcd"), 3), 2)
    order = rng.permutation(24)
    back = np.argsort(order)
    permuted = permute_within(labels[order], groups[order], rng, 50, blocks=blocks[order])[:, back]
    np.testing.assert_array_equal(permuted[:, ::2], permuted[:, 1::2])
    assert all(sorted(row[:8:2]) == list("abcd") for row in permuted)


def test_permute_within_repeats_with_the_same_generator():
    draws = [permute_within(np.arange(9), None, np.random.default_rng(3), 4) for _ in range(2)]
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize(
    ("labels", "groups", "blocks", "message"),
    [
        ("aabb", [0, 0, 1, 1], None, "changes nothing"),
        ("abab", [0, 0, 1], None, "groups must have the shape of labels"),
        ("abab", None, [0, 0, 1, 1], "each block must have one label; sample 1"),
        ("aabb", [0, 1, 1, 1], [0, 0, 1, 1], "each block must have one group; sample 1"),
    ],
)
def test_permute_within_refuses(rng, labels, groups, blocks, message):
    with pytest.raises(ValueError, match=message):
        permute_within(np.array(list(labels)), groups, rng, 5, blocks=blocks)


@pytest.mark.parametrize("n", [7, 200])
@pytest.mark.parametrize("level", [0.9, 0.99])
def test_clopper_pearson_equals_scipy(n, level):
    for k in (0, 1, n // 2, n):
        expected = stats.binomtest(k, n).proportion_ci(level, method="exact")
        np.testing.assert_allclose(clopper_pearson(k, n, level), (expected.low, expected.high), atol=1e-12)


@pytest.mark.parametrize(
    ("k", "n", "message"), [(5, 3, "k must be"), (0, 0, "n must be"), (-1, 3, "k must be")]
)
def test_clopper_pearson_refuses(k, n, message):
    with pytest.raises(ValueError, match=message):
        clopper_pearson(k, n)


def _draw(kind, rng, size):
    return rng.normal(0.0, 1.0, size) if kind == "normal" else rng.exponential(1.0, size) - 1.0


@pytest.mark.parametrize(("kind", "n_units"), [("normal", 5), ("normal", 13), ("normal", 60), ("skewed", 60)])
def test_interval_covers_the_true_mean_at_its_level(rng, kind, n_units):
    n_sets = 400
    covered = 0
    for _ in range(n_sets):
        low, high = bootstrap_mean_interval(_draw(kind, rng, n_units), rng=rng, n_bootstraps=500)
        covered += low <= 0.0 <= high
    # Nominal .95; the skewed case is allowed the known slow convergence of every such interval.
    expected = 0.95 if kind == "normal" else 0.93
    assert stats.binomtest(int(covered), n_sets, expected).pvalue > 0.01


def test_interval_is_no_wider_than_needed(rng):
    values = rng.normal(0.5, 1.0, 80)
    low, high = bootstrap_mean_interval(values, rng=rng)
    reference = stats.t.interval(0.95, 79, values.mean(), stats.sem(values))
    np.testing.assert_allclose((low, high), reference, atol=0.05)
    assert low > 0.0


def test_interval_over_groups_is_wider_where_members_agree(rng):
    groups = np.repeat(np.arange(15), 9)
    values = rng.normal(0.0, 1.0, 15)[groups] + rng.normal(0.0, 0.01, 135)
    single = np.ptp(bootstrap_mean_interval(values, rng=rng))
    grouped = np.ptp(bootstrap_mean_interval(values, groups=groups, rng=rng))
    assert 2.5 < grouped / single < 3.6  # sqrt(9) = 3, apart from the small-sample widening


def test_interval_shifts_and_scales_with_the_values():
    values = np.random.default_rng(5).normal(size=23)
    low, high = bootstrap_mean_interval(values, rng=np.random.default_rng(1))
    moved = bootstrap_mean_interval(3 * values + 2, rng=np.random.default_rng(1))
    np.testing.assert_allclose(moved, (3 * low + 2, 3 * high + 2))


def test_interval_of_equal_values_is_a_point(rng):
    assert bootstrap_mean_interval(np.full(6, 0.25), rng=rng) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [([1.0], None, "at least two units"), ([1.0, np.nan], None, "finite"), ([1.0, 2.0], [0, 0], "two units")],
)
def test_interval_refuses(rng, values, groups, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean_interval(values, groups=groups, rng=rng)
