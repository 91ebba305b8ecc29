"""Files of the Meadows platform: RDMs from multi-arrangement tasks, as ``.mat`` and ``.json``.

What belongs here: both layouts, of one participant or of several; references are the files themselves.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils import json_files
from fernet_neuro._utils.atomic import write_text
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms

_TASK_TYPE = "multiarrange"
_DISTANCE = "arrangement"
_FILE_SUFFIX = re.compile(r"\.(png|jpe?g|gif|bmp|webp|svg|tiff?|mp4|webm|mp3|wav|txt)$", re.IGNORECASE)
#: Meadows makes up names such as "clear-koala", and puts them into names of files and variables.
_PARTICIPANT = re.compile(r"[a-z]+-[a-z]+")


def is_meadows(content: Mapping[str, Any]) -> bool:
    """Return whether the variables of a ``.mat`` file are those of Meadows."""
    return any(name.startswith("rdmutv") for name in content)


def from_mat(content: Mapping[str, Any], path: Path) -> RDMSet:
    """Return the RDMs of ``rdmutv`` and ``stimuli``, or of those with ``_NAME`` by participant."""
    sets = []
    for name in sorted(key for key in content if key.startswith("rdmutv")):
        suffix = name.removeprefix("rdmutv")
        if f"stimuli{suffix}" not in content:
            raise ValueError(f"RDM file {path} has {name!r} but no 'stimuli{suffix}'.")
        participant = suffix.strip("_").replace("_", "-") or _find_participant(path)
        vectors = np.atleast_2d(np.squeeze(np.asarray(content[name], dtype=np.float64)))
        sets.append(_make_set(vectors, content[f"stimuli{suffix}"], {"subject": participant}, path))
    return _concat_in_one_order(sets)


def read_json(path: Path, variable: str | None = None, _n_stimuli: int | None = None) -> RDMSet:
    """Read a Meadows ``.json`` file; `variable` chooses one task by its name."""
    try:
        content = json_files.read_json(path)
    except ValueError as error:
        raise StoreError(f"RDM file {path} is not JSON: {error}") from error
    participants = content if isinstance(content, list) else [content]
    sets, names = [], []
    for number, participant in enumerate(participants):
        if not isinstance(participant, dict) or not isinstance(participant.get("tasks"), list):
            raise StoreError(f"RDM file {path} is not a Meadows file: it has no list of tasks.")
        subject = str(participant.get("participant") or _find_participant(path) or number)
        for place, task in enumerate(participant["tasks"]):
            meta = task.get("task", {})
            if meta.get("task_type") != _TASK_TYPE:
                continue
            names.append(str(meta.get("name", place)))
            if variable in (None, names[-1]):
                sets.append(_from_task(task, {"subject": subject, "task": names[-1]}, path))
    if not sets:
        found = (
            f"has no task {variable!r}; it has: {', '.join(dict.fromkeys(names))}"
            if names
            else (f"has no task of the type {_TASK_TYPE!r}")
        )
        raise ValueError(f"RDM file {path} {found}.")
    return _concat_in_one_order(sets)


def write_json(rdms: RDMSet, path: Path) -> None:
    """Write each RDM as one multi-arrangement task of a Meadows file."""
    if np.isnan(rdms.dissimilarities).any():
        raise ValueError("a Meadows file has no missing pairs; write .npz instead.")
    stimuli = [{"name": name} for name in rdms.stimulus_ids.tolist()]
    tasks = [
        {"task": {"task_type": _TASK_TYPE, "name": name}, "stimuli": stimuli, "rdm": vector.tolist()}
        for name, vector in zip(rdms.names, rdms.dissimilarities, strict=True)
    ]
    write_text(path, json.dumps({"tasks": tasks}) + "\n")


def _from_task(task: Mapping[str, Any], labels: dict[str, str], path: Path) -> RDMSet:
    try:
        stimuli = np.array([str(item["name"]) for item in task["stimuli"]])
        vectors = np.atleast_2d(np.asarray(task["rdm"], dtype=np.float64))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"RDM file {path}: task {labels['task']!r} has no stimuli and rdm: {error}."
        ) from error
    return _make_set(vectors, stimuli, labels, path)


def _make_set(vectors: np.ndarray, stimuli: Any, labels: dict[str, str], path: Path) -> RDMSet:
    # File names of pictures come with their suffix, and from MATLAB padded to one length.
    ids = [_FILE_SUFFIX.sub("", str(item).strip()) for item in np.asarray(stimuli).ravel()]
    given = {name: value for name, value in labels.items() if value}
    table = pd.DataFrame([given] * len(vectors)) if given else pd.DataFrame()
    try:
        return RDMSet(vectors, np.array(ids), table, distance=_DISTANCE)
    except ValueError as error:
        raise ValueError(f"RDM file {path}: {error}") from error


def _concat_in_one_order(sets: list[RDMSet]) -> RDMSet:
    """Return one set in the first one's order of stimuli: each task lists its own."""
    first = sets[0].stimulus_ids
    aligned = [rdms.align_to(first) if set(rdms.stimulus_ids) == set(first) else rdms for rdms in sets]
    return concat_rdms(aligned)


def _find_participant(path: Path) -> str:
    found = [part for part in path.stem.split("_")[1:] if _PARTICIPANT.fullmatch(part)]
    return found[-1] if found else ""
