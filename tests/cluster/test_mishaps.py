"""What goes wrong on real clusters: signals, cancelled jobs, other code, folders that were moved."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import pandas as pd
import pytest

from fernet_neuro._utils.atomic import name_host
from fernet_neuro._utils.claims import claiming, is_claimed
from fernet_neuro._utils.programs import ask_program
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.cluster.kinds import merge
from fernet_neuro.cluster.plan import (
    MOST_FAILURES,
    MOST_STOPS,
    Plan,
    Shard,
    fingerprint,
    list_versions,
    stamp,
)
from fernet_neuro.cluster.states import list_states
from fernet_neuro.cluster.submit import (
    SCRIPT_NAME,
    format_script,
    read_options,
    retry,
    run_locally,
    submit_to_slurm,
)
from fernet_neuro.cluster.work import AGAIN, DONE, FAILED, work
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.analysis.calibration import P_VALUE_COLUMNS

EXTRACT = (
    "extract", "resnet10-slim", "--size", "32", "--stimuli", "faces.csv", "--layer", "layer4",
    "--batch-size", "32", "--out", "store",
)  # fmt: skip


@pytest.fixture
def submit(submit):
    return partial(submit, "--shards", "2", command=EXTRACT)


@pytest.fixture
def two_shards(tmp_path):
    """A plan of two shards that are done when their command line ends well."""
    shards = tuple(Shard(k, "networks", ("run",), f"out.jobs/shards/{k}.done") for k in (0, 1))
    plan = Plan("run", ("recipe.yaml",), "out", str(tmp_path), shards, versions=list_versions())
    plan.write()
    return plan


def test_a_signal_at_the_very_end_of_a_shard_leaves_the_next_one_alone(two_shards):
    def execute(_arguments: list[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(5)
        except KeyboardInterrupt:
            pass  # too late to stop anything
        return DONE

    assert work(two_shards, 0, 1, execute) == AGAIN
    assert list_states(two_shards)["state"].tolist() == ["done", "waiting"]


def test_a_signal_between_two_shards_stops_too(two_shards, monkeypatch):
    def check(_plan: Plan, **_options: bool) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(5)

    monkeypatch.setattr(Plan, "check", check)
    assert work(two_shards, 0, 1, lambda _arguments: DONE) == AGAIN
    assert list_states(two_shards)["state"].tolist() == ["waiting", "waiting"]


@pytest.mark.parametrize(("sent", "requeued"), [(signal.SIGUSR1, "77_0\n"), (signal.SIGTERM, None)])
def test_a_task_out_of_time_is_queued_again_but_not_a_cancelled_one(
    two_shards, queue, monkeypatch, tmp_path, sent, requeued
):
    program = tmp_path / "program"
    program.write_text(
        f"trap 'exit {AGAIN}' USR1 TERM\ntouch '{tmp_path}/begun'\nwhile :; do sleep 0.05; done\n"
    )
    monkeypatch.setattr("fernet_neuro.cluster.submit._program", lambda: ["bash", str(program)])
    script = tmp_path / "job.sh"
    script.write_text(format_script(two_shards, {}))
    task = subprocess.Popen(
        ["bash", str(script)],
        env={**os.environ, "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "0"},
    )
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    task.send_signal(sent)
    assert task.wait(timeout=30) == AGAIN
    notes = queue / "requeued"
    assert (notes.read_text() if notes.exists() else None) == requeued


def test_sbatch_reads_names_with_spaces_and_signs_of_its_own(tmp_path):
    plan = Plan("run", (), "50 %A/out", str(tmp_path / "my faces"), (Shard(0, "", (), ""),))
    lines = [shlex.split(line) for line in format_script(plan, {"comment": "two words"}).splitlines()[:12]
             if line.startswith("#SBATCH ")]  # fmt: skip
    assert all(len(line) == 2 for line in lines)
    given = dict(line[1].removeprefix("--").partition("=")[::2] for line in lines)
    assert given["output"] == f"{tmp_path}/my faces/50 %%A/out.jobs/logs/slurm-%A_%a.out"
    assert given["comment"] == "two words"
    assert "requeue" in given  # clusters may have it off


@pytest.mark.parametrize(
    ("command", "more", "expected"),
    [
        ((*EXTRACT, "--rows", "0:32"), (), "--rows: every shard gets its own"),
        ((*EXTRACT, "--expect=abc"), (), "--expect: every shard gets its own"),
        ((*EXTRACT, "--all-layers"), (), "name layers with --layer NAME"),
        (("probe", "store", "--out", "results"), (), "name layers with --layer NAME"),
        (("calibrate", "--like", "a", "--first", "10", "--out", "c.json"), (), "--first: every shard"),
        (("calibrate", "--like", "a", "--p-values", "p.csv", "--out", "c.json"), (), "--p-values: every"),
        (EXTRACT, ("--slurm", "array=0-1%1"), "--slurm array=... is set by the job script"),
        ((*EXTRACT, "--device", "nonsense"), (), "device='nonsense' is not known"),
        (EXTRACT, ("--cluster", "local", "--slurm", "mem=16G"), "--slurm is for the queue"),
    ],
)
def test_what_would_be_lost_without_a_word_is_refused(faces, run, command, more, expected):
    code, _, said = run("submit", *command, *more, "--script")
    assert code == 2
    assert expected in said
    assert not list(Path().glob("*.jobs"))


def test_a_login_node_needs_no_accelerator(faces, submit):
    assert submit("--script", command=(*EXTRACT, "--device", "cuda"))[0] == 0
    shards = Plan.read("store").shards
    assert all(shard.arguments[shard.arguments.index("--device") + 1] == "cuda" for shard in shards)


def test_memory_of_jobs_on_another_device_is_that_of_whole_batches(faces, submit, monkeypatch):
    monkeypatch.setattr("fernet_neuro.extraction.plan._IN_WORK", 1)
    command = (*EXTRACT, "--batch-size", "16")
    assert "batches of 8, cpu" in submit("--dry-run", command=command)[1]
    assert "batches of 16, cpu" in submit("--dry-run", command=(*command, "--device", "cuda"))[1]


@pytest.fixture
def on_an_accelerator(monkeypatch):
    """Return what holds networks to how they run on accelerators, where pictures keep their order."""

    @contextmanager
    def hold():
        with monkeypatch.context() as patch:
            patch.setattr("fernet_neuro.extraction.plan._takes_channels_last", lambda *_: False)
            yield

    return hold


def test_what_a_machine_without_accelerator_plans_is_made_on_one(
    faces, submit, carry_out, run, on_an_accelerator
):
    submit("--script")
    with on_an_accelerator():
        assert carry_out("store") == DONE
        assert run("merge", "store", "--keep-shards")[0] == 0
        assert json.loads(run(*EXTRACT, "--json")[1])["is_reused"]
    assert run("merge", "store")[0] == 0
    assert "memory_format" not in ActivationStore.open("store").manifest["identity"]


def test_shards_of_two_kinds_of_device_are_no_store(faces, submit, carry_out, run, on_an_accelerator):
    submit("--script")
    carry_out("store", 0, 2)
    with on_an_accelerator():
        carry_out("store", 1, 2)
    code, _, said = run("merge", "store")
    assert code == 2
    assert "1 shards of" in said
    assert "were made on another kind of device than the first (cpu): shard-00001" in said


def _say_made_on(device: str) -> None:
    path = Path("store/shard-00001/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "device": device}))


def test_shards_whose_pictures_lie_alike_are_told_apart_by_their_device(faces, submit, carry_out, run):
    submit("--script")
    carry_out("store")
    _say_made_on("cuda:1")
    code, _, said = run("merge", "store")
    assert code == 2
    assert "were made on another kind of device than the first (cpu): shard-00001" in said
    _say_made_on("cpu:1")  # another one of that kind
    assert run("merge", "store")[0] == 0


def test_precision_of_accelerators_is_planned_without_one(faces, submit):
    assert submit("--script", command=(*EXTRACT, "--device", "cuda", "--precision", "tf32"))[0] == 0
    keys = [shard.key for shard in Plan.read("store").shards]
    shutil.rmtree("store.jobs")
    assert submit("--script", command=(*EXTRACT, "--device", "cuda"))[0] == 0
    assert set(keys).isdisjoint(shard.key for shard in Plan.read("store").shards)


def test_what_is_done_is_not_handed_over_again(faces, submit, carry_out, queue):
    submit("--script")
    carry_out("store")
    code, out, _ = submit()
    assert code == 0
    assert "All shards are done; put together with: fernet-neuro merge store" in out
    assert not (queue / "arrays").exists()


def test_shards_of_two_versions_do_not_become_one_result(faces, submit, carry_out):
    submit("--script")
    path = Path("store.jobs/plan.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "versions": {**content["versions"], "torch": "1.0.0"}}))
    assert submit("--script")[0] == 0  # nothing was made yet
    carry_out("store", 0, 2)
    path.write_text(json.dumps({**content, "versions": {**content["versions"], "torch": "1.0.0"}}))
    code, _, said = submit("--script")
    assert code == 2
    assert "shards in" in said
    assert "were made with other code: torch 1.0.0 -> " in said


def test_a_plan_that_was_moved_is_told(faces, submit, run):
    submit("--script")
    Path("elsewhere").mkdir()
    shutil.move("store.jobs", "elsewhere")
    code, _, said = run("jobs", "elsewhere/store.jobs")
    assert code == 2
    assert f"was {Path.cwd() / 'store.jobs'} when the plan was made" in said


def _claim_for(place: Path, **owner: object) -> None:
    place.mkdir()
    (place / "owner.json").write_text(json.dumps({"host": name_host(), "pid": 0, "job": None, **owner}))


def test_a_claim_of_the_same_task_is_free_where_that_was_queued_again_and_not_beside_it(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    beside = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        _claim_for(tmp_path / "beside", pid=beside.pid, job="77_3")
        _claim_for(tmp_path / "before", host="abcdef", pid=beside.pid, job="77_3")
        _claim_for(tmp_path / "other", host="abcdef", pid=beside.pid, job="77_4")
        assert [is_claimed(tmp_path / name) for name in ("beside", "before", "other")] == [True, False, True]
    finally:
        beside.communicate(b"\n")
    assert not is_claimed(tmp_path / "beside")


def test_a_claim_that_was_lost_is_not_taken_from_its_new_owner(tmp_path):
    place = tmp_path / "claim"
    with claiming(place) as is_ours:
        assert is_ours
        shutil.rmtree(place)
        _claim_for(place, host="abcdef", pid=1)
    assert is_claimed(place)


def test_rates_of_a_built_in_table_are_merged_from_anywhere(tmp_path, monkeypatch):
    asked = []

    def calibrate(**given: object) -> NoReturn:
        asked.append((Path.cwd(), given["like"], given["stimuli"], len(given["p_values"])))
        raise ValueError("that is enough")

    monkeypatch.setattr("fernet_neuro.door.calibrate.calibrate", calibrate)
    shard = Shard(0, "data sets 0:10", (), "part.csv")
    facts = {"like": "analysis", "stimuli": "builtin"}
    plan = Plan("calibrate", (), "out.json", str(tmp_path), (shard,), facts=facts)
    row = {
        name: ["0" if name == "dataset" else "0.5" if name == "p_value" else "a"] for name in P_VALUE_COLUMNS
    }
    pd.DataFrame(row).to_csv(tmp_path / "part.csv", index=False)
    monkeypatch.chdir("/")
    with pytest.raises(ValueError, match="that is enough"):
        merge(plan)
    assert asked == [(tmp_path, "analysis", "builtin", 1)]
    assert Path.cwd() == Path("/")


def test_a_stopped_shard_says_how_to_go_on(two_shards, run):
    def execute(_arguments: list[str]) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return DONE

    assert work(two_shards, 0, 1, execute) == AGAIN
    assert "--retry unfinished" in run("jobs", two_shards.folder)[1]


def test_what_waits_says_where_a_job_that_never_began_left_its_words(faces, submit, run):
    submit("--script", command=EXTRACT)
    code, said, _ = run("jobs", "store")
    assert code == 0
    assert "store: 2 waiting" in said
    assert f"(squeue), or ended before they began: see {Path.cwd() / 'store.jobs' / 'logs'}" in said


def test_words_are_not_taken_for_folders_of_that_name(faces, submit):
    Path("layer4").mkdir()
    submit("--script")
    assert set(Plan.read("store").inputs) == {"faces.csv"}


def test_fewer_shards_than_asked_for_are_told_with_the_reason(faces, submit):
    _, said, _ = submit("--shards", "90", "--dry-run", command=EXTRACT)
    n_rows, n_batch = 50, int(EXTRACT[EXTRACT.index("--batch-size") + 1])
    n_shards = -(-n_rows // n_batch)
    assert f"{n_shards} shards: rows 0:{n_batch} to " in said
    assert ", not 90: none holds less than a batch of pictures (--batch-size)" in said
    assert "not 2" not in submit("--shards", "2", "--dry-run", command=EXTRACT)[1]


def test_options_of_the_queue_may_have_commas():
    given = "partition=gpu,exclude=node[1,3-5], gres=gpu:1,export=ALL,TMP=/scratch"
    assert read_options(given) == {
        "partition": "gpu", "exclude": "node[1,3-5]", "gres": "gpu:1", "export": "ALL,TMP=/scratch",
    }  # fmt: skip


def test_tasks_at_once_are_limited_by_the_queue_too(faces, submit, queue):
    (queue / "waits").touch()
    assert submit("--shards", "2", "--at-once", "1")[0] == 0
    assert (queue / "arrays").read_text() == "0,1%1\n"
    assert "--array=0-1%1" in Path("store.jobs/job.sh").read_text()


def test_a_shard_that_was_stopped_too_often_is_given_up_and_says_so(two_shards):
    notes = two_shards.folder / "attempts" / "00000.jsonl"
    notes.parent.mkdir()
    ends = {"event": "end", "outcome": "stopped", "code": None, "seconds": 1.0, "message": ""}
    notes.write_text("".join(f"{json.dumps(line)}\n" for line in ({"event": "start"}, ends)) * MOST_STOPS)
    states = list_states(two_shards)
    assert states["state"].tolist() == ["failed", "waiting"]
    assert states["message"][0].startswith("given up: stopped 20 times")
    assert work(two_shards, 0, 2, lambda _arguments: DONE) == FAILED
    retry(two_shards, [0])
    assert work(two_shards, 0, 2, lambda _arguments: DONE) == DONE
    assert list_states(two_shards)["message"][0] == ""


def test_a_shard_whose_process_was_killed_too_often_is_given_up(two_shards):
    notes = two_shards.folder / "attempts" / "00000.jsonl"
    notes.parent.mkdir()
    notes.write_text('{"event": "start"}\n' * MOST_FAILURES)
    assert work(two_shards, 0, 2, lambda _arguments: DONE) == FAILED
    assert list_states(two_shards)["attempts"].tolist() == [MOST_FAILURES, 0]


def test_only_what_is_not_done_is_handed_over(two_shards, queue):
    assert work(two_shards, 0, 2, lambda _arguments: DONE) == DONE
    (two_shards.folder / SCRIPT_NAME).write_text(format_script(two_shards, {}))
    submit_to_slurm(two_shards)
    assert (queue / "arrays").read_text() == "1\n"


def test_tasks_are_counted_as_in_the_job_script_whatever_the_queue_says_now(two_shards, queue, monkeypatch):
    (queue / "waits").touch()
    script = two_shards.folder / SCRIPT_NAME
    with monkeypatch.context() as patch:
        patch.setenv("MAX_ARRAY_SIZE", "1")
        script.write_text(format_script(two_shards, {}))
    submit_to_slurm(two_shards)
    assert (queue / "arrays").read_text() == "0\n"
    script.unlink()
    with pytest.raises(StoreError, match="is gone or was changed"):
        submit_to_slurm(two_shards)


def test_a_queue_that_does_not_say_its_limit_is_not_waited_for(two_shards, queue, monkeypatch):
    (queue.parent / "programs" / "scontrol").write_text("#!/bin/bash\nexec sleep 60\n")
    monkeypatch.setattr("fernet_neuro.cluster.submit.ask_program", partial(ask_program, seconds=0.5))
    start = time.monotonic()
    assert "#SBATCH --array=0-1\n" in format_script(two_shards, {})
    assert time.monotonic() - start < 30


def test_a_job_that_sbatch_does_not_hand_over_in_time_may_be_there(faces, submit, queue, monkeypatch):
    (queue.parent / "programs" / "sbatch").write_text("#!/bin/bash\nexec sleep 60\n")
    monkeypatch.setattr("fernet_neuro.cluster.submit._SBATCH_SECONDS", 0.5)
    code, _, said = submit("--shards", "2", command=EXTRACT)
    assert code == 2
    assert "sbatch gave no answer within 0.5 s" in said
    assert "squeue --me tells whether the job is there" in said
    assert f"if it is not, hand it over with: sbatch {Path.cwd() / 'store.jobs' / 'job.sh'}" in said


@pytest.mark.parametrize(
    ("arguments", "told", "seen"),
    [
        (("--device", "cuda"), None, ["0", "1"]),
        ((), "5,3,4", ["5", "3"]),
        (("--device", "cuda:1"), None, ["", ""]),
        ((), "-1", ["-1", "-1"]),
    ],
)
def test_processes_of_one_machine_share_its_gpus(two_shards, monkeypatch, tmp_path, arguments, told, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if told is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text('#!/bin/bash\nfor k in 0 1; do echo "GPU $k: H200 (UUID: GPU-$k)"; done\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    program = tmp_path / "program"
    program.write_text(f'echo "$CUDA_VISIBLE_DEVICES" > "{tmp_path}/seen-$6"\n')
    monkeypatch.setattr("fernet_neuro.cluster.submit._program", lambda: ["bash", str(program)])
    assert run_locally(replace(two_shards, arguments=arguments, at_once=2)) == 0
    assert [(tmp_path / f"seen-{number}").read_text().strip() for number in range(2)] == seen


def test_inputs_are_read_again_only_where_size_or_time_changed(two_shards, monkeypatch, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "a").write_text("1")
    found = {"inputs": {"weights": fingerprint(weights)}, "stamps": {"weights": stamp(weights)}}
    plan = replace(two_shards, **found)
    with monkeypatch.context() as patch:
        patch.setattr("fernet_neuro.cluster.plan.fingerprint", None)
        plan.check()
    os.utime(weights / "a", (1, 1))
    plan.check()
    (weights / "a").write_text("2")
    with pytest.raises(StoreError, match="weights has changed since the plan was made"):
        plan.check()
