"""Networks that learnt from rendered faces, on photographs and on another renderer's faces.

    FERNET_NEURO_DATA=PATH python benchmarks/bench_shipped_networks.py [--out FOLDER] [--quick]

Trains the recipe ``lfnsb/rendered_tiny`` on built-in faces, faces of the ICT model and both, in sets of
several sizes, all for the same number of pictures; a linear network on pixels by the same recipe; and reads
ten untrained twins out by a ridge classifier fitted to the same faces. These and the networks that are
shipped are tested on 140 photographs (neutral and smiling, 70 people) and on rendered faces of another
programme, aligned by five points, and on rendered people whom none was trained on. Writes ``table.csv``
(95 % intervals over people by bootstrap; of twins, least and greatest) and prints one JSON object on the last
line.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import fernet_neuro as fn
from fernet_neuro._utils.config import fill_settings, read_settings
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.shipped import find_recipe
from fernet_neuro.experiments.predictions import compute_logits
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.faces.aligned_set import align_stimuli, locate_by_table
from fernet_neuro.faces.landmarks import LandmarkTable
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.plain import wrap_module
from fernet_neuro.models.registry import build_model, untrained_twin
from fernet_neuro.stats.resampling import bootstrap_mean_interval
from fernet_neuro.stimuli.rendering.action_units import EXPRESSIONS
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

CLASSES = tuple(sorted(EXPRESSIONS))
RECIPE = "lfnsb/rendered_tiny"
SHIPPED = ("lfnsb-rendered", "lfnsb-tiny-rendered")
IDENTITY = "lfnsb-rendered-identity"
#: The faces that the recipe's comment says.
FACES = {
    "first_identity": 10000, "views": 1, "sessions": 1, "intensity": [0.6, 1.0], "continuous_pose": True,
    "background": "random",
}  # fmt: skip
#: Points of the London template whose means are eyes, nose and corners of the mouth; Multi-PIE's 68 likewise.
LONDON_POINTS = ([0], [1], [54, 55, 60], [87], [93])
MULTIPIE_POINTS = (range(36, 42), range(42, 48), [30], [48], [54])
NAMES = {
    "angry": "anger", "disgusted": "disgust", "fearful": "fear", "happy": "happiness", "sad": "sadness",
    "smiling": "happiness", "surprised": "surprise",
}  # fmt: skip
#: What aligning does to faces as they are rendered: the middle is enlarged by this factor.
ENLARGED = 1.125
#: The baseline learns at a lower rate: pixels are not normalised batch by batch.
PIXELS = {"model": f"{__file__}:linear_pixels", "lr": 1e-3}
N_BOOTSTRAPS = 2000
N_TWINS = 10


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    people: tuple[int, ...] = (225, 1000)  # of each training set
    n_shown: int = 31000  # pictures that a network sees in training, over all epochs
    n_test: int = 60  # rendered people of each kind whom nothing is trained on


QUICK = Plan(people=(16,), n_shown=128, n_test=3)


def linear_pixels(n_classes: int = 7, size: int = 48, channels: str = "grey") -> LayeredModel:
    """Return the baseline: class scores as weighted sums of pixels."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(size**2, n_classes))
    return wrap_module(module, size=size, channels=channels, mean=0.5, std=0.25)


def align_pictures(
    pictures: list[np.ndarray], points: np.ndarray, frame: pd.DataFrame, out: Path
) -> StimulusTable:
    """Return pictures of `frame`'s rows aligned by five points each, kept in `out`."""
    if not (out / "table.csv").is_file():
        raw = out.with_name(f"{out.name}_raw")
        raw.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(frame["stimulus_id"], pictures, strict=True):
            Image.fromarray(picture).save(raw / f"{name}.png")
        table = StimulusTable.from_frame(frame.assign(path=frame["stimulus_id"] + ".png"), root=raw)
        landmarks = LandmarkTable(
            table.stimulus_ids, points, pd.DataFrame(columns=["row", "stimulus_id", "reason"])
        )
        align_stimuli(table, out, locate_by_table(landmarks))
    return StimulusTable.read(out / "table.csv")


def read_london(data: Path, out: Path) -> StimulusTable:
    """Return the photographs; the points of a person's neutral face align the smile too."""
    rows = pd.read_csv(data / "london_faces" / "london_faces.csv")
    known = np.load(data / "london_faces" / "neutral_landmarks_189.npz")
    of = {int(who): place for place, who in enumerate(known["identity"])}
    points = pick(known["landmarks"][[of[who] for who in rows["identity"]]], LONDON_POINTS)
    pictures = [np.array(Image.open(data / "london_faces" / "images_256" / name)) for name in rows["file"]]
    return align_pictures(pictures, points, describe(rows, [Path(name).stem for name in rows["file"]]), out)


