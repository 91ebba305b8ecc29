"""What SLURM says of tasks is told beside what their files say."""

import json
import shutil

import pytest

from fernet_neuro.cluster.plan import Plan
from fernet_neuro.cluster.queue import ask_queue, note_job
from fernet_neuro.cluster.states import list_states
from fernet_neuro.cluster.work import _note
from tests.cluster.test_mishaps import EXTRACT


@pytest.fixture
def waiting(faces, queue, submit):
    """Two shards that were handed over and wait."""
    (queue / "waits").touch()
    code, _, err = submit("--shards", "2", command=EXTRACT)
    assert code == 0, err
    return Plan.read("store")


def test_what_the_queue_holds_is_queued_and_says_why(waiting, run):
    states = list_states(waiting)
    assert states["state"].tolist() == ["queued", "queued"]
    assert set(states["message"]) == {"PENDING (Priority)"}
    assert "store: 2 queued" in run("jobs", "store")[1]


def test_what_is_queued_is_not_handed_over_again(waiting, queue, run):
    before = (queue / "arrays").read_text()
    run("jobs", "store", "--retry", "unfinished")
    assert (queue / "arrays").read_text() == before
    (queue / "queued").write_text("77 0 PENDING Dependency\n")  # the other was cancelled before it began
    run("jobs", "store", "--retry", "unfinished")
    assert (queue / "arrays").read_text().split()[-1] == "1"


def test_why_a_task_ended_that_left_no_word_is_told(waiting, queue):
    (queue / "queued").unlink()
    (queue / "ended").write_text("77_0|CANCELLED by 0\n77_1|OUT_OF_MEMORY\n77_[2-5]|PENDING\n")
    _note(waiting, waiting.shards[1], {"event": "start", "job": "77"})
    states = list_states(waiting)
    assert states["state"].tolist() == ["waiting", "failed"]
    first, second = states["message"]
    assert first == "SLURM says CANCELLED by 0"
    assert second.startswith("ended from outside")
    assert second.endswith("SLURM says OUT_OF_MEMORY")


def test_a_task_that_is_queued_again_is_queued(waiting, queue):
    for event in ({"event": "start"}, {"event": "end", "outcome": "stopped", "seconds": 1.0, "message": ""}):
        _note(waiting, waiting.shards[0], event)
    assert list_states(waiting)["state"].tolist() == ["queued", "queued"]
    (queue / "queued").write_text("77 1 PENDING None\n")
    states = list_states(waiting)
    assert states["state"].tolist() == ["stopped", "queued"]
    assert states["message"][1] == "PENDING"


@pytest.mark.parametrize("missing", ["squeue", "both"])
def test_files_alone_tell_where_no_queue_can_be_asked(waiting, queue, monkeypatch, missing):
    if missing == "squeue":
        (queue.parent / "programs" / "squeue").unlink()
    else:
        monkeypatch.setenv("PATH", "/nowhere")
    assert list_states(waiting)["state"].tolist() == ["waiting", "waiting"]
    assert ask_queue(waiting) == {}


def test_the_last_job_that_knows_a_shard_counts(waiting, queue):
    programs = queue.parent / "programs"
    for name, text in {"squeue": "78 0 RUNNING None", "sacct": "77_0|TIMEOUT\n77_1|NODE_FAIL"}.items():
        (programs / name).write_text(f"#!/bin/bash\necho '{text}'\n")
    note_job(waiting, "78", 2)
    assert ask_queue(waiting) == {0: "RUNNING", 1: "NODE_FAIL"}
    with (waiting.folder / "submitted.jsonl").open("a") as handle:
        handle.write('{"job": "7')  # killed while it wrote
    assert ask_queue(waiting) == {0: "RUNNING", 1: "NODE_FAIL"}
    (programs / "squeue").write_text("#!/bin/bash\necho '79 0 PENDING Priority'\n")
    note_job(waiting, "79", 1)
    assert set(ask_queue(waiting).values()) == {"PENDING (Priority)"}


def test_a_task_has_every_shard_of_its_step(waiting, queue):
    (queue / "queued").write_text("77 0 RUNNING None\n")
    (waiting.folder / "submitted.jsonl").write_text(json.dumps({"job": "77", "n_tasks": 1}) + "\n")
    assert ask_queue(waiting) == {0: "RUNNING", 1: "RUNNING"}


def test_a_job_begins_with_what_sets_it_up(faces, submit):
    code, _, err = submit("--script", "--setup", "module load cuda", command=EXTRACT)
    assert code == 0, err
    script = (Plan.read("store").folder / "job.sh").read_text()
    assert (
        script.index("#SBATCH --signal") < script.index("\nmodule load cuda\n") < script.index("\nexport OMP")
    )
    code, _, err = submit("--cluster", "local", "--setup", "true", "--dry-run", command=EXTRACT)
    assert code == 2
    assert "--setup is for the queue" in err


def test_a_result_that_is_gone_is_told(faces, submit, carry_out):
    submit("--script", "--shards", "2", command=EXTRACT)
    assert carry_out("store") == 0
    plan = Plan.read("store")
    shutil.rmtree(plan.place_of(plan.shards[1].result))
    states = list_states(plan)
    assert states["state"].tolist() == ["done", "failed"]
    assert states["message"].tolist() == ["", "what it left is gone or damaged"]
