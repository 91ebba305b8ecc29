import numpy as np
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.exceptions import AlignmentError


@pytest.fixture
def layer(rng):
    return Activations.from_maps(rng.normal(size=(7, 2, 3, 5)), [f"s{row}" for row in range(7)], "conv")


def test_maps_undo_flattening(layer, rng):
    assert (layer.n_stimuli, layer.n_units, layer.unit_shape) == (7, 30, (2, 3, 5))
    assert layer.maps.shape == (7, 2, 3, 5)
    np.testing.assert_array_equal(layer.maps[4, 1, 2], layer.values[4, 25:])


def test_select_takes_masks_and_indices(layer):
    mask = np.array([False, True, True, False, False, False, True])
    assert layer.select(mask) == layer.select([1, 2, 6])
    assert layer.select(mask).stimulus_ids.tolist() == ["s1", "s2", "s6"]


def test_align_to_reorders_values_with_their_ids(layer):
    order = np.array([3, 0, 6])
    moved = layer.align_to(layer.stimulus_ids[order])
    np.testing.assert_array_equal(moved.values, layer.values[order])
    assert moved.align_to(["s0", "s3", "s6"]) == layer.select([0, 3, 6])


def test_align_to_names_the_absent(layer):
    with pytest.raises(AlignmentError, match=r"layer 'conv' has no activations for 1 .*'s9'"):
        layer.align_to(["s1", "s9"])


def test_equality_sees_every_part(layer):
    same = Activations(layer.values.copy(), layer.stimulus_ids, "conv", layer.unit_shape)
    assert same == layer
    others = [
        Activations(layer.values + 1e-9, layer.stimulus_ids, "conv", layer.unit_shape),
        Activations(layer.values, layer.stimulus_ids[::-1], "conv", layer.unit_shape),
        Activations(layer.values, layer.stimulus_ids, "fc", layer.unit_shape),
        Activations(layer.values, layer.stimulus_ids, "conv"),
        Activations(layer.values.astype(np.float32), layer.stimulus_ids, "conv", layer.unit_shape),
    ]
    assert all(other != layer for other in others)


@pytest.mark.parametrize(
    ("shape", "ids", "unit_shape", "message"),
    [
        ((3, 5), ["a", "b"], (), "one stimulus id per row"),
        ((2, 3, 5), ["a", "b"], (), "from_maps"),
        ((2, 6), ["a", "b"], (5,), r"unit_shape \(5,\) holds 5 units; values have 6"),
        ((2, 6), ["a", "a"], (), "unique"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape, ids, unit_shape, message):
    with pytest.raises(ValueError, match=message):
        Activations(np.zeros(shape), np.array(ids), "conv", unit_shape)
