"""Extractions in shards: the same store, whatever happens on the way."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from fernet_neuro._utils.atomic import _clear, name_host
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.cluster.plan import Plan
from fernet_neuro.cluster.states import list_states
from fernet_neuro.cluster.work import AGAIN, FAILED
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.resolve import resolve_model

EXTRACT = (
    "extract", "resnet10-slim", "--size", "32", "--stimuli", "faces.csv", "--layer", "layer1", "--layer",
    "layer4", "--batch-size", "8", "--out", "store",
)  # fmt: skip


@pytest.fixture
def submit(submit):
    return partial(submit, command=EXTRACT)


@pytest.fixture
def whole(faces, tmp_path):
    """The store that one process makes."""
    network = resolve_model("resnet10-slim", size=32)
    return extract_activations(network, faces, ["layer1", "layer4"], tmp_path / "whole", batch_size=8)


def _assert_same(store, whole):
    assert store.key == whole.key
    assert store.stimuli == whole.stimuli
    assert store.unit_shapes == whole.unit_shapes
    for layer in whole:
        np.testing.assert_array_equal(store[layer].values, whole[layer].values)
        assert store[layer].values.dtype == whole[layer].values.dtype


def test_shards_are_one_store_bit_for_bit_and_copied_too(whole, submit, carry_out, run):
    assert submit("--shards", "3", "--script")[0] == 0
    assert carry_out("store") == 0
    assert run("merge", "store", "--keep-shards")[:2] == (0, "store: 3 shards are one.\n")
    store = ActivationStore.open("store")
    assert [shard.manifest["n_stimuli"] for shard in store.shards] == [24, 16, 10]
    _assert_same(store, whole)
    store.verify()
    _assert_same(store.take(["layer4"]), whole.take(["layer4"]))
    assert run("merge", "store")[0] == 0
    copied = ActivationStore.open("store")
    assert copied.shards == ()
    _assert_same(copied, whole)
    assert (Path("store") / "00_layer1.npy").read_bytes() == (whole.path / "00_layer1.npy").read_bytes()
    assert not list(Path("store").glob("shard-*"))
    assert run("merge", "store")[0] == 0  # done before
    assert run(*EXTRACT, "--json")[1].count('"is_reused": true') == 1


def test_a_changed_or_missing_shard_of_a_merged_store_is_found(whole, submit, carry_out, run):
    submit("--shards", "3", "--script")
    carry_out("store")
    run("merge", "store", "--keep-shards")
    values = Path("store/shard-00001/00_layer1.npy")
    content = bytearray(values.read_bytes())
    content[-3] ^= 1
    values.write_bytes(content)
    code, _, said = run("store", "show", "store", "--verify")
    assert code == 2
    assert "shard-00001: values in 00_layer1.npy (layer 'layer1') changed" in said
    assert run("merge", "store")[0] == 2  # a copy would hide it
    shutil.rmtree("store/shard-00002")
    assert "shard-00002 is missing" in run("store", "show", "store")[2]


def test_a_copy_that_the_disk_has_no_room_for_leaves_the_shards_as_one(
    whole, submit, carry_out, run, monkeypatch
):
    submit("--shards", "3", "--script")
    carry_out("store")
    full = shutil._ntuple_diskusage(10**9, 10**9, 100)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    code, _, said = run("merge", "store")
    assert code == 2
    assert "a copy of its shards needs 0.00 GB and " in said
    assert "store has 0.00 GB free; they can be read as one store where they are" in said
    assert "--keep-shards" in said
    _assert_same(ActivationStore.open("store"), whole)
    monkeypatch.undo()


@pytest.mark.slow
def test_a_merge_that_is_killed_between_two_names_loses_no_shard(whole, submit, carry_out, run):
    submit("--shards", "2", "--script")
    carry_out("store")
    _clear.cache_clear()  # as in a new process
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    hidden = Path(f".store.{name_host()}-{killed.pid}-abc.old")
    hidden.mkdir()
    Path("store").rename(hidden / "old")
    assert "2 done" in run("jobs", "store")[1]
    assert run("merge", "store")[0] == 0
    _assert_same(ActivationStore.open("store"), whole)


def test_what_is_missing_at_merge_is_listed(faces, submit, carry_out, run):
    submit("--shards", "4", "--script")
    carry_out("store", 0, 2)
    code, _, said = run("merge", "store")
    assert code == 2
    assert "2 of 4 shards of store are not done: 1 (rows 16:32), 3 (rows 48:50)" in said
    assert "2 shards" not in run("store", "show", "store")[2]
    assert "fernet-neuro merge" in run("store", "show", "store")[2]
    assert list_states(Plan.read("store"))["state"].tolist() == ["done", "waiting", "done", "waiting"]


def test_weights_changed_after_submit_are_refused_with_both_digests(faces, submit, run):
    network, weights = resolve_model("resnet10-slim", size=32), Path("weights.safetensors")
    save_file(network.module.state_dict(), weights)
    command = tuple(f"resnet10-slim@{weights}" if part == "resnet10-slim" else part for part in EXTRACT)
    assert submit("--shards", "2", "--script", command=command)[0] == 0
    before = hash_file(weights)
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    code, _, said = run("work", "store.jobs", "--shard", "1")
    assert code == 2
    assert f"{weights} has changed since the plan was made" in said
    assert f"digest {before[:12]}, now {hash_file(weights)[:12]}" in said
    assert not Path("store").exists()


def test_a_picture_changed_after_submit_is_told_by_its_shard(faces, submit, carry_out, tmp_path):
    submit("--shards", "2", "--script")
    shutil.copy(tmp_path / "faces" / "face00.png", tmp_path / "faces" / "face40.png")
    assert carry_out("store") == FAILED
    states = list_states(Plan.read("store"))
    assert states["state"].tolist() == ["done", "failed"]
    assert "have changed since that was planned" in states["message"][1]


def test_other_code_is_refused_unless_accepted(faces, submit, run):
    submit("--shards", "2", "--script")
    path = Path("store.jobs/plan.json")
    content = json.loads(path.read_text())
    content["versions"]["fernet-neuro"] = "0.0.9"
    path.write_text(json.dumps(content))
    code, _, said = run("work", "store", "--shard", "0")
    assert code == 2
    assert "fernet-neuro 0.0.9 -> 0.1.0" in said
    assert run("work", "store", "--shard", "0", "--accept-version")[0] == 0


def test_a_full_disk_fails_its_shard_and_is_tried_again(faces, submit, carry_out, run, monkeypatch):
    submit("--shards", "2", "--script")
    usage = shutil.disk_usage(".")._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        for _ in range(3):
            assert carry_out("store") == FAILED
    code, out, _ = run("jobs", "store")
    assert code == 0
    assert "2 failed" in out
    assert "GB free" in out
    assert not list(Path("store").glob("*"))
    assert carry_out("store") == FAILED  # its attempts are used up
    states = list_states(Plan.read("store"))
    assert states["attempts"].tolist() == [3, 3]


@pytest.mark.slow
def test_the_queue_gets_an_array_that_fits_and_then_only_what_is_not_done(
    faces, whole, submit, carry_out, run, queue, monkeypatch
):
    monkeypatch.setenv("MAX_ARRAY_SIZE", "2")
    (queue / "waits").touch()
    code, out, said = submit("--shards", "5", "--slurm", "partition=gpu,time=1:00:00")
    assert (code, said) == (0, "")
    assert "Submitted as job 77" in out
    assert (queue / "arrays").read_text() == "0,1\n"
    script = Path("store.jobs/job.sh").read_text()
    assert "#SBATCH --array=0-1\n" in script
    assert "#SBATCH --partition=gpu\n#SBATCH --time=1:00:00\n" in script
    assert carry_out("store", 0, 2) == 0
    assert "3 done" in run("jobs", "store")[1]
    for name in ("waits", "queued"):  # the other task was cancelled
        (queue / name).unlink()
    assert run("jobs", "store", "--retry", "unfinished")[0] == 0
    assert (queue / "arrays").read_text() == "0,1\n1\n"
    assert "5 done" in run("jobs", "store")[1], (queue / "output").read_text()
    assert run("merge", "store")[0] == 0
    _assert_same(ActivationStore.open("store"), whole)


def test_a_queue_that_refuses_is_quoted_and_the_plan_is_kept(faces, submit, carry_out, run, queue):
    (queue / "refuses").write_text("sbatch: error: invalid partition specified: gpuu\n")
    code, _, said = submit("--shards", "2", "--slurm", "partition=gpuu")
    assert code == 2
    assert "invalid partition specified: gpuu" in said
    assert len(said.splitlines()) == 1
    (queue / "refuses").unlink()
    (queue / "waits").touch()
    assert run("jobs", "store", "--retry", "unfinished")[0] == 0
    assert (queue / "arrays").read_text() == "0,1\n"
    assert carry_out("store") == 0
    assert "2 done" in run("jobs", "store")[1]


def test_a_disk_of_this_machine_alone_is_refused(faces, submit, queue, monkeypatch):
    monkeypatch.delenv("FERNET_NEURO_SHARED")
    code, _, said = submit("--shards", "2")
    assert code == 2
    assert "other machines do not see" in said


def test_no_queue_is_one_line(faces, submit, monkeypatch):
    monkeypatch.setenv("FERNET_NEURO_SHARED", "1")
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, said = submit("--shards", "2")
    assert code == 2
    assert "sbatch cannot be run" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("extract", "resnet10-slim", "--stimuli", "faces.csv", "--all-layers"), "Missing option '--out'"),
        (("models", "list"), "'models' cannot be submitted"),
        ((*EXTRACT, "--nonsense", "3"), "No such option: --nonsense"),
        ((*EXTRACT, "--slurm", "gpu"), "--slurm takes KEY=VALUE pairs"),
        ((*EXTRACT, "--cluster", "pbs"), "--cluster='pbs' is not known"),
    ],
)
def test_what_cannot_be_submitted_is_one_line(faces, run, arguments, expected):
    code, _, said = run("submit", *arguments)
    assert code == 2
    assert expected in said
    assert len(said.splitlines()) == 1


def test_a_plan_of_other_work_is_not_replaced(faces, submit):
    assert submit("--shards", "2", "--script")[0] == 0
    assert submit("--shards", "2", "--script")[0] == 0  # the same
    code, _, said = submit("--shards", "3", "--script")
    assert code == 2
    assert "holds a plan of other work" in said


def test_dry_run_writes_nothing(faces, submit):
    code, out, _ = submit("--shards", "2", "--dry-run")
    assert code == 0
    assert "2 shards: rows 0:32 to rows 32:50" in out
    assert "GB on disk" in out
    assert not Path("store.jobs").exists()


def _start_task() -> subprocess.Popen:
    """Start the job script as the first task of an array."""
    return subprocess.Popen(
        ["bash", "store.jobs/job.sh"],
        env={**os.environ, "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "0"},
        start_new_session=True,
    )


def _wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1200):
        if is_so():
            return
        time.sleep(0.05)
    raise TimeoutError("it did not come so far in a minute")


def _wait_for_batches(n: int) -> None:
    """Wait until a shard's journal holds some finished batches."""
    journals = Path("store")
    _wait_until(
        lambda: any(
            len(journal.read_text().splitlines()) >= n
            for journal in journals.glob(".shard-00000.*.partial/journal.jsonl")
        )
    )


