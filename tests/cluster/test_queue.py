"""What SLURM says of tasks is told beside what their files say."""

import json
import shutil
import subprocess

import pytest

from fernet_neuro._utils.claims import claiming
from fernet_neuro._utils.json_files import read_lines
from fernet_neuro._utils.programs import Answer
from fernet_neuro.cluster.plan import MOST_FAILURES, MOST_STOPS, Plan
from fernet_neuro.cluster.queue import ask_queue, note_job
from fernet_neuro.cluster.states import _BEGUN, _TO_COME, list_states
from fernet_neuro.cluster.submit import submit_again
from fernet_neuro.cluster.work import _note, read_notes
from fernet_neuro.exceptions import StoreError
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


def test_the_same_submit_again_leaves_out_what_is_queued_or_running(waiting, queue, submit):
    before = (queue / "arrays").read_text()
    code, said, err = submit("--shards", "2", command=EXTRACT)
    assert code == 0, err
    assert "Queued or running, and not submitted again: 2 of 2 shards.\nSee: fernet-neuro jobs store" in said
    assert "written anew" not in said
    assert (queue / "arrays").read_text() == before
    (queue / "queued").unlink()
    with claiming(waiting.folder / "claims" / "00000"):
        said = submit("--shards", "2", "--slurm", "time=1:00:00", command=EXTRACT)[1]
    assert f"{waiting.folder / 'job.sh'} was written anew, with the options given now alone." in said
    assert "not submitted again: 1 of 2 shards.\nSubmitted as job 77" in said
    assert (queue / "arrays").read_text() == f"{before}1\n"


KILLED = ({"event": "start", "job": "77"},)
FAILED = (*KILLED, {"event": "end", "outcome": "failed", "code": 1, "seconds": 1.0, "message": "no room"})
STOPPED = (*KILLED, {"event": "end", "outcome": "stopped", "code": 75, "seconds": 1.0, "message": ""})


def _note_all(plan, lines):
    for line in lines:
        _note(plan, plan.shards[0], line)


@pytest.mark.parametrize("lines", [(), STOPPED, KILLED, FAILED], ids=["new", "stopped", "killed", "failed"])
def test_what_slurm_holds_is_queued_by_any_of_its_words(waiting, queue, lines):
    _note_all(waiting, lines)
    (queue / "ended").write_text("77_0|NODE_FAIL\n")  # squeue has the last word
    found = {}
    for word in (*_TO_COME, *_BEGUN):
        (queue / "queued").write_text(f"77 0 {word} BeginTime\n")
        found[word] = list_states(waiting)["state"][0]
    assert {found[word] for word in _TO_COME} == {"queued"}
    assert {found[word] for word in _BEGUN} == {"failed" if lines == FAILED else "queued"}


@pytest.mark.parametrize("wanted", ["failed", "unfinished"])
def test_a_killed_task_that_is_queued_again_is_not_handed_over_again(waiting, queue, run, wanted):
    _note_all(waiting, KILLED)
    (queue / "queued").write_text("77 0 PENDING BeginTime\n77 1 PENDING Priority\n")
    before = (queue / "arrays").read_text()
    assert "2 queued" in run("jobs", "store", "--retry", wanted)[1]
    assert (queue / "arrays").read_text() == before


def test_words_of_the_queue_are_those_of_slurm():
    held = {"PENDING", "CONFIGURING", "RUNNING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SUSPENDED"}
    assert held | {"STOPPED", "COMPLETING", "STAGE_OUT"} <= {*_TO_COME, *_BEGUN}
    over = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
    assert over.isdisjoint((*_TO_COME, *_BEGUN))


def test_what_is_given_up_is_failed_whatever_is_queued(waiting, queue):
    _note_all(waiting, KILLED * MOST_FAILURES)
    state = list_states(waiting).iloc[0]
    assert state["state"] == "failed"
    assert state["message"].endswith("SLURM says PENDING (Priority)")


def _refuse(queue, monkeypatch):
    (queue / "refuses").write_text("sbatch: error: Invalid partition\n")


