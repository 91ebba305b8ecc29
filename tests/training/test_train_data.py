import numpy as np
import pandas as pd
import pytest
import torch

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.data import (
    ImageSource,
    check_people_apart,
    hold_out_groups,
    hold_out_within_identity,
    iterate_batches,
    order_epoch,
    split_batches,
    split_validation,
)

PREPROCESSING = Preprocessing(13)


def test_order_is_a_permutation_set_by_seed_and_epoch():
    order = order_epoch(97, 3, 5)
    assert sorted(order) == list(range(97))
    assert np.array_equal(order, order_epoch(97, 3, 5))
    assert not np.array_equal(order, order_epoch(97, 3, 6))
    assert not np.array_equal(order, order_epoch(97, 4, 5))


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


def test_near_copies_of_two_sessions_are_never_parted(noise_table):
    train, val = hold_out_within_identity(noise_table, 0.3, seed=0)
    assert sorted([*train, *val]) == list(range(24))
    assert len(val) > 0
    keys = noise_table.frame["identity"] + noise_table.frame["expression"]
    assert not set(keys.iloc[train]) & set(keys.iloc[val])
    assert set(noise_table.factor("identity")[train]) == {"id0", "id1", "id2", "id3"}


def test_pictures_without_expression_and_view_are_held_out_one_by_one():
    frame = pd.DataFrame({"stimulus_id": [f"s{k}" for k in range(40)], "path": "a.png"})
    frame["identity"] = [f"p{k % 2}" for k in range(40)]
    table = StimulusTable.from_frame(frame)
    train, val = hold_out_within_identity(table, 0.25, seed=1)
    assert len(val) == 10
    assert len(train) == 30


def test_held_out_groups_lie_on_one_side(noise_table):
    train, val = hold_out_groups(noise_table, "identity", 0.25, seed=0)
    people = noise_table.factor("identity")
    assert len(set(people[val])) == 1
    assert not set(people[train]) & set(people[val])


def test_a_factor_with_one_value_cannot_be_held_out(noise_table):
    with pytest.raises(StimulusError, match="held out by 'view' needs two or more"):
        hold_out_groups(noise_table, "view", 0.25, seed=0)


def test_a_share_too_small_for_any_stimulus_is_refused(noise_table):
    settings = TrainSettings(val_share=1e-9)
    with pytest.raises(StimulusError, match="holds out none of 24 stimuli"):
        split_validation(settings, noise_table, None, default="random")


def test_no_share_means_no_validation(noise_table):
    train, val = split_validation(TrainSettings(val_share=0), noise_table, None, default="random")
    assert train is noise_table
    assert val is None


def test_somebody_on_both_sides_is_named(noise_table):
    first = noise_table.select(identity=["id0", "id1"])
    check_people_apart(first, noise_table.select(identity=["id2", "id3"]))
    with pytest.raises(StimulusError, match="'id1'"):
        check_people_apart(first, noise_table.select(identity=["id1", "id2"]))
