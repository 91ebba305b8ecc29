"""Training from a recipe: the run folder, what is learnt, and what is refused."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.special import log_softmax

from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import load_model
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import RunFolder, digest_run, load_run
from fernet_neuro.training.pairs import find_pair_rows, make_pairs, write_pairs
from fernet_neuro.training.state import NonFiniteLossError
from fernet_neuro.training.verification import evaluate_verification, make_verification
from tests.training.conftest import make_settings, write_network


def _read_log(out):
    return pd.read_csv(out / "log.csv")


def _listing(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Finished:
    """A run that is complete, what it was asked to do and the network that it returned."""

    settings: TrainSettings
    out: Path
    model: LayeredModel

    @property
    def digest(self) -> str:
        return self.model.weight_digest()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, faces) -> Finished:
    """A run of nine steps; never change the files."""
    place = tmp_path_factory.mktemp("finished")
    settings = make_settings(write_network(place)).model_copy(update={"log_every": 3})
    return Finished(settings, place / "run", fit(settings, place / "run", table=faces))


def test_a_run_folder_holds_recipe_record_log_checkpoints_and_model(faces, finished):
    out, model = finished.out, finished.model
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints", "log.csv", "model", "pictures.npy", "recipe.yaml", "record.json",
    ]  # fmt: skip
    record = json.loads((out / "record.json").read_text())
    assert record["status"] == "complete"
    assert record["digests"]["stimuli"] == faces.digest()
    assert record["digests"]["weights"] == model.weight_digest()
    assert record["task"]["classes"] == ["anger", "happiness", "neutral"]
    assert record["last"]["epoch"] == 3
    assert record["best"]["chosen_by"] == "val_balanced_accuracy"
    assert record["steps"] == 9
    assert str(faces.root) not in (out / "record.json").read_text()
    assert not model.module.training
    assert "expression on 30 stimuli of 5 identities" in model.card.training_data


def test_the_log_has_a_row_per_epoch_and_split(finished):
    log = _read_log(finished.out)
    assert log.query("split != 'batch'")[["epoch", "step", "split"]].to_numpy().tolist() == [
        [epoch, 3 * epoch, split] for epoch in (1, 2, 3) for split in ("train", "val")
    ]
    assert log.query("split == 'batch'")["step"].tolist() == [3, 6, 9]
    assert log.query("split == 'val'")[["loss", "accuracy", "balanced_accuracy"]].notna().all(axis=None)
    assert log.query("split == 'train'")[["loss", "lr", "images_per_s"]].notna().all(axis=None)


def test_the_same_recipe_gives_the_same_bits_and_another_seed_does_not(tmp_path, faces, finished):
    digests = [
        fit(finished.settings.model_copy(update={"seed": seed}), tmp_path / name, table=faces).weight_digest()
        for name, seed in (("b", 0), ("c", 1))
    ]
    assert finished.digest == digests[0] != digests[1]


def test_cache_and_workers_change_nothing(tmp_path, faces, settings, finished):
    fresh = fit(settings.model_copy(update={"cache": "none"}), tmp_path / "fresh", table=faces, n_jobs=2)
    assert fresh.weight_digest() == finished.digest


def test_the_callers_random_states_are_left_alone(tmp_path, faces, settings):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit(settings.model_copy(update={"epochs": 1}), tmp_path / "run", table=faces)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("task", "model", "options", "epochs"),
    [
        ("identification", "resnet10-slim", {}, 9),
        ("expression", "resnet10-slim", {}, 6),
        ("verification", "siamese", {"trunk": "resnet10-slim"}, 12),
    ],
)
def test_each_task_learns_what_is_there(tmp_path, faces, task, model, options, epochs):
    settings = TrainSettings(
        task=task, model=model, model_options={**options, "size": 16}, epochs=epochs, batch_size=12, lr=0.003,
        optimiser="adamw", val_stimuli=str(faces.root / "table.csv"), val_by="random",
    )  # fmt: skip
    fit(settings, tmp_path / "run", table=faces)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    log = _read_log(tmp_path / "run").query("split == 'train'")
    assert log["loss"].iloc[-1] < 0.7 * log["loss"].iloc[0]
    assert record["last"]["val_accuracy"] > 0.8


def test_kept_best_weights_are_those_of_the_best_epoch(tmp_path, faces, settings):
    # The checkpoint that ended the best epoch is gone or holds the very same weights.
    shorter = settings.model_copy(update={"schedule": "constant", "keep": "best"})
    best = fit(shorter, tmp_path / "long", table=faces)
    record = json.loads((tmp_path / "long" / "record.json").read_text())
    assert record["kept"] == "best"
    n_best = record["best"]["epoch"]
    again = fit(
        shorter.model_copy(update={"epochs": n_best, "keep": "last"}), tmp_path / "short", table=faces
    )
    kept = load_model(tmp_path / "long", code=settings.model)
    assert best.weight_digest() == kept.weight_digest() == again.weight_digest()


def test_both_epochs_can_be_loaded_whichever_was_kept(tmp_path, faces, settings):
    settings = settings.model_copy(update={"lr": 0.5, "epochs": 6, "schedule": "constant"})
    fit(settings, tmp_path / "last", table=faces)
    fit(settings.model_copy(update={"keep": "best"}), tmp_path / "best", table=faces)
    record = json.loads((tmp_path / "last" / "record.json").read_text())
    assert record["best"]["epoch"] < record["last"]["epoch"]  # else the two epochs are one
    asked = [(kept, epoch) for kept in ("last", "best") for epoch in ("kept", "last", "best")]
    digests = {
        (kept, epoch): load_run(tmp_path / kept, epoch, code=settings.model).weight_digest()
        for kept, epoch in asked
    }
    assert {(kept, epoch): digest_run(tmp_path / kept, epoch) for kept, epoch in asked} == digests
    assert digests["last", "kept"] == digests["last", "last"] == digests["best", "last"]
    assert digests["best", "kept"] == digests["best", "best"] == digests["last", "best"]
    assert digests["last", "last"] != digests["last", "best"]


def test_an_epoch_that_is_not_there_is_refused(tmp_path, faces, settings):
    fit(settings.model_copy(update={"val_share": 0.0}), tmp_path / "run", table=faces)
    with pytest.raises(ValueError, match=r"trained without validation, so no epoch is best"):
        load_run(tmp_path / "run", "best", code=settings.model)
    with pytest.raises(ValueError, match=r"trained without validation, so no epoch is best"):
        digest_run(tmp_path / "run", "best")
    for read in (load_run, digest_run):
        with pytest.raises(StoreError, match=r"is not a complete training run"):
            read(tmp_path / "nothing", "last")


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path, faces, settings):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.txt").write_text("years of work")
    for resume in (False, True):
        with pytest.raises(StoreError, match=r"thesis exists and is not a training run; nothing was changed"):
            fit(settings, foreign, table=faces, resume=resume)
    assert [path.name for path in foreign.iterdir()] == ["chapter1.txt"]


def test_a_finished_run_is_refused_or_with_resume_returned_as_it_is(tmp_path, faces, finished):
    settings, out = finished.settings, shutil.copytree(finished.out, tmp_path / "run")
    before = _listing(out)
    with pytest.raises(StoreError, match=r"holds a finished run; nothing was changed\. Go on with --resume"):
        fit(settings, out, table=faces)
    again = fit(settings, out, table=faces, resume=True)
    assert again.weight_digest() == finished.digest
    assert _listing(out) == before


def test_a_picture_that_cannot_be_read_does_not_block_the_folder(tmp_path, faces, settings):
    table = StimulusTable.read(shutil.copytree(faces.root, tmp_path / "pictures") / "table.csv")
    out, broken = tmp_path / "run", tmp_path / "pictures" / f"{table.stimulus_ids[0]}.png"
    sound = broken.read_bytes()
    broken.write_bytes(sound[: len(sound) // 2])
    for resume in (False, True):
        with pytest.raises(StimulusError, match=table.stimulus_ids[0]):
            fit(settings, out, table=table, resume=resume)
        assert not out.exists()
    broken.write_bytes(sound)
    assert fit(settings, out, table=table.select(session="A"))


def test_an_error_after_a_checkpoint_leaves_the_run_to_be_resumed(tmp_path, faces, settings):
    wild = settings.model_copy(update={"lr": 1e30, "checkpoint_every": 1, "augment": ()})
    for resume in (False, True):
        with pytest.raises(NonFiniteLossError):
            fit(wild, tmp_path / "run", table=faces, resume=resume)
        assert RunFolder(tmp_path / "run").find_state() == "started"
        assert (tmp_path / "run" / "log.csv").is_file()


def test_a_withdrawn_start_leaves_what_is_not_its_own(tmp_path, faces, settings):
    folder = RunFolder(tmp_path / "run")
    folder.write_start(settings, faces, {})
    (folder.path / "notes.txt").write_text("years of work")
    folder.withdraw_start()
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]
    assert folder.find_state() == "foreign"


def test_resume_names_what_was_changed(faces, finished):
    settings, out = finished.settings, finished.out
    changed = settings.model_copy(update={"lr": 0.06, "epochs": 4})
    with pytest.raises(ValueError, match=r"changed: epochs: 3 -> 4; lr: 0\.05 -> 0\.06\."):
        fit(changed, out, table=faces, resume=True)
    fewer = faces.select(session="A")
    with pytest.raises(ValueError, match="changed: the content of stimuli"):
        fit(settings, out, table=fewer, resume=True)


def test_resume_without_a_run_starts_one(tmp_path, faces, settings):
    assert fit(settings.model_copy(update={"epochs": 1}), tmp_path / "run", table=faces, resume=True)


def test_a_loss_that_is_not_finite_names_the_stimuli_and_keeps_the_checkpoint(tmp_path, faces, settings):
    wild = settings.model_copy(update={"lr": 1e30, "checkpoint_every": 1, "augment": ()})
    with pytest.raises(NonFiniteLossError, match=r"the loss became (nan|inf) at step \d+") as caught:
        fit(wild, tmp_path / "run", table=faces)
    named = [name for name in faces.stimulus_ids if name in str(caught.value)]
    assert len(named) == 10
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert not (tmp_path / "run" / "model").exists()


def test_starting_from_saved_weights_keeps_all_but_the_classifier(tmp_path, faces):
    first = TrainSettings(task="identification", model_options={"size": 16}, epochs=1, batch_size=12, lr=1e-3)
    model = fit(first, tmp_path / "identity", table=faces)
    second = first.model_copy(
        update={"task": "expression", "weights": str(tmp_path / "identity"), "lr": 1e-12, "optimiser": "sgd",
                "weight_decay": 0.0, "freeze_batchnorm": True}
    )  # fmt: skip
    tuned = fit(second, tmp_path / "expression", table=faces)
    before, after = model.module.state_dict(), tuned.module.state_dict()
    assert after["fc.weight"].shape[0] == 3
    same = [name for name in before if not name.startswith("fc.")]
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=1e-9) for name in same)
    assert "from weights identity" in tuned.card.training_data


def test_batch_statistics_move_unless_frozen(tmp_path, faces, settings, finished):
    frozen = fit(settings.model_copy(update={"freeze_batchnorm": True}), tmp_path / "run", table=faces)
    assert not finished.settings.freeze_batchnorm
    for model, is_frozen in ((frozen, True), (finished.model, False)):
        assert torch.equal(model.module[1].running_mean, torch.zeros(6)) is is_frozen


def test_bf16_trains_and_resumes_to_float32_weights(tmp_path, faces, settings, finished):
    model = fit(settings.model_copy(update={"precision": "bf16"}), tmp_path / "run", table=faces)
    assert {value.dtype for value in model.module.parameters()} == {torch.float32}
    assert model.weight_digest() != finished.digest


def test_channels_last_is_the_same_network(tmp_path, faces, settings):
    logs = []
    # Without dropout, whose mask is drawn in the order that values lie in memory.
    settings = settings.model_copy(update={"model": settings.model + "_plain"})
    for last in (False, True):
        fit(settings.model_copy(update={"channels_last": last}), tmp_path / f"run{last}", table=faces)
        logs.append(_read_log(tmp_path / f"run{last}")["loss"])
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-4)


def test_verification_by_fixed_pairs(tmp_path, faces):
    pairs = make_pairs(faces, n_folds=3, n_per_fold=8)
    write_pairs(pairs.query("fold != 1"), tmp_path / "train.csv")
    write_pairs(pairs.query("fold == 1"), tmp_path / "val.csv")
    settings = TrainSettings(
        task="verification", model="siamese", model_options={"size": 16}, epochs=2, batch_size=8, lr=0.01,
        verification={"pairs": str(tmp_path / "train.csv"), "val_pairs": str(tmp_path / "val.csv")},
    )  # fmt: skip
    model = fit(settings, tmp_path / "run", table=faces)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["task"]["n_pairs_per_epoch"] == 16
    trained = faces.factor("identity")[find_pair_rows(pairs.query("fold != 1"), faces)]
    assert record["train_identities"] == sorted(set(trained.ravel()))
    assert record["task"]["n_train_identities"] == len(record["train_identities"]) == 4
    assert record["task"]["n_val_pairs"] == 8
    result = evaluate_verification(model, faces, pairs, device="cpu")
    first = result.scores.query("fold == 1")
    assert np.mean((first["score"] > 0) == first["same"]) == pytest.approx(record["last"]["val_accuracy"])


def test_fixed_pairs_share_nobody_with_validation_pairs(tmp_path, faces):
    pairs = make_pairs(faces, n_folds=3, n_per_fold=8)
    write_pairs(pairs, tmp_path / "train.csv")
    write_pairs(pairs.query("fold == 1"), tmp_path / "val.csv")
    settings = TrainSettings(
        task="verification", model="siamese", model_options={"size": 16},
        verification={"pairs": str(tmp_path / "train.csv"), "val_pairs": str(tmp_path / "val.csv")},
    )  # fmt: skip
    with pytest.raises(StimulusError, match="2 identities are in both `pairs` and `val_pairs`"):
        make_verification(settings, faces)
    known = make_verification(settings.model_copy(update={"val_by": "random"}), faces)
    assert len(known.train_identities()) == 6
    drawn = make_verification(settings.with_section(pairs=None), faces)
    held_out = set(faces.factor("identity")[find_pair_rows(pairs.query("fold == 1"), faces)].ravel())
    assert drawn.train_identities() == set(faces.factor("identity")) - held_out
    assert set(drawn.train_table.factor("identity")) == drawn.train_identities()


def test_evaluation_agrees_with_a_pair_by_pair_forward_pass(faces):
    pairs = make_pairs(faces, n_folds=3, n_per_fold=6)
    twin = build_model("siamese", size=16, seed=4)
    scores = evaluate_verification(twin, faces, pairs, batch_size=5, device="cpu").scores["score"]
    prepare = twin.card.preprocessing
    images = dict(zip(faces.stimulus_ids, faces.paths(), strict=True))
    for row, score in zip(pairs.itertuples(), scores, strict=True):
        one, other = (
            prepare.normalise(prepare.resize_and_crop(np.array(Image.open(images[name])))[None])
            for name in (row.stimulus_id_1, row.stimulus_id_2)
        )
        with torch.no_grad():
            logits = twin.module(one, other)[0]
        assert score == pytest.approx((logits[1] - logits[0]).item(), abs=1e-5)


def test_other_networks_are_compared_by_cosine_at_any_layer(faces):
    pairs = make_pairs(faces, n_folds=3, n_per_fold=6)
    model = build_model("resnet10-slim", size=16, n_classes=6)
    whole = evaluate_verification(model, faces, pairs, device="cpu")
    last = evaluate_verification(model, faces, pairs, layer="fc", device="cpu")
    pooled = evaluate_verification(model, faces, pairs, layer="avgpool", device="cpu")
    np.testing.assert_allclose(whole.scores["score"], last.scores["score"], atol=1e-6)
    assert whole.scores["score"].between(-1 - 1e-6, 1 + 1e-6).all()
    assert not np.allclose(whole.scores["score"], pooled.scores["score"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "identification", "val_by": "identity"}, "cannot validate identification"),
        ({"task": "verification"}, "needs a Siamese network"),
        (
            {"model": "siamese"},
            "a task over 'expression' needs one output per class|has no option 'n_classes'",
        ),
        (
            {"model": "resnet10-slim", "model_options": {"n_classes": 5}},
            "but this training needs 3; leave it out",
        ),
        ({"model": "resnet10slim"}, "Did you mean 'resnet10-slim'"),
        ({"precision": "fp16"}, "fp16"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(tmp_path, faces, settings, changes, message):
    with pytest.raises(ValueError, match=message):
        recipe = TrainSettings.model_validate({**settings.model_dump(), **changes})
        fit(recipe, tmp_path / "run", table=faces, device="cpu")
    assert not (tmp_path / "run" / "model").exists()


def test_unfit_arguments_are_refused(tmp_path, faces, settings):
    with pytest.raises(ValueError, match="there is nothing to train on"):
        fit(settings, tmp_path / "run")
    with pytest.raises(ValueError, match="n_jobs must be >= 0"):
        fit(settings, tmp_path / "run", table=faces, n_jobs=-1)
    with pytest.raises(ValueError, match="device='tpu' is not known"):
        fit(settings, tmp_path / "run", table=faces, device="tpu")


def test_one_class_only_is_refused(tmp_path, faces, settings):
    with pytest.raises(StimulusError, match=r"needs two or more classes.*neutral"):
        fit(settings, tmp_path / "run", table=faces.select(expression="neutral"))
    assert not (tmp_path / "run").exists()


def test_people_in_both_tables_are_refused_unless_meant(tmp_path, faces, settings, caplog):
    changed = settings.model_copy(update={"val_stimuli": str(faces.root / "table.csv")})
    with pytest.raises(StimulusError, match="6 identities are in both training and validation"):
        fit(changed, tmp_path / "run", table=faces)
    meant = changed.model_copy(update={"val_by": "random"})
    fit(meant, tmp_path / "run", table=faces)
    assert "36 of 36 stimuli of validation are pictures that are trained on too" in caplog.text
    caplog.clear()
    fit(meant, tmp_path / "run", table=faces, resume=True)
    assert "trained on too" not in caplog.text  # a complete run does not look at pictures again


def test_unknown_labels_in_validation_are_named(tmp_path, faces, settings):
    path = tmp_path / "val.csv"
    StimulusTable.from_frame(
        faces.frame.assign(path=[str(item) for item in faces.paths()], identity="other", expression="awe")
    ).write(path)
    with pytest.raises(StimulusError, match=r"1 values of 'expression' that training lacks.*'awe'"):
        fit(settings.model_copy(update={"val_stimuli": str(path)}), tmp_path / "run", table=faces)


def test_balanced_weights_make_a_rare_class_count_as_much(faces, rng):
    rare = faces.select(~((faces.factor("expression") == "anger") & (faces.factor("session") == "B")))
    targets = np.unique(rare.factor("expression"), return_inverse=True)[1]
    logits = rng.normal(size=(len(rare), 3))
    each = -log_softmax(logits, axis=1)[np.arange(len(rare)), targets]
    wanted = {
        "none": each.mean(),
        "balanced": np.mean([each[targets == target].mean() for target in range(3)]),
    }
    assert abs(wanted["none"] - wanted["balanced"]) > 0.01
    for weights, value in wanted.items():
        task = ClassificationTask("expression", rare, class_weights=weights)
        loss = task.compute_loss(torch.from_numpy(logits), torch.from_numpy(targets), {})["loss"]
        assert loss.item() == pytest.approx(value, rel=1e-6)
