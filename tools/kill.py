"""Kill commands at random moments and before each write, and see that nothing is lost and nothing left.

Usage: python tools/kill.py [--n 12] [--writes 10] [--seed 0] [--command NAME] [--seconds 3600]

What belongs here: the commands, on inputs that this script makes; the kill; and what counts as a fault:
inputs or neighbours that changed, a command that cannot be given again or comes to other numbers, and files
or processes that are left behind. Linux and macOS; each command runs in a fork of this process.
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

#: Events by which Python tells that a file is written, moved or removed.
_WRITES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
#: Seconds within which a command ends, and its workers after it.
_LONGEST, _WORKERS_END = 300, 5
#: What libraries keep in the place for temporary files: torch's caches, onnxruntime's number of this place.
_OF_LIBRARIES = re.compile(r"torch|^\.ses$").search
#: What differs between two runs: times, and places of temporary files.
_VOLATILE = re.compile(r"second|duration|time|date|created|started|finished|_s$|versions|memory|pid")
#: Of pages: that an older result was replaced; dates, with or without a time; how long something took.
_PASSING = (
    (re.compile(r" --overwrite\b"), ""),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "DATE"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|min|h|seconds?|minutes?|hours?)\b"), "TIME"),
)
#: Files that are the same to the last byte.
_EXACT = (".npy", ".safetensors", ".yaml", ".tsv", ".nii", ".txt", ".pdf", ".onnx")
_IMPORTED = (
    "torch", "sklearn.manifold", "nilearn.glm", "fernet_neuro.cli.app", "fernet_neuro.training.fit",
    "fernet_neuro.brain.pipeline", "fernet_neuro.probes.evaluate", "fernet_neuro.rsa.analysis.run",
    "fernet_neuro.embedding.pipeline", "fernet_neuro.experiments.evaluation", "fernet_neuro.figures.registry",
)  # fmt: skip
_INPUTS = (
    "stimuli render --identities 3 --expressions neutral,happiness,sadness --views 1 --size 32 --out faces",
    "extract resnet10-slim --stimuli faces/table.csv --size 32 --layer layer1 --layer avgpool --out store",
    "rdm faces/table.csv --factor identity --factor expression --out models.npz",
    "brain simulate --stimuli faces/table.csv --subjects 2 --runs 2 --out sim",
    "train run.yaml --stimuli faces/table.csv --out known",
    "stimuli render --identities 1 --first-identity 9 --expressions fear --views 1 --size 32 --out others",
    "stimuli landmarks faces/table.csv --out points.csv",
    "stimuli clips --identities 2 --expressions happiness --frames 3 --size 32 --out clips",
    "brain patterns sim --raw --mask brain --no-images --subject 01 --out regions",
    "probe store --layer avgpool --folds 3 --permutations 20 --no-controls --out results",
    "embed store --layer avgpool --permutations 19 --perplexity 4 --out maps",
    "train concepts.yaml --stimuli faces/table.csv --out pathway",
)
_RECIPE = """task: expression
model: resnet10-slim
model_options: {size: 32}
epochs: 3
batch_size: 6
val_share: 0
checkpoint_every: 1
"""
_CONCEPTS = """task: concepts
model: crpn-conceptual
model_options: {emotion_trunk: resnet10-slim, non_emotion_trunk: resnet10-slim, size: 16, n_features: 11}
epochs: 1
batch_size: 6
val_share: 0
"""
_GRID = """experiment: grid
title: Small
stimuli: {identities: 3, views: 1, sessions: 1, size: 32}
tests: {people: {stimuli: {identities: 2, first_identity: 100, views: 1, sessions: 1, size: 32}}}
networks: {net: {task: expression, model: resnet10-slim, epochs: 1, batch_size: 12, val_share: 0}}
arms: {plain: {tested: net}, slow: {tested: net, set: {net.lr: 0.001}}}
seeds: [0]
"""
#: Given anew over an older result, each also gets ``--overwrite``, but for one that goes on by itself.
COMMANDS = {
    "import": "stimuli import folder faces --out out.csv",
    "join": "stimuli join faces/table.csv others/table.csv --keep-all --out out.csv",
    "split": "stimuli split faces/table.csv --test-share 0.4 --out-train out1.csv --out-test out2.csv",
    "sheet": "stimuli sheet faces/table.csv --out out.png",
    "landmarks": "stimuli landmarks faces/table.csv --out out.csv",
    "align": "stimuli align faces/table.csv --landmarks points.csv --size 112 --out out",
    "rdm": "rdm store --layer avgpool --out out.npz",
    "decode": "brain decode regions --average --permutations 19 --out out",
    "shares": "brain shares regions --stimuli faces/table.csv --factor identity --out out.csv",
    "simulate": "brain simulate --stimuli faces/table.csv --subjects 1 --runs 2 --out out",
    "patterns": "brain patterns sim --raw --mask brain --no-images --subject 01 --out out",
    "searchlight": "brain searchlight regions --roi FFA --models models.npz --permutations 0 --out out",
    "predict": "predict faces --model known --out out.csv",
    "evaluate": "evaluate known --stimuli faces/table.csv --allow-trained --bootstrap 20 --out out",
    "extract": "extract resnet10-slim --stimuli faces/table.csv --size 32 --layer layer1 --out out",
    "export": "export known --out out.onnx",
    "probe": "probe store --layer avgpool --folds 3 --permutations 20 --no-controls --out out",
    "train": "train run.yaml --stimuli faces/table.csv --resume --out out",
    "embed": "embed store --layer avgpool --permutations 19 --perplexity 4 --out out",
    "rsa": "rsa --models models.npz --brain brain.npz --bootstrap 30 --permutations 30 --out out",
    "figures": "figures build embedding-maps --results maps --out out",
    "render": "stimuli render --identities 1 --expressions neutral,fear --views 1 --size 32 --out out",
    "clips": "stimuli clips --identities 1 --expressions fear --frames 2 --size 32 --out out",
    "calibrate": "calibrate --like results --source store --datasets 10 --out out.json",
    "crossval": "crossval run.yaml --stimuli faces/table.csv --folds 2 --set epochs=1 --resume --out out",
    "run": "run grid.yaml --jobs 1 --resume --out out",
    "verify": "verify known --stimuli faces/table.csv --layer avgpool --allow-trained --pairs out.csv --make "
    "--folds 1 --per-fold 4",
    "concepts": "concepts pathway --stimuli faces/table.csv --out out",
    "texts": "text export --encoder minilm --out out.npz",
    "frames": "stimuli frames videos --pattern {identity}_{expression}_{clip} --jobs 1 --out out",
    "select-frames": "stimuli select-frames clips/table.csv --model known --top 1 --rest out2.csv "
    "--out out.csv",
}
_GOES_ON = "--resume"
#: Commands that replace what they wrote before unasked.
_REPLACES = ("sheet", "split", "figures", "verify")


def run_fork(
    words: list[str], place: Path, *, kill_at: int | None = None, after_s: float | None = None
) -> int:
    """Give a command in a fork, perhaps killed before write number `kill_at` or `after_s`; return its code.

    -9 stands for killed. The file ``../said.txt`` has what it said.
    """
    child = os.fork()
    if child == 0:
        _be_the_command(words, place, kill_at)
    start = time.monotonic()
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        waited = time.monotonic() - start
        if waited > _LONGEST or (after_s is not None and waited > after_s):
            os.kill(child, signal.SIGKILL)
            after_s = None
        time.sleep(0.002)


def _be_the_command(words: list[str], place: Path, kill_at: int | None) -> NoReturn:
    os.setsid()
    os.chdir(place)
    said = os.open(place.parent / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")  # whatever this process had there
    count = 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _WRITES and _writes_into(place, event, arguments):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at is not None:
        sys.addaudithook(look)
    from fernet_neuro.cli.app import main

    sys.argv = ["fernet-neuro", *words]
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    if kill_at == 0:
        (place.parent / "writes.txt").write_text(str(count))
    os._exit(code if isinstance(code, int) else 1)


def _writes_into(place: Path, event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return False
    name = arguments[0]
    return isinstance(name, str | os.PathLike) and str(Path(name).absolute()).startswith(str(place))


def read_numbers(place: Path) -> dict[str, Any]:
    """Return what all files below a folder hold, by name, less what differs from run to run."""
    return {
        path.relative_to(place).as_posix(): _read(path) for path in sorted(place.rglob("*")) if path.is_file()
    }


def _read(path: Path) -> Any:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _without_times(arrays[name].tolist()) for name in arrays.files}
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.suffix == ".csv" and path.stat().st_size:
        import pandas as pd

        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        return frame.drop(columns=[name for name in frame if _VOLATILE.search(str(name))]).to_dict("list")
    if path.suffix in (".png", ".jpg", ".gif"):
        return _read_pixels(path)
    if path.suffix in (".html", ".md", ".tex", ".svg", ".log"):
        return normalise(path.read_text(encoding="utf-8"), path.parent)
    if path.suffix == ".gz":
        return _read_packed(path)
    if path.suffix in _EXACT:
        return path.read_bytes()
    return "there"  # such as checkpoints, which hold times; their numbers are in the files beside them


def _read_packed(path: Path) -> Any:
    """Return what was packed; the file itself may hold when that was."""
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        return f"damaged: {error}"


def _read_pixels(path: Path) -> Any:
    """Return what a picture shows; two files of one may be packed differently."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            frames = []
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                pixels = np.asarray(image.convert("RGBA"))
                frames.append((pixels.shape, hashlib.sha256(pixels.tobytes()).hexdigest()))
    except OSError as error:
        return f"damaged: {error}"
    return frames


