import numpy as np
import pytest
import torch

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.training.data import (
    ImageSource,
    balance_items,
    iterate_batches,
    order_epoch,
    split_batches,
)
from fernet_neuro.training.task import Items

PREPROCESSING = Preprocessing(13)


def test_the_rest_of_an_epoch_is_a_batch_by_request():
    order = np.arange(23)
    kept = split_batches(order, 5, last="keep")
    assert [len(batch) for batch in kept] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate(kept), order)
    assert [len(batch) for batch in split_batches(order, 6, 2, last="keep")] == [6, 6, 6, 4]
    assert [len(batch) for batch in split_batches(np.arange(21), 5, last="keep")] == [5, 5, 5, 5]


def test_order_is_a_permutation_set_by_seed_and_epoch():
    order = order_epoch(97, 3, 5)
    assert sorted(order) == list(range(97))
    assert np.array_equal(order, order_epoch(97, 3, 5))
    assert not np.array_equal(order, order_epoch(97, 3, 6))
    assert not np.array_equal(order, order_epoch(97, 4, 5))


def test_balanced_items_are_drawn_with_replacement_and_each_class_is_as_likely(rng):
    targets = np.repeat([4, 0, 7], [1700, 290, 10])[rng.permutation(2000)]
    items = Items(np.arange(4000).reshape(2000, 2), targets, {"score": np.arange(2000) * 0.5})
    drawn = balance_items(items, 3, 5)
    # The slow way: walk along the items until their chances add up to a uniform number.
    ends = np.cumsum([1 / (3 * np.sum(targets == target)) for target in targets])
    rows = [int(np.argmax(ends > value)) for value in make_rng(3, "sampling", 5).random(2000)]
    assert np.array_equal(drawn.rows, items.rows[rows])
    assert np.array_equal(drawn.targets, targets[rows])
    assert np.array_equal(drawn.extras["score"], items.extras["score"][rows])
    for target in (4, 0, 7):
        assert 600 < np.sum(drawn.targets == target) < 733
    assert not np.array_equal(drawn.rows, balance_items(items, 3, 6).rows)
    assert not np.array_equal(drawn.rows, balance_items(items, 4, 5).rows)


def test_batches_are_full_and_leave_the_rest_out():
    batches = split_batches(np.arange(23), 5)
    assert [list(batch) for batch in batches] == [list(range(5 * k, 5 * k + 5)) for k in range(4)]


def test_fewer_items_than_a_batch_make_one_that_processes_can_share():
    assert [len(batch) for batch in split_batches(np.arange(7), 20, n_processes=2)] == [6]


def test_batches_that_cannot_be_shared_are_refused():
    with pytest.raises(ValueError, match="batch_size=5 cannot be shared evenly by 2 processes"):
        split_batches(np.arange(23), 5, n_processes=2)
    with pytest.raises(ValueError, match="1 items are too few"):
        split_batches(np.arange(1), 4)


def test_processes_together_show_each_global_batch_once(noise_table):
    source = ImageSource(noise_table, PREPROCESSING)
    batches = split_batches(order_epoch(24, 0, 0), 6)
    rows = np.arange(24)[:, None]
    parts = [list(iterate_batches(source, rows, batches, rank, 3)) for rank in range(3)]
    for number, batch in enumerate(batches):
        assert sorted(np.concatenate([part[number].local for part in parts])) == sorted(batch)
        assert all(np.array_equal(part[number].items, batch) for part in parts)


@pytest.mark.parametrize("n_jobs", [0, 2])
def test_memory_disk_and_workers_give_the_same_pictures(noise_table, n_jobs):
    batches = [np.array([5, 2, 23]), np.array([0, 1])]
    kept = ImageSource(noise_table, PREPROCESSING, cache="memory")
    fresh = ImageSource(noise_table, PREPROCESSING, cache="none", n_jobs=n_jobs)
    assert kept.in_memory
    assert not fresh.in_memory
    for one, other in zip(kept.iterate(batches), fresh.iterate(batches), strict=True):
        assert one.dtype == torch.uint8
        assert one.shape[1:] == (3, 13, 13)
        assert torch.equal(one, other)


def test_auto_keeps_small_sets_in_memory_and_the_estimate_is_exact(noise_table):
    source = ImageSource(noise_table, PREPROCESSING, cache="auto")
    assert source.in_memory
    assert source._cached.numel() == ImageSource.estimate_memory(24, 13)


@pytest.mark.parametrize("n_jobs", [0, 1])
def test_a_damaged_picture_is_named_by_its_stimulus(noise_table, n_jobs):
    path = noise_table.paths()[7]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(StimulusError, match=rf"stimulus '{noise_table.stimulus_ids[7]}'") as caught:
        ImageSource(noise_table, PREPROCESSING, cache="memory", n_jobs=n_jobs)
    assert "Traceback" not in str(caught.value)