@pytest.fixture
def slow(faces, submit, tmp_path):
    """A plan of one shard whose network takes a tenth of a second a picture."""
    code = (
        "import time\nimport torch\nfrom torch import nn\n"
        "class Slow(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(3, 4)\n"
        "    def forward(self, x):\n        time.sleep(0.1)\n        return self.fc(x.mean((2, 3)))\n"
        "def build():\n    torch.manual_seed(0)\n    return Slow()\n"
    )
    (tmp_path / "slow.py").write_text(code)
    command = (
        "extract", "slow.py:build", "--size", "32", "--input", "-1-1",
        "--stimuli", "faces.csv", "--layer", "fc", "--batch-size",
        "1", "--out", "store",
    )  # fmt: skip
    assert submit("--shards", "1", "--script", command=command)[0] == 0


@pytest.mark.slow
def test_a_signal_stops_a_shard_which_goes_on_at_its_row(slow, carry_out):
    def stop() -> None:
        _wait_for_batches(4)
        os.kill(os.getpid(), signal.SIGUSR1)

    helper = threading.Thread(target=stop)
    helper.start()
    assert carry_out("store") == AGAIN
    helper.join()
    (state,) = list_states(Plan.read("store")).to_dict("records")
    assert (state["state"], state["message"], state["attempts"]) == ("stopped", "", 1)
    (journal,) = Path("store").glob(".shard-00000.*.partial/journal.jsonl")
    assert 4 <= len(journal.read_text().splitlines()) < 50
    kept = journal.parent.stat().st_ino
    assert carry_out("store") == 0
    assert Path("store/shard-00000").stat().st_ino == kept  # the same folder, gone on with
    assert ActivationStore.open("store/shard-00000").manifest["n_stimuli"] == 50


