"""How long the gradient of each term of a loss is, as the log of a run has it."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.loop import measure_terms
from fernet_neuro.training.task import TrainingTask


class _Run:
    """What `measure_terms` looks at: a network of two weights, one of which does not learn."""

    def __init__(self):
        self.model = nn.Module()
        self.model.a, self.model.b = nn.Parameter(torch.tensor(3.0)), nn.Parameter(torch.tensor(2.0))
        self.model.frozen = nn.Parameter(torch.tensor(5.0), requires_grad=False)
        self.task = type(
            "Task", (TrainingTask,), {"part_weights": {"product": 10.0, "square": 0.5, "none": 1.0}}
        )


def test_norms_are_those_of_the_weighted_terms():
    run = _Run()
    model = run.model
    parts = {"product": model.a * model.b, "square": model.frozen * model.a**2, "none": (0 * model.a)}
    loss = 10 * parts["product"] + 0.5 * parts["square"]
    norms = measure_terms(run, {"loss": loss, **parts})
    assert norms["product"] == pytest.approx(10 * math.hypot(2, 3))
    assert norms["square"] == pytest.approx(0.5 * 5 * 2 * 3)
    assert norms["none"] == 0
    assert norms["loss"] == pytest.approx(math.hypot(10 * 2 + 15, 10 * 3))
    loss.backward()  # the graph is still there


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    import fernet_neuro as fn

    folder = tmp_path_factory.mktemp("gradients")
    faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    settings = {
        "task": "concepts",
        "model": "crpn-conceptual",
        "epochs": 2,
        "batch_size": 8,
        "val_share": 0.0,
    }
    settings |= {
        "model_options": {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 32}
    }
    found = {}
    for every in (0, 2):
        place = folder / str(every)
        fit(
            TrainSettings.model_validate({**settings, "log_gradients": every}),
            place,
            table=faces,
            device="cpu",
        )
        weights = (place / "model" / "model.safetensors").read_bytes()
        found[every] = pd.read_csv(place / "log.csv"), weights
    return found


def test_measuring_changes_nothing_that_is_learnt(logs):
    assert logs[0][1] == logs[2][1]
    same = [
        log[log["split"] == "train"].drop(columns=["seconds", "images_per_s"]) for log, _ in logs.values()
    ]
    pd.testing.assert_frame_equal(same[0].reset_index(drop=True), same[1].reset_index(drop=True))


def test_a_run_logs_a_row_at_every_step_asked_for(logs):
    log = logs[2][0]
    rows = log[log["split"] == "gradient"]
    assert rows["step"].tolist() == [1, 3]
    terms = ["orthogonality", "classification", "ranking", "contrast"]
    assert (rows[["loss", *terms[:2], "contrast"]] > 0).all(axis=None)
    assert (rows["loss"] <= rows[terms].sum(axis=1) + 1e-6).all()
    assert "gradient" not in set(logs[0][0]["split"])
