"""Stage 2: what each regime's loss is, what an epoch shows of the concepts, and what is refused."""

import json

import numpy as np
import pytest
import torch

from fernet_neuro._utils.config import read_settings
from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import save_model
from fernet_neuro.systems.crpn.concept_bank import build_concept_bank
from fernet_neuro.systems.crpn.networks import PerceptualFeatures
from fernet_neuro.systems.crpn.perception import PerceptionTask, make_perception
from fernet_neuro.systems.crpn.settings import PerceptionSettings
from fernet_neuro.systems.crpn.teacher import read_teacher
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

OPTIONS = {"trunk": "resnet10-slim", "size": 16, "n_features": 11}
LIVE = {"teacher": "live"}
IMAGES = {"concept_source": "images"}


@pytest.fixture
def task(recipe, faces, tmp_path):
    """Return a task that is ready to plan its epochs."""

    def make(section=None, **changes):
        made = make_perception(recipe(section, **changes), faces)
        made.prepare_run(tmp_path, torch.device("cpu"))
        return made

    return make


# --- the loss ---------------------------------------------------------------------------------------------


def _golden():
    """Return the published inputs: features, teacher's features, logits, confidence, targets."""
    i, d, c = np.arange(8)[:, None], np.arange(5), np.arange(4)

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    emotion, perceptual = unit(np.sin(1 + 1.7 * i + 0.9 * d**2)), unit(np.cos(0.3 + 1.1 * i + 2 * d))
    alpha = np.array([0.9, 0.2, 0.75, 0.5, 0.6, 0.35, 0.8, 0.45])
    logits, teacher_logits = np.cos(0.4 * i + 0.9 * c), alpha[:, None] * np.sin(0.7 * i + 1.3 * c)
    return perceptual, emotion, logits, teacher_logits, alpha > 0.4, np.array([0, 1, 0, 2, 1, 0, 1, 0])


def _log_softmax(values):
    return values - np.log(np.exp(values).sum(1, keepdims=True))


def _compute(task, extras):
    perceptual, _, logits, _, _, targets = _golden()
    outputs = PerceptualFeatures(torch.from_numpy(perceptual), torch.from_numpy(logits))
    known = {name: torch.from_numpy(np.array(value)) for name, value in extras.items()}
    losses = task.compute_loss(outputs, torch.from_numpy(targets), known)
    return {name: value.item() for name, value in losses.items()}


@pytest.fixture
def cross_entropy():
    _, _, logits, _, _, targets = _golden()
    return -_log_softmax(logits)[np.arange(8), targets].mean()


def test_perceptual_alone_is_cross_entropy_alone(faces, recipe, cross_entropy):
    settings = recipe({"regime": "perceptual", "conceptual": None})
    losses = _compute(make_perception(settings, faces), {})
    assert losses == pytest.approx({"loss": 2 * cross_entropy, "cross_entropy": cross_entropy})


def test_distillation_is_of_all_images_and_has_the_golden_values(task, cross_entropy):
    _, emotion, _, teacher_logits, _, _ = _golden()
    losses = _compute(
        task({"regime": "distillation"}), {"emotion": emotion, "teacher_logits": teacher_logits}
    )
    parts = {"cross_entropy": cross_entropy, "similarity": 1.8803457238, "distillation": 0.0783077092}
    assert losses == pytest.approx({"loss": 2 * cross_entropy + 1.8803457238 + 0.0783077092, **parts})


def test_crpn_draws_features_to_concepts_and_logits_of_the_confident_alone(task, cross_entropy):
    perceptual, emotion, _, teacher_logits, confident, _ = _golden()
    concepts = 0.5 * np.cos(np.arange(40.0)).reshape(8, 5)
    # What the teacher says where it is in doubt must not matter at all.
    teacher_logits[~confident], emotion[~confident], concepts[confident] = np.nan, np.nan, np.nan
    extras = {
        "emotion": emotion,
        "teacher_logits": teacher_logits,
        "confident": confident,
        "concepts": concepts,
    }
    losses = _compute(task(), extras)
    aims = [emotion[row] if confident[row] else concepts[row] for row in range(8)]
    similarity = np.mean([((perceptual[row] - aims[row]) ** 2).sum() for row in range(8)])
    assert losses["similarity"] == pytest.approx(similarity)
    assert losses["distillation"] == pytest.approx(0.0706697246)
    assert losses["loss"] == pytest.approx(2 * cross_entropy + similarity + 0.0706697246)


