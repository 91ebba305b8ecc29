"""Stage 1: what each term computes and does, what stays frozen, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from fernet_neuro._utils.config import write_settings
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.weights import load_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.concepts import ConceptTask, make_concepts
from fernet_neuro.systems.crpn.networks import ConceptFeatures
from fernet_neuro.systems.crpn.settings import ConceptSettings
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from tests.server import CONTEXT

OPTIONS = {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 16}
OPTIONS |= {"n_features": 11, "dropout": 0.0}
LONG = {"epochs": 10, "schedule": "constant"}
STILL = {"lr": 1e-12, "weight_decay": 0.0, "epochs": 1, "batch_size": 36, "freeze_batchnorm": True}
NO_TERMS = {"orthogonality_weight": 0.0, "contrastive_weight": 0.0, "confidence_weight": 0.0}


def _softmax_loss(logits, targets):
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return -log_p[np.arange(len(targets)), targets]


def _orthogonality(emotion, non_emotion, form):
    if form == "mean":
        emotion = emotion / (np.linalg.norm(emotion, axis=1, keepdims=True) + 1e-6)
        non_emotion = non_emotion / (np.linalg.norm(non_emotion, axis=1, keepdims=True) + 1e-6)
    squares = (emotion.T @ non_emotion) ** 2
    return squares.mean() if form == "mean" else squares.sum()


def _contrast(features, targets, form, temperature=0.07):
    n, total = len(targets), 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        compared = range(n) if form == "sum_positives_self" else others
        bottom = np.log(sum(np.exp(features[i] @ features[j] / temperature) for j in compared))
        positives = [j for j in others if targets[j] == targets[i]]
        terms = [bottom - features[i] @ features[j] / temperature for j in positives]
        loss = (np.mean(terms) if form == "mean_positives" else np.sum(terms)) if terms else 0.0
        total += (1 - np.sum(targets == targets[i]) / n) * loss
    return total / n


def _expected(outputs, targets, variant):
    """The terms of Eq. 9 by their definitions, in float64, for three expressions named as in `make_faces`."""
    emotion, non_emotion, confidence, scores = (
        None if item is None else item.double().numpy() for item in outputs[:4]
    )
    losses = _softmax_loss(confidence[:, None] * scores, targets)
    if variant == "released":
        losses = (1 - np.exp(-losses)) ** 2 * losses * np.array([0.7, 0.2, 0.4])[targets]
    ranked = np.sort(confidence)[::-1]
    n_high = int(0.7 * len(ranked))
    gap = ranked[:n_high].mean() - ranked[n_high:].mean()
    form = "sum_positives_self" if variant == "paper" else "mean_positives"
    return {
        "orthogonality": _orthogonality(emotion, non_emotion, "frobenius" if variant == "paper" else "mean"),
        "classification": losses.mean(),
        "ranking": max(0.0, 0.15 - gap),
        "contrast": _contrast(emotion, targets, form),
    }


def _observe(model, table):
    """What the network makes of all pictures at once."""
    preprocessing = model.card.preprocessing
    images = torch.stack([preprocessing.resize_and_crop(load_image(path)) for path in table.paths()])
    with torch.no_grad():
        return model.module.eval()(preprocessing.normalise(images), full=True)


def _targets(table):
    return np.unique(table.factor("expression"), return_inverse=True)[1]


@pytest.fixture(scope="module")
def identity_run(tmp_path_factory, faces):
    """A network that tells five of the six people apart, for the non-emotion trunk."""
    out = tmp_path_factory.mktemp("identity") / "run"
    settings = TrainSettings(
        task="identification",
        model_options={"size": 16},
        epochs=10,
        batch_size=12,
        lr=0.003,
        optimiser="adamw",
    )
    fit(settings, out, table=faces.select(identity=[f"p{k}" for k in range(5)]), device="cpu")
    return out


@pytest.fixture(scope="module")
def recipe(identity_run):
    """Settings with changes to either level."""

    def make(changes=None, **concepts):
        values = {
            "task": "concepts", "model": "crpn-conceptual", "model_options": OPTIONS, "epochs": 8,
            "batch_size": 12, "optimiser": "adam", "lr": 0.003, "betas": (0.5, 0.999), "weight_decay": 1e-5,
            "schedule": "cosine-cycle", "val_share": 0.0,
            "concepts": {"non_emotion_weights": str(identity_run), **concepts},
        }  # fmt: skip
        return TrainSettings.model_validate(values | (changes or {}))

    return make


@pytest.fixture(scope="module")
def still(tmp_path_factory, faces, recipe):
    """Return what gives a variant's network that hardly moved, and its run; never change the files."""

    @cache
    def train(variant):
        out = tmp_path_factory.mktemp(variant) / "run"
        return fit(recipe(STILL | {"variant": variant}), out, table=faces, device="cpu"), out

    return train


