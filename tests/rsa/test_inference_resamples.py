import numpy as np
import pytest

from fernet_neuro.rsa.inference.resample import code_blocks, draw_permutations, draw_resamples

BLOCKS = np.array(["b", "a", "b", "c", "a", "c", "d"])


def test_samples_have_as_many_subjects_and_stimuli_as_the_data():
    found = draw_resamples(400, 3, 7, seed=2)
    assert (found.subjects.shape, found.stimuli.shape, found.n_units) == ((400, 3), (400, 7), 7)
    assert (found.subjects.sum(axis=1) == 3).all()
    assert (found.stimuli.sum(axis=1) == 7).all()
    assert ((found.stimuli > 0).sum(axis=1) >= 3).all()
    # The variance of a multinomial count, 1 - 1 / n.
    assert np.allclose(found.stimuli.var(axis=0), 1 - 1 / 7, atol=0.25)


def test_subjects_and_stimuli_are_drawn_independently_of_one_another():
    first, second = draw_resamples(50, 3, 7, seed=2), draw_resamples(50, 5, 7, seed=2)
    assert np.array_equal(first.stimuli, second.stimuli)
    assert np.array_equal(first.subjects, draw_resamples(50, 3, 11, seed=2).subjects)
    assert not np.array_equal(first.stimuli, draw_resamples(50, 3, 7, seed=3).stimuli)


def test_stimuli_of_a_block_are_drawn_together():
    found = draw_resamples(300, 3, 7, blocks=BLOCKS, seed=1)
    assert found.n_units == 4
    for one, other in ((0, 2), (1, 4), (3, 5)):
        assert np.array_equal(found.stimuli[:, one], found.stimuli[:, other])
    units = found.stimuli[:, [0, 1, 3, 6]]
    assert (units.sum(axis=1) == 4).all()
    assert ((found.stimuli > 0).sum(axis=1) >= 3).all()
    assert len(np.unique(units, axis=0)) > 20


def test_permutations_move_whole_blocks_of_one_size_and_shuffle_inside():
    orders = draw_permutations(500, 7, blocks=BLOCKS, seed=4)
    assert (np.sort(orders, axis=1) == np.arange(7)).all()
    assert (orders[:, 6] == 6).all()
    same = BLOCKS[:, None] == BLOCKS
    for order in orders[:50]:
        assert np.array_equal(BLOCKS[order][:, None] == BLOCKS[order], same)
    # Three blocks of two: 3! arrangements of blocks by 2^3 inside.
    assert len(np.unique(orders, axis=0)) == 48


def test_free_permutations_reach_every_place_alike():
    orders = draw_permutations(3000, 5, seed=4)
    shares = np.stack([(orders == stimulus).mean(axis=0) for stimulus in range(5)])
    assert np.abs(shares - 0.2).max() < 0.04
    assert np.array_equal(orders, draw_permutations(3000, 5, seed=4))


def test_blocks_are_numbered_in_order_of_first_occurrence():
    assert code_blocks(BLOCKS, 7).tolist() == [0, 1, 0, 2, 1, 2, 3]
    assert code_blocks(None, 3).tolist() == [0, 1, 2]


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="one label per stimulus, 5; got 7"):
        draw_resamples(10, 3, 5, blocks=BLOCKS)
    with pytest.raises(ValueError, match="number of stimuli must be >= 3"):
        draw_resamples(10, 3, 2)
    with pytest.raises(ValueError, match="n_bootstraps must be >= 1"):
        draw_resamples(0, 3, 5)
    with pytest.raises(ValueError, match="n_subjects must be >= 1"):
        draw_resamples(10, 0, 5)
    with pytest.raises(ValueError, match="n_permutations must be >= 1"):
        draw_permutations(0, 5)
