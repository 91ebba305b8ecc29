"""Two published networks on photographs: no read-out, five landmarks, a wrong input, and dlib's own crop.

    FERNET_NEURO_DATA=PATH python benchmarks/bench_photographs.py [--out FOLDER] [--twins N]

Makes the rows of `docs/results.md` (two published networks on the same photographs) that no single command
makes: how often the identity network finds a person across expressions and what the expression network
answers, with the crop of `stimuli align --detector dlib --size 150` and with the chips that dlib itself cuts;
read-outs of the five points; and read-outs of the identity network with the input of ImageNet's networks, its
twins likewise. The weights are read from ``face_api`` of the data folder. Passed: with the declared input and
aligned, everyone is found, and the area under the curve is above .999. Detectors that are installed
are held against pupils marked by hand. Writes ``table.csv`` and
``detectors.csv`` and prints one JSON object on the last line.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlib
import face_recognition_models
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import roc_auc_score

import fernet_neuro as fn
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.exceptions import MissingDependencyError
from fernet_neuro.faces.align import estimate_similarity, make_template
from fernet_neuro.faces.aligned_set import align_stimuli, locate_by_detector
from fernet_neuro.faces.detectors import make_detector
from fernet_neuro.faces.landmarks import read_landmarks
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.published import fetch_network
from fernet_neuro.stimuli.datasets.registry import DATASETS
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable

SIDE = 150
#: What is read out, what is held out, and the options of its probe: one photograph of each person and
#: expression leaves nothing to choose a penalty from when people are told apart.
ASKED: dict[str, dict[str, Any]] = {
    "smile": {"target": "expression", "holdout": "identity"},
    "identity": {"target": "identity", "holdout": "expression", "penalties": [0.01]},
}
LAYERS = ("conv256_down_out", "fc")


def read_photographs(data: Path) -> StimulusTable:
    """Return the London photographs, as they are distributed."""
    return (
        DATASETS["folder"].read(data / "london_faces" / "images_256", pattern="{identity}_{expression}").table
    )


def cut_chips(photographs: StimulusTable, out: Path) -> StimulusTable:
    """Return the same photographs as dlib itself cuts them: its detector, five-point predictor and chips."""
    search = dlib.get_frontal_face_detector()
    place = dlib.shape_predictor(face_recognition_models.pose_predictor_five_point_model_location())
    out.mkdir(parents=True)
    paths = []
    for stimulus_id, path in zip(photographs.stimulus_ids, photographs.paths(), strict=True):
        picture = np.asarray(Image.open(path).convert("RGB"))
        boxes = search(picture, 0) or search(picture, 1)
        chip = dlib.get_face_chip(picture, place(picture, boxes[0]), size=SIDE)
        paths.append(out / f"{stimulus_id}.png")
        Image.fromarray(chip).save(paths[-1])
    return StimulusTable.from_frame(photographs.frame.assign(path=[str(path) for path in paths]))


def find_people(model: LayeredModel, faces: StimulusTable) -> dict[str, float]:
    """Return the area under the curve of distances across expressions, and how many people are found."""
    answers = fn.extract(model, faces, layers=["fc"])["fc"].values
    is_neutral, people = faces.factor("expression") == "neutral", faces.factor("identity")
    distances = np.linalg.norm(answers[~is_neutral][:, None] - answers[is_neutral], axis=2)
    same = people[~is_neutral][:, None] == people[is_neutral]
    found = people[is_neutral][distances.argmin(axis=1)] == people[~is_neutral]
    return {"auc": float(roc_auc_score(same.ravel(), -distances.ravel())), "people_found": int(found.sum())}


def count_answers(faces: StimulusTable) -> dict[str, int]:
    """Return how many neutral and smiling faces the expression network names so."""
    named = fn.predict(faces, "face-api-expression").frame["expression"].to_numpy()
    shown = faces.factor("expression")
    return {
        "neutral_named": int((named[shown == "neutral"] == "neutral").sum()),
        "smiles_named": int((named[shown != "neutral"] == "happiness").sum()),
    }


def store_landmarks(faces: StimulusTable, folder: Path, out: Path) -> Path:
    """Write the five points of each face, moved to the template (10 numbers, pixels), as a store."""
    points, template = read_landmarks(folder / "landmarks.csv"), make_template(SIDE)
    order = [points.stimulus_ids.tolist().index(name) for name in faces.stimulus_ids]
    moved = [estimate_similarity(face, template).apply(face) for face in points.points[order]]
    values = np.reshape(moved, (len(faces), -1))
    write_store(out, faces, [Activations(values, faces.stimulus_ids, "landmarks")])
    return out


def read_out(
    name: str, source: Any, faces: StimulusTable | None, layers: list[str], **options: Any
) -> Iterator[dict[str, Any]]:
    """Yield what each read-out finds in each layer, in %, with its interval and the difference to twins."""
    for what, asked in ASKED.items():
        report = fn.probe(source, faces, layers=layers, **asked, **options)
        for row in report.layers:
            if row["source"] == "network":
                ends = ("balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high")
                shown = {end.replace("balanced_", ""): 100 * row[end] for end in ends}
                twins = {
                    key: row.get(f"difference_untrained{end}") for key, end in (("vs_twins", ""), ("p", "_p"))
                }
                yield {"input": name, "asked": what, "layer": row["layer"], **shown, **twins}


def measure(data: Path, work: Path, n_twins: int, n_permutations: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the read-outs, and what is found without any."""
    for name in ("face-api-identity", "face-api-expression"):
        fetch_network(name, source=data / "face_api")
    photographs = read_photographs(data)
    report = align_stimuli(photographs, work / "faces", locate_by_detector(make_detector("dlib")), size=SIDE)
    crops = {"aligned": report.table, "dlib's chips": cut_chips(photographs, work / "chips")}
    declared = fn.load_model("face-api-identity")
    wrong = declared.with_card(preprocessing=fn.load_model("resnet18").card.preprocessing)
    found: dict[str, Any] = {
        crop: {**find_people(declared, faces), **count_answers(faces)} for crop, faces in crops.items()
    }
    found["as distributed"] = find_people(declared, photographs)
    found["ImageNet's input"] = find_people(wrong, report.table)
    n_people = report.table["identity"].nunique()
    found["passed"] = found["aligned"]["people_found"] == n_people and found["aligned"]["auc"] > 0.999
    options = {"n_permutations": n_permutations}
    points = store_landmarks(report.table, work / "faces", work / "points")
    rows = [*read_out("five landmarks", points, None, ["landmarks"], controls=(), **options)]
    for name, model in (("declared", declared), ("ImageNet's", wrong)):
        rows += read_out(name, model, report.table, list(LAYERS), n_twins=n_twins, **options)
    return pd.DataFrame(rows), found


