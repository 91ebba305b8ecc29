"""Training with a loss of pooled features: its terms, its centres, its variants, and what it refuses."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from fernet_neuro._utils.config import read_settings
from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.lfnsb.losses import attention_loss
from fernet_neuro.systems.lfnsb.settings import FeatureSettings
from fernet_neuro.systems.lfnsb.task import make_lightweight
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from tests.training.conftest import faces as faces

TINY = {"width": 0.1, "depth": 0.05, "size": 32}
RECIPE = {
    "task": "lightweight", "model": "lfnsb", "model_options": TINY, "epochs": 2, "batch_size": 12,
    "optimiser": "sgd", "lr": 0.01, "val_share": 0.0,
}  # fmt: skip


def settings(features: dict | None = None, **changes) -> TrainSettings:
    return TrainSettings(**{**RECIPE, "features": features or {}, **changes})


def make(faces, chosen: TrainSettings):
    task = make_lightweight(chosen, faces)
    options = {**chosen.model_options, **task.model_options()}
    model = task.prepare_model(build_model(chosen.model, seed=chosen.seed, variant=chosen.variant, **options))
    return task, model.module


@pytest.mark.parametrize("loss", ["cosine_harmony", "centre", "affinity", "separate"])
def test_the_loss_is_the_weighted_sum_of_its_terms(faces, loss):
    task, module = make(faces, settings({"loss": loss, "weight": 0.3}))
    targets = torch.tensor([0, 2, 1, 0])
    outputs = task.forward(module, torch.randn(4, 3, 32, 32))
    found = task.compute_loss(outputs, targets, {})
    assert task.loss_parts == ("cross_entropy", loss)
    entropy = functional.cross_entropy(outputs.logits, targets)
    own = task.loss_module(outputs.pooled, targets)
    assert found["cross_entropy"].item() == pytest.approx(entropy.item())
    assert found["loss"].item() == pytest.approx((entropy + 0.3 * own).item(), rel=1e-6)
    assert task.loss_module.centres.shape == (3, module.n_features)


def test_without_its_weight_it_is_cross_entropy_alone(faces):
    task, module = make(faces, settings({"weight": 0}))
    outputs = task.forward(module, torch.randn(2, 3, 32, 32))
    found = task.compute_loss(outputs, torch.tensor([0, 1]), {})
    assert task.loss_module is None
    assert found.keys() == {"loss", "cross_entropy"}
    torch.testing.assert_close(found["loss"], found["cross_entropy"], rtol=0, atol=0)


def test_heads_of_ddamfn_are_kept_apart(faces):
    chosen = settings({"weight": 0}, model="ddamfn", model_options={"size": 32})
    task, module = make(faces, chosen)
    outputs = task.forward(module, torch.randn(2, 3, 32, 32))
    found = task.compute_loss(outputs, torch.tensor([0, 1]), {})
    assert task.loss_parts == ("cross_entropy", "attention")
    assert found["attention"].item() == pytest.approx(attention_loss(outputs.gates).item())
    assert found["loss"].item() == pytest.approx((found["cross_entropy"] + 0.1 * found["attention"]).item())
    task, _ = make(faces, settings({"weight": 0, "attention_weight": 0}, **chosen.model_dump(
        include={"model", "model_options"})))  # fmt: skip
    assert task.loss_parts == ("cross_entropy",)


@pytest.mark.parametrize(
    ("variant", "form", "learn", "maps"),
    [
        ("recommended", "separating", True, False),
        ("paper", "separating", True, True),
        ("released", "released", False, False),
    ],
)
def test_variants_fill_what_a_recipe_leaves_open(faces, variant, form, learn, maps):
    task, module = make(faces, settings(variant=variant))
    assert (task.features.form, task.loss_module.centres.requires_grad) == (form, learn)
    assert (module.sb_mode == "concat") == maps
    assert FeatureSettings(form="paper", train_centres=False).resolve(variant).form == "paper"
    assert task.describe()["features"]["train_centres"] == learn


def test_centres_learn_at_their_own_rate_and_are_logged(faces, tmp_path):
    fit(settings(loss_lr=0.5, log_every=1), tmp_path / "a", table=faces, device="cpu")
    log = pd.read_csv(tmp_path / "a" / "log.csv")
    epochs = log[log["split"] == "train"].dropna(subset=["loss"])
    assert {"cross_entropy", "cosine_harmony"} <= set(log)
    total = epochs["cross_entropy"] + epochs["cosine_harmony"]
    assert total.to_numpy() == pytest.approx(epochs["loss"].to_numpy(), abs=1e-5)
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    assert record["task"]["features"]["form"] == "separating"


def test_networks_without_pooled_features_are_told_what_to_use(faces):
    with pytest.raises(ValueError, match="'lightweight' learns from pooled features, and model 'resnet10"):
        make(faces, settings(model="resnet10-slim", model_options={"size": 32}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": {"loss": "center"}}, "cosine_harmony"),
        ({"features": {"alpha": 2}}, "less than or equal to 1"),
        ({"features": {"form": "printed"}}, "separating"),
        ({"alpha": 0.2}, r"'alpha' is a key of task 'lightweight' and is given as features\.alpha"),
        ({"task": "expression", "features": {"alpha": 0.1}}, "belongs to another task than 'expression'"),
    ],
)
def test_wrong_settings_are_one_line(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainSettings(**{**RECIPE, **changes})


def test_fixed_centres_have_no_rate(faces, tmp_path):
    with pytest.raises(ValueError, match="no trainable parameters; leave loss_lr"):
        fit(settings(variant="released", loss_lr=0.1), tmp_path / "a", table=faces, device="cpu")


def test_the_weights_are_the_networks_alone(faces, tmp_path):
    fit(settings(epochs=1), tmp_path / "a", table=faces, device="cpu")
    assert not any("centres" in name for name in load_file(tmp_path / "a" / "model" / "model.safetensors"))


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("rafdb", "recommended"),
        ("rafdb", "released"),
        ("affectnet7", "paper"),
        ("affectnet8", "recommended"),
    ],
)
def test_recipes_of_photographs_train_in_their_variants(faces, tmp_path, name, variant):
    validates = "test" if name == "rafdb" else "val"
    split = ["train" if session == "A" else validates for session in faces.frame["session"]]
    table = StimulusTable.from_frame(faces.frame.assign(split=split, identity=""), root=faces.root)
    small = ("epochs=1", "batch_size=9", f"model_options={TINY}", f"variant={variant}")
    chosen = read_settings(TrainSettings, f"lfnsb/{name}", small)
    fit(chosen, tmp_path / "a", table=table, device="cpu")
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    assert (record["task"]["n_train"], record["task"]["n_val"]) == (18, 18)
    assert record["task"]["features"]["form"] == ("released" if variant == "released" else "separating")


def test_recipes_have_the_settings_of_the_released_scripts():
    raf, affect = (read_settings(TrainSettings, f"lfnsb/{name}", ()) for name in ("rafdb", "affectnet8"))
    assert (raf.optimiser, raf.lr, raf.momentum, raf.weight_decay) == ("sgd", 0.01, 0.9, 1e-4)
    assert (raf.schedule, raf.min_lr) == ("cosine", 4e-3)
    assert (raf.epochs, raf.batch_size, raf.last_batch, raf.flooding) == (40, 128, "keep", 0.5)
    (warp,) = raf.warps  # one coin for both
    assert (warp.p, warp.rotate, warp.pad_crop, warp.affine) == (0.2, 5, 8, None)
    assert (raf.augment, raf.erase_area) == (("hflip", "erase"), (0.02, 0.25))
    assert (affect.optimiser, affect.lr, affect.weight_decay, affect.sam_rho) == ("adam", 1e-4, 0, 0.05)
    assert (affect.epochs, affect.batch_size, affect.sampling, affect.flooding) == (40, 256, "balanced", None)
    assert (affect.schedule, affect.step_factor) == ("exponential", 0.98)
    (warp,) = affect.warps
    assert (warp.p, warp.affine.degrees, warp.affine.shift, warp.affine.scale) == (0.7, 20, 0.2, (0.8, 1.0))
    assert (affect.augment, affect.erase_area) == (("hflip", "erase"), (0.02, 0.33))
