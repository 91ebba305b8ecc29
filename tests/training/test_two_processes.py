"""Two processes that share each batch give the losses of one."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fernet_neuro._utils.config import write_settings
from fernet_neuro.models.weights import load_model
from tests.server import CONTEXT

pytestmark = pytest.mark.slow

CENTRES = Path(__file__).with_name("centres.py")

# Accelerate's launcher for tests forks: one start-up serves all processes.
SCRIPT = """
import os
import runpy
os.environ |= {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
from accelerate import debug_launcher
from fernet_neuro._utils.config import read_settings
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training import expression
from fernet_neuro.training.fit import fit

expression.make_expression = runpy.run_path(task)["make_centres"]
settings = read_settings(TrainSettings, folder + "/recipe.yaml")
debug_launcher(fit, (settings, folder + "/two"), num_processes=2)
fit(settings, folder + "/one", device="cpu")
"""


@pytest.fixture
def plain(tmp_path, faces, settings):
    """No dropout, and no batch normalisation: on the CPU its statistics are each process's own."""
    changes = {"model": settings.model + "_plain", "class_weights": "balanced", "epochs": 2}
    changes |= {"log_every": 1, "stimuli": str(faces.root / "table.csv")}
    plain = settings.model_copy(update=changes)
    write_settings(plain, tmp_path / "recipe.yaml")
    return plain


def _run(command, folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _check_same(folder, code):
    logs = [pd.read_csv(folder / name / "log.csv") for name in ("one", "two")]
    assert logs[0][["step", "split"]].equals(logs[1][["step", "split"]])
    assert (logs[0]["split"] == "batch").sum() >= 6
    for column in ("loss", "accuracy", "balanced_accuracy", "lr"):
        np.testing.assert_allclose(logs[0][column], logs[1][column], rtol=1e-5)
    one, two = (load_model(folder / name, code=code).module.state_dict() for name in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-5)


def test_two_processes_give_the_losses_of_one_with_everything_on(tmp_path, plain, everything):
    changes = {key: getattr(plain, key) for key in ("model", "log_every", "stimuli")}
    write_settings(everything.model_copy(update=changes), tmp_path / "recipe.yaml")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    names = {"folder": str(tmp_path), "task": str(CENTRES)}
    process = CONTEXT.Process(target=runpy.run_path, args=(str(script), names))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    assert '"n_processes": 2' in (tmp_path / "two" / "record.json").read_text()
    _check_same(tmp_path, plain.model)


def test_torchrun_gives_the_losses_of_one_process(tmp_path, plain):
    command = ["-m", "fernet_neuro", "train", "recipe.yaml", "--quiet", "--out"]
    _run([sys.executable, "-W", "error", *command, "one"], tmp_path)
    torchrun = Path(sys.executable).with_name("torchrun")
    said = _run([torchrun, "--nproc_per_node", "2", *command, "two"], tmp_path)
    assert said.count("two is complete.") == 1
    assert '"n_processes": 2' in (tmp_path / "two" / "record.json").read_text()
    _check_same(tmp_path, plain.model)
