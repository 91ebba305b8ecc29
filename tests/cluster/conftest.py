"""A queue that runs its tasks as processes, and a small store, table and plan."""

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.cli.app import app
from fernet_neuro.cluster.plan import Plan
from fernet_neuro.cluster.work import work
from fernet_neuro.stimuli.table import StimulusTable

#: Runs the tasks one after the other, each again as long as it is queued anew; none where a file `waits` is.
_SBATCH = """#!/bin/bash
for argument in "$@"; do
  case "$argument" in
    --array=*) array="${argument#--array=}" ;;
    --*) ;;
    *) script="$argument" ;;
  esac
done
if [ -z "$array" ]; then array="$(sed -n 's/^#SBATCH --array=//p' "$script")"; fi
if [ -f "$QUEUE/refuses" ]; then cat "$QUEUE/refuses" >&2; exit 1; fi
echo "$array" >> "$QUEUE/arrays"
export SLURM_ARRAY_JOB_ID=77
tasks="${array%%%*}" # without the limit of tasks at once
for range in ${tasks//,/ }; do
  if [ -f "$QUEUE/waits" ]; then
    for task in $(seq "${range%-*}" "${range#*-}"); do
      echo "77 $task PENDING Priority" >> "$QUEUE/queued"
    done
    continue
  fi
  for task in $(seq "${range%-*}" "${range#*-}"); do
    export SLURM_ARRAY_TASK_ID="$task"
    while true; do
      bash "$script" >> "$QUEUE/output" 2>&1
      if [ -f "$QUEUE/again-77_$task" ]; then rm "$QUEUE/again-77_$task"; else break; fi
    done
  done
done
echo "77;cluster"
"""
_SCONTROL = """#!/bin/bash
case "$1" in
  requeue) echo "$2" >> "$QUEUE/requeued"; touch "$QUEUE/again-$2" ;;
  show) echo "MaxArraySize            = ${MAX_ARRAY_SIZE:-1001}" ;;
esac
"""
#: Tells of the tasks in the file `queued`, as squeue does where it is asked so.
_SQUEUE = """#!/bin/bash
[ "$*" == "-h -r -j 77 -o %F %K %T %r" ] || { echo "squeue: error: Invalid job id specified" >&2; exit 1; }
if [ -f "$QUEUE/queued" ]; then cat "$QUEUE/queued"; fi
"""
_SACCT = """#!/bin/bash
[ "$*" == "-n -X -P -j 77 -o JobID,State" ] || exit 1
if [ -f "$QUEUE/ended" ]; then cat "$QUEUE/ended"; else exit 1; fi
"""


@pytest.fixture(autouse=True)
def _few_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the time of an extraction by few pictures."""
    monkeypatch.setattr("fernet_neuro.extraction.extract.N_MEASURED", 2)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put SLURM's programs on the path; return the folder where they note what they are told."""
    programs, notes = tmp_path / "programs", tmp_path / "queue"
    programs.mkdir()
    notes.mkdir()
    programs_of = {"sbatch": _SBATCH, "scontrol": _SCONTROL, "squeue": _SQUEUE, "sacct": _SACCT}
    for name, text in programs_of.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("QUEUE", str(notes))
    monkeypatch.setenv("FERNET_NEURO_SHARED", "1")
    return notes


@pytest.fixture(scope="session")
def drawn_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of 50 noise images (32 px) of 5 identities x 5 expressions, which nobody changes."""
    folder, rng = tmp_path_factory.mktemp("drawn"), np.random.default_rng(20200501)
    (folder / "faces").mkdir()
    rows = []
    for number in range(50):
        path = folder / "faces" / f"face{number:02d}.png"
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
        row = {"stimulus_id": path.stem, "path": f"faces/{path.name}", "identity": f"i{number % 5}"}
        row |= {"valence": round(float(rng.normal()), 3)}
        rows.append({**row, "expression": f"e{number // 5 % 5}", "session": str(number // 25)})
    return StimulusTable.from_frame(pd.DataFrame(rows), root=folder).write(folder / "faces.csv")


@pytest.fixture
def faces(drawn_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the faces in the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn_faces.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / drawn_faces.name


@pytest.fixture
def carry_out(capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """Return what works on shards of a plan in this process."""

    def execute(arguments: list[str]) -> int:
        sys.argv = ["fernet-neuro", *arguments]
        code = app(args=arguments, prog_name="fernet-neuro", standalone_mode=False)
        return code if isinstance(code, int) else 0

    def call(place: Path | str, first: int = 0, step: int = 1, **options: bool) -> int:
        code = work(Plan.read(place), first, step, execute, **options)
        capsys.readouterr()  # what commands say, which goes to the log of a process of its own
        return code

    return call


@pytest.fixture
def submit(run: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """Return what writes the plan of a command, and starts nothing."""

    def call(*arguments: object, command: tuple[str, ...]) -> tuple[int, str, str]:
        return run("submit", *command, *arguments)

    return call
