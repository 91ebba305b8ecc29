"""Stage 2 in runs: cached against live teachers, what lies in the folder, and resuming after kill -9."""

import json
import os
import runpy
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fernet_neuro._utils.config import write_settings
from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import load_model
from fernet_neuro.systems.crpn.concept_bank import ConceptBank
from fernet_neuro.systems.crpn.perception import make_perception
from fernet_neuro.systems.crpn.teacher import Teacher
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import RunFolder
from tests.server import CONTEXT

pytestmark = pytest.mark.slow

OPTIONS = {"trunk": "resnet10-slim", "size": 16, "n_features": 11}
LIVE = {"teacher": "live"}
IMAGES = {"concept_source": "images"}
CRPN = {"regime": "crpn"}


# --- runs -------------------------------------------------------------------------------------------------


def _read_losses(folder):
    log = pd.read_csv(folder / "log.csv")
    return log[log["split"] == "batch"]["loss"].to_numpy(), log[log["split"] == "train"]


@pytest.fixture(scope="module")
def train_once(tmp_path_factory, faces, recipe):
    """Return a function that trains a section with some augmentation, the same one once, and its folder."""
    done = {}

    def train(section, augment=()):
        key = (*sorted(section.items()), augment)
        if key not in done:
            done[key] = tmp_path_factory.mktemp("once") / "run"
            fit(recipe(section, augment=augment), done[key], table=faces, device="cpu")
        return done[key]

    return train


@pytest.mark.parametrize(
    ("regime", "live"),
    [("crpn", LIVE), ("crpn", {**LIVE, **IMAGES}), ("crpn", IMAGES), ("distillation", LIVE)],
)
def test_cached_and_live_teachers_give_the_same_losses_of_unchanged_images(train_once, regime, live):
    folders = [train_once({"regime": regime, **section}) for section in ({}, live)]
    (kept, epochs), (made, live_epochs) = (_read_losses(folder) for folder in folders)
    assert len(kept) == 6
    np.testing.assert_allclose(made, kept, atol=1e-5, rtol=0)
    parts = ["cross_entropy", "similarity", "distillation"]
    np.testing.assert_allclose(live_epochs[parts], epochs[parts], atol=1e-5, rtol=0)
    one, other = (load_model(folder).module.state_dict() for folder in folders)
    for name, values in one.items():
        torch.testing.assert_close(other[name], values, atol=1e-4, rtol=1e-4)


def test_cached_and_live_teachers_differ_where_images_are_changed(train_once):
    sections = ({}, LIVE, {**LIVE, **IMAGES})
    losses = [_read_losses(train_once(section, ("hflip", "colour")))[0] for section in sections]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(losses[first] - losses[second]).max() > 1e-4


def test_a_run_learns_and_its_record_tells_how(tmp_path, faces, recipe):
    settings = recipe(epochs=12, lr=1e-2, val_share=0.0)
    fit(settings, tmp_path / "run", table=faces, device="cpu")
    epochs = _read_losses(tmp_path / "run")[1]
    for name, share in (("loss", 0.7), ("cross_entropy", 0.9), ("similarity", 0.5)):
        assert epochs[name].iloc[-1] < share * epochs[name].iloc[0]
    expected = 2 * epochs["cross_entropy"] + epochs["similarity"] + epochs["distillation"]
    np.testing.assert_allclose(epochs["loss"], expected, rtol=1e-5)
    task = json.loads((tmp_path / "run" / "record.json").read_text())["task"]
    assert (task["regime"], task["percentile"], task["n_concepts"]) == ("crpn", 40, 3)
    assert set(task["loss_terms"]) == {"cross_entropy", "similarity", "distillation"}


def test_the_record_names_the_people_that_the_teacher_was_trained_on(train_once):
    record = json.loads((train_once(CRPN) / "record.json").read_text())
    assert record["task"]["n_train"] == 30
    assert record["train_identities"] == [f"p{person}" for person in range(6)]


def test_the_perceptual_regime_needs_no_teacher(tmp_path, faces, recipe):
    settings = recipe({"regime": "perceptual", "conceptual": None}, epochs=1)
    fit(settings, tmp_path / "run", table=faces, device="cpu")
    assert not (tmp_path / "run" / "bank").exists()
    assert "similarity" not in pd.read_csv(tmp_path / "run" / "log.csv")