def test_a_batch_without_confident_images_distils_nothing(task):
    _, emotion, _, teacher_logits, confident, _ = _golden()
    extras = {"emotion": emotion, "teacher_logits": teacher_logits, "concepts": emotion / 2}
    losses = _compute(task(), {**extras, "confident": np.zeros_like(confident)})
    assert losses["distillation"] == 0
    assert np.isfinite(losses["loss"])


def test_weights_count_and_a_term_without_one_is_left_out(task, cross_entropy):
    teacher_logits = _golden()[3]
    section = {
        "regime": "distillation",
        "cross_entropy_weight": 0.5,
        "similarity_weight": 0,
        "distillation_weight": 3,
    }
    made = task(section)
    losses = _compute(made, {"teacher_logits": teacher_logits})
    assert made.loss_parts == ("cross_entropy", "distillation")
    assert losses["loss"] == pytest.approx(0.5 * cross_entropy + 3 * 0.0783077092)


@pytest.mark.parametrize(
    ("variant", "similarity", "teacher", "source", "value"),
    [
        ("recommended", "squared_l2", "cached", "features", 1.8803457238),
        ("paper", "squared_l2", "live", "features", 1.8803457238),
        ("released", "mmd_rbf", "live", "images", 0.7633773780),
    ],
)
def test_a_variant_gives_the_forms_that_a_recipe_leaves_open(
    task, variant, similarity, teacher, source, value
):
    said = task(variant=variant).describe()
    assert (said["variant"], said["teacher"], said["concept_source"]) == (variant, teacher, source)
    assert said["loss_terms"]["similarity"] == {"weight": 1.0, "form": similarity}
    _, emotion, _, teacher_logits, _, _ = _golden()
    made = task({"regime": "distillation", "teacher": "cached"}, variant=variant)
    losses = _compute(made, {"emotion": emotion, "teacher_logits": teacher_logits})
    assert losses["similarity"] == pytest.approx(value)


@pytest.mark.parametrize("data", ["rafdb", "affectnet7", "ra", "imagen"])
def test_recipes_have_the_papers_settings(data):
    settings = read_settings(TrainSettings, f"crpn/perceptual_{data}")
    section = settings.section
    weights = (section.cross_entropy_weight, section.similarity_weight, section.distillation_weight)
    assert (weights, section.percentile, section.n_concepts, section.regime) == ((2, 1, 1), 20, 8, "crpn")
    assert (settings.optimiser, settings.lr, settings.weight_decay) == ("adam", 1e-4, 1e-5)
    assert (settings.betas, settings.batch_size) == ((0.5, 0.999), 64)
    assert settings.epochs == (20 if data == "imagen" else 40)
    assert (settings.schedule, settings.cycle_length, settings.cycle_unit) == ("cosine-cycle", 5, "epoch")
    student = build_model(settings.model, n_classes=7, **settings.model_options).card.preprocessing
    teacher = build_model("resnet50-vggface2").card.preprocessing
    assert (student.size, student.resize) == (teacher.size, teacher.resize) == (224, 256)


# --- what an epoch shows ----------------------------------------------------------------------------------


def test_concepts_are_means_of_confident_features_of_the_class(task):
    made = task()
    bank, items = made.guidance.bank, made.plan_epoch(0)
    confident = bank.find_confident(40)
    assert (items.extras["confident"] == confident).all()
    assert (~confident).sum() == 3 * 4
    assert (bank.stimulus_ids == made.train_table.stimulus_ids).all()
    for row in np.flatnonzero(~confident):
        pool = np.flatnonzero(confident & (items.targets == items.targets[row]))
        means = [bank.emotion[[a, b, c]].mean(0) for a in pool for b in pool for c in pool if a < b < c]
        assert np.abs(np.array(means) - items.extras["concepts"][row]).max(1).min() < 1e-6
    assert items.rows.shape == (30, 1)


