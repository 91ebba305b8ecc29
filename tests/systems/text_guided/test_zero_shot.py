"""An expression that training never shows: it has a text among the classes, and no part in the loss."""

import pytest
import torch
from torch.nn import functional

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.text_table import read_text_table
from fernet_neuro.systems.text_guided.zero_shot import make_zero_shot
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import RunFolder
from tests.training.conftest import faces as faces


def make_settings(left_out=("happiness",), **section) -> TrainSettings:
    return TrainSettings(
        task="zero-shot", model="e2n-resnet10-slim", model_options={"size": 16}, epochs=1, batch_size=6,
        optimiser="adam", lr=1e-3, val_share=0.17, text={"left_out": left_out, **section},
    )  # fmt: skip


def test_no_picture_of_it_is_trained_on_or_validates(faces):
    task = make_zero_shot(make_settings(), faces)
    for table in (task.train_table, task.val_table):
        assert "happiness" not in set(table.factor("expression"))
    assert task.classes == tuple(sorted(set(faces["expression"])))
    assert "happiness" not in {task.classes[code] for code in task.plan_epoch(0).targets}
    assert task.describe()["left_out"] == ["happiness"]


def test_its_text_is_a_class_and_has_no_part_in_the_loss(faces):
    task = make_zero_shot(make_settings(), faces)
    network = task.prepare_model(build_model("e2n-resnet10-slim", size=16, **task.model_options())).module
    place = task.classes.index("happiness")
    texts = torch.tensor(read_text_table("builtin").select(task.classes).vectors)
    torch.testing.assert_close(network.logits.text, texts)
    images, targets = torch.rand(4, 3, 16, 16), torch.tensor([code for code in range(3) if code != place] * 2)
    outputs = task.forward(network, images)
    semantic = task.compute_loss(outputs, targets, {})["semantic"]
    seen = [code for code in range(3) if code != place]
    scores = network(images)
    assert torch.isfinite(task.predict(network, images)).all()
    wanted = functional.cross_entropy(scores[:, seen], torch.tensor([seen.index(code) for code in targets]))
    torch.testing.assert_close(semantic, wanted)
    # Another text in its place changes nothing that is learnt.
    network.logits.text[place] = torch.randn(texts.shape[1])
    changed = task.compute_loss(task.forward(network, images), targets, {})
    torch.testing.assert_close(changed["loss"], task.compute_loss(outputs, targets, {})["loss"])


def test_an_expression_that_no_stimulus_shows_can_be_a_class_too(faces, tmp_path):
    fit(make_settings(["contempt"]), tmp_path / "run", table=faces)
    assert RunFolder(tmp_path / "run").read_record()["task"]["classes"] == [
        "anger",
        "contempt",
        "happiness",
        "neutral",
    ]


@pytest.mark.parametrize(
    ("section", "error", "message"),
    [
        ({"left_out": ["neutral"]}, ValueError, "the text of 'neutral' is part of the loss"),
        ({"left_out": ["hapiness"]}, StimulusError, "no class 'hapiness'.*Did you mean 'happiness'"),
        ({"left_out": []}, ValueError, "left_out"),
    ],
)
def test_what_cannot_be_left_out_is_refused(faces, section, error, message):
    with pytest.raises(error, match=message):
        make_zero_shot(make_settings(**section), faces)