def test_a_live_teacher_of_all_images_needs_no_bank(tmp_path, faces, recipe):
    settings = recipe({"regime": "distillation", **LIVE}, epochs=1)
    fit(settings, tmp_path / "run", table=faces, device="cpu")
    assert not (tmp_path / "run" / "bank").exists()


def test_the_runs_own_bank_is_of_its_training_images(faces, recipe, train_once):
    train = make_perception(recipe(CRPN), faces).train_table
    bank = ConceptBank.load(train_once(CRPN) / "bank", stimuli_digests=[train.digest()])
    assert (bank.stimulus_ids == train.stimulus_ids).all()
    assert bank.percentile == 40


def test_teacher_and_student_may_differ_in_size_where_the_teacher_is_cached(tmp_path, faces, recipe):
    larger = recipe(epochs=1, model_options={**OPTIONS, "size": 24})
    fit(larger, tmp_path / "run", table=faces, device="cpu")
    assert np.isfinite(_read_losses(tmp_path / "run")[0]).all()
    message = (
        "student crops 24 px out of 24, its teacher 16 out of 16. Set model_options.size: 16 and .resize: 16"
    )
    for section in (LIVE, IMAGES):
        settings = recipe(section, model_options={**OPTIONS, "size": 24})
        with pytest.raises(ValueError, match=message):
            fit(settings, tmp_path / "other", table=faces, device="cpu")


def test_a_student_can_be_given_the_crop_of_its_teacher(faces, recipe):
    made = make_perception(recipe(LIVE), faces)
    teacher = made.guidance.teacher
    cropped = replace(teacher.preprocessing, resize=20)
    made.guidance.teacher = Teacher(teacher.model.with_card(preprocessing=cropped), teacher.classes)
    with pytest.raises(ValueError, match="student crops 16 px out of 16, its teacher 16 out of 20"):
        made.prepare_model(build_model("crpn-perceptual", n_classes=3, **OPTIONS))
    student = made.prepare_model(build_model("crpn-perceptual", n_classes=3, **OPTIONS, resize=20))
    image = np.random.default_rng(0).integers(0, 256, (30, 25, 3), dtype=np.uint8)
    shown = [item.resize_and_crop(image) for item in (student.card.preprocessing, cropped)]
    assert (shown[0] == shown[1]).all()
    with pytest.raises(ValueError, match="resize must be >= 16"):
        build_model("crpn-perceptual", n_classes=3, **OPTIONS, resize=12)


# --- kill -9 ----------------------------------------------------------------------------------------------

#: Trains, and kills its own process just before the n-th call of what stands at the place.
KILLER = """
import os
import signal

from fernet_neuro.training import fit, loop
from fernet_neuro.systems.crpn import concept_bank
from fernet_neuro.systems.crpn import perception
from fernet_neuro.systems.crpn import teacher

PLACES = {
    "encoding": (teacher.Teacher, "observe"),
    "writing the bank": (concept_bank.np, "save"),
    "between the stages": (fit, "_train"),
    "step": (perception.PerceptionTask, "compute_loss"),
    "checkpoint": (loop, "write_checkpoint"),
}
owner, name = PLACES[place]
real, calls = getattr(owner, name), []


def call(*arguments, **options):
    calls.append(name)
    if len(calls) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)


setattr(owner, name, call)
fit.fit(settings, out, table=table, resume=True, device="cpu")
"""
KILLS = [
    ("encoding", 1),
    ("writing the bank", 3),
    ("between the stages", 1),
    ("step", 6),
    ("checkpoint", 2),
]


def _run(target, *arguments, **options):
    process = CONTEXT.Process(target=target, args=arguments, kwargs=options)
    process.start()
    process.join(60)
    return process.exitcode


def _fit(settings, out, table):
    assert _run(fit, settings, out, table=table, resume=True, device="cpu") == 0
    return load_model(out).weight_digest(), pd.read_csv(out / "log.csv").drop(
        columns=["images_per_s", "seconds"]
    )


def _fit_killed(settings, out, table, place, at):
    script = out.parent / "killer.py"
    script.write_text(KILLER)
    values = {"settings": settings, "out": out, "table": table, "place": place, "at": at}
    return _run(runpy.run_path, str(script), init_globals=values)


@pytest.fixture(scope="module")
def _uninterrupted():
    return {}


