"""What one step does, against a plain loop: sharpness-aware steps, flooding, and a loss that learns."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn, optim
from torch.nn import functional

from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.data import order_epoch, split_batches
from fernet_neuro.training.expression import make_expression
from fernet_neuro.training.fit import fit
from fernet_neuro.training.state import read_checkpoint

OPTIMISERS = {
    "sgd": lambda groups: optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=0.01),
    "adamw": lambda groups: optim.AdamW(groups, lr=0.05, betas=(0.8, 0.99), weight_decay=0.01),
}


@pytest.fixture
def recipe(network):
    """Batch statistics, but neither dropout nor augmentation; one epoch of six steps at a constant rate."""
    text = network.read_text().replace("nn.Dropout(0.2)", "nn.Identity()")
    # A bias before batch normalisation has a gradient of rounding errors, which Adam would blow up.
    network.write_text(text.replace("2, 1), nn.BatchNorm2d", "2, 1, bias=False), nn.BatchNorm2d"))
    return {
        "task": "expression", "model": f"{network}:make", "model_options": {"size": 16}, "epochs": 1,
        "batch_size": 6, "schedule": "constant", "lr": 0.05, "weight_decay": 0.01, "betas": (0.8, 0.99),
        "val_share": 0.0, "log_every": 1, "loss_lr": 0.4, "loss_weight_decay": 0.0,
    }  # fmt: skip


@pytest.fixture
def with_centres(monkeypatch):
    """The task "expression" pulls logits to class centres that learn."""
    make = runpy.run_path(str(Path(__file__).with_name("centres.py")))["make_centres"]
    monkeypatch.setattr("fernet_neuro.training.expression.make_expression", make)


def _train_slowly(settings, table):
    """Return network, centres and raw losses of the plain loop."""
    model = build_model(settings.model, seed=0, n_classes=3, size=16)
    network, prepare = model.module.train(), model.card.preprocessing
    images = prepare.normalise(
        torch.stack([prepare.resize_and_crop(load_image(path)) for path in table.paths()])
    )
    labels = torch.from_numpy(np.unique(table.factor("expression"), return_inverse=True)[1])
    centres = nn.Parameter(torch.arange(9).reshape(3, 3).sin())
    everything = [*network.parameters(), centres]
    groups = [{"params": everything[:-1]}, {"params": [centres], "lr": 0.4, "weight_decay": 0.0}]
    optimiser = OPTIMISERS[settings.optimiser](groups)

    def compute(batch):
        logits = network(images[batch])
        pull = ((logits - centres[labels[batch]]) ** 2).mean()
        loss = functional.cross_entropy(logits, labels[batch]) + pull
        level = settings.flooding
        (loss if level is None else (loss - level).abs() + level).backward()
        return loss.item()

    losses = []
    for batch in split_batches(order_epoch(len(table), 0, 0), 6):
        optimiser.zero_grad()
        losses.append(compute(batch))
        if settings.sam_rho is not None:
            before = [parameter.detach().clone() for parameter in everything]
            norm = sum((parameter.grad**2).sum() for parameter in everything) ** 0.5
            for parameter in everything:
                parameter.data += settings.sam_rho * parameter.grad / norm
            optimiser.zero_grad()
            network[1].momentum = 0.0  # batch statistics stay those of the first pass
            compute(batch)
            network[1].momentum = 0.1
            network[1].num_batches_tracked -= 1
            for parameter, value in zip(everything, before, strict=True):
                parameter.data = value
        optimiser.step()
    return network, centres, losses


@pytest.mark.usefixtures("with_centres")
@pytest.mark.parametrize(
    ("name", "rho", "flooding", "precision"),
    [("sgd", None, 1.4, "no"), ("adamw", 0.3, 1.4, "no"), ("sgd", 0.05, None, "bf16")],
)
def test_steps_are_those_of_a_plain_loop(tmp_path, faces, recipe, name, rho, flooding, precision):
    settings = TrainSettings(**recipe, optimiser=name, sam_rho=rho, flooding=flooding, precision=precision)
    close = {"rtol": 1e-4, "atol": 1e-5} if precision == "no" else {"rtol": 0.05, "atol": 0.05}
    network, centres, losses = _train_slowly(settings, faces)
    if flooding is not None:
        assert min(losses) < flooding < max(losses)
    found = fit(settings, tmp_path / "run", table=faces, device="cpu").module.state_dict()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found[key], value, **close)
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "step-00000006")
    torch.testing.assert_close(checkpoint.loss["centres"], centres.detach(), **close)
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert log.query("split == 'batch'")["loss"].tolist() == pytest.approx(losses, rel=close["rtol"])
    assert log.query("split == 'train'")["loss"].item() == pytest.approx(np.mean(losses), rel=close["rtol"])


def test_random_crops_train_on_real_pixels_and_the_centre_validates(tmp_path, faces, recipe, monkeypatch):
    shown = []

    def spy(*args):
        made = make_expression(*args)
        made.observe = lambda pixels: shown.extend(pixels.clone()) or {}
        return made

    monkeypatch.setattr("fernet_neuro.training.expression.make_expression", spy)
    recipe |= {"model": recipe["model"] + "_wide", "loss_lr": None, "loss_weight_decay": None, "epochs": 2}
    recipe |= {"augment": ["random-crop"], "val_stimuli": str(faces.root / "table.csv"), "val_by": "random"}
    model = fit(TrainSettings(**recipe), tmp_path / "run", table=faces, device="cpu")
    larger = [torch.from_numpy(load_image(path)).permute(2, 0, 1) for path in faces.paths()]
    windows = {
        image[:, top : top + 16, left : left + 16].numpy().tobytes(): (top, left)
        for image in larger
        for top in range(3)
        for left in range(3)
    }
    assert len({windows[image.numpy().tobytes()] for image in shown}) == 9
    centres = torch.stack([image[:, 1:17, 1:17] for image in larger])
    with torch.no_grad():
        logits = model.module(model.card.preprocessing.normalise(centres))
    labels = torch.from_numpy(np.unique(faces.factor("expression"), return_inverse=True)[1])
    log = pd.read_csv(tmp_path / "run" / "log.csv").query("split == 'val'")
    assert log["loss"].iloc[-1] == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "loss of task 'expression' has no trainable parameters"),
        (
            {"loss_lr": None, "loss_weight_decay": None, "augment": ("random-crop",)},
            "resizes to its input size of 16 pixels; use 'crop' or",
        ),
    ],
)
def test_what_task_or_network_do_not_have_is_refused_at_once(tmp_path, faces, recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        fit(TrainSettings(**{**recipe, **changes}), tmp_path / "run", table=faces)
    assert not (tmp_path / "run").exists()
