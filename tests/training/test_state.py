import contextlib
import os
import pickle
import random
import resource
import signal

import numpy as np
import pytest
import torch
from torch import nn, optim

from fernet_neuro.exceptions import StoreError
from fernet_neuro.training import state
from fernet_neuro.training.state import (
    Progress,
    capture_rng,
    find_checkpoints,
    read_best,
    read_checkpoint,
    remove_leftovers,
    restore_rng,
    seeded_rng,
    write_best,
    write_checkpoint,
)


@pytest.fixture
def trained():
    """A small network and an optimiser that has momentum."""
    module = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))
    optimiser = optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.randn(7, 5)).square().sum().backward()
    optimiser.step()
    return module, optimiser


def _write(folder, module, optimiser, step):
    progress = Progress(
        step, epoch=2, step_in_epoch=1, loss_sums={"loss": 0.1 + 0.2}, n_items=64, best={"epoch": 1}
    )
    state = {"optimiser": optimiser.state_dict(), "scaler": None, "rng": [capture_rng()]}
    state["loss"] = {"centres": torch.arange(3.0)}
    return write_checkpoint(folder, module, progress, state)


@contextlib.contextmanager
def _small_disk(n_bytes):
    """A disk on which no file can grow past `n_bytes`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path, trained):
    module, optimiser = trained
    found = read_checkpoint(_write(tmp_path, module, optimiser, 9))
    for name, value in module.state_dict().items():
        assert torch.equal(found.weights[name], value)
    momentum = optimiser.state_dict()["state"][0]["momentum_buffer"]
    assert torch.equal(found.optimiser["state"][0]["momentum_buffer"], momentum)
    assert torch.equal(found.loss["centres"], torch.arange(3.0))
    assert found.progress == Progress(9, 2, 1, {"loss": 0.1 + 0.2}, 64, best={"epoch": 1})


def _draw():
    return [torch.rand(3).tolist(), np.random.normal(size=3).tolist(), random.gauss(0, 1)]  # noqa: NPY002


def test_random_states_of_torch_numpy_and_python_come_back(tmp_path, trained):
    saved = read_checkpoint(_write(tmp_path, *trained, 1)).rng[0]
    first = _draw()
    _draw()
    restore_rng(saved)
    assert _draw() == first


def test_seeded_rng_leaves_the_callers_states_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    with seeded_rng(0, rank=0):
        first = torch.rand(3)
    with seeded_rng(0, rank=1):
        other = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.equal(first, other)
    with seeded_rng(0, rank=0):
        assert torch.equal(torch.rand(3), first)


def test_only_the_newest_checkpoints_stay(tmp_path, trained):
    for step in (3, 12, 7, 100):
        _write(tmp_path, *trained, step)
    assert [path.name for path in find_checkpoints(tmp_path)] == ["step-00000012", "step-00000100"]


def test_what_a_killed_write_left_is_no_checkpoint_and_is_removed(tmp_path, trained):
    kept = _write(tmp_path, *trained, 3)
    (tmp_path / ".step-00000004.abc.tmp").mkdir()
    (tmp_path / ".step-00000004.abc.tmp" / "model.safetensors").write_bytes(b"half")
    assert find_checkpoints(tmp_path) == [kept]
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path, trained):
    module, optimiser = trained
    _write(tmp_path, module, optimiser, 3)
    large = nn.Linear(300, 300)
    message = r"step-00000009 could not be written: File too large; .* step-00000003 is kept"
    with _small_disk(100_000), pytest.raises(StoreError, match=message):
        _write(tmp_path, large, optim.SGD(large.parameters()), 9)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]
    assert read_checkpoint(tmp_path / "step-00000003").progress.step == 3
    with _small_disk(100_000), pytest.raises(StoreError, match=r"best could not be written: File too large"):
        write_best(tmp_path, large)


@pytest.mark.parametrize("name", ["model.safetensors", "state.pt", "progress.json"])
@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path, trained, name, damage):
    path = _write(tmp_path, *trained, 3)
    file = path / name
    if damage == "cut":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.unlink()
    with pytest.raises(StoreError, match=r"checkpoint .*step-00000003 is damaged"):
        read_checkpoint(path)


def test_a_checkpoint_that_would_run_code_is_not_run(tmp_path, trained):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was-run"),)

    path = _write(tmp_path, *trained, 3)
    torch.save({"optimiser": Evil(), "scaler": None, "rng": [], "loss": {}}, path / "state.pt")
    with pytest.raises(StoreError, match="is damaged"):
        read_checkpoint(path)
    (path / "state.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(StoreError, match="is damaged"):
        read_checkpoint(path)
    assert not (tmp_path / "was-run").exists()


def test_best_weights_come_back(tmp_path, trained):
    write_best(tmp_path, trained[0])
    assert torch.equal(read_best(tmp_path)["0.weight"], trained[0][0].weight)


def test_the_best_epoch_is_the_first_of_the_highest():
    progress = Progress()
    found = []
    for epoch, value in enumerate((0.5, 0.7, 0.7, 0.6), start=1):
        progress.epoch = epoch
        found.append(progress.note_epoch(1.0, {"accuracy": value}, "accuracy"))
    assert found == [True, True, False, False]
    assert (progress.best["epoch"], progress.last["epoch"]) == (2, 4)
    assert Progress().note_epoch(1.0, {}, "accuracy") is False


def test_the_mean_loss_of_an_epoch_is_over_items():
    progress = Progress()
    progress.count_step({"loss": 1.0, "part": 0.5}, 3)
    progress.count_step({"loss": 2.0, "part": 0.1}, 1)
    assert progress.finish_epoch() == pytest.approx({"loss": 1.25, "part": 0.4})
    assert (progress.step, progress.epoch, progress.step_in_epoch, progress.n_items) == (2, 1, 0, 0)


def test_safetensors_take_channels_last_and_shared_weights(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last), nn.Linear(4, 4))
    module.append(module[1])
    assert state.dump_weights(module)