@pytest.mark.slow
def test_a_task_that_is_killed_or_out_of_time_is_queued_again_and_goes_on(slow, queue):
    task = _start_task()
    _wait_for_batches(3)
    os.killpg(task.pid, signal.SIGKILL)
    task.wait(timeout=60)
    _wait_until(lambda: list_states(Plan.read("store"))["state"].tolist() != ["running"])
    (state,) = list_states(Plan.read("store")).to_dict("records")
    assert (state["state"], state["message"]) == ("failed", "ended from outside, perhaps for want of memory")

    task = _start_task()
    _wait_for_batches(6)
    task.send_signal(signal.SIGUSR1)  # SLURM tells the script that the time limit is near
    assert task.wait(timeout=60) == AGAIN
    assert (queue / "requeued").read_text() == "77_0\n"
    (state,) = list_states(Plan.read("store")).to_dict("records")
    assert (state["state"], state["message"], state["attempts"]) == ("stopped", "", 2)

    assert _start_task().wait(timeout=60) == 0
    log = Path("store.jobs/logs/00000.log").read_text()
    gone_on = [int(number) for number in re.findall(r"going on after (\d+) of 50 stimuli", log)]
    assert len(gone_on) == 2
    assert 3 <= gone_on[0] < gone_on[1]
    assert ActivationStore.open("store/shard-00000").manifest["n_stimuli"] == 50