def _be_missing(queue, monkeypatch):
    (queue.parent / "programs" / "sbatch").unlink()


def _be_late(queue, monkeypatch):
    (queue.parent / "programs" / "sbatch").write_text("#!/bin/bash\nexec sleep 60\n")
    monkeypatch.setattr("fernet_neuro.cluster.submit._SBATCH_SECONDS", 0.3)


@pytest.mark.parametrize("spoil", [_refuse, _be_missing, _be_late])
@pytest.mark.parametrize("lines", [FAILED, KILLED * MOST_FAILURES, STOPPED * MOST_STOPS])
def test_failures_are_told_until_the_queue_has_the_shard_again(
    waiting, queue, run, monkeypatch, spoil, lines
):
    (queue / "queued").write_text("77 1 PENDING Priority\n")
    _note_all(waiting, lines)
    before = list_states(waiting).iloc[0].to_dict()
    assert before["state"] == "failed"
    sbatch = queue.parent / "programs" / "sbatch"
    kept = sbatch.read_bytes()
    with monkeypatch.context() as patch:
        spoil(queue, patch)
        for _ in range(2):
            assert run("jobs", "store", "--retry", "failed")[0] == 2
            assert list_states(waiting).iloc[0].to_dict() == before
    assert not read_notes(waiting, waiting.shards[0]).is_given_up  # where it is handed over by hand
    (queue / "refuses").unlink(missing_ok=True)
    sbatch.write_bytes(kept)
    sbatch.chmod(0o755)
    assert "Submitted as job 77" in run("jobs", "store", "--retry", "failed")[1]
    assert list_states(waiting)["state"].tolist() == ["queued", "queued"]
    (queue / "queued").unlink()
    assert list_states(waiting).iloc[0][["state", "attempts", "message"]].tolist() == ["waiting", 0, ""]


def test_a_task_that_starts_before_sbatch_answers_counts_anew(waiting, queue, monkeypatch, carry_out):
    def start_at_once(_command, **_options):
        assert carry_out("store", 0, 2) == 0
        return Answer("done", "77\n")

    (queue / "queued").unlink()
    monkeypatch.setattr("fernet_neuro.cluster.submit.run_program", start_at_once)
    _note_all(waiting, KILLED * MOST_FAILURES)
    assert submit_again(waiting, [0]) == "77"
    assert list_states(waiting).iloc[0][["state", "attempts"]].tolist() == ["done", 1]


def test_what_was_asked_for_again_and_is_handed_over_by_hand_is_queued(waiting, queue, run):
    _note_all(waiting, KILLED * MOST_FAILURES)
    _refuse(queue, None)
    run("jobs", "store", "--retry", "failed")
    (queue / "queued").write_text("77 0 PENDING Priority\n")
    assert list_states(waiting)["state"][0] == "queued"


def test_what_sbatch_says_is_a_sentence_of_its_own(waiting, queue, run):
    (queue / "queued").unlink()
    for said in ("Invalid partition", "Invalid partition."):
        (queue / "refuses").write_text(f"{said}\n")
        err = run("jobs", "store", "--retry", "unfinished")[2]
        assert "sbatch refuses: Invalid partition. The plan is kept; submit it again with another" in err


def test_an_attempt_that_is_killed_after_a_stop_counts_as_killed(waiting, queue):
    (queue / "queued").unlink()
    _note_all(waiting, STOPPED + KILLED)
    notes = read_notes(waiting, waiting.shards[0])
    assert (notes.was_killed, notes.was_stopped, notes.failures, notes.stops) == (True, False, 1, 1)
    state = list_states(waiting).iloc[0]
    assert (state["state"], state["message"]) == ("failed", "ended from outside, perhaps for want of memory")


def test_a_retry_that_finds_nothing_says_so_beside_json(waiting, run):
    assert "Nothing is failed that could be tried again." in run("jobs", "store", "--retry", "failed")[1]
    _, said, err = run("jobs", "store", "--retry", "unfinished", "--json")
    assert len(json.loads(said)["shards"]) == 2
    assert "Nothing is unfinished" in err


