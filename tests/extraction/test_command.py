import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fernet_neuro.activations.store import ActivationStore

HEAD = "import fernet_neuro as fn\nfrom torch import nn"
NETWORK = """
import os, time, torch
import fernet_neuro as fn
from torch import nn

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.head = nn.Linear(5, 7)

    def forward(self, x):
        time.sleep(float(os.environ.get("SECONDS_PER_BATCH", "0")))
        return self.head(self.conv(x).mean(dim=(2, 3)))

def build(size):
    return fn.load_model(Slow(), size=size, channels="rgb", mean=0.5, std=0.5)
"""


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.py"
    path.write_text(NETWORK)
    return f"{path}:build"


@pytest.fixture
def arguments(network, noise_table, tmp_path):
    return [
        "extract",
        network,
        "--size",
        16,
        "--stimuli",
        tmp_path / "table.csv",
        "--layer",
        "conv",
        "--layer",
        "head",
    ]


def test_extract_prints_json_and_makes_the_store_once(run, arguments, tmp_path):
    code, out, err = run(*arguments, "--out", tmp_path / "store", "--json")
    report = json.loads(out)
    assert code == 0
    assert "24 stimuli x 2 layers" in err
    store = ActivationStore.open(tmp_path / "store")
    assert report["layers"] == {layer: list(shape) for layer, shape in store.unit_shapes.items()}
    assert report["key"] == store.key
    assert report["images_per_second"] > 0
    again = json.loads(run(*arguments, "--out", tmp_path / "store", "--json")[1])
    assert (again["is_reused"], again["key"]) == (True, report["key"])


def test_store_show_lists_layers(run, arguments, tmp_path):
    run(*arguments, "--out", tmp_path / "store")
    code, out, _ = run("store", "show", tmp_path / "store", "--verify")
    assert code == 0
    assert "head" in out
    assert "All values fit their checksums" in out


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--layer", "haed"], "no layer 'haed'. Did you mean 'head'?"),
        (["--all-layers"], "name layers with --layer"),
        (["--dtype", "float61"], "--dtype float61 is not known"),
        (["--device", "cuda:7"], "torch finds"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(run, arguments, tmp_path, extra, message):
    code, out, err = run(*arguments, *extra, "--out", tmp_path / "store")
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "store").exists()


def test_a_bad_target_is_refused_before_the_estimate(run, arguments, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "notes.txt").write_text("precious")
    code, out, err = run(*arguments, "--out", tmp_path / "store")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "exists and is not an activation store" in err


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "raise RuntimeError('no\\nluck')",
            "could not be built with {'size': 16}: RuntimeError: no luck",
        ),
        ("return nn.Linear()", ":build' could not be built with {'size': 16}: TypeError: "),
        ("return nn.Linear(5, 7)", "does not say what its input must look like; declare it"),
        (
            "return fn.load_model(nn.Linear(5, 7), size=size, channels='rgb', mean=0.5, std=0.5)",
            "network 'Linear' fails on an input of shape (1, 3, 16, 16): RuntimeError: ",
        ),
    ],
)
def test_an_own_network_that_fails_is_one_line(run, arguments, tmp_path, body, message):
    (tmp_path / "network.py").write_text(f"{HEAD}\n\ndef build(size):\n    {body}\n")
    code, out, err = run(*arguments, "--out", tmp_path / "store")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("Error: ")
    assert message in err


def _wait_for_batches(folder, process, n_batches):
    for _ in range(1200):
        lines = [path.read_text().count("\n") for path in folder.glob(".store.*.partial/journal.jsonl")]
        if lines and lines[0] >= n_batches:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("the extraction did not start")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_run_goes_on_to_the_same_numbers(run, arguments, tmp_path, caplog):
    arguments = [*map(str, arguments), "--batch-size", "2", "--seed", "4"]
    command = [sys.executable, "-m", "fernet_neuro", *arguments, "--out", str(tmp_path / "store")]
    environment = {**os.environ, "SECONDS_PER_BATCH": "0.2"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        _wait_for_batches(tmp_path, process, 3)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "store").exists()
    assert run(*arguments, "--out", tmp_path / "store")[0] == 0
    assert "going on after" in caplog.text
    assert run(*arguments, "--out", tmp_path / "whole")[0] == 0
    resumed, whole = (ActivationStore.open(tmp_path / name) for name in ("store", "whole"))
    assert resumed.key == whole.key
    for layer in whole.layers:
        np.testing.assert_array_equal(resumed.load(layer).values, whole.load(layer).values)
    assert not list(tmp_path.glob(".store*"))