def _read_record(out):
    return json.loads((out / "record.json").read_text())


@pytest.mark.parametrize("variant", ["recommended", "paper", "released"])
def test_the_logged_terms_are_those_computed_by_hand(faces, still, variant):
    model, out = still(variant)
    expected = _expected(_observe(model, faces), _targets(faces), variant)
    row = pd.read_csv(out / "log.csv").query("split == 'train'").iloc[0]
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=2e-4)
    weights = {"orthogonality": 0.1, "classification": 1.0, "ranking": 1.0, "contrast": 0.01}
    assert row["loss"] == pytest.approx(sum(weights[name] * expected[name] for name in weights), rel=2e-4)
    described = _read_record(out)["task"]
    assert described["variant"] == variant
    assert {name: term["weight"] for name, term in described["loss_terms"].items()} == weights


def test_without_confidence_the_loss_is_plain_cross_entropy_of_the_scores(faces):
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.normal(size=(7, 3)))
    outputs = ConceptFeatures(torch.eye(7), None, torch.linspace(0.1, 0.9, 7), scores, scores / 2, None)
    targets = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    settings = ConceptSettings(confidence=False, orthogonality_weight=0, contrastive_weight=0)
    task = ConceptTask("expression", faces, concepts=settings, variant="released")
    assert task.loss_parts == ("classification",)
    losses = task.compute_loss(outputs, targets, {})
    assert losses["loss"].item() == pytest.approx(_softmax_loss(scores.numpy(), targets.numpy()).mean())


@pytest.mark.slow
def test_it_learns_what_is_there_and_the_record_says_how(tmp_path, faces, recipe):
    settings = recipe(LONG | {"epochs": 15, "val_stimuli": str(faces.root / "table.csv"), "val_by": "random"})
    out = tmp_path / "run"
    model = fit(settings, out, table=faces.select(identity=["p0", "p1", "p2", "p5"]), device="cpu")
    record = _read_record(out)
    log = pd.read_csv(out / "log.csv").query("split == 'train'")
    assert record["last"]["val_accuracy"] > 0.8
    assert log["loss"].iloc[-1] < 0.8 * log["loss"].iloc[0]
    assert record["task"]["classes"] == ["anger", "happiness", "neutral"]
    # With the people of the run that the non-emotion trunk comes from.
    assert record["train_identities"] == ["p0", "p1", "p2", "p3", "p4", "p5"]
    assert "concepts on 24 stimuli of 4 identities" in model.card.training_data
    outputs = _observe(model, faces)
    assert torch.allclose(outputs.logits, outputs.confidence[:, None] * outputs.scores)


@pytest.mark.slow
def test_the_non_emotion_trunk_stays_to_the_bit_and_the_rest_learns(
    tmp_path, faces, recipe, identity_run, still
):
    model = fit(recipe({"epochs": 2}), tmp_path / "run", table=faces, device="cpu")
    source = load_model(identity_run).module.state_dict()
    trunk = model.module.non_emotion.trunk.state_dict()
    assert set(trunk) == {name for name in source if not name.startswith("fc.")}
    assert all(torch.equal(value, source[name]) for name, value in trunk.items())
    start = still("recommended")[0].module.state_dict()
    learnt = {name.split(".")[0] for name, value in start.items()
              if not torch.allclose(value, model.module.state_dict()[name], atol=1e-6)}  # fmt: skip
    assert learnt == {"emotion", "non_emotion", "confidence", "scores"}


@pytest.mark.slow
def test_orthogonality_takes_apart_what_emotion_and_non_emotion_features_share(tmp_path, faces, recipe):
    products = {}
    for weight in (0.0, 10.0):
        settings = recipe(LONG, orthogonality_weight=weight)
        model = fit(settings, tmp_path / f"run{weight}", table=faces, device="cpu")
        outputs = _observe(model, faces)
        products[weight] = _orthogonality(outputs.emotion.numpy(), outputs.non_emotion.numpy(), "mean")
    assert products[10.0] < 0.5 * products[0.0]


