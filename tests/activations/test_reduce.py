import numpy as np
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.reduce import REDUCERS, build_reducer, pool_maps, reduce_activations


@pytest.fixture
def layer(rng):
    maps = rng.normal(size=(31, 4, 3, 5)).astype(np.float32)
    return Activations.from_maps(maps, [f"s{row}" for row in range(31)], "conv")


def test_pooling_is_the_mean_over_space(layer):
    pooled = pool_maps(layer)
    assert pooled.unit_shape == (4,)
    np.testing.assert_allclose(pooled.values, layer.values.reshape(31, 4, 15).mean(axis=2), atol=1e-6)


def test_pooling_needs_space(layer):
    with pytest.raises(ValueError, match="pooling needs"):
        pool_maps(pool_maps(layer))


@pytest.mark.parametrize("kind", REDUCERS)
def test_test_rows_never_change_what_is_learned(layer, kind):
    train = np.arange(20)
    changed = Activations(layer.values.copy(), layer.stimulus_ids, "conv", layer.unit_shape)
    changed.values[20:] *= 100
    before = reduce_activations(layer, kind, 6, train=train)
    after = reduce_activations(changed, kind, 6, train=train)
    assert before.values.shape == (31, 6)
    np.testing.assert_array_equal(before.values[train], after.values[train])
    assert not np.allclose(before.values[20:], after.values[20:])


def test_principal_components_equal_a_singular_value_decomposition(layer):
    train = np.arange(25)
    reduced = reduce_activations(layer, "pca", 3, train=train).values
    centred = layer.values - layer.values[train].mean(axis=0)
    axes = np.linalg.svd(centred[train], full_matrices=False)[2][:3]
    np.testing.assert_allclose(np.abs(reduced), np.abs(centred @ axes.T), atol=1e-4)


def test_random_projection_keeps_distances(rng):
    wide = Activations(rng.normal(size=(9, 4000)), np.arange(9).astype(str), "wide")
    reduced = reduce_activations(wide, "srp", 1500, train=np.arange(9)).values
    lengths = [np.linalg.norm(values[1:] - values[0], axis=1) for values in (wide.values, reduced)]
    np.testing.assert_allclose(lengths[1] / lengths[0], 1.0, atol=0.12)


@pytest.mark.parametrize(
    ("kind", "n", "message"), [("pac", 3, "Did you mean 'pca'"), ("pca", 0, "n_components must be >= 1")]
)
def test_build_reducer_refuses(kind, n, message):
    with pytest.raises(ValueError, match=message):
        build_reducer(kind, n)
