"""A killed run goes on to the very same bits: killed in a step, in a write, and at random moments."""

import os
import runpy
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from fernet_neuro.models.weights import load_model
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.state import find_checkpoints, read_checkpoint
from tests.server import CONTEXT
from tests.training.conftest import make_settings, write_network

pytestmark = pytest.mark.slow

CENTRES = Path(__file__).with_name("centres.py")


def _start(settings, out, table):
    process = CONTEXT.Process(
        target=fit, args=(settings, out), kwargs={"table": table, "resume": True, "device": "cpu"}
    )
    process.start()
    return process


def _start_with_centres(settings, out, table):
    """As `_start`, with a loss that learns."""
    names = {"settings": settings, "out": out, "table": table}
    process = CONTEXT.Process(target=runpy.run_path, args=(str(CENTRES), names, "__main__"))
    process.start()
    return process


def _run_to_end(settings, out, table, start=_start):
    process = start(settings, out, table)
    process.join(60)
    return process.exitcode


def _check_same(settings, out, expected):
    """Same weights and, but for time, the same log."""
    model, reference = (load_model(folder, code=settings.model) for folder in (out, expected))
    assert model.weight_digest() == reference.weight_digest()
    logs = [pd.read_csv(folder / "log.csv") for folder in (out, expected)]
    steady = [column for column in logs[0] if column not in ("images_per_s", "seconds")]
    pd.testing.assert_frame_equal(logs[0][steady], logs[1][steady], check_exact=True)
    assert not [path for path in (out / "checkpoints").iterdir() if path.name.startswith(".")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, faces) -> tuple[TrainSettings, Path]:
    """Settings of a run that nothing interrupts, and the run; never change the files."""
    place = tmp_path_factory.mktemp("uninterrupted")
    settings = make_settings(write_network(place))
    assert _run_to_end(settings, place / "run", faces) == 0
    return settings, place / "run"


# Nine steps, checkpoints after 2, 3, 4, 6, 8 and 9: a kill in an epoch's first, middle and last step,
# before any checkpoint, and in the writing of a checkpoint within and at the end of an epoch.
@pytest.mark.parametrize(
    "plan", ["step 1", "step 3", "step 4", "step 6", "step 9", "write 1", "write 2", "write 4"]
)
def test_a_run_killed_at_any_step_or_write_resumes_to_the_same_bits(
    tmp_path, settings, faces, network, whole, plan
):
    _, uninterrupted = whole
    settings = settings.model_copy(update={"cache": "none"} if plan == "step 4" else {})
    if plan == "step 4":
        uninterrupted = tmp_path / "uncached"
        assert _run_to_end(settings, uninterrupted, faces) == 0
    out = tmp_path / "run"
    (network.parent / "kill").write_text(plan)
    assert _run_to_end(settings, out, faces) == -signal.SIGKILL
    assert not (out / "model").exists()
    assert _run_to_end(settings, out, faces) == 0
    _check_same(settings, out, uninterrupted)


# Two passes a step: killed between the two of the fifth step, after the checkpoint of the fourth.
def test_a_run_with_everything_on_resumes_to_the_same_bits(tmp_path, everything, faces, network):
    changes = {"augment": (*everything.augment, "random-crop"), "model": f"{network}:make_wide"}
    settings = everything.model_copy(update=changes)
    expected, out = tmp_path / "uninterrupted", tmp_path / "run"
    assert _run_to_end(settings, expected, faces, _start_with_centres) == 0
    (network.parent / "kill").write_text("step 10")
    assert _run_to_end(settings, out, faces, _start_with_centres) == -signal.SIGKILL
    assert [path.name for path in find_checkpoints(out / "checkpoints")] == ["step-00000003", "step-00000004"]
    assert _run_to_end(settings, out, faces, _start_with_centres) == 0
    _check_same(settings, out, expected)
    assert [path.name for path in find_checkpoints(out / "checkpoints")] == ["step-00000009"]
    centres = [read_checkpoint(folder / "checkpoints" / "step-00000009").loss for folder in (out, expected)]
    assert torch.equal(centres[0]["centres"], centres[1]["centres"])


# After `whole`, whose process waited for the server to begin: moments are shares of how long a run takes.
@pytest.mark.usefixtures("whole")
def test_a_run_killed_again_and_again_at_random_resumes_to_the_same_bits(tmp_path, settings, faces, rng):
    settings = settings.model_copy(update={"epochs": 10, "checkpoint_every": 1})
    expected, out = tmp_path / "uninterrupted", tmp_path / "run"
    started = time.monotonic()
    assert _run_to_end(settings, expected, faces) == 0
    duration = time.monotonic() - started
    n_kills = 0
    for _ in range(6):
        process = _start(settings, out, faces)
        process.join(rng.uniform(0.2, 0.6) * duration)
        if process.exitcode is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        n_kills += 1
    assert n_kills > 0
    assert _run_to_end(settings, out, faces) == 0
    _check_same(settings, out, expected)


def test_a_run_killed_after_its_last_checkpoint_still_finishes(tmp_path, faces, whole):
    settings, uninterrupted = whole
    out = shutil.copytree(uninterrupted, tmp_path / "run")
    record = out / "record.json"
    record.write_text(record.read_text().replace('"complete"', '"running"'))
    assert find_checkpoints(out / "checkpoints")
    assert _run_to_end(settings, out, faces) == 0
    _check_same(settings, out, uninterrupted)