@pytest.mark.slow
def test_contrast_alone_draws_each_expression_together(tmp_path, faces, recipe):
    settings = recipe(LONG, orthogonality_weight=0, confidence_weight=0, contrastive_weight=1)
    outputs = _observe(fit(settings, tmp_path / "run", table=faces, device="cpu"), faces)
    features, targets = outputs.emotion.double().numpy(), _targets(faces)
    likeness, same = features @ features.T, targets[:, None] == targets
    assert likeness[same].mean() > likeness[~same].mean() + 0.5
    # The least there is: 12 pictures of each of three expressions, and 11 others alike to tell apart.
    assert _contrast(features, targets, "mean_positives") == pytest.approx(2 / 3 * np.log(11), rel=0.02)


@pytest.mark.slow
def test_ranking_keeps_confidences_apart(tmp_path, faces, recipe):
    gaps = {}
    for margin in (0.0, 0.8):
        settings = recipe(rank_margin=margin, orthogonality_weight=0, contrastive_weight=0)
        model = fit(settings, tmp_path / f"run{margin}", table=faces, device="cpu")
        ranked = np.sort(_observe(model, faces).confidence.numpy())[::-1]
        gaps[margin] = ranked[:25].mean() - ranked[25:].mean()
    assert gaps[0.8] > gaps[0.0] + 0.1


@pytest.mark.slow
def test_terms_of_weight_zero_are_not_computed_and_what_they_alone_reach_stays(tmp_path, faces, recipe):
    settings = recipe({"epochs": 1}, orthogonality_weight=0, contrastive_weight=0)
    model = fit(settings, tmp_path / "run", table=faces, device="cpu")
    columns = pd.read_csv(tmp_path / "run" / "log.csv").columns
    assert {"classification", "ranking"} <= set(columns)
    assert not {"orthogonality", "contrast"} & set(columns)
    still = settings.model_copy(update={"lr": 1e-12, "weight_decay": 0.0})
    start = fit(still, tmp_path / "start", table=faces, device="cpu").module.non_emotion.head.state_dict()
    end = model.module.non_emotion.head.state_dict()
    assert all(torch.equal(value, end[name]) for name, value in start.items())


@pytest.mark.slow
def test_without_confidence_every_image_is_trusted_in_full(tmp_path, faces, recipe):
    model = fit(recipe({"epochs": 1}, confidence=False), tmp_path / "run", table=faces, device="cpu")
    outputs = _observe(model, faces)
    assert torch.equal(outputs.confidence, torch.ones(36))
    assert torch.equal(outputs.logits, outputs.scores)
    assert "ranking" not in pd.read_csv(tmp_path / "run" / "log.csv")
    terms = _read_record(tmp_path / "run")["task"]["loss_terms"]
    assert terms["classification"] == {"weight": 1.0, "form": "cross_entropy"}


@pytest.mark.slow
def test_a_pathway_without_the_non_emotion_encoder_learns_without_orthogonality(tmp_path, faces, recipe):
    options = {"model_options": OPTIONS | {"non_emotion_trunk": "none"}, "epochs": 1}
    settings = recipe(options, orthogonality_weight=0, non_emotion_weights=None)
    model = fit(settings, tmp_path / "run", table=faces, device="cpu")
    assert _observe(model, faces).non_emotion is None


@pytest.mark.slow
def test_a_table_that_names_nobody_trains(tmp_path, faces, recipe):
    frame = faces.frame.assign(identity="", session="", path=[str(path) for path in faces.paths()])
    settings = recipe({"val_share": 0.25, "epochs": 1})
    model = fit(settings, tmp_path / "run", table=StimulusTable.from_frame(frame), device="cpu")
    record = _read_record(tmp_path / "run")
    assert record["task"]["held_out"] == "random within class"
    assert record["task"]["n_val"] == 9
    assert record["train_identities"] == ["p0", "p1", "p2", "p3", "p4"]  # of the non-emotion trunk
    assert "stimuli without identities" in model.card.training_data