@pytest.mark.parametrize(
    ("section", "place", "at"),
    [*(({}, place, at) for place, at in KILLS), ({**LIVE, **IMAGES}, "step", 5)],
)
def test_a_run_killed_anywhere_resumes_to_the_same_bits(
    tmp_path, faces, recipe, _uninterrupted, section, place, at
):
    settings = recipe(section, augment=("hflip", "crop", "colour"), checkpoint_every=2, log_every=0)
    key = len(section)
    if key not in _uninterrupted:
        _uninterrupted[key] = _fit(settings, tmp_path / "expected", faces)
    digest, log = _uninterrupted[key]
    out = tmp_path / "run"
    assert _fit_killed(settings, out, faces, place, at) == -signal.SIGKILL
    assert (out / "bank").exists() == (place not in ("encoding", "writing the bank"))
    assert RunFolder(out).find_state() == "started"
    resumed_digest, resumed_log = _fit(settings, out, faces)
    assert resumed_digest == digest
    pd.testing.assert_frame_equal(resumed_log, log, check_exact=True)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_a_resumed_run_uses_the_bank_that_is_there(tmp_path, faces, recipe):
    out, settings = tmp_path / "run", recipe(epochs=1)
    assert _fit_killed(settings, out, faces, "step", 1) == -signal.SIGKILL
    written = (out / "bank" / "emotion.npy").stat().st_mtime_ns
    fit(settings, out, table=faces, resume=True, device="cpu")
    assert (out / "bank" / "emotion.npy").stat().st_mtime_ns == written
    np.save(out / "bank" / "emotion.npy", np.zeros((30, 11), np.float32))
    record = out / "record.json"
    record.write_text(record.read_text().replace('"complete"', '"running"'))
    with pytest.raises(StoreError, match=r"emotion.npy was changed after it was written"):
        fit(settings, out, table=faces, resume=True, device="cpu")


def test_a_mistake_does_not_block_the_folder_and_its_bank_serves_the_next_run(tmp_path, faces, recipe):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="confident"):
        fit(recipe({"n_concepts": 500}, epochs=1), out, table=faces, device="cpu")
    assert {path.name for path in out.iterdir()} == {"recipe.yaml", "bank"}
    written = (out / "bank" / "emotion.npy").stat().st_mtime_ns
    fit(recipe(epochs=1), out, table=faces, device="cpu")
    assert (out / "bank" / "emotion.npy").stat().st_mtime_ns == written
    assert RunFolder(out).find_state() == "complete"


def test_a_bank_that_a_mistake_left_is_made_anew_for_other_stimuli(tmp_path, faces, recipe):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="confident"):
        fit(recipe({"n_concepts": 500}, epochs=1), out, table=faces.select(session="A"), device="cpu")
    fit(recipe(epochs=1), out, table=faces, device="cpu")
    assert len(ConceptBank.load(out / "bank")) == 30


def test_a_bank_without_a_recipe_is_no_place_for_a_run(tmp_path, faces, recipe):
    (tmp_path / "run" / "bank").mkdir(parents=True)
    with pytest.raises(StoreError, match="is not a training run; nothing was changed"):
        fit(recipe(), tmp_path / "run", table=faces, device="cpu")


# --- several processes ------------------------------------------------------------------------------------

SCRIPT = """
import sys
from accelerate import debug_launcher
from fernet_neuro._utils.config import read_settings
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

folder = sys.argv[1]
settings = read_settings(TrainSettings, folder + "/recipe.yaml")
debug_launcher(fit, (settings, folder + "/two"), num_processes=2)
fit(settings, folder + "/one", device="cpu")
"""


def test_two_processes_draw_what_one_draws(tmp_path, faces, recipe):
    # The distillation is a mean over the confident images of each process's share, so it is left out.
    section = {"distillation_weight": 0.0, **LIVE}
    options = {"model_options": {**OPTIONS, "dropout": 0.0}, "freeze_batchnorm": True, "epochs": 1}
    settings = recipe(section, **options, stimuli=str(faces.root / "table.csv"))
    write_settings(settings, tmp_path / "recipe.yaml")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    losses = [_read_losses(tmp_path / name)[0] for name in ("one", "two")]
    assert len(losses[0]) == 3
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert json.loads((tmp_path / "two" / "record.json").read_text())["n_processes"] == 2
