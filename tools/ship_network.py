"""Put a trained run into the package, as a network that goes by a name.

``python tools/ship_network.py RUN NAME --accuracy measured.csv --learnt-from "..."`` writes the folder
``fernet_neuro/systems/SYSTEM/trained/NAME``: a run like any other, without checkpoints, log, and places on
this machine; weights have 16 bits, and the card says what that changed.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.special import softmax

from fernet_neuro import catalogue
from fernet_neuro._utils.atomic import atomic_folder
from fernet_neuro._utils.config import write_settings
from fernet_neuro._utils.shipped import TRAINED, list_folders
from fernet_neuro.experiments.predictions import compute_logits, read_classes
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.weights import save_model
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.training.config import TrainSettings, leave_out_places
from fernet_neuro.training.folder import RunFolder, load_run

#: All networks of a system together.
LARGEST = 12_000_000
LICENCE = "BSD-3-Clause"
#: Columns that a file of accuracies must have.
COLUMNS = ("stimuli", "score", "value", "chance_level")


def ship(run: Path, name: str, accuracy: Path, learnt_from: str, *, system: str = "lfnsb") -> Path:
    """Write the folder of the network `name` and return it.

    Raises
    ------
    ValueError
        If the run, the accuracies or the size of the whole are not fit to be shipped.
    """
    measured = read_accuracy(accuracy)
    source, target = RunFolder(run), find_target(system, name)
    model = load_run(run)
    settings = TrainSettings.model_validate(leave_out_places(yaml.safe_load(source.recipe.read_text())))
    with tempfile.TemporaryDirectory() as temporary:
        new = RunFolder(Path(temporary) / name)
        shipped = save_rounded(model, new.model, source, measured, learnt_from)
        write_settings(settings, new.recipe)
        new.write_record(settings, strip(source.read_record(), shipped.weight_digest()))
        check(new.path, target)
        with atomic_folder(target) as place:
            shutil.copytree(new.path, place, dirs_exist_ok=True)
    return target


def read_accuracy(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file of accuracies, without empty cells."""
    frame = pd.read_csv(path)
    missing = [name for name in COLUMNS if name not in frame]
    if missing or frame.empty:
        raise ValueError(f"{path} must have rows, and the columns {', '.join(COLUMNS)}; missing: {missing}.")
    rows = frame.astype(object).to_dict(orient="records")
    return [{str(key): value for key, value in row.items() if not pd.isna(value)} for row in rows]


def find_target(system: str, name: str) -> Path:
    """Return where the network goes."""
    owner = catalogue.list_systems()[system]
    folders = list_folders(owner, owner.trained)
    if not folders:
        raise ValueError(f'system {system!r} ships no networks; give it trained="PACKAGE" in its system.py.')
    return folders[0] / TRAINED / name


def save_rounded(
    model: LayeredModel, place: Path, source: RunFolder, measured: list[dict[str, Any]], learnt_from: str
) -> LayeredModel:
    """Save 16-bit weights with the card, which says what rounding changed, and return the network."""
    classes = read_classes(str(source.path), str(source.read_record()["task"]["factor"]))
    faces = read_stimuli("builtin")
    before = answer(model, classes, faces)
    save_model(model, place, half=True)
    after = answer(model, classes, faces)
    same = int((before.argmax(1) == after.argmax(1)).sum())
    rounding = (
        f"16-bit weights change probabilities of the {len(faces)} builtin faces by at most "
        f"{np.abs(before - after).max():.1g}, and {len(faces) - same} answers"
    )
    shipped = model.with_card(
        licence=LICENCE,
        source=f"trained with fernet-neuro by the recipe beside it; {rounding}",
        training_data=f"{learnt_from}; {model.card.training_data}",
        measured=measured,
    )
    save_model(shipped, place, half=True)
    return shipped


def answer(model: LayeredModel, classes: tuple[str, ...], faces: StimulusTable) -> np.ndarray:
    """Return probabilities of the classes for each face."""
    with tempfile.TemporaryDirectory() as folder:
        logits = compute_logits(model, classes, faces, Path(folder) / "store", source="network")
    return softmax(logits, axis=1)


def strip(record: dict[str, Any], weights: str) -> dict[str, Any]:
    """Return the record of a run whose kept epoch is the only one."""
    kept = {key: value for key, value in record.items() if key not in ("format", "settings", "seed")}
    digests = {**record["digests"], "weights": weights}
    return {**kept, "kept": "last", "last": record[record["kept"]], "best": None, "digests": digests}


def check(new: Path, target: Path) -> None:
    """Raise if a file names a place on this machine, or all networks together are too large."""
    for path in (new / "recipe.yaml", new / "record.json", new / "model" / "model.json"):
        for text in list_texts(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if any(word.startswith("/") and len(word) > 1 for word in text.split()):
                raise ValueError(
                    f"{path.name} names a place on this machine: {text!r}; take it out of the run."
                )
    others = [place for place in target.parent.glob("*") if place.name != target.name]
    sizes = {place.name: measure(place) for place in (*others, new)}
    if sum(sizes.values()) > LARGEST:
        raise ValueError(
            f"networks may take {LARGEST:,} bytes together; got {sum(sizes.values()):,}: {sizes}."
        )


def list_texts(values: Any) -> Iterator[str]:
    """Yield every text in nested values."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, list | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from list_texts(value)


def measure(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="complete run folder")
    parser.add_argument("name", help="what the network is called, such as lfnsb-rendered")
    parser.add_argument("--accuracy", type=Path, required=True, help=f"CSV with {', '.join(COLUMNS)}, ...")
    parser.add_argument("--learnt-from", required=True, help="what it learnt from, in words")
    parser.add_argument("--system", default="lfnsb")
    given = parser.parse_args()
    place = ship(given.run, given.name, given.accuracy, given.learnt_from, system=given.system)
    sys.stdout.write(f"{place}: {measure(place) / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
