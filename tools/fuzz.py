"""Damage files of every kind that is read, and see that each is read, or refused in one line with its name.

Usage: python tools/fuzz.py [--n 10000] [--commands 300] [--seed 0] [--kind NAME] [--seconds 3600]

What belongs here: small whole files of each kind, ways to damage them, and what counts as a fault: an
exception that the command line does not turn into one line, a message without the file's name, 20 s, or
anything that is run from a file. Hostile files, those of `hostile`, are read whole and damaged too.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro.exceptions import FernetError

sys.path.insert(0, str(Path(__file__).resolve().parent))

import hostile  # beside this file

#: What the command line says in one line; see ``cli.app.main``.
SAID = (FernetError, ValueError, OSError)
#: Seconds after which reading a small file hangs.
LONGEST = 20
_RNG = np.random.default_rng(0)
_VECTORS = np.abs(_RNG.normal(size=(4, 10)))
_IDS = np.array(["a", "b", "c", "d", "e"])


def _write_image(path: Path) -> None:
    from PIL import Image

    Image.fromarray(_RNG.integers(0, 255, (12, 10, 3), dtype=np.uint8)).save(path)


def _write_nifti(path: Path, *shape: int) -> None:
    import nibabel

    values = (_RNG.random(shape) < 0.5) if len(shape) == 3 else _RNG.normal(size=shape)
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.eye(4)), path)


def _write_rdms(path: Path) -> None:
    from fernet_neuro.rsa.files.io import write_rdms
    from fernet_neuro.rsa.rdms import RDMSet

    rows = 1 if path.suffix == ".csv" else 4
    write_rdms(RDMSet(_VECTORS[:rows], _IDS, pd.DataFrame({"subject": list("1234")[:rows]})), path)


def _write_patterns(path: Path) -> None:
    from fernet_neuro.brain.patterns import BrainPatterns

    BrainPatterns(_RNG.normal(size=(6, 4)), ["a", "b", "c"] * 2, ["1"] * 3 + ["2"] * 3, "V1", "01").save(path)


def _write_table(path: Path) -> None:
    from fernet_neuro.stimuli.table import StimulusTable

    frame = pd.DataFrame({"stimulus_id": _IDS, "path": [f"{name}.png" for name in _IDS], "valence": range(5)})
    StimulusTable.from_frame(frame.assign(identity="Zoë")).write(path)


def _write_weights(path: Path) -> None:
    import pickle

    import torch
    from safetensors.torch import save_file

    state = {"fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps({name: item.numpy() for name, item in state.items()}))
    else:
        torch.save({"state_dict": state}, path)


def _write_text(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text, encoding="utf-8")


def _read_mask_and_volumes(path: Path) -> None:
    from fernet_neuro.brain import images
    from fernet_neuro.brain.times import find_t_r

    image = images.load_image(path)
    images.read_array(image, path)
    if len(image.shape) == 3:
        images.load_mask(path)
    else:
        find_t_r(str(path), None, 2.0)


def _read_surface(path: Path) -> None:
    from fernet_neuro.brain.surfaces import SurfaceGrid

    SurfaceGrid.of(f"{path},{path}")


def _write_surface(path: Path) -> None:
    import nibabel

    points = np.asarray(_RNG.normal(size=(4, 3)), np.float32)
    faces = np.array([[0, 1, 2], [1, 2, 3]], np.int32)
    arrays = [nibabel.gifti.GiftiDataArray(array, intent=intent) for array, intent in (
        (points, "NIFTI_INTENT_POINTSET"), (faces, "NIFTI_INTENT_TRIANGLE")
    )]  # fmt: skip
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), path)


def _write_store(path: Path) -> None:
    from fernet_neuro.activations.array import Activations
    from fernet_neuro.activations.store import write_store
    from fernet_neuro.stimuli.table import StimulusTable

    folder = path.parent
    for name in _IDS:
        _write_image(folder.parent / f"{name}.png")
    frame = pd.DataFrame({"stimulus_id": _IDS, "path": [f"{name}.png" for name in _IDS]})
    table = StimulusTable.from_frame(frame, root=folder.parent)
    folder.rmdir()
    values = _RNG.normal(size=(5, 4)).astype(np.float32)
    write_store(folder, table, [Activations(values, table.stimulus_ids, "fc")])


def _write_network(path: Path) -> None:
    from fernet_neuro.models.registry import build_model
    from fernet_neuro.models.weights import save_model

    save_model(build_model("resnet10-slim", n_classes=2, seed=0), path.parent)


def _of_folder(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda path: read(path.parent)


def _late(place: str, **options: Any) -> Callable[[Path], Any]:
    """Return a reader by the place of its code, which is imported when it is used."""

    def read(path: Path) -> Any:
        from importlib import import_module

        module, _, name = place.partition(":")
        found: Any = import_module(f"fernet_neuro.{module}")
        for part in name.split("."):
            found = getattr(found, part)
        return found(path, **options)

    return read


_EVENTS = "onset\tduration\ttrial_type\n1.5\t1\tface\n4\t1\tcar\n9\tn/a\tn/a\n"
_CONFOUNDS = "trans_x\ttrans_y\tcsf\n0.1\t2\tn/a\n0.2\t3\t1\n0.4\t1\t2\n"
_LABELS = "labels chunks\nface 0\ncar 0\nface 1\ncar 1\n"
_RECIPE = "task: expression\nepochs: 3\nstimuli: {train: a.csv, view: [left, right]}\n"
_TASKS = {"tasks": [{"task": {"task_type": "multiarrange", "name": "x"},
                     "stimuli": [{"name": name} for name in "abc"], "rdm": [0.1, 0.2, 0.3]}]}  # fmt: skip
_LANDMARKS = """stimulus_id,left_eye_x,left_eye_y,right_eye_x,right_eye_y,nose_x,nose_y,left_mouth_x,\
left_mouth_y,right_mouth_x,right_mouth_y
a,1,2,3,2,2,3,1,4,3,4
b,1,2,3,2,2,3,1,4,3,5
"""
_READ_RDMS = _late("rsa.files.io:read_rdms")
_READ_STATE = _late("models.weights:read_state_dict")
_READ_TABLE = _late("stimuli.table:StimulusTable.read")
#: Of each kind of file: its name, what writes a whole one, what reads it.
KINDS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any]]] = {
    "stimuli": ("t.csv", _write_table, _READ_TABLE),
    "stimuli-parquet": ("t.parquet", _write_table, _READ_TABLE),
    "picture": ("a.png", _write_image, _late("stimuli.images:load_image")),
    "photograph": ("a.jpg", _write_image, _late("stimuli.images:load_image")),
    "events": ("e.tsv", _write_text(_EVENTS), _late("brain.tables:read_events")),
    "other-events": ("e.tsv", _write_text(_EVENTS), _late("brain.tables:read_unlabelled_events")),
    "confounds": ("c.tsv", _write_text(_CONFOUNDS),
                  _late("brain.tables:read_confounds", columns=["trans_x", "csf"], n_scans=3)),
    "labels": ("l.txt", _write_text(_LABELS), _late("brain.tables:read_volume_labels")),
    "sidecar": ("s.json", _write_text('{"RepetitionTime": 2.0, "StartTime": 1}'),
                _late("brain.bids:read_sidecar")),
    "mask": ("m.nii", lambda path: _write_nifti(path, 4, 3, 2), _read_mask_and_volumes),
    "bold": ("b.nii.gz", lambda path: _write_nifti(path, 4, 3, 2, 5), _read_mask_and_volumes),
    "surface": ("l.surf.gii", _write_surface, _read_surface),
    "patterns": ("p.npz", _write_patterns, _late("brain.patterns:BrainPatterns.load")),
    "rdm-npz": ("r.npz", _write_rdms, _READ_RDMS),
    "rdm-plain": ("r.npz", lambda path: np.savez(path, rdms=_VECTORS, subject=_IDS[:4]), _READ_RDMS),
    "rdm-npy": ("r.npy", lambda path: np.save(path, _VECTORS), _READ_RDMS),
    "rdm-csv": ("r.csv", _write_rdms, _READ_RDMS),
    "rdm-mat": ("r.mat", _write_rdms, _READ_RDMS),
    "rdm-hdf5": ("r.h5", _write_rdms, _READ_RDMS),
    "rdm-meadows": ("r.json", _write_text(json.dumps(_TASKS)), _READ_RDMS),
    "weights": ("w.pth", _write_weights, _READ_STATE),
    "weights-safe": ("w.safetensors", _write_weights, _READ_STATE),
    "weights-arrays": ("w.pkl", _write_weights, _READ_STATE),
    "recipe": ("r.yaml", _write_text(_RECIPE), _late("_utils.config:read_recipe")),
    "store": ("manifest.json", _write_store, _of_folder(_late("activations.store:ActivationStore.open"))),
    "network": ("model.json", _write_network, _of_folder(_late("models.weights:load_model"))),
    "landmarks": ("l.csv", _write_text(_LANDMARKS),
                  _late("faces.landmarks:read_landmarks")),
}  # fmt: skip
#: Pieces of text that have tripped readers.
_TRIPS = (b"NaN", b"-1", b"1e999", b"99999999999", b"n/a", b"null", b"{}", b"[" * 20000, b"\xff\xfe", b"\x00",
          b",,,", b"\t\t", b'"', b"'", b"=1+1", b"\xe9", b"\n\n", b"- " * 5000)  # fmt: skip


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file's content damaged in one to three places."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(0, max(1, len(data))))
        end = start + int(rng.integers(1, 40))
        way = int(rng.integers(0, 9))
        if way == 0:
            del data[start:]
        elif way == 1:
            del data[start:end]
        elif way == 2 and start < len(data):
            data[start] ^= 1 << int(rng.integers(0, 8))
        elif way == 3:
            data[start:end] = rng.bytes(end - start)
        elif way == 4:
            data[start:start] = data[start:end] * int(rng.integers(1, 30))
        elif way == 5:
            data[start:end] = bytes(end - start)
        elif way == 6:
            data[start:end] = b"\xff" * (end - start)
        else:
            trip = _TRIPS[int(rng.integers(0, len(_TRIPS)))]
            data[start : start if way == 7 else end] = trip
    return bytes(data)


def find_fault(read: Callable[[Path], Any], path: Path) -> str:
    """Return what is wrong with how a file is read, or an empty text."""
    with hostile.watching() as events:
        fault = _find_wrong_end(read, path)
    if events:
        return f"it ran {'; '.join(events)}"
    if (path.parent / hostile.MARKER).exists():
        (path.parent / hostile.MARKER).unlink()
        return "it ran what the file holds"
    return fault


def _find_wrong_end(read: Callable[[Path], Any], path: Path) -> str:
    """Return what is wrong with how reading a file ends, or an empty text."""
    signal.signal(signal.SIGALRM, _raise_late)
    signal.alarm(LONGEST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except SAID as error:
        is_named = path.name in str(error) or str(path.parent) in str(error)
        return "" if is_named else f"no name of the file: {type(error).__name__}: {error}"
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return ""


def _raise_late(*_: Any) -> None:
    raise RuntimeError(f"it took more than {LONGEST} s")


@dataclass
class Tally:
    """What came of all files.

    Parameters
    ----------
    damaged, hostile : int
        Files that were read.
    faults : Counter of str
        Those of each kind that were read wrongly.
    """

    damaged: int = 0
    hostile: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Say it in a line."""
        files = f"{self.damaged} damaged and {self.hostile} hostile files"
        return f"{files}, {self.faults.total()} faults {dict(self.faults)}"