def normalise(text: str, place: Path) -> str:
    """Return a page without what differs from run to run: dates, how long it took, its folder, an option.

    Examples
    --------
    >>> normalise("Made 2024-05-01 12:30 in /tmp/x/out, 3.5 s", Path("/tmp/x/out"))
    'Made DATE in PLACE, TIME'
    """
    for folder in (place, *place.parents[:-2]):
        text = text.replace(str(folder), "PLACE")
    text = re.sub(r"<table.*?</table>", lambda table: _without_seconds(table[0]), text, flags=re.DOTALL)
    for pattern, word in _PASSING:
        text = pattern.sub(word, text)
    return text


def _without_seconds(table: str) -> str:
    """Return a table of a page without what its columns of seconds hold."""
    headings = re.findall(r"<th\b[^>]*>(.*?)</th>", table.partition("</thead>")[0], re.DOTALL)
    timed = [place for place, heading in enumerate(headings) if heading.endswith("(s)")]
    rows = []
    for row in table.split("<tr>"):
        cells = re.findall(r"<t[dh]\b[^>]*>.*?</t[dh]>", row, re.DOTALL)
        is_body = len(cells) == len(headings) and "<td" in row
        rows.append([cell for place, cell in enumerate(cells) if not (is_body and place in timed)])
    return str(rows) if timed else table


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if not _VOLATILE.search(key)}
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    if isinstance(value, str) and value.startswith("{"):
        return _without_times(json.loads(value))
    return value