def test_what_an_epoch_draws_is_decided_by_seed_and_epoch(task):
    first, again, other = (task(seed=seed, val_share=0.0) for seed in (0, 0, 1))
    drawn = first.plan_epoch(4).extras["concepts"]
    assert (drawn == again.plan_epoch(4).extras["concepts"]).all()
    assert (drawn != first.plan_epoch(5).extras["concepts"]).any()
    assert (drawn != other.plan_epoch(4).extras["concepts"]).any()


def test_images_for_concepts_stand_beside_those_of_low_confidence_alone(task):
    made = task(IMAGES)
    items, confident = made.plan_epoch(0), made.guidance.bank.find_confident(40)
    own, others = items.rows[:, 0], items.rows[:, 1:]
    assert (own == np.arange(30)).all()
    assert (others[confident] == own[confident][:, None]).all()
    drawn = others[~confident]
    assert confident[drawn].all()
    assert (items.targets[drawn] == items.targets[~confident][:, None]).all()
    features = made.guidance.bank.emotion[drawn].mean(1)
    np.testing.assert_allclose(task().plan_epoch(0).extras["concepts"][~confident], features, atol=1e-6)


@pytest.mark.parametrize("section", [LIVE, IMAGES, {**LIVE, **IMAGES}])
def test_a_live_teacher_sees_the_students_pixels_and_leaves_them_as_they_are(task, section, rng):
    made = task(section)
    n_images = made.guidance.n_images
    pixels = torch.from_numpy(rng.uniform(0, 255, (4 * n_images, 3, 16, 16))).float()  # as after "colour"
    before = pixels.clone()
    confident = torch.tensor([True, False, True, False])
    seen = made.observe(pixels)
    emotion = seen.get("emotion", torch.zeros(4, 11))
    aims = made.guidance.find_aims(
        {"concepts": torch.zeros(4, 11), "emotion": emotion, **seen, "confident": confident}
    )
    assert (pixels == before).all()
    teacher = made.guidance.teacher
    with torch.no_grad():
        shown = teacher.model.module(teacher.preprocessing.normalise(before), full=True).emotion
    shown = shown.unflatten(0, (4, n_images))
    if "teacher" in section:
        torch.testing.assert_close(aims[confident], shown[confident, 0])
    if "concept_source" in section:
        torch.testing.assert_close(aims[~confident], shown[~confident, 1:].mean(1))
    assert not aims.requires_grad


def test_images_of_concepts_are_not_fed_to_the_student(task):
    made = task(IMAGES)
    shown = []
    made.forward(lambda images, full: shown.append(images), torch.arange(12.0).reshape(12, 1))
    assert shown[0].flatten().tolist() == [0, 4, 8]


def test_a_bank_of_the_whole_table_serves_the_part_that_is_trained_on(
    tmp_path, faces, recipe, task, conceptual_run
):
    teacher = read_teacher(conceptual_run)
    whole = build_concept_bank(teacher.model, faces, device="cpu")
    whole.save(tmp_path / "whole")
    given = make_perception(recipe({"bank": str(tmp_path / "whole")}), faces)
    own = task()
    items, expected = given.plan_epoch(0), own.plan_epoch(0)
    assert (items.extras["confident"] == expected.extras["confident"]).all()
    np.testing.assert_allclose(items.extras["concepts"], expected.extras["concepts"], atol=1e-6)
    is_trained = np.isin(whole.stimulus_ids, given.train_table.stimulus_ids)
    part = given.guidance.bank
    assert any((whole.find_confident(p)[is_trained] != part.find_confident(p)).any() for p in range(5, 95))
    assert given.input_digests()["bank"] not in (None, own.input_digests()["bank"])


def test_a_trained_trunk_is_put_in_its_place(tmp_path, faces, recipe):
    trunk = build_model("resnet10-slim", seed=9, n_classes=4, size=16)
    save_model(trunk, tmp_path / "trunk")
    made = make_perception(recipe({"trunk_weights": str(tmp_path / "trunk")}), faces)
    model = made.prepare_model(build_model("crpn-perceptual", n_classes=3, **OPTIONS))
    loaded = model.module.perceptual.trunk.state_dict()
    for name, values in trunk.module.state_dict().items():
        if name in loaded:
            assert (loaded[name] == values).all()
    assert len(loaded) > 10