def fuzz(
    kind: str, n: int, seed: int, folder: Path, tally: Tally | None = None, end: float = float("inf")
) -> Iterator[str]:
    """Yield a line for each of `n` damaged files of a kind, and each hostile one, that is read wrongly.

    `tally` is counted up; at the moment `end` of ``time.monotonic`` it stops.
    """
    name, write, read = KINDS[kind]
    tally = Tally() if tally is None else tally
    place = folder / kind
    place.mkdir(parents=True, exist_ok=True)
    path = place / name
    write(path)
    content = path.read_bytes()
    read(path)  # imports what it needs, which may take long
    for number, (what, text) in enumerate(_list_files(kind, n, seed, path, content)):
        if time.monotonic() > end:
            return
        path.write_bytes(text)
        fault = find_fault(read, path)
        tally.hostile += bool(what)
        tally.damaged += not what
        if fault:
            tally.faults[kind] += 1
            path.rename(place / f"{number}_{name}")
            yield f"{kind} {number}{f' ({what})' if what else ''}: {' '.join(fault.split())[:300]}"


def _list_files(kind: str, n: int, seed: int, path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is hostile in a file, if anything, and its content; each hostile one is damaged once too."""
    for number in range(n):
        yield "", damage(content, np.random.default_rng([seed, number]))
    hostile.write_payload(path.parent)
    for number, (what, text) in enumerate(hostile.make_seeds(kind, path.name, content, path.parent)):
        yield what, text
        yield f"{what}, damaged", damage(text, np.random.default_rng([seed, number]))


def main() -> int:
    """Run all kinds, print the faults and return 1 if there are any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="damaged files of all kinds together")
    parser.add_argument("--commands", type=int, default=0, help="damaged command lines, after the files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS), help="one kind alone")
    parser.add_argument("--seconds", type=float, default=3600, help="most time to take, for all together")
    parser.add_argument("--keep", type=Path, help="folder for files that are read wrongly")
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else list(KINDS) * bool(options.n)
    tally, start = Tally(), time.monotonic()
    end = start + options.seconds
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fuzz"))
    sys.path.append(str(folder))  # a module that lies there can be imported
    for kind in kinds:
        sys.path[-1] = str(folder / kind)
        for line in fuzz(kind, -(-options.n // len(kinds)), options.seed, folder, tally, end):
            print(line, flush=True)
    print(f"{tally}; seed {options.seed}; {time.monotonic() - start:.0f} s", flush=True)
    if options.commands:
        tally.faults["commands"] += _fuzz_commands(options.commands, options.seed, end)
    if time.monotonic() > end:
        print(f"stopped after {options.seconds:g} s", flush=True)
    return int(bool(tally.faults.total()))


def _fuzz_commands(n: int, seed: int, end: float) -> int:
    """Print the faults of `n` damaged command lines, or of those until `end`; return how many there are."""
    import fuzz_commands  # beside this file

    found, done, start = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        if start < end:
            fuzz_commands.make_inputs(Path(folder))
        lines = fuzz_commands.fuzz_commands(n, seed, Path(folder))
        while time.monotonic() < end and (line := next(lines, None)) is not None:
            done += 1
            if line:
                found += 1
                print(line, flush=True)
    print(f"{done} damaged command lines, {found} faults; seed {seed}; {time.monotonic() - start:.0f} s")
    return found


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
