"""The identity read-out of Figure 4: which parts learn in either mode, its loss, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.models.weights import load_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.networks import ConceptFeatures
from fernet_neuro.systems.crpn.readout import make_identity_readout
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

OPTIONS = {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 16}
OPTIONS |= {"n_features": 11, "dropout": 0.1}


def _settings(conceptual, **changes):
    mode = changes.pop("mode", "non_emotion")
    values = {
        "task": "identity-readout", "model": "crpn-conceptual", "epochs": 2, "batch_size": 9, "lr": 0.003,
        "optimiser": "adam", "schedule": "constant", "val_share": 0.17,
        "readout": {"conceptual": str(conceptual), "mode": mode},
    }  # fmt: skip
    return TrainSettings.model_validate(values | changes)


@pytest.fixture(scope="module")
def conceptual(tmp_path_factory, faces):
    """A conceptual pathway of four people, none of its classes `neutral`."""
    settings = TrainSettings(
        task="concepts", model="crpn-conceptual", model_options=OPTIONS, epochs=6, batch_size=8,
        optimiser="adam", lr=0.003, schedule="constant", val_share=0,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("conceptual") / "run"
    table = faces.select(identity=["p0", "p1", "p2", "p3"], expression=["anger", "happiness"])
    fit(settings, out, table=table, device="cpu")
    return out


@pytest.fixture(scope="module")
def happy(faces):
    """All six people with the expressions that the pathway knows."""
    return faces.select(expression=["anger", "happiness"])


def _observe(model, table):
    preprocessing = model.card.preprocessing
    images = torch.stack([preprocessing.resize_and_crop(load_image(path)) for path in table.paths()])
    with torch.no_grad():
        return model.module.eval()(preprocessing.normalise(images), full=True)


def _find_changed(before, after):
    """Parts of the network, trunks apart from heads, of which any weight or statistic changed."""
    after = after.module.state_dict()
    names = [
        name for name, value in before.module.state_dict().items()
        if name in after and not (value.shape == after[name].shape and torch.equal(value, after[name]))
    ]  # fmt: skip
    return {".".join(name.split(".")[: 2 if "emotion" in name else 1]) for name in names}


@pytest.fixture(scope="module")
def of_happy(tmp_path_factory, happy, conceptual):
    """The network whose non-emotion encoder learnt the people."""
    return fit(_settings(conceptual), tmp_path_factory.mktemp("happy") / "run", table=happy, device="cpu")


@pytest.fixture(scope="module")
def of_all(tmp_path_factory, faces, conceptual):
    """The network of which everything learnt, and its run; never change the files."""
    out = tmp_path_factory.mktemp("all") / "run"
    return fit(_settings(conceptual, mode="all", epochs=1), out, table=faces, device="cpu"), out


def test_the_non_emotion_encoder_and_the_readout_learn_alone(happy, conceptual, of_happy):
    model = of_happy
    before = load_model(conceptual)
    assert _find_changed(before, model) == {"non_emotion.trunk", "non_emotion.head"}
    start, end = _observe(before, happy), _observe(model, happy)
    assert torch.equal(start.logits, end.logits)
    assert torch.equal(start.emotion, end.emotion)
    assert start.identity is None
    assert end.identity.shape == (24, 6)


def test_everything_learns_with_a_new_emotion_read_out(faces, conceptual, of_all):
    model, _ = of_all
    changed = _find_changed(load_model(conceptual), model)
    parts = {"emotion.trunk", "emotion.head", "non_emotion.trunk", "non_emotion.head"}
    assert changed == {*parts, "scores", "confidence"}
    outputs = _observe(model, faces)
    # Three expressions where the pathway knew two, and no confidence but full.
    assert outputs.logits.shape == (36, 3)
    assert torch.equal(outputs.logits, outputs.scores)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["non_emotion", "all"])
def test_it_names_the_people_that_were_there(tmp_path, faces, conceptual, mode):
    settings = _settings(
        conceptual,
        mode=mode,
        epochs=7,
        batch_size=6,
        val_stimuli=str(faces.root / "table.csv"),
        val_by="random",
    )
    model = fit(settings, tmp_path / "run", table=faces, device="cpu")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["last"]["val_accuracy"] > 0.8
    people = np.unique(faces.factor("identity"), return_inverse=True)[1]
    outputs = _observe(model, faces)
    right = np.mean(outputs.identity.argmax(1).numpy() == people)
    assert record["last"]["val_accuracy"] == pytest.approx(right)
    if mode == "all":
        expressions = np.unique(faces.factor("expression"), return_inverse=True)[1]
        assert np.mean(outputs.logits.argmax(1).numpy() == expressions) > 0.8


@pytest.mark.parametrize("mode", ["non_emotion", "all"])
def test_the_losses_are_cross_entropies(faces, conceptual, mode):
    rng = np.random.default_rng(7)
    identity, emotion = rng.normal(size=(5, 6)), rng.normal(size=(5, 3))
    people, expressions = np.array([0, 5, 2, 2, 1]), np.array([2, 0, 1, 1, 0])

    def compute_surprise(logits, targets):
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return -np.log(p[np.arange(5), targets]).mean()

    expected = {"loss": compute_surprise(identity, people)}
    if mode == "all":
        expected |= {"identity": expected["loss"], "emotion": compute_surprise(emotion, expressions)}
        expected["loss"] = expected["identity"] + expected["emotion"]
    task = make_identity_readout(_settings(conceptual, mode=mode), faces)
    outputs = ConceptFeatures(*[None] * 4, torch.from_numpy(emotion), torch.from_numpy(identity))
    extras = {"emotion": torch.from_numpy(expressions)} if mode == "all" else {}
    losses = task.compute_loss(outputs, torch.from_numpy(people), extras)
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected)
    assert set(task.plan_epoch(0).extras) == set(extras)


def test_record_and_log_tell_both_read_outs_apart(of_all):
    _, out = of_all
    record = json.loads((out / "record.json").read_text())
    assert record["task"]["classes"] == ["anger", "happiness", "neutral"]
    assert record["task"]["identities"] == [f"p{k}" for k in range(6)]
    assert (record["task"]["mode"], record["task"]["held_out"]) == ("all", "random")
    log = pd.read_csv(out / "log.csv")
    np.testing.assert_allclose(log["loss"], log["identity"] + log["emotion"], rtol=1e-5)
    assert log["split"].tolist() == ["train", "val"]


def test_people_of_the_pathway_count_as_trained_on(tmp_path, happy, conceptual):
    settings = _settings(conceptual, epochs=1)
    fit(settings, tmp_path / "run", table=happy.select(identity=["p4", "p5"]), device="cpu")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["train_identities"] == [f"p{k}" for k in range(6)]
    assert record["task"]["classes"] == ["anger", "happiness"]


def test_the_same_recipe_gives_the_same_bits(tmp_path, happy, conceptual, of_happy):
    again = fit(_settings(conceptual), tmp_path / "again", table=happy, device="cpu")
    assert again.weight_digest() == of_happy.weight_digest()


@pytest.fixture(scope="module")
def alone(tmp_path_factory, faces):
    """A pathway without the non-emotion encoder."""
    settings = TrainSettings(
        task="concepts", model="crpn-conceptual", model_options=OPTIONS | {"non_emotion_trunk": "none"},
        epochs=1, batch_size=8, lr=1e-3, val_share=0, concepts={"orthogonality_weight": 0},
    )  # fmt: skip
    out = tmp_path_factory.mktemp("alone") / "run"
    fit(settings, out, table=faces, device="cpu")
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_by": "identity"}, "cannot validate identity-readout"),
        ({"model": "crpn-perceptual"}, "model is 'crpn-perceptual', and .* holds a 'crpn-conceptual'"),
        ({"model_options": {"size": 32}}, r"model_options\.size=32, and .* has 16; leave model_options out"),
    ],
)
def test_recipes_that_do_not_fit_the_pathway_are_refused(faces, conceptual, changes, message):
    with pytest.raises(ValueError, match=message):
        make_identity_readout(_settings(conceptual, **changes), faces)


def test_runs_that_cannot_be_read_out_are_refused(tmp_path, faces, alone):
    with pytest.raises(ValueError, match="trained without a non-emotion encoder"):
        make_identity_readout(_settings(alone), faces)
    with pytest.raises(StoreError, match="is not a complete training run"):
        make_identity_readout(_settings(tmp_path / "absent"), faces)
    fit(TrainSettings(model_options={"size": 16}, epochs=1), tmp_path / "other", table=faces, device="cpu")
    with pytest.raises(ValueError, match="trains a conceptual pathway, and model 'resnet10-slim' is none"):
        make_identity_readout(_settings(tmp_path / "other"), faces)


def test_people_without_names_cannot_be_read_out(faces, conceptual):
    nameless = StimulusTable.from_frame(faces.frame.assign(identity=""), root=faces.root)
    with pytest.raises(StimulusError, match="36 of 36 stimuli have no 'identity'"):
        make_identity_readout(_settings(conceptual), nameless)


def test_the_recipe_must_name_the_pathway(faces):
    with pytest.raises(ValueError, match=r"readout\.conceptual is missing"):
        make_identity_readout(TrainSettings(task="identity-readout"), faces)