def test_what_no_term_reaches_does_not_learn(faces, recipe):
    made = make_perception(recipe({"cross_entropy_weight": 0, "distillation_weight": 0}), faces)
    model = made.prepare_model(build_model("crpn-perceptual", n_classes=3, **OPTIONS))
    assert not any(parameter.requires_grad for parameter in model.module.logits.parameters())
    assert all(parameter.requires_grad for parameter in model.module.perceptual.parameters())


# --- what is refused --------------------------------------------------------------------------------------


def test_a_recipe_that_does_not_fit_its_regime_is_refused(faces, recipe):
    with pytest.raises(ValueError, match=r"regime 'crpn' needs a teacher: give perception.conceptual"):
        make_perception(recipe({"conceptual": None}), faces)
    with pytest.raises(ValueError, match="regime 'perceptual' learns from labels alone; leave perception"):
        make_perception(recipe({"regime": "perceptual"}), faces)
    none = dict.fromkeys(("cross_entropy_weight", "similarity_weight", "distillation_weight"), 0)
    with pytest.raises(ValueError, match="all weights of the loss in regime 'crpn' are 0"):
        make_perception(recipe(none), faces)
    with pytest.raises(StoreError, match="absent is not a complete training run"):
        make_perception(recipe({"conceptual": "absent"}), faces)


def test_teacher_and_student_need_the_same_expressions_by_name(tmp_path, faces, recipe):
    fewer = faces.select(expression=["anger", "neutral"])
    message = (
        "the teacher tells apart anger, happiness, neutral, and the training stimuli show anger, neutral;"
    )
    with pytest.raises(ValueError, match=message):
        fit(recipe(), tmp_path / "run", table=fewer, device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_class_with_too_few_confident_images_is_one_clear_line(tmp_path, faces, recipe):
    message = r"class 'anger' has 6 confident images of 10, and n_concepts=8 .* lower n_concepts to 6 or less"
    with pytest.raises(ValueError, match=message):
        fit(recipe({"n_concepts": 8}), tmp_path / "run", table=faces, device="cpu")


def test_a_bank_of_another_teacher_or_table_is_refused(tmp_path, faces, recipe, conceptual_run):
    options = {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "none", "size": 16, "n_features": 11}
    other = build_model("crpn-conceptual", seed=8, n_classes=3, **options)
    build_concept_bank(other, faces, device="cpu").save(tmp_path / "other")
    with pytest.raises(ValueError, match=r"bank .* is of another network"):
        make_perception(recipe({"bank": str(tmp_path / "other")}), faces)
    part = faces.select(session="A")
    build_concept_bank(read_teacher(conceptual_run).model, part, device="cpu").save(tmp_path / "part")
    with pytest.raises(ValueError, match=r"bank .* is of other stimuli"):
        make_perception(recipe({"bank": str(tmp_path / "part")}), faces)


def test_a_student_that_does_not_fit_is_refused(tmp_path, faces, recipe):
    for changes, message in (
        (
            {"model_options": {**OPTIONS, "n_features": 13}},
            "has 13 features and its teacher 11; set model_options",
        ),
        ({"model": "resnet10-slim", "model_options": {"size": 16}}, "use model: crpn-perceptual"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(recipe(**changes), tmp_path / "run", table=faces, device="cpu")


def test_another_teacher_cannot_go_on_with_a_run(tmp_path, faces, recipe, conceptual_run):
    out = tmp_path / "run"
    fit(recipe(epochs=1), out, table=faces, device="cpu")
    saved = json.loads((conceptual_run / "record.json").read_text())
    settings = TrainSettings(**{**saved["settings"], "seed": 5, "epochs": 1})
    fit(settings, tmp_path / "teacher", table=faces, device="cpu")
    with pytest.raises(ValueError, match=r"was started otherwise.*the content of teacher"):
        fit(
            recipe({"conceptual": str(tmp_path / "teacher")}, epochs=1),
            out,
            table=faces,
            resume=True,
            device="cpu",
        )


def test_a_task_is_prepared_before_it_plans(faces, recipe):
    with pytest.raises(ValueError, match="no concept bank yet; call prepare_run first"):
        make_perception(recipe(), faces).plan_epoch(0)
    with pytest.raises(ValueError, match="regime 'distillation' needs a teacher"):
        PerceptionTask("expression", faces, perception=PerceptionSettings(regime="distillation"))
