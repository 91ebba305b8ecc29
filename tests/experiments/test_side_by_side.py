"""How many networks are trained at once, and what happens where one of them fails."""

import warnings
from pathlib import Path

import pytest
import torch

from fernet_neuro.exceptions import FernetWarning, StoreError
from fernet_neuro.experiments import side_by_side
from fernet_neuro.experiments.graph import STIMULI
from fernet_neuro.experiments.plan import PlannedRun, list_runs
from fernet_neuro.experiments.side_by_side import count_at_once, list_waves, train_side_by_side
from fernet_neuro.experiments.work import Work
from fernet_neuro.training.config import TrainSettings


@pytest.fixture
def runs(tmp_path) -> dict[Path, PlannedRun]:
    first = [PlannedRun(name, TrainSettings(epochs=1), STIMULI, "") for name in ("a", "b", "c")]
    last = PlannedRun("last", TrainSettings(epochs=1), STIMULI, "", {"weights": first[0]})
    return list_runs([last, *first], tmp_path)


def write_threads(place: Path, run: PlannedRun) -> None:
    place.mkdir(parents=True)
    (place / "threads").write_text(str(torch.get_num_threads()))
    warnings.warn(f"{run.network} is odd.", FernetWarning, stacklevel=1)


def test_those_that_others_start_from_come_first(tmp_path, runs):
    waves = [[run.network for run in wave.values()] for wave in list_waves(runs, tmp_path)]
    assert waves == [["a", "b", "c"], ["last"]]


def test_threads_are_shared_out_and_what_is_said_is_heard(tmp_path, runs, caplog):
    first = next(list_waves(runs, tmp_path))
    before = torch.get_num_threads()
    torch.set_num_threads(7)
    try:
        train_side_by_side(first, write_threads, 2)
    finally:
        torch.set_num_threads(before)
    assert [(place / "threads").read_text() for place in first] == ["3", "3", "3"]
    assert caplog.messages == ["a is odd.", "b is odd.", "c is odd."]


def fail(place: Path, run: PlannedRun) -> None:
    raise StoreError(f"{run.network} finds no room.")


def test_an_error_in_a_process_is_that_of_the_command(runs):
    with pytest.raises(StoreError, match="finds no room"):
        train_side_by_side(runs, fail, 2)


def test_no_more_are_trained_at_once_than_memory_holds_the_pictures_of(monkeypatch):
    monkeypatch.setattr(side_by_side, "find_memory", lambda: 8 * 2**30)
    picture = 3 * 224 * 224
    assert count_at_once(4, 100) == 4
    assert count_at_once(4, 2 * 2**30 // picture // 3) == 3
    assert count_at_once(4, 10**6) == 1
    assert count_at_once(4, 0) == 4


@pytest.mark.parametrize(
    ("device", "n_jobs", "wanted"), [("cpu", 3, 3), ("cpu", 9, 4), ("cpu", 1, 1), ("mps", 3, 1)]
)
def test_an_accelerator_trains_one_at_a_time(tmp_path, runs, monkeypatch, device, n_jobs, wanted):
    monkeypatch.setattr("fernet_neuro.experiments.work.pick_device", torch.device)
    work = Work(tmp_path, n_jobs=n_jobs, device=device)
    assert work._count_at_once(runs, {STIMULI: range(10)}) == wanted
    assert work._count_at_once({}, {}) == 1
