"""Training with texts: the loss of a step, controls, what is refused, and what a run keeps."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import save_model
from fernet_neuro.stimuli.text_table import make_random_table, read_text_table
from fernet_neuro.systems.text_guided.losses import (
    prompt_contrast_loss,
    self_contrast_loss,
    transformation_loss,
)
from fernet_neuro.systems.text_guided.settings import TextGuidedSettings
from fernet_neuro.systems.text_guided.task import choose_texts, make_text_guided
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import RunFolder, load_run
from tests.training.conftest import faces as faces


def make_settings(section=None, **changes):
    given = {
        "task": "text-guided", "model": "e2n-resnet10-slim", "model_options": {"size": 16}, "epochs": 2,
        "batch_size": 12, "optimiser": "adam", "lr": 1e-3, "val_share": 0.17, "text": section or {},
    }  # fmt: skip
    return TrainSettings(**{**given, **changes})


def make_outputs(task, n=6):
    network = build_model("e2n-resnet10-slim", size=16, **task.model_options())
    network = task.prepare_model(network)
    return network.module(torch.rand(n, 3, 16, 16), full=True)


def test_the_loss_is_the_weighted_sum_of_the_published_terms(faces):
    section = {"semantic_weight": 2.0, "transformation_weight": 0.5, "contrast_weight": 3.0}
    task = make_text_guided(make_settings(section), faces)
    outputs, targets = make_outputs(task), torch.tensor([0, 1, 2, 0, 1, 2])
    found = task.compute_loss(outputs, targets, {})
    texts = torch.tensor(read_text_table("builtin").select([*task.classes]).vectors)
    given = (outputs.visual, outputs.neutral, texts, targets)
    neutral = task.classes.index("neutral")
    wanted = {
        "semantic": functional.cross_entropy(outputs.logits, targets),
        "transformation": transformation_loss(*given, neutral_class=neutral),
        "contrast": self_contrast_loss(*given, neutral_class=neutral),
    }
    for name, value in wanted.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-6)
    total = 2 * wanted["semantic"] + 0.5 * wanted["transformation"] + 3 * wanted["contrast"]
    assert found["loss"].item() == pytest.approx(total.item(), rel=1e-6)


def test_a_contrast_around_prompts_takes_the_place_of_self_contrast(faces):
    task = make_text_guided(make_settings({"contrast": "prompt", "temperature": 0.3}), faces)
    outputs, targets = make_outputs(task), torch.tensor([0, 1, 2, 0, 1, 2])
    texts = torch.tensor(read_text_table("builtin").select(task.classes).vectors)
    given = (outputs.visual, outputs.neutral, texts, targets)
    wanted = prompt_contrast_loss(*given, neutral_class=task.classes.index("neutral"), temperature=0.3)
    torch.testing.assert_close(task.compute_loss(outputs, targets, {})["contrast"], wanted)


@pytest.mark.parametrize("contrast", ["self", "prompt"])
def test_a_batch_of_neutral_faces_trains_by_its_scores_alone(faces, contrast):
    task = make_text_guided(make_settings({"contrast": contrast}), faces)
    network = build_model("e2n-resnet10-slim", size=16, **task.model_options())
    network = task.prepare_model(network).module
    targets = torch.full((6,), task.classes.index("neutral"))
    found = task.compute_loss(task.forward(network, torch.rand(6, 3, 16, 16)), targets, {})
    found["loss"].backward()
    assert found["transformation"].item() == found["contrast"].item() == 0.0
    torch.testing.assert_close(found["loss"], found["semantic"])
    assert all(weight.grad.isfinite().all() for weight in network.parameters())
    assert network.trunk.stem[0].weight.grad.abs().sum() > 0


def test_the_backbone_starts_from_trained_weights(faces, tmp_path):
    source = build_model("resnet10-slim", n_classes=9, size=16, seed=5)
    save_model(source, tmp_path / "people")
    task = make_text_guided(make_settings({"trunk_weights": str(tmp_path / "people")}), faces)
    model = build_model("e2n-resnet10-slim", size=16, **task.model_options())
    given, taken = source.module.state_dict(), task.prepare_model(model).module.trunk.state_dict()
    assert all(torch.equal(weights, given[name]) for name, weights in taken.items())


def test_a_width_that_is_not_the_texts_is_refused(faces, tmp_path):
    options = {"model_options": {"size": 16, "width": 512}}
    with pytest.raises(ValueError, match=r"model_options\.width=512, but this training needs 384"):
        fit(make_settings(**options), tmp_path / "run", table=faces, device="cpu")


def test_the_released_variant_compares_all_pairs(faces):
    assert make_text_guided(make_settings(), faces).pairing == "per_sample"
    assert make_text_guided(make_settings(variant="released"), faces).pairing == "all_pairs"
    chosen = make_settings({"pairing": "per_sample"}, variant="released")
    assert make_text_guided(chosen, faces).pairing == "per_sample"


def test_terms_without_weight_are_not_computed(faces):
    task = make_text_guided(make_settings({"transformation_weight": 0, "contrast": "prompt"}), faces)
    assert task.loss_parts == ("semantic", "contrast")
    with pytest.raises(ValueError, match="nothing would be learnt"):
        make_text_guided(
            make_settings({f"{n}_weight": 0 for n in ("semantic", "transformation", "contrast")}), faces
        )


def test_an_expression_left_out_of_training_still_has_its_neutral_text(faces):
    expressive = faces[faces["expression"] != "neutral"]
    task = make_text_guided(make_settings(), expressive)
    assert "neutral" not in task.classes
    outputs = make_outputs(task, 4)
    assert outputs.logits.shape[1] == len(task.classes)
    targets = torch.tensor([0, 1, 0, 1])
    assert task.compute_loss(outputs, targets, {})["transformation"].item() > 0


def test_controls_stand_in_the_place_of_the_table():
    table = read_text_table("builtin")
    shuffled = choose_texts(TextGuidedSettings(control="shuffled", control_seed=4))
    np.testing.assert_array_equal(shuffled.vectors, table.shuffle_classes(4).vectors)
    chance = choose_texts(TextGuidedSettings(control="random", control_seed=4))
    np.testing.assert_array_equal(
        chance.vectors, make_random_table(table.classes, table.width, seed=4).vectors
    )


def test_tables_without_an_expression_or_with_another_digest_are_refused(faces, tmp_path):
    make_random_table(["neutral", "joy"], 5).save(tmp_path / "two.npz")
    with pytest.raises(StimulusError, match="text export"):
        make_text_guided(make_settings({"table": str(tmp_path / "two.npz")}), faces)
    with pytest.raises(StoreError, match="its digest is"):
        make_text_guided(make_settings({"table_digest": "0" * 64}), faces)


@pytest.mark.parametrize(
    ("name", "options"), [("resnet10-slim", {}), ("e2n-resnet10-slim", {"transform": False})]
)
def test_networks_without_texts_or_transformation_are_refused(faces, name, options):
    task = make_text_guided(make_settings(), faces)
    with pytest.raises(ValueError, match="use model: e2n-resnet18"):
        task.prepare_model(build_model(name, n_classes=3, **options))


def test_the_released_variant_builds_and_trains(faces, tmp_path):
    fit(make_settings(variant="released", epochs=1), tmp_path / "run", table=faces, device="cpu")
    assert RunFolder(tmp_path / "run").read_record()["task"]["contrast"] == "self, all_pairs"


def test_a_run_keeps_its_texts_and_says_where_they_come_from(faces, tmp_path):
    fit(make_settings(), tmp_path / "run", table=faces, device="cpu")
    about = RunFolder(tmp_path / "run").read_record()["task"]
    texts = read_text_table("builtin").select(about["classes"])
    np.testing.assert_allclose(load_run(tmp_path / "run").module.logits.text.numpy(), texts.vectors)
    assert about["texts"]["encoder"] == "all-MiniLM-L6-v2"
    assert {"semantic", "transformation", "contrast"} <= set(
        pd.read_csv(tmp_path / "run" / "log.csv").columns
    )


def test_discrete_labels_are_the_same_network_with_an_ordinary_head(faces, tmp_path):
    options = {"size": 16, "width": 384, "head": "linear"}
    settings = TrainSettings(
        task="expression", model="e2n-resnet10-slim", model_options=options, epochs=1, batch_size=12,
        val_share=0.17,
    )  # fmt: skip
    fit(settings, tmp_path / "run", table=faces, device="cpu")
    assert tuple(load_run(tmp_path / "run").module.logits.weight.shape) == (3, 384)


def test_discrete_labels_are_learnt_by_the_same_task_without_the_terms_that_need_texts(faces):
    alone = {"transformation_weight": 0, "contrast_weight": 0}
    task = make_text_guided(make_settings(alone), faces)
    options = {"size": 16, "head": "linear", **task.model_options()}
    network = task.prepare_model(build_model("e2n-resnet10-slim", **options)).module.eval()
    images, targets = torch.rand(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])
    loss = task.compute_loss(task.forward(network, images), targets, {})["loss"]
    torch.testing.assert_close(loss, functional.cross_entropy(network(images), targets))
    with pytest.raises(ValueError, match=r"learns discrete labels alone; set text\.transformation_weight=0"):
        make_text_guided(make_settings(), faces).prepare_model(build_model("e2n-resnet10-slim", **options))
