"""A store in shards against that of one process: equal to the last bit, with kills on the way; and reading.

Run ``python benchmarks/bench_shards.py``: 100,000 noise images of 16 px through a small network, in 16
shards; 20 tasks are killed at random moments and given again. Then one layer is read from the store of one
process, from the shards (``merge --keep-shards``), and from the store that ``merge`` makes, in turns.
Targets: equal files; the merged store is read within 5 % of the single store; less than 3 s to start a shard.
Prints one JSON object.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fernet_neuro.activations.shards import copy_shards
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.cluster.kinds import merge
from fernet_neuro.cluster.plan import Plan
from fernet_neuro.cluster.work import read_notes
from fernet_neuro.stimuli.table import StimulusTable

SIZE = 16
NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(576, 64))
"""


def write_noise(folder: Path, n_stimuli: int) -> None:
    """Write images of noise and their table."""
    rng = np.random.default_rng(0)
    (folder / "noise").mkdir()
    names = [f"noise/{row:06d}.png" for row in range(n_stimuli)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(folder / name)
    frame = pd.DataFrame({"stimulus_id": [Path(name).stem for name in names], "path": names})
    StimulusTable.from_frame(frame, root=folder).write(folder / "noise.csv")


def call(folder: Path, *arguments: str) -> None:
    """Give a command in `folder`."""
    program = [sys.executable, "-m", "fernet_neuro"]
    subprocess.run([*program, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def work_with_kills(folder: Path, plan: Plan, n_kills: int) -> int:
    """Carry out all shards, and kill tasks at random moments; return how many were killed at work."""
    rng, killed = random.Random(0), 0
    for shard in plan.shards:
        for kill in (*[True] * (n_kills // len(plan.shards) + 1), False):
            command = [
                sys.executable,
                "-m",
                "fernet_neuro",
                "work",
                "store.jobs",
                "--shard",
                str(shard.number),
            ]
            task = subprocess.Popen(command, cwd=folder)
            if kill and killed < n_kills:
                time.sleep(rng.uniform(1, 12))
                if task.poll() is None:
                    task.send_signal(signal.SIGKILL)
                    killed += 1
            task.wait()
    return killed


def time_reading(stores: dict[str, ActivationStore], layer: str, n_turns: int = 7) -> dict[str, float]:
    """Return the least seconds in which all values of a layer are brought into memory, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in stores}
    for _ in range(n_turns):
        for name, store in stores.items():
            start = time.perf_counter()
            np.array(store.load(layer).values, dtype=np.float64)
            seconds[name].append(time.perf_counter() - start)
    return {name: min(found) for name, found in seconds.items()}


def main() -> None:
    """Run it and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stimuli", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_noise(folder, asked.stimuli)
        (folder / "small.py").write_text(NETWORK)
        extraction = [
            "extract", "small.py:build", "--size", str(SIZE), "--input", "-1-1", "--stimuli", "noise.csv",
            "--all-layers", "--batch-size", "256",
        ]  # fmt: skip
        start = time.perf_counter()
        call(folder, *extraction, "--out", "whole", "--quiet")
        seconds = time.perf_counter() - start
        call(folder, "submit", *extraction, "--out", "store", "--shards", str(asked.shards), "--script")
        plan = Plan.read(folder / "store.jobs")
        killed = work_with_kills(folder, plan, asked.kills)
        started = [read_notes(plan, shard) for shard in plan.shards]
        merge(plan, keep_shards=True)
        whole, joint = ActivationStore.open(folder / "whole"), ActivationStore.open(folder / "store")
        reading = time_reading({"single": whole, "shards": joint}, "0")
        copied = copy_shards(joint)
        reading |= {
            f"{name} again": s for name, s in time_reading({"single": whole, "merged": copied}, "0").items()
        }
        files = [entry["file"] for entry in whole.manifest["layers"]]
        is_equal = all(
            (whole.path / name).read_bytes() == (copied.path / name).read_bytes() for name in files
        )
        per_shard = _time_start(folder)
    ratios = {
        "shards": reading["shards"] / reading["single"],
        "merged": reading["merged again"] / reading["single again"],
    }
    is_quick = ratios["merged"] < 1.05 and per_shard < 3
    found = {
        "n_stimuli": asked.stimuli,
        "n_shards": asked.shards,
        "n_killed": killed,
        "n_attempts": sum(notes.attempts for notes in started),
        "seconds_of_one_process": round(seconds, 1),
        "is_equal_to_the_last_bit": is_equal and copied.key == whole.key,
        "reading_against_single": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "seconds_to_start_a_shard": round(per_shard, 2),
        "passed": bool(is_equal and killed == asked.kills and is_quick),
    }
    print(json.dumps(found))


def _time_start(folder: Path) -> float:
    """Return the seconds of a task whose shard is done: start, imports, and the check of the plan."""
    start = time.perf_counter()
    call(folder, "work", "store.jobs", "--shard", "0")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