def test_a_retry_on_this_machine_ends_with_its_exit_code(faces, submit, run, monkeypatch):
    said = submit("--cluster", "local", "--script", "--shards", "2", command=EXTRACT)[1]
    assert "start it with: fernet-neuro jobs store --retry unfinished" in said
    monkeypatch.setattr("fernet_neuro.cluster.submit._program", lambda: ["bash", "-c", "exit 2"])
    code, said, _ = run("jobs", "store", "--retry", "unfinished")
    assert code == 2
    assert "store: 2 waiting" in said


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


@pytest.fixture
def be_task(monkeypatch):
    """Return what makes this process a task of an array."""

    def be(job: str, task: str) -> None:
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", job)
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)

    return be


def test_a_task_notes_the_array_that_was_handed_over_by_hand(faces, queue, submit, carry_out, run, be_task):
    submit("--script", "--shards", "2", command=EXTRACT)
    plan = Plan.read("store")
    (queue / "queued").write_text("77 1 PENDING Resources\n")
    assert list_states(plan)["state"].tolist() == ["waiting", "waiting"]  # which array it is, nobody knows
    be_task("77", "0")
    assert carry_out("store", 0, 2) == 0
    assert list_states(plan)["state"].tolist() == ["done", "queued"]
    run("jobs", "store", "--retry", "unfinished")
    assert not (queue / "arrays").exists()
    be_task("77", "1")
    assert carry_out("store", 1, 2) == 0
    assert read_lines(plan.folder / "submitted.jsonl") == [{"job": "77", "n_tasks": 2}]


def test_a_job_that_submit_handed_over_is_noted_once(waiting, carry_out, be_task):
    be_task("77", "0")
    assert carry_out("store", 0, 2) == 0
    note_job(waiting, "77", 2)
    assert read_lines(waiting.folder / "submitted.jsonl") == [{"job": "77", "n_tasks": 2}]


@pytest.mark.parametrize(
    ("task", "options"),
    [("3", ("--script",)), ("", ("--script",)), ("0", ("--cluster", "local", "--script"))],
    ids=["another-array", "no-array", "on-this-machine"],
)
def test_arrays_of_other_scripts_are_not_noted(faces, submit, carry_out, be_task, task, options):
    submit(*options, "--shards", "2", command=EXTRACT)
    be_task("77", task)
    assert carry_out("store", 0, 2) == 0
    assert not (Plan.read("store").folder / "submitted.jsonl").exists()


def test_a_task_whose_plan_no_longer_holds_is_known_to_the_queue(faces, queue, submit, carry_out, be_task):
    submit("--script", "--shards", "2", command=EXTRACT)
    faces.write_text(faces.read_text() + "\n")
    (queue / "ended").write_text("77_0|FAILED\n")
    be_task("77", "0")
    with pytest.raises(StoreError, match="has changed since the plan was made"):
        carry_out("store", 0, 2)
    assert list_states(Plan.read("store"))["message"].tolist() == ["SLURM says FAILED", ""]


@pytest.mark.slow
def test_the_job_script_given_to_sbatch_by_hand_is_known_once_it_ran(faces, queue, submit):
    submit("--script", "--shards", "2", command=EXTRACT)
    subprocess.run(["sbatch", "store.jobs/job.sh"], check=True, capture_output=True)
    plan = Plan.read("store")
    assert list_states(plan)["state"].tolist() == ["done", "done"], (queue / "output").read_text()
    assert read_lines(plan.folder / "submitted.jsonl") == [{"job": "77", "n_tasks": 2}]


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
    code, _, err = submit("--script", "--setup", "  ", command=EXTRACT)
    assert code == 2
    assert "--setup is blank" in err


def test_a_result_that_is_gone_is_told(faces, submit, carry_out):
    submit("--script", "--shards", "2", command=EXTRACT)
    assert carry_out("store") == 0
    plan = Plan.read("store")
    shutil.rmtree(plan.place_of(plan.shards[1].result))
    states = list_states(plan)
    assert states["state"].tolist() == ["done", "failed"]
    assert states["message"].tolist() == ["", "what it left is gone or damaged"]