def import_all() -> None:
    """Import what commands need once, here, and not in each fork."""
    for module in _IMPORTED:
        import_module(module)


def make_inputs(place: Path) -> None:
    """Make what all commands read.

    Raises RuntimeError with what was said if a command fails.
    """
    place.mkdir(parents=True)
    (place / "run.yaml").write_text(_RECIPE)
    (place / "grid.yaml").write_text(_GRID)
    (place / "concepts.yaml").write_text(_CONCEPTS)
    _write_videos(place / "videos")
    for line in _INPUTS:
        _check(run_fork(line.split(), place), line, place)
    if (place / "models.npz").exists():
        _write_brain(place)


def _write_videos(place: Path) -> None:
    """Write two videos, where OpenCV is installed."""
    try:
        import cv2
    except ImportError:
        return
    place.mkdir()
    rng = np.random.default_rng(0)
    for name in ("ann_fear_1", "bob_fear_1"):
        video = cv2.VideoWriter(str(place / f"{name}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, (64, 48))
        for _ in range(4):
            video.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        video.release()


def _write_brain(place: Path) -> None:
    import pandas as pd

    from fernet_neuro.rsa.files.io import read_rdms
    from fernet_neuro.rsa.rdms import RDMSet

    models, rng = read_rdms(place / "models.npz"), np.random.default_rng(0)
    values = models.dissimilarities[0] + rng.uniform(0, 2, (4, models.dissimilarities.shape[1]))
    subjects = pd.DataFrame({"subject": list("abcd")})
    RDMSet(values, models.stimulus_ids, subjects).save(place / "brain.npz")


def _check(code: int, line: str, place: Path) -> None:
    if code:
        raise RuntimeError(f"{line}: exit code {code}: {(place.parent / 'said.txt').read_text()[-2000:]}")


class Trial:
    """One command, with and without an older result, and what it comes to when nobody kills it."""

    def __init__(self, name: str, whole: Path, place: Path) -> None:
        words = COMMANDS[name]
        self._again = "" if _GOES_ON in words or name in _REPLACES else "--overwrite"
        self.name, self._whole, self._place, self._words = name, whole, place, words.split()
        self._before: dict[bool, Path] = {False: whole}
        start = time.monotonic()
        self._reset(whole)
        _check(run_fork(self._words, place, kill_at=0), words, place)
        self.seconds = time.monotonic() - start
        self.n_writes = int((place.parent / "writes.txt").read_text())
        self._reference = read_numbers(place)
        if self._again:
            old = whole.with_name(f"old-{name}")
            shutil.copytree(place, old)
            self._before[True] = old

    def kill(self, over_old: bool, **when: Any) -> str:
        """Kill the command once, give it again, and return what is wrong, or an empty text."""
        over_old = over_old and True in self._before
        before = self._before[over_old]
        self._reset(before)
        words = [*self._words, *([self._again] if over_old else [])]
        code = run_fork(words, self._place, **when)
        if code not in (0, -signal.SIGKILL):
            return f"exit code {code} instead of a kill: {self._said()}"
        if fault := self._find_changed():
            return fault
        if not over_old and not code and self._again:  # nobody killed it in time
            words.append(self._again)
        code = run_fork(words, self._place)
        fault = f"given again: exit code {code}: {self._said()}" if code else ""
        # A command that was killed after its last file says that its result is there.
        found = read_numbers(self._place)
        differ = sorted(
            key for key in {*found, *self._reference} if found.get(key) != self._reference.get(key)
        )
        if differ:
            return f"other than without a kill: {', '.join(differ)}; {fault}"
        left = [path.name for path in Path(tempfile.gettempdir()).iterdir() if not _OF_LIBRARIES(path.name)]
        return f"left in the place for temporary files: {', '.join(left)}" if left else ""

    def _find_changed(self) -> str:
        """Return what was there before, beside the command's own result, and is not as it was."""
        for path in sorted(self._whole.rglob("*")):
            name = path.relative_to(self._whole)
            other = self._place / name
            if path.is_file() and (not other.is_file() or other.read_bytes() != path.read_bytes()):
                return f"{name} changed"
        return ""

    def _reset(self, before: Path) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        shutil.copytree(before, self._place)

    def _said(self) -> str:
        return " ".join((self._place.parent / "said.txt").read_text()[-600:].split())


def plan_kills(trial: Trial, n: int, n_writes: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield when to kill: `n` times at random, and `n_writes` times before writes spread over all of them."""
    for moment in rng.uniform(0, trial.seconds, n):
        yield {"after_s": float(moment)}
    for number in np.unique(np.linspace(1, trial.n_writes, min(n_writes, trial.n_writes)).astype(int)):
        yield {"kill_at": int(number)}


@dataclass
class Tally:
    """What came of all kills.

    Parameters
    ----------
    kills : int
    faults : Counter of str
        Faults by command, each of which was said.
    skipped : list of str
        Commands that were not killed, for want of a package.
    """

    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Say it in a line."""
        skipped = f", skipped: {', '.join(self.skipped)}" if self.skipped else ""
        return f"{self.kills} kills, {self.faults.total()} faults {dict(self.faults)}{skipped}"


def kill_all(
    names: list[str],
    n: int,
    n_writes: int,
    seed: int,
    folder: Path,
    say: Callable[[str], Any],
    seconds: float = 1e9,
) -> Tally:
    """Kill all commands and return what came of it."""
    os.environ.update(FERNET_NEURO_CACHE=str(folder / "work" / "cache"), TMPDIR=str(folder / "temporary"))
    (folder / "temporary").mkdir(parents=True)
    tempfile.tempdir = None  # asked for anew, so that what is left there is seen
    import_all()
    end, tally = time.monotonic() + seconds, Tally()
    whole, place = folder / "whole", folder / "work"
    make_inputs(place)
    place.rename(whole)
    for name in names:
        try:
            trial = Trial(name, whole, place)
        except RuntimeError as error:
            if "needs the package" in str(error):
                say(f"{name} is skipped: {' '.join(str(error).split())}")
                tally.skipped.append(name)
                continue
            tally.faults[name] += 1
            say(f"{name} fails when nobody kills it: {error}")
            continue
        rng = np.random.default_rng([seed, len(name), n])
        for number, when in enumerate(plan_kills(trial, n, n_writes, rng)):
            if time.monotonic() > end:
                say(f"stopped after {seconds:g} s")
                return tally
            fault = trial.kill(number % 2 == 1, **when)
            tally.kills += 1
            if fault:
                tally.faults[name] += 1
                say(f"{name} {when}{' over an older result' * (number % 2)}: {fault}")
        say(f"{name}: {trial.n_writes} writes, {trial.seconds:.1f} s")
    return tally


def main() -> int:
    """Run all commands, print the faults and return 1 if there are any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=12, help="kills of each command at random moments")
    parser.add_argument("--writes", type=int, default=10, help="most writes of each command to kill at")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--command", choices=list(COMMANDS), action="append", help="only these; repeat for more"
    )
    parser.add_argument("--seconds", type=float, default=3600, help="most time to take")
    options = parser.parse_args()
    names = options.command or list(COMMANDS)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill") as folder:
        say = partial(print, flush=True)
        tally = kill_all(
            names, options.n, options.writes, options.seed, Path(folder), say,
            options.seconds,
        )  # fmt: skip
    took = time.monotonic() - start
    print(f"{tally}; seed {options.seed}; {took:.0f} s")
    return int(bool(tally.faults))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
