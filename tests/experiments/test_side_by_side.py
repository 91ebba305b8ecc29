"""Which parts of an experiment are done at once, in which order, and what happens where one of them fails."""

import os
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from fernet_neuro.exceptions import FernetWarning, StoreError
from fernet_neuro.experiments import side_by_side
from fernet_neuro.experiments.graph import STIMULI
from fernet_neuro.experiments.plan import PlannedRun
from fernet_neuro.experiments.side_by_side import Part, count_at_once, count_widest, do_side_by_side
from fernet_neuro.experiments.work import Work
from fernet_neuro.training.config import TrainSettings

#: What stays in a process.
HELD: list[np.ndarray] = []


def note(work: Path, name: str, seconds: float = 0.0) -> None:
    """Write who did a part, with how many threads, and how many parts had ended before it began."""
    ended = len(list(work.glob("*.ended")))
    time.sleep(seconds)
    (work / f"{name}.ended").write_text(f"{os.getpid()} {torch.get_num_threads()} {ended}")
    warnings.warn(f"{name} is odd.", FernetWarning, stacklevel=1)


def make_parts(**needs: str) -> dict[str, Part]:
    return {name: Part(partial(note, name=name), frozenset(others)) for name, others in needs.items()}


def read_note(folder: Path, name: str) -> list[int]:
    return [int(word) for word in (folder / f"{name}.ended").read_text().split()]


def grow(work: Path) -> None:
    note(work, "grown", seconds=1.2)  # more than the second between two looks at the memory
    HELD.append(np.ones(2**26))


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """The order in which one process did parts, of which one grows, and where it wrote."""
    folder = tmp_path_factory.mktemp("one")
    parts = {**make_parts(early="", a="", b="a"), "grown": Part(grow, frozenset("b"))}
    parts["last"] = Part(partial(note, name="last"), frozenset(["grown"]))
    return list(do_side_by_side(parts | make_parts(late=""), folder, 1)), folder


@pytest.mark.slow
def test_those_that_the_longest_chain_waits_for_begin_first_and_of_equals_the_first(one_by_one):
    # When "grown" is done, "last" could begin and so could "early" and "late", which wait from the start.
    assert one_by_one[0] == ["a", "b", "grown", "early", "last", "late"]


@pytest.mark.slow
def test_a_process_that_has_grown_goes_on(one_by_one):
    order, folder = one_by_one
    assert len({read_note(folder, name)[0] for name in order}) == 1


@pytest.mark.slow
def test_parts_begin_when_all_that_they_need_are_done_with_their_share_of_threads(tmp_path, caplog):
    slow = Part(partial(note, name="slow", seconds=2.0))
    parts = {"a": make_parts(a="")["a"], "slow": slow, **make_parts(b="a", c="", d="")}
    parts["c"] = Part(parts["c"].do, frozenset(["slow", "b", "gone"]))
    parts["d"] = Part(parts["d"].do, frozenset("c"))
    before = torch.get_num_threads()
    torch.set_num_threads(7)
    try:
        done = list(do_side_by_side(parts, tmp_path, 2))
    finally:
        torch.set_num_threads(before)
    assert done == ["a", "b", "slow", "c", "d"]
    notes = {name: read_note(tmp_path, name) for name in done}
    assert notes["c"][2] == 3
    assert notes["d"][2] == 4
    assert {threads for _, threads, _ in notes.values()} == {3}
    assert os.getpid() not in {process for process, _, _ in notes.values()}
    assert notes["slow"][0] != notes["b"][0]
    assert sorted(caplog.messages) == [f"{name} is odd." for name in sorted(done)]


def fail(work: Path) -> None:
    raise StoreError("There is no room.")


@pytest.mark.slow
def test_an_error_in_a_process_is_that_of_the_command_and_ends_the_others(tmp_path, caplog):
    parts = {"long": Part(partial(note, name="long", seconds=60.0)), "short": Part(fail)}
    begun = time.monotonic()
    with pytest.raises(StoreError, match="There is no room"):
        list(do_side_by_side(parts, tmp_path, 2))
    assert time.monotonic() - begun < 40
    assert not (tmp_path / "long.ended").exists()
    assert caplog.messages == ["    short ended with an error; what else was under way is stopped"]


def test_as_many_as_can_be_under_way_at_once_are_counted():
    assert count_widest(make_parts(a="", b="", c="", d="ab", e="d")) == 3
    assert count_widest(make_parts(a="", b="a", c="b")) == 1
    assert count_widest({}) == 0


def test_no_more_are_trained_at_once_than_memory_holds_the_pictures_of(monkeypatch):
    monkeypatch.setattr(side_by_side, "find_memory", lambda: 8 * 2**30)
    picture = 3 * 224 * 224
    assert count_at_once(4, 100) == 4
    assert count_at_once(4, 2 * 2**30 // picture // 3) == 3
    assert count_at_once(4, 10**6) == 1
    assert count_at_once(4, 0) == 4


@pytest.mark.parametrize(("device", "n_jobs", "wanted"), [("cpu", 3, 3), ("cpu", 1, 1), ("mps", 3, 1)])
def test_an_accelerator_does_one_part_at_a_time(tmp_path, monkeypatch, device, n_jobs, wanted):
    monkeypatch.setattr("fernet_neuro.experiments.work.pick_device", torch.device)
    work = Work(tmp_path, n_jobs=n_jobs, device=device)
    runs = {tmp_path: PlannedRun("a", TrainSettings(epochs=1), STIMULI, "")}
    assert work._count_at_once(runs, {STIMULI: range(10)}) == wanted


@pytest.mark.slow
def test_what_follows_training_is_done_in_order_by_one_process_where_one_is_asked_for(tmp_path):
    order = []
    parts = {name: Part(lambda work, name=name: order.append((name, work.n_jobs))) for name in "ab"}
    Work(tmp_path).train([], {}, then=parts)
    assert order == [("a", 1), ("b", 1)]