def read_ict(data: Path, out: Path) -> StimulusTable:
    """Return the faces that another programme rendered from the ICT model."""
    faces = np.load(data / "ict_faces" / "ict_faces_64.npz")
    rows = pd.read_csv(data / "ict_faces" / "ict_faces_64.csv").rename(columns={"emotion": "expression"})
    points = pick(faces["landmarks68"], MULTIPIE_POINTS)
    return align_pictures(
        list(faces["images"]), points, describe(rows, [f"ict{n:04d}" for n in range(len(rows))]), out
    )


def pick(points: np.ndarray, groups: tuple) -> np.ndarray:
    """Return means (n_faces, n_groups, 2) over groups of `points` (n_faces, n_points, 2)."""
    return np.stack([points[:, list(group)].mean(1) for group in groups], axis=1).astype(float)


def describe(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return ids, people and expressions by the names that rendered faces have."""
    who = "p" + rows["identity"].astype(str)
    return pd.DataFrame(
        {"stimulus_id": names, "identity": who, "expression": rows["expression"].replace(NAMES)}
    )


@dataclass(frozen=True)
class Bench:
    """Where faces and runs lie, and what the recipe says."""

    plan: Plan
    data: Path
    out: Path
    recipe: TrainSettings

    @property
    def kinds(self) -> dict[str, str | list[str]]:
        """What faces are rendered from."""
        ict = str(self.data / "ict_facekit" / "ict_face_light.npz")
        return {"built-in": "builtin", "ICT": ict, "both": ["builtin", ict]}

    def render(self, kind: str, **changes: int) -> StimulusTable:
        """Return rendered faces in the views that the recipe trains on."""
        settings = RenderSettings(**{**FACES, "face_model": self.kinds[kind], **changes})
        place = self.out / "faces" / f"{kind}-{settings.first_identity}-{settings.identities}"
        if not (place / "table.csv").is_file():
            fn.render_faces(settings, place, n_jobs=2)
        table = StimulusTable.read(place / "table.csv")
        return table[table["view"] == self.recipe.select["view"]]

    def train(self, kind: str, n_people: int, table: StimulusTable, **changes: object) -> LayeredModel:
        """Return a network trained by the recipe on a set, for as many pictures as all others see."""
        epochs = max(round(self.plan.n_shown / len(table)), 1)
        settings = fill_settings(
            TrainSettings, self.recipe, {"epochs": epochs, "warmup_epochs": epochs / 10, **changes}
        )
        name = f"{settings.model.rpartition(':')[2]}-{kind}-{n_people}"
        return fit(settings, self.out / "runs" / name, table=table, resume=True)

    def tests(self) -> dict[str, StimulusTable]:
        """Return what everything is tested on, by name."""
        people = {"first_identity": 5000, "identities": self.plan.n_test}
        return {
            "London photographs": read_london(self.data, self.out / "london"),
            "ICT faces of another renderer": read_ict(self.data, self.out / "ict"),
            "new built-in people": self.render("built-in", **people),
            "new ICT people": self.render("ICT", **people),
        }


def score(logits: np.ndarray, table: StimulusTable, n_boot: int = N_BOOTSTRAPS) -> Iterator[dict]:
    """Yield accuracies with intervals over people; of photographs, the choice of smile or neutral too."""
    truth = np.searchsorted(CLASSES, table.factor("expression"))
    rng, who = make_rng(0, "people"), table.factor("identity")
    right = (logits.argmax(1) == truth).astype(float)
    low, high = bootstrap_mean_interval(right, groups=who, n_bootstraps=n_boot, rng=rng)
    yield {
        "score": "accuracy",
        "value": right.mean(),
        "low": low,
        "high": high,
        "chance_level": 1 / len(CLASSES),
    }
    if len(set(truth)) != 2:
        return
    smile, neutral = CLASSES.index("happiness"), CLASSES.index("neutral")
    lead, smiles = logits[:, smile] - logits[:, neutral], truth == smile
    decided = ((lead > 0) == smiles).astype(float)
    low, high = bootstrap_mean_interval(decided, groups=who, n_bootstraps=n_boot, rng=rng)
    yield {"score": "smile accuracy", "value": decided.mean(), "low": low, "high": high, "chance_level": 0.5}
    low, high = np.quantile(
        [roc_auc_score(smiles[rows], lead[rows]) for rows in draw_people(who, n_boot, rng)], [0.025, 0.975]
    )
    yield {
        "score": "smile AUC",
        "value": roc_auc_score(smiles, lead),
        "low": low,
        "high": high,
        "chance_level": 0.5,
    }


def draw_people(who: np.ndarray, n_boot: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows of as many people as there are, drawn with replacement."""
    rows = [np.flatnonzero(who == name) for name in np.unique(who)]
    for drawn in rng.integers(0, len(rows), (n_boot, len(rows))):
        yield np.concatenate([rows[place] for place in drawn])


def read_out_twins(
    options: dict, table: StimulusTable, tests: dict[str, StimulusTable], n_twins: int
) -> Iterator[dict]:
    """Yield scores of ridge classifiers on last features of untrained networks, fitted to rendered faces."""
    for seed in range(n_twins):
        twin = build_model("lfnsb-tiny", seed=seed, **options)
        seen = enlarge(twin)
        reader = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0))
        reader.fit(read_features(seen, table), table.factor("expression"))
        for name, test in tests.items():
            network = seen if name.startswith("new") else twin
            logits = reader.decision_function(read_features(network, test))
            for row in score(logits, test, 10):
                yield {"network": "untrained twins", "stimuli": name, "seed": seed, **row}


