"""Made-up results in the layout of a results folder, from a seeded generator: for tests of drawing only."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy.spatial.distance import pdist

from fernet_neuro._utils.config import read_settings
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.brain.group import GroupMap, find_peaks
from fernet_neuro.brain.images import compute_coordinates
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.evaluation.seeds import SEEDS, summarise_runs
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.rsa.inference import random_effects
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.models.partition import partition_variance
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.rsa.searchlight.folder import label_models, write_group_maps
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.transfer.diets.settings import DietsSettings

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
VIEWS = ("full_left", "half_left", "straight", "half_right", "full_right")
LAYERS = ("stem", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")
#: Made-up accuracy of the last layer by network and target; earlier layers climb towards it.
PEAKS = {
    "identity": {"expression": 0.52, "identity": 0.93},
    "verification": {"expression": 0.41, "identity": 0.71},
    "expression": {"expression": 0.88, "identity": 0.33},
    "untrained": {"expression": 0.27, "identity": 0.36},
    "pixels": {"expression": 0.24, "identity": 0.40},
}
N_CLASSES = {"expression": 7, "identity": 14}
FOLDS = {"expression": [f"set{k}" for k in range(5)], "identity": list(EXPRESSIONS)}


def _source_layers(source: str, network: str) -> list[str]:
    prefix = "trunk." if network == "verification" else ""
    return ["pixels"] if source == "pixels" else [prefix + layer for layer in LAYERS]


def _fold_rows(network: str, target: str, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    chance = 1 / N_CLASSES[target]
    for source in ("network", "pixels", "untrained", "control-task"):
        peak = PEAKS[network if source == "network" else source][target] if source != "control-task" else 0.16
        layers = _source_layers(source, network)
        for index, layer in enumerate(layers):
            reach = 1.0 if len(layers) == 1 else 1 - np.exp(-(index + 1) / 2.2)
            mean = chance + (peak - chance) * reach
            for fold in FOLDS[target]:
                score = float(np.clip(mean + rng.normal(0, 0.03), 0, 1))
                rows.append((source, layer, index, "ridge", target, fold, chance, score))
    columns = ["source", "layer", "layer_index", "readout", "target", "fold"]
    columns += ["chance_level", "balanced_accuracy"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(
        holdout="identity" if target == "expression" else "expression",
        n_train=392,
        n_test=98,
        n_classes=N_CLASSES[target],
        penalty=1.0,
        seed=0,
    )


def _summary(folds: pd.DataFrame, target: str) -> dict:
    layers = []
    for (source, layer), group in folds.groupby(["source", "layer"], sort=False):
        scores = group["balanced_accuracy"]
        half = 2 * scores.std() / np.sqrt(len(scores))
        significant = scores.mean() > 0.2
        layers.append(
            {
                "source": source,
                "layer": layer,
                "layer_index": int(group["layer_index"].iloc[0]),
                "readout": "ridge",
                "target": target,
                "holdout": str(group["holdout"].iloc[0]),
                "n_classes": N_CLASSES[target],
                "chance_level": 1 / N_CLASSES[target],
                "balanced_accuracy": float(scores.mean()),
                "balanced_accuracy_low": float(scores.mean() - half),
                "balanced_accuracy_high": float(scores.mean() + half),
                "interval": f"{len(scores)} test folds",
                "per_class_accuracy": {},
                "p_value": 0.001 if significant else 0.4,
                "p_value_max": None if source == "pixels" else (0.001 if significant else 0.6),
                "n_permutations": 1000,
                "selectivity": 0.1,
            }
        )
    return {"settings": {"target": target, "readouts": ["ridge"], "n_permutations": 1000}, "layers": layers}


def _confusion(network: str, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    peak = PEAKS[network]["expression"]
    for layer in _source_layers("network", network):
        for true in EXPRESSIONS:
            share = np.where(np.array(EXPRESSIONS) == true, peak, (1 - peak) / 6)
            counts = rng.multinomial(70, share / share.sum())
            rows += [
                ("network", layer, "ridge", true, *pair) for pair in zip(EXPRESSIONS, counts, strict=True)
            ]
    return pd.DataFrame(rows, columns=["source", "layer", "readout", "true", "predicted", "count"])


def write_probe(folder: Path, network: str, target: str, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    folds = _fold_rows(network, target, rng)
    folds.to_csv(folder / "results.csv", index=False)
    (folder / "summary.json").write_text(json.dumps(_summary(folds, target)))
    if target == "expression":
        _confusion(network, rng).to_csv(folder / "confusion.csv", index=False)


def write_stimuli(folder: Path, rng: np.random.Generator, n_identities: int = 6) -> None:
    (folder / "images").mkdir(parents=True)
    rows = []
    for identity in range(n_identities):
        tone = rng.integers(90, 220, 3)
        for expression in EXPRESSIONS:
            for view in VIEWS:
                for session in ("A", "B"):
                    name = f"id{identity:03d}_{expression}_{view}_{session}"
                    pixels = np.clip(tone + rng.normal(0, 25, (32, 32, 3)), 0, 255).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
                    rows.append((name, f"images/{name}.png", f"id{identity:03d}", expression, view, session))
    columns = ["stimulus_id", "path", "identity", "expression", "view", "session"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "table.csv", index=False)


def write_evaluation(folder: Path, n_seeds: int = 2, n_images: int = 210) -> Path:
    """Two epochs of made-up networks that know the expressions of 30 people well, and fear not at all."""
    rng = np.random.default_rng(1855)
    shown = np.array([name for name in EXPRESSIONS if name != "fear"])
    targets = rng.integers(0, len(shown), n_images)
    people = np.char.add("p", (np.arange(n_images) % 30).astype(str))
    results = {}
    for epoch in ("last", "best"):
        for seed in range(n_seeds):
            logits = rng.normal(size=(n_images, len(EXPRESSIONS)))
            codes = np.searchsorted(np.array(EXPRESSIONS), shown[targets])
            logits[np.arange(n_images), codes] += 2.0
            results[epoch, str(seed)] = evaluate_predictions(
                logits, shown[targets], EXPRESSIONS, groups=people, n_boot=200
            )
    epochs = {epoch: [results[epoch, str(seed)] for seed in range(n_seeds)] for epoch in ("last", "best")}
    means = {epoch: summarise_runs(runs) for epoch, runs in epochs.items()} if n_seeds > 1 else None
    return EvaluationReport.from_results(results, means=means).save(folder)


def write_maps(
    folder: Path,
    rng: np.random.Generator,
    n_identities: int = 15,
    layers: tuple[str, ...] = ("emotion", "non_emotion"),
    second: str = "identity",
    perplexities: tuple[float, ...] = (30.0, 10.0),
    **said: object,
) -> None:
    """Write made-up maps of layers, judged by expression and a second factor; `said` is of the networks."""
    people = np.repeat([f"id{number:02d}" for number in range(n_identities)], 2 * len(EXPRESSIONS))
    expressions = np.tile(np.repeat(EXPRESSIONS, 2), n_identities)
    ids = [f"s{number:03d}" for number in range(len(people))]
    points, scores = [], []
    for layer in layers:
        scores += [("features", np.nan, layer, *row) for row in _made_up_scores(layer, rng, second)]
        for perplexity in perplexities:
            x, y = rng.normal(0, 20, (2, len(people)))
            labels = {"identity": people, "expression": expressions, "view": "straight", "session": "A"}
            labels |= {second: np.resize(["shaded", "drawn"], len(ids))} if second == "style" else {}
            frame = pd.DataFrame({"stimulus_id": ids, "layer": layer, "method": "tsne", "x": x, "y": y})
            points.append(frame.assign(perplexity=perplexity, **labels))
            scores += [("map", perplexity, layer, *row) for row in _made_up_scores(layer, rng, second)]
            scores.append(("map", perplexity, layer, "", "trustworthiness", 0.97, np.nan))
    columns = ["space", "perplexity", "layer", "factor", "measure", "value", "chance_level"]
    quality = pd.DataFrame(scores, columns=columns)
    judged = quality["factor"] != ""
    quality = quality.assign(
        method=np.where(quality["space"] == "map", "tsne", ""),
        across=quality["factor"].map(HELD_OUT | {"": ""}),
        n_neighbours=10, n_stimuli=len(people), n_classes=7, seed=0, chance_corrected=0.1,
        low=quality["value"] - 0.05, high=quality["value"] + 0.02, null_mean=quality["chance_level"],
        null_q95=quality["chance_level"] + 0.03, p_value=0.02, p_value_max=quality["value"].lt(0.3) * 0.2,
        interval=np.where(judged, f"{n_identities} identities", ""), n_permutations=1000 * judged,
    )  # fmt: skip
    settings = {
        "factors": {name: {"permute_within": HELD_OUT[name]} for name in ("expression", second)},
        "perplexities": list(perplexities),
        "maps": [{"n_pca": 50}],
        "seed": 0,
        **said,
    }
    EmbeddingResult(pd.concat(points, ignore_index=True), quality, settings).save(folder)


HELD_OUT = {"expression": "identity", "identity": "expression", "style": "identity"}


def _made_up_scores(layer: str, rng: np.random.Generator, second: str) -> list[tuple]:
    """Return factor, measure, value and chance level; the emotion layer carries expression."""
    rows = []
    for factor, chance in (("expression", 1 / 7), (second, 1 / 15)):
        carried = (layer == "emotion") == (factor == "expression")
        rows += [
            (factor, measure, float(chance + 0.6 * carried + rng.uniform(0, 0.05)), chance)
            for measure in ("neighbour_purity", "knn_balanced_accuracy")
        ]
    return rows


def write_network_maps(folder: Path, layers: tuple[str, ...], second: str, n_seeds: int = 3) -> None:
    """Write maps of one layer of several networks, for each training seed."""
    for seed in range(n_seeds):
        networks = {
            layer: {"variant": "recommended", "seed": seed, "n_train": 840 + place, "epoch": 20}
            for place, layer in enumerate(layers)
        }
        rng = np.random.default_rng(4602 + seed)
        said = {"networks": networks, "faces": "rendered faces"}
        write_maps(folder / f"seed{seed}", rng, 12, layers, second, (30.0,), **said)


def write_accuracies(path: Path, names: list[dict[str, str]], units: str, n_seeds: int = 3) -> None:
    """Write made-up scores of networks: each seed, and their mean with both intervals."""
    rng, rows = np.random.default_rng(5602), []
    for name in names:
        for metric in ("accuracy", "mean_class_accuracy"):
            values = rng.uniform(0.6, 0.8, n_seeds)
            case = {**name, "variant": "recommended", "metric": metric, "n": 168, "chance_level": 1 / 7}
            seeds = [(str(seed), value, units, 0.05) for seed, value in enumerate(values)]
            means = [("mean", values.mean(), units, 0.04), ("mean", values.mean(), "training seeds", 0.07)]
            rows += [
                {**case, "seed": seed, "value": value, "low": value - half, "high": value + half}
                | {"interval": over, "n_units": 12}
                for seed, value, over, half in [*seeds, *(means if n_seeds > 1 else [])]
            ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


def write_styles(folder: Path, n_seeds: int = 3) -> None:
    """Write what a made-up experiment with two styles of faces leaves."""
    styles = ("shaded", "drawn")
    write_network_maps(folder / "maps", styles, "style", n_seeds)
    names = [{"trained": trained, "tested": tested} for trained in styles for tested in styles]
    write_accuracies(folder / "accuracies.csv", names, "identities", n_seeds)


def write_identity(folder: Path, modes: tuple[str, ...] = ("non_emotion", "all"), n_seeds: int = 3) -> None:
    """Write what a made-up identity read-out leaves."""
    networks = ("before", *modes)
    write_network_maps(folder / "maps", networks, "identity", n_seeds)
    names = [{"network": name, "method": "nearest mean"} for name in networks]
    names += [{"network": name, "method": "read-out"} for name in modes]
    write_accuracies(folder / "accuracies.csv", names, "poses", n_seeds)


def write_grid(folder: Path, n_seeds: int = 3) -> None:
    """Write the tables of a made-up grid of three arms on two tests, and printed values of two of them."""
    rng = np.random.default_rng(3602)
    summary, results = [], []
    for test, chance in (("people", 0.35), ("drawn", 0.4)):
        for place, arm in enumerate(("alone", "distilled", "concept")):
            values = np.clip(0.6 + 0.05 * place + rng.normal(0, 0.02, n_seeds), 0, 1)
            case = {"arm": arm, "test": test, "epoch": "last", "metric": "accuracy"}
            case |= {"network": "concepts" if arm == "concept" else "perception", "variant": "recommended"}
            case |= {"class": "", "chance_level": chance}
            results += _write_scores(case, values)
            for metric in ("recall", "precision"):
                results += _write_scores({**case, "metric": metric, "class": "fear"}, values / 2)
            mean = {"value": values.mean(), "low": values.mean() - 0.03, "high": values.mean() + 0.03}
            row = {**case, **mean, "label": arm.capitalize(), "test_label": f"{test} faces", "n": 210}
            row |= {"headline": True, "interval": "training seeds", "n_seeds": n_seeds}
            summary += [row, {**row, "epoch": "best", "headline": False}]
    printed = [
        ("alone", "Alone", "RAF-DB", 86.28),
        ("concept", "Concept", "RAF-DB", 90.33),
        ("concept", "Concept", "Parameters", "24M"),
        ("other", "Other", "RAF-DB", 87.03),
    ]
    columns = ["arm", "label", "column", "value"]
    pd.DataFrame(summary).to_csv(folder / "summary.csv", index=False)
    pd.DataFrame(results).to_csv(folder / "results.csv", index=False)
    published = pd.DataFrame(printed, columns=columns).assign(chance="", source="Somebody (2024)")
    published.to_csv(folder / "published.csv", index=False)
    costs = pd.DataFrame(
        {"name": [*dict.fromkeys(row["arm"] for row in summary)], "group": "arm", "size": 112}
    )
    costs = costs.assign(params=[11e6, 9e6, 2e6], macs=[2e9, 1e9, 4e8], milliseconds=[40.5, 30.2, 9.1])
    costs.to_csv(folder / "cost.csv", index=False)


def _write_scores(case: dict, values: np.ndarray) -> list[dict]:
    """Return a made-up score of each seed, and the mean with its intervals over people and over seeds."""
    rows = [(str(seed), value, "identities") for seed, value in enumerate(values)]
    means = [("mean", values.mean(), over) for over in ("identities", "training seeds")]
    return [
        {**case, "seed": seed, "value": value, "low": value - 0.04, "high": value + 0.04, "interval": over}
        | {"n": 210, "n_classes": 7}
        for seed, value, over in [*rows, *(means if len(values) > 1 else [])]
    ]


#: A recipe of text-guided arms, for the made-up results of `write_grid`.
GRID_RECIPE = {
    "experiment": "grid",
    "stimuli": "train.csv",
    "tests": {"people": {"stimuli": "people.csv"}, "drawn": {"stimuli": "drawn.csv", "label": "drawn faces"}},
    "networks": {
        "guided": {"task": "text-guided"},
        "unseen": {"task": "zero-shot", "text": {"left_out": ["fear"]}},
    },
    "arms": {
        "alone": {"tested": "guided", "label": "Alone", "set": {"guided.text.transformation_weight": 0.5}},
        "distilled": {"tested": "guided", "label": "Distilled", "set": {"guided.text.contrast": "prompt"}},
        "concept": {"tested": "unseen"},
    },
}


def write_runs(folder: Path) -> None:
    """Write which run each arm of a made-up grid tested, and the log of each."""
    rng, arms = np.random.default_rng(8128), ("alone", "distilled")
    rows = [{"arm": arm, "run": f"runs/{arm}/seed0", "is_tested": True} for arm in arms]
    pd.DataFrame(rows).to_csv(folder / "runs.csv", index=False)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(GRID_RECIPE, sort_keys=False))
    for row in rows:
        place = folder / str(row["run"])
        place.mkdir(parents=True)
        loss = 2 * 0.8 ** np.arange(5) + rng.uniform(0, 0.1, 5)
        log = pd.DataFrame({"split": "train", "epoch": range(5), "loss": loss, "cross_entropy": 0.9 * loss})
        log.to_csv(place / "log.csv", index=False)


def make_diets(folder: Path, n_seeds: int = 3) -> None:
    """Write made-up read-outs of the recipe ``transfer/diets``: every diet, size, test and read-out."""
    rng, settings = np.random.default_rng(96), read_settings(DietsSettings, "transfer/diets")
    rows = []
    for test, probe, arm, layer in itertools.product(
        settings.tests, settings.probes, settings.list_arms(), settings.layers
    ):
        values = rng.normal(30 if probe.target == "expression" else 60, 3, n_seeds)
        label = settings.diets[arm.diet].label
        case = {
            **{"test": test, "test_label": settings.tests[test].label, "layer": layer, "n_twins": 10},
            **{"target": probe.target, "holdout": probe.holdout, "headline": layer == "avgpool"},
            **{"network": arm.network, "diet": arm.diet, "diet_label": label, "size": arm.size},
            **{"group": label if arm.network == "identity" else arm.network, "untrained_percent": 33.0},
            **{"untrained_low_percent": 29.0, "untrained_high_percent": 37.0},
            **{"chance_percent": 14.3, "pixels_percent": 40.0},
        }
        mean, half = values.mean(), 4.3 * values.std(ddof=1) / np.sqrt(n_seeds)
        scores = {"accuracy_percent": mean, "low_percent": mean - half, "high_percent": mean + half}
        scores |= {"difference_untrained_percent": mean - 33}
        p_value = float(rng.uniform())
        rows.append(
            {**case, **scores, "seed": "mean", "interval": SEEDS, "difference_untrained_p_holm": p_value}
        )
        rows += [{**case, "seed": str(k), "accuracy_percent": value} for k, value in enumerate(values)]
    pd.DataFrame(rows).to_csv(folder / "readouts.csv", index=False)


def write_rsa(
    folder: Path,
    rois: tuple[str, ...] = ("OFA", "FFA", "pSTS"),
    n_subjects: int = 9,
    *,
    has_table: bool = True,
    networks: tuple[str, ...] = ("identity", "untrained"),
) -> Path:
    """Write an RSA of simulated subjects against layers of made-up networks, factors and pixels.

    Peaks and intervals of shares are over subjects; all else is as the engine has it.
    """
    rng = np.random.default_rng(1971)
    table = make_rsa_table(folder)
    models = make_rsa_models(table, rng, networks)
    brain = make_rsa_brain(models, rois, n_subjects, rng)
    result = summarise_rsa(models, brain, rois)
    folder.mkdir(parents=True, exist_ok=True)
    models.save(folder / "models.npz")
    brain.save(folder / "brain.npz")
    if has_table:
        table.write(folder / "stimuli.csv")
    return result.save(folder)


def make_rsa_table(folder: Path) -> StimulusTable:
    """Three people with seven expressions, as flat pictures of their own colours."""
    rng = np.random.default_rng(2017)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for person in range(3):
        for expression in EXPRESSIONS:
            name = f"id{person}_{expression}"
            pixels = np.full((20, 16, 3), rng.integers(60, 255, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
            rows.append((name, f"images/{name}.png", f"id{person}", expression))
    frame = pd.DataFrame(rows, columns=["stimulus_id", "path", "identity", "expression"])
    return StimulusTable.from_frame(frame, root=folder)


def make_rsa_models(
    table: StimulusTable, rng: np.random.Generator, networks: tuple[str, ...] = ("identity", "untrained")
) -> RDMSet:
    """Layers that go from pixels to identity or nowhere, then both factors and the pixels."""
    pixels = pdist(rng.normal(size=(len(table), 40)))
    factors = {
        name: pdist(pd.get_dummies(table.frame[name]).to_numpy(float)) for name in ("identity", "expression")
    }
    rows = []
    for network in networks:
        target = factors.get(network, pixels)
        for at, layer in enumerate(("stem", "layer1", "layer2", "avgpool", "fc")):
            noise = pdist(rng.normal(size=(len(table), 30)))
            share = at / 4
            vector = (
                (1 - share) * pixels / pixels.std()
                + share * target / target.std()
                + 0.5 * noise / noise.std()
            )
            rows.append((f"{network}/{layer}", network, layer, vector))
    rows += [(name, "stimuli", "", vector) for name, vector in (*factors.items(), ("pixels", pixels))]
    labels = pd.DataFrame([row[:3] for row in rows], columns=["model", "source", "layer"])
    return RDMSet(np.stack([row[3] for row in rows]), table.stimulus_ids, labels, distance="correlation")


def make_rsa_brain(
    models: RDMSet, rois: tuple[str, ...], n_subjects: int, rng: np.random.Generator
) -> RDMSet:
    """Squared distances of subjects: shares of a layer and of the expression, and noise."""
    expression, identity = (
        models.dissimilarities[models.names.index(name)] for name in ("expression", "identity")
    )
    vectors, rows = [], []
    for at, roi in enumerate(rois):
        layer = models.dissimilarities[min(1 + at, 4)]
        for subject in range(n_subjects):
            noise = rng.normal(size=models.n_pairs)
            vectors.append(layer / layer.std() + 0.8 * at * expression + 0.3 * identity + 2.2 * noise)
            rows.append((f"{subject + 1:02d}", roi))
    labels = pd.DataFrame(rows, columns=["subject", "roi"])
    return RDMSet(np.stack(vectors), models.stimulus_ids, labels, distance="crossnobis", unit="squared a.u.")


def summarise_rsa(models: RDMSet, brain: RDMSet, rois: tuple[str, ...]) -> RSAResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_effects, "N_MAXIMA", 1000)  # of hundreds of pairs of models in each region
        result = infer_rsa(models, brain, n_bootstraps=60, n_permutations=20)
    chosen = models.select(model=["identity", "expression", "pixels"])
    shares = pd.concat([partition_variance(brain.select(roi=roi), chosen, "spearman").shares for roi in rois])
    shares = shares.groupby(["roi", "models", "component"], sort=False)["share"].agg(["mean", "sem"])
    shares = shares.assign(low=shares["mean"] - 2 * shares["sem"], high=shares["mean"] + 2 * shares["sem"])
    return replace(
        result,
        settings={**result.settings, "partition_comparison": "spearman"},
        peaks=pd.concat([_find_peaks(result.select_roi(roi)) for roi in rois], ignore_index=True),
        partition=shares.rename(columns={"mean": "share"}).drop(columns="sem").reset_index(),
    )


def _find_peaks(estimates: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for network, layers in estimates[estimates["layer"] != ""].groupby("source", sort=False):
        best, names = int(layers["estimate"].to_numpy().argmax()), layers["layer"].tolist()
        low, high = max(best - 1, 0), min(best + 1, len(names) - 1)
        row = {"roi": layers["roi"].iloc[0], "source": network, "layer": names[best], "position": best}
        row |= {
            "low_layer": names[low],
            "high_layer": names[high],
            "low_position": low,
            "high_position": high,
        }
        rows.append({**row, "share": 0.6, "nested_score": layers["estimate"].max() - 0.01})
    return pd.DataFrame(rows)


def write_searchlight(folder: Path, correction: str = "max_t") -> Path:
    """Write the group maps of made-up participants: one model in both fusiform gyri, another nowhere."""
    rng = np.random.default_rng(4602)
    affine = np.diag([-6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = 90.0, -126.0, -72.0
    head = np.indices((31, 37, 31)).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    mask = (((head - (0, -18, 8)) / (70, 88, 72)) ** 2).sum(axis=1).reshape(31, 37, 31) < 1
    places = compute_coordinates(mask, affine)
    groups = []
    for height in (0.3, 0.0):
        mean = rng.normal(0, 0.025, len(places))
        for side, share in ((42, 1.0), (-42, 0.8)):
            mean += share * height * np.exp(-(((places - (side, -54, -18)) / 10) ** 2).sum(axis=1))
        t = 40 * mean
        p_values = np.where(t > 5, 0.004, 0.6)
        groups.append(GroupMap(mean, t, t, p_values, np.full(999, 5.0), correction, 9, 0.001))
    names = ["identity", "layer 1.2"]
    write_group_maps(folder, groups, mask, affine, names)
    peaks = [find_peaks(group, mask, affine, model=name) for group, name in zip(groups, names, strict=True)]
    pd.concat(peaks, ignore_index=True).to_csv(folder / "peaks.csv", index=False)
    labels = label_models(names)
    settings = {
        "kind": "searchlight",
        "models": [{"name": name, "label": label} for name, label in zip(names, labels, strict=True)],
        "radius": 10.0, "n_nearest": None, "distance": "crossnobis", "comparison": "spearman",
        "subjects": {f"{number:02d}": {} for number in range(9)},
        "group": {
            "correction": correction, "n_permutations": 999, "level": 0.05, "n_voxels": int(mask.sum()),
        },
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


def write_lone_probe(folder: Path) -> Path:
    """Write a real, tiny report of `probe`: three layers of noise and a pattern per expression."""
    rng = np.random.default_rng(3)
    rows = [(f"{i}{e}", i, e) for i in "abcd" for e in EXPRESSIONS]
    frame = pd.DataFrame(rows, columns=["stimulus_id", "identity", "expression"])
    folder.mkdir()
    frame["path"] = [str(folder / f"{name}.png") for name in frame["stimulus_id"]]
    for path in frame["path"]:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    table = StimulusTable.from_frame(frame.assign(valence=rng.random(28)))
    codes = np.tile(np.arange(7), 4)
    layers = [
        Activations(size * np.eye(7)[codes] + rng.normal(size=(28, 7)), table.stimulus_ids, layer)
        for layer, size in (("layer1", 0.0), ("avgpool", 2.0), ("fc", 1.0))
    ]
    store = write_store(folder / "store", table, layers)
    options = {"n_permutations": 19, "n_folds": 4, "controls": ()}
    run_probe(store, target="valence", **options).save(folder / "valence")
    return run_probe(store, **options).save(folder)


def write_results(folder: Path) -> Path:
    rng = np.random.default_rng(1602)
    for network in ("identity", "verification", "expression"):
        for target in ("expression", "identity"):
            write_probe(folder / "probes" / network / target, network, target, rng)
    write_lone_probe(folder / "probe")
    write_stimuli(folder / "stimuli" / "probe", rng)
    write_evaluation(folder / "evaluation")
    write_maps(folder / "maps", np.random.default_rng(2602))
    write_grid(folder)
    make_diets(folder)
    write_runs(folder)
    write_styles(folder / "styles")
    write_identity(folder / "identity")
    write_network_maps(folder / "arm_maps", ("alone", "concept"), "identity")
    write_rsa(folder / "rsa")
    write_searchlight(folder / "searchlight")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _cheap_pictures() -> None:
    """Figures have as many pixels as users get."""


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete results folder; never write into it."""
    return write_results(tmp_path_factory.mktemp("results"))


REGIONS = ("EVC", "OFA", "FFA", "pSTS", "aSTS", "left amygdala", "right amygdala", "IFG", "ATL")


@pytest.fixture(scope="session")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RSA of six regions, and two networks with a twin each, which have panels of their own."""
    return write_regions(tmp_path_factory.mktemp("regions"), 6)


@pytest.fixture(scope="session")
def more_regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of nine regions."""
    return write_regions(tmp_path_factory.mktemp("more"), 9)


def write_regions(folder: Path, n_regions: int) -> Path:
    networks = ("identity", "expression", "untrained identity", "untrained expression")
    return write_rsa(folder / "rsa", REGIONS[:n_regions], 5, networks=networks).parent