def compare_detectors(data: Path) -> pd.DataFrame:
    """Return, for each detector that is installed, faces found and how far pupils are from those marked.

    Distances in pixels of the photographs, over the neutral ones, which are marked.
    """
    london = data / "london_faces"
    known = np.load(london / "neutral_landmarks_189.npz", allow_pickle=False)
    marked = next(known[name] for name in known.files if known[name].ndim == 3)[:, :2]
    photographs = sorted((london / "images_256").glob("*.jpg"))
    neutral = [number for number, path in enumerate(photographs) if path.stem.endswith("_neutral")]
    rows = []
    for name in ("dlib", "mtcnn", "mediapipe"):
        try:
            detector = make_detector(name)
        except MissingDependencyError:
            continue
        start = time.process_time()
        points = [detector.locate(load_image(path)) for path in photographs]
        seconds = time.process_time() - start
        off = [
            np.linalg.norm(points[number][:2] - pupils, axis=1).mean()
            for number, pupils in zip(neutral, marked, strict=True)
            if not isinstance(points[number], str)
        ]
        n_found = sum(not isinstance(found, str) for found in points)
        rows.append((name, n_found, len(points), np.mean(off), np.max(off), seconds))
    columns = [
        "detector",
        "n_found",
        "n_photographs",
        "mean_distance",
        "largest_distance",
        "processor_seconds",
    ]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/photographs"))
    parser.add_argument("--twins", type=int, default=10)
    parser.add_argument("--permutations", type=int, default=1000)
    asked = parser.parse_args()
    data = Path(os.environ["FERNET_NEURO_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("FERNET_NEURO_CACHE", str(Path(folder) / "cache"))
        table, found = measure(data, Path(folder), asked.twins, asked.permutations)
    asked.out.mkdir(parents=True, exist_ok=True)
    detectors = compare_detectors(data)
    for name, frame in (("table", table), ("detectors", detectors)):
        frame.to_csv(asked.out / f"{name}.csv", index=False)
        print(frame.round(3).to_string(index=False))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