def enlarge(model: LayeredModel) -> LayeredModel:
    """Return a network that sees the middle of a rendered face as large as of an aligned one."""
    preprocessing = model.card.preprocessing
    return model.with_card(preprocessing=replace(preprocessing, resize=round(ENLARGED * preprocessing.size)))


def read_features(model: LayeredModel, table: StimulusTable) -> np.ndarray:
    """Return what reaches the classifier, (n_stimuli, n_features)."""
    store = extract_activations(model, table, ["spatial_bias"], None)
    return np.array(store["spatial_bias"].values).reshape(len(table), -1)


def measure(bench: Bench) -> pd.DataFrame:
    """Return all scores, one per row."""
    tests, rows = bench.tests(), []
    for kind in bench.kinds:
        for n_people in bench.plan.people:
            table = bench.render(kind, identities=bench.plan.people[-1])
            table = table[table["identity"].isin(sorted(set(table["identity"]))[:n_people])]
            for label, changes in (("lfnsb-tiny", {}), ("pixels", PIXELS)):
                network = bench.train(kind, n_people, table, **changes)
                origin = {"network": label, "faces": kind, "people": n_people, "pictures": len(table)}
                rows += [{**origin, **row} for row in rate(network, tests)]
    twins = pd.DataFrame(
        read_out_twins(bench.recipe.model_options, table, tests, N_TWINS if bench.plan.n_test > 3 else 2)
    )
    return pd.concat([pd.DataFrame(rows), summarise_twins(twins)], ignore_index=True)


def rate(network: LayeredModel, tests: dict[str, StimulusTable]) -> Iterator[dict]:
    """Yield the scores of a network of the seven expressions."""
    for name, test in tests.items():
        logits = compute_logits(network, CLASSES, test, None, source=network.card.name)
        yield from ({"stimuli": name, **row} for row in score(logits, test))


def summarise_twins(twins: pd.DataFrame) -> pd.DataFrame:
    """Return mean, least and greatest score over twins."""
    by = ["network", "stimuli", "score", "chance_level"]
    return twins.groupby(by)["value"].agg(value="mean", low="min", high="max").reset_index()


def name_people(model: LayeredModel, table: StimulusTable) -> float:
    """Return how often the nearest of all neutral faces, by cosine, is of the person who smiles."""
    faces = read_features(model, table)
    faces = (faces - faces.mean(0)) / np.linalg.norm(faces - faces.mean(0), axis=1, keepdims=True)
    smiles, who = table.factor("expression") == "happiness", table.factor("identity")
    nearest = (faces[smiles] @ faces[~smiles].T).argmax(1)
    return float((who[~smiles][nearest] == who[smiles]).mean())


def measure_shipped(bench: Bench) -> pd.DataFrame:
    """Return the scores of the networks that are shipped, by name."""
    tests, rows = bench.tests(), []
    for name in SHIPPED:
        rows += [{"network": name, **row} for row in rate(fn.load_model(name), tests)]
    photographs = tests["London photographs"]
    identity = fn.load_model(IDENTITY)
    for label, network in ((IDENTITY, identity), ("its untrained twin", untrained_twin(identity, 0))):
        share = name_people(network, photographs)
        rows.append({"network": label, "stimuli": "London photographs", "score": "who smiles", "value": share,
                     "chance_level": 2 / len(photographs)})  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="where faces, runs and the table are kept")
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    parser.add_argument("--shipped", action="store_true", help="only the networks that are shipped")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = Path(os.environ["FERNET_NEURO_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder)
        plan = QUICK if given.quick else Plan()
        bench = Bench(plan, data, out, read_settings(TrainSettings, find_recipe(RECIPE)))
        parts = [measure_shipped(bench)] + ([] if given.shipped else [measure(bench)])
        table = pd.concat(parts, ignore_index=True)
        table.to_csv(out / "table.csv", index=False)
    smiles = table[table["network"].isin(SHIPPED) & (table["score"] == "smile AUC")]
    print(table.round(3).to_string())
    print(
        json.dumps(
            {
                "benchmark": "shipped networks on photographs: smile against neutral, area under the curve",
                **dict(zip(smiles["network"], smiles["value"].round(3), strict=True)),
                "passed": bool((smiles["low"] > 0.5).all()),
            }
        )
    )


if __name__ == "__main__":
    main()