@pytest.mark.slow
def test_held_out_people_whom_a_trunk_knows_are_said_and_trunks_that_know_nobody(
    tmp_path, faces, recipe, caplog
):
    one = recipe({"epochs": 1, "val_share": 0.17})
    fit(one, tmp_path / "run", table=faces.select(identity=["p0", "p1", "p2"]), device="cpu")
    assert "1 of the 1 people who validate were trained on in runs that weights come from" in caplog.text
    assert "random weights" not in caplog.text
    caplog.clear()
    alone = recipe({"epochs": 1, "val_share": 0.17}, non_emotion_weights=None)
    fit(alone, tmp_path / "alone", table=faces, device="cpu")
    assert "the frozen non-emotion trunk has random weights" in caplog.text
    assert "people who validate" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "concepts", "message"),
    [
        (
            {"model": "resnet10-slim", "model_options": {"size": 16}},
            {},
            "is none; use model: crpn-conceptual",
        ),
        (
            {"model_options": OPTIONS | {"non_emotion_trunk": "none"}},
            {"non_emotion_weights": None},
            "orthogonality needs a non-emotion encoder",
        ),
        ({}, NO_TERMS, "all weights of the conceptual loss are 0"),
        ({}, {"confidence": False, "task_loss": "focal"}, "leave task_loss out"),
        ({}, {"emotion_weights": "nowhere"}, "there is no run, saved network or weight file nowhere"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, faces, recipe, changes, concepts, message):
    with pytest.raises(ValueError, match=message):
        fit(recipe(changes, **concepts), tmp_path / "run", table=faces, device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_released_focal_loss_has_no_weight_for_other_classes(tmp_path, faces, recipe):
    frame = faces.frame.replace({"expression": {"anger": "contempt"}})
    table = StimulusTable.from_frame(frame, root=faces.root)
    with pytest.raises(ValueError, match=r"no weight for the class 'contempt'; .*Use task_loss: wce"):
        make_concepts(recipe({"variant": "released"}), table)
    assert make_concepts(recipe({"variant": "released"}, task_loss="wce"), table).classes[0] == "contempt"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "runs/a"}, r"give concepts\.emotion_weights or concepts\.non_emotion_weights"),
        ({"class_weights": "balanced"}, "does not take"),
        ({"label_smoothing": 0.1}, "does not take"),
    ],
)
def test_keys_of_other_tasks_are_refused(recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        recipe(changes)


@pytest.mark.slow
def test_people_trained_on_cannot_validate(faces, recipe):
    with pytest.raises(StimulusError, match="6 identities are in both"):
        make_concepts(recipe({}), faces, faces)


def _start(settings, out, table):
    process = CONTEXT.Process(
        target=fit, args=(settings, out), kwargs={"table": table, "resume": True, "device": "cpu"}
    )
    process.start()
    return process


def _has_come_to(out, step):
    return any(int(path.name[5:]) >= step for path in (out / "checkpoints").glob("step-*"))


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, faces, recipe):
    changes = {"epochs": 6, "checkpoint_every": 1, "augment": ("hflip", "crop"), "val_share": 0.17}
    settings = recipe(changes | {"model_options": OPTIONS | {"dropout": 0.4}})
    whole, out = tmp_path / "whole", tmp_path / "run"
    expected = fit(settings, whole, table=faces, device="cpu")
    n_killed = 0
    # Two batches of 12 make an epoch: within the first, at the end of one, within one.
    for step in (1, 4, 7):
        process = _start(settings, out, faces)
        while process.is_alive() and not _has_come_to(out, step):
            time.sleep(0.01)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        n_killed += process.exitcode == -signal.SIGKILL
    assert n_killed == 3
    process = _start(settings, out, faces)
    process.join(60)
    assert process.exitcode == 0
    assert load_model(out).weight_digest() == expected.weight_digest()
    logs = [pd.read_csv(folder / "log.csv") for folder in (whole, out)]
    steady = [column for column in logs[0] if column not in ("images_per_s", "seconds")]
    pd.testing.assert_frame_equal(logs[0][steady], logs[1][steady], check_exact=True)


LAUNCH = """
import sys
from accelerate import debug_launcher
from fernet_neuro._utils.config import read_settings
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

debug_launcher(fit, (read_settings(TrainSettings, sys.argv[1]), sys.argv[2]), num_processes=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("concepts", [{}, {"orthogonality_weight": 0, "confidence": False}])
def test_two_processes_train_it_together(tmp_path, faces, recipe, concepts):
    settings = recipe({"stimuli": str(faces.root / "table.csv"), "epochs": 2}, **concepts)
    write_settings(settings, tmp_path / "recipe.yaml")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    command = [sys.executable, "-c", LAUNCH, str(tmp_path / "recipe.yaml"), str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert _read_record(tmp_path / "run")["n_processes"] == 2
    assert pd.read_csv(tmp_path / "run" / "log.csv")["loss"].notna().all()


@pytest.mark.slow
def test_a_run_whose_trunk_changed_is_not_gone_on_with(faces, recipe, still):
    other = recipe(STILL | {"variant": "recommended"}, non_emotion_weights=None)
    with pytest.raises(ValueError, match="changed: the content of initial weights"):
        fit(other, still("recommended")[1], table=faces, resume=True, device="cpu")
