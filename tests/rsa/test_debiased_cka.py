import numpy as np
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.cka import compute_cka
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.distances import compute_rdms


def _layer(values, name="layer"):
    return Activations(values, np.array([f"s{row}" for row in range(len(values))]), name)


def _slow_debiased(X, Y):
    """The unbiased estimate of Song et al., word by word."""
    K, L = X @ X.T, Y @ Y.T
    np.fill_diagonal(K, 0)
    np.fill_diagonal(L, 0)
    n, one = len(K), np.ones(len(K))

    def hsic(A, B):
        first = np.trace(A @ B) + (one @ A @ one) * (one @ B @ one) / ((n - 1) * (n - 2))
        return (first - 2 / (n - 2) * (one @ A @ B @ one)) / (n * (n - 3))

    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


def _slow_biased(X, Y):
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    return np.linalg.norm(X.T @ Y) ** 2 / np.linalg.norm(X.T @ X) / np.linalg.norm(Y.T @ Y)


@pytest.mark.parametrize(("debiased", "slow"), [(True, _slow_debiased), (False, _slow_biased)])
def test_cka_is_its_definition(rng, debiased, slow):
    first = [rng.normal(size=(9, 5)) + 2, rng.normal(size=(9, 30))]
    second = [first[0] @ rng.normal(size=(5, 4)) + rng.normal(size=(9, 4)), *first]
    found = compute_cka([_layer(v) for v in first], [_layer(v) for v in second], debiased=debiased)
    expected = [[slow(x, y) for y in second] for x in first]
    assert found.shape == (2, 3)
    assert np.abs(found - expected).max() < 1e-10


@pytest.mark.parametrize("n_units", [50, 3000])
def test_independent_patterns_are_near_zero_where_the_biased_form_is_far(rng, n_units):
    pairs = [(_layer(rng.normal(size=(40, n_units))), _layer(rng.normal(size=(40, 300)))) for _ in range(30)]
    debiased = np.array([compute_cka(x, y)[0, 0] for x, y in pairs])
    biased = np.array([compute_cka(x, y, debiased=False)[0, 0] for x, y in pairs])
    assert abs(debiased.mean()) < 4 * debiased.std() / np.sqrt(30)
    assert np.abs(debiased).max() < 0.2
    assert biased.min() > (0.5 if n_units == 50 else 0.85)


def test_a_shared_signal_is_found(rng):
    signal = rng.normal(size=(40, 6))
    layers = [
        _layer(np.hstack([3 * signal @ rng.normal(size=(6, 80)), rng.normal(size=(40, 200))]))
        for _ in range(2)
    ]
    assert compute_cka(*layers)[0, 0] > 0.7


@pytest.mark.parametrize("debiased", [True, False])
def test_rotation_scale_offset_and_empty_units_do_not_matter(rng, debiased):
    values, other = rng.normal(size=(11, 7)), _layer(rng.normal(size=(11, 5)))
    rotation = np.linalg.qr(rng.normal(size=(7, 7)))[0]
    changed = np.hstack([3 * values @ rotation + rng.normal(size=7), np.ones((11, 2))])
    options = {"debiased": debiased}
    assert np.allclose(
        compute_cka(_layer(changed), other, **options), compute_cka(_layer(values), other, **options)
    )
    assert np.allclose(compute_cka(_layer(changed), _layer(values), **options), 1)


def test_the_biased_form_is_the_whitened_cosine_of_squared_distances(rng):
    layers = [_layer(rng.normal(size=(12, n))) for n in (4, 9)]
    rdms = [compute_rdms(layer, distance="squared_euclidean") for layer in layers]
    whitened = compare_rdms(*rdms, "whitened_cosine").values
    assert np.allclose(compute_cka(*layers, debiased=False), whitened, atol=1e-10)
    assert not np.allclose(compute_cka(*layers), whitened, atol=1e-3)


def test_other_stimuli_too_few_or_equal_patterns_are_refused(rng):
    layer = _layer(rng.normal(size=(5, 4)), "fc")
    moved = Activations(layer.values, layer.stimulus_ids[::-1], "conv")
    with pytest.raises(AlignmentError, match="layer 'fc' and layer 'conv' differ first at row 0: 's0'"):
        compute_cka(layer, [layer, moved])
    few = layer.select([0, 1, 2])
    with pytest.raises(ValueError, match="number of stimuli must be >= 4; got 3"):
        compute_cka(few, few)
    with pytest.raises(ValueError, match="all patterns of layer 'flat' lie equally far apart"):
        compute_cka(layer, _layer(np.ones((5, 4)), "flat"))
    with pytest.raises(ValueError, match="layer 'bad' hold 1 values that are not finite"):
        compute_cka(layer, _layer(np.where(np.eye(5), np.nan, 1)[:, 1:2], "bad"))
    with pytest.raises(ValueError, match="layers on both sides"):
        compute_cka([], layer)
