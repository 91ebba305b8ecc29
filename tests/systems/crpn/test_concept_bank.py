"""A bank's thresholds, what is drawn from it, what lies on disk, and what is refused."""

import json
from functools import partial
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import AlignmentError, StimulusError, StoreError
from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.concept_bank import ConceptBank, build_concept_bank
from fernet_neuro.systems.crpn.concept_draws import draw_concept_rows, draw_concepts
from fernet_neuro.systems.crpn.teacher import Teacher, read_teacher
from fernet_neuro.training.folder import load_run

GOLDEN = [0.31, 0.92, 0.47, 0.15, 0.66, 0.58, 0.83, 0.09, 0.74, 0.25]


def make_bank(counts=(9, 14, 6), n_features=5, seed=0, **changes):
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    emotion = rng.normal(size=(len(targets), n_features))
    values = {
        "stimulus_ids": np.array([f"s{row:03d}" for row in range(len(targets))]),
        "classes": ("anger", "fear", "surprise")[: len(counts)],
        "targets": targets,
        "emotion": emotion / np.linalg.norm(emotion, axis=1, keepdims=True),
        "confidence": rng.random(len(targets)),
        "logits": rng.normal(size=(len(targets), len(counts))),
        "teacher_digest": "a" * 64,
        "stimuli_digest": "b" * 64,
    }
    return ConceptBank(**{**values, **changes})


@pytest.fixture
def network():
    options = {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 16}
    return build_model("crpn-conceptual", seed=3, n_classes=3, n_features=11, **options)


def test_thresholds_are_the_published_golden_values():
    bank = make_bank(counts=(10,), confidence=np.array(GOLDEN))
    assert bank.compute_thresholds() == [0.25]
    assert bank.compute_thresholds(15) == [0.15]
    assert np.percentile(GOLDEN, 20) == pytest.approx(0.23)


def test_thresholds_are_those_of_each_class_alone():
    bank = make_bank()
    for percentile in (15, 20, 50, 99.5):
        for number, threshold in enumerate(bank.compute_thresholds(percentile)):
            alpha = sorted(a for a, t in zip(bank.confidence, bank.targets, strict=True) if t == number)
            assert threshold == alpha[int(percentile / 100 * len(alpha))]


def test_a_whole_percentile_of_a_hundred_images_leaves_out_as_many():
    bank = make_bank(counts=(100,))
    for percentile in range(1, 100):  # 0.29 * 100 is less than 29 in floating point
        assert (~bank.find_confident(percentile)).sum() == percentile


def test_an_image_at_the_threshold_is_confident():
    bank = make_bank(counts=(10,), confidence=np.full(10, 0.5))
    assert bank.find_confident().all()


def test_confidence_is_compared_with_the_threshold_of_the_own_class():
    bank = make_bank(counts=(9, 14))
    shifted = make_bank(counts=(9, 14), confidence=bank.confidence + 0.3 * bank.targets)
    assert (shifted.find_confident() == bank.find_confident()).all()
    assert bank.summarise()["n_confident"].tolist() == [9 - 1, 14 - 2]


def test_a_class_without_images_has_no_threshold():
    bank = make_bank(counts=(9, 0, 6))
    assert np.isnan(bank.compute_thresholds()).tolist() == [False, True, False]
    assert bank.summarise()["n"].tolist() == [9, 0, 6]


def test_concepts_are_different_confident_images_of_the_same_class():
    bank = make_bank(counts=(30, 20, 25))
    low = np.flatnonzero(~bank.find_confident())
    drawn = draw_concept_rows(bank, low, 8, None, make_rng(0))
    assert drawn.shape == (6 + 4 + 5, 8)
    assert all(len(set(row)) == 8 for row in drawn.tolist())
    assert (bank.targets[drawn] == bank.targets[low][:, None]).all()
    assert bank.find_confident()[drawn].all()


def test_concepts_are_means_that_are_not_scaled_to_length_1():
    bank = make_bank(counts=(30, 20, 25))
    low = np.flatnonzero(~bank.find_confident())
    concepts = draw_concepts(bank, low, 4, None, make_rng(0))
    drawn = draw_concept_rows(bank, low, 4, None, make_rng(0))
    for concept, rows in zip(concepts, drawn, strict=True):
        np.testing.assert_allclose(concept, np.mean([bank.emotion[row] for row in rows], axis=0))
    assert (np.linalg.norm(concepts, axis=1) < 1).all()


def test_as_many_concepts_as_confident_images_take_all_of_them():
    bank = make_bank(counts=(10,))
    low = np.flatnonzero(~bank.find_confident())
    drawn = draw_concept_rows(bank, low, 8, None, make_rng(0))
    assert (np.sort(drawn) == np.flatnonzero(bank.find_confident())).all()


def test_every_ordered_choice_is_equally_likely():
    bank = make_bank(counts=(4000,), confidence=np.r_[np.full(5, 2.0), np.zeros(3995)])
    drawn = draw_concept_rows(bank, np.arange(5, 4000), 3, 99.9, make_rng(1))
    counts = pd.Series(map(tuple, drawn.tolist())).value_counts()
    assert set(counts.index) == set(permutations(range(5), 3))
    expected = len(drawn) / 60
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert 28 < statistic < 98  # chi-squared with 59 degrees of freedom: 0.0002 on either side


def test_what_a_row_gets_depends_on_the_generator_and_the_row_alone():
    bank = make_bank(counts=(30, 20, 25))
    low = np.flatnonzero(~bank.find_confident())
    whole = draw_concept_rows(bank, low, 4, None, make_rng(0, "concepts", 3))
    some = draw_concept_rows(bank, low[[7, 2]], 4, None, make_rng(0, "concepts", 3))
    assert (some == whole[[7, 2]]).all()
    other = draw_concept_rows(bank, low, 4, None, make_rng(0, "concepts", 4))
    assert (other != whole).any(axis=1).mean() > 0.9


def test_a_class_with_too_few_confident_images_is_named():
    bank = make_bank(counts=(9, 14, 6))
    low = np.flatnonzero(~bank.find_confident())
    message = (
        r"class 'surprise' has 5 confident images of 6, and n_concepts=6 .* lower n_concepts to 5 or less, "
        r"lower the percentile"
    )
    with pytest.raises(ValueError, match=message):
        draw_concepts(bank, low, 6, None, make_rng(0))
    assert draw_concepts(bank, low[bank.targets[low] != 2], 6, None, make_rng(0)).shape == (1 + 2, 5)
    with pytest.raises(ValueError, match="n_concepts must be >= 1; got 0"):
        draw_concepts(bank, low, 0, None, make_rng(0))


@pytest.mark.parametrize("percentile", [0, 100, -3, float("nan")])
def test_a_percentile_lies_between_0_and_100(percentile):
    with pytest.raises(ValueError, match="percentile must lie between 0 and 100"):
        make_bank(percentile=percentile)
    with pytest.raises(ValueError, match="percentile must lie between 0 and 100"):
        make_bank().compute_thresholds(percentile)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": np.zeros(7)}, r"needs confidence \(29,\); got \(7,\)"),
        ({"logits": np.zeros((29, 2))}, r"needs logits \(29, 3\)"),
        ({"emotion": np.full((29, 5), np.nan)}, "emotion of a bank must be finite"),
        ({"targets": np.full(29, 3)}, "targets from 0 to 2"),
    ],
)
def test_a_bank_that_does_not_fit_together_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_bank(**changes)


def test_a_bank_comes_back_as_it_was_saved(tmp_path):
    bank = make_bank(percentile=15.0)
    loaded = ConceptBank.load(bank.save(tmp_path / "bank"))
    for name in ("stimulus_ids", "targets", "emotion", "confidence", "logits"):
        assert (getattr(loaded, name) == getattr(bank, name)).all()
        assert getattr(loaded, name).dtype == getattr(bank, name).dtype
    assert (loaded.classes, loaded.percentile) == (bank.classes, 15.0)
    assert loaded.digest() == bank.digest() != make_bank(seed=1).digest()


def test_scores_and_thresholds_can_be_read_by_people(tmp_path):
    bank = make_bank()
    bank.save(tmp_path / "bank")
    scores = pd.read_csv(tmp_path / "bank" / "scores.csv")
    assert list(scores) == ["stimulus_id", "expression", "confidence", "threshold", "is_confident"]
    assert (scores["is_confident"] == (scores["confidence"] >= scores["threshold"])).all()
    assert scores["stimulus_id"].tolist() == bank.stimulus_ids.tolist()
    thresholds = pd.read_csv(tmp_path / "bank" / "thresholds.csv").set_index("expression")
    assert thresholds["n"].to_dict() == {"anger": 9, "fear": 14, "surprise": 6}
    counted = scores.groupby("expression")["is_confident"].sum()
    assert (thresholds["n_confident"] == counted).all()
    np.testing.assert_allclose(thresholds["threshold"], bank.compute_thresholds())


def test_selected_images_have_thresholds_of_their_own():
    bank = make_bank()
    wanted = bank.stimulus_ids[[20, 3, 11, 4]]
    part = bank.select(wanted)
    assert (part.stimulus_ids == wanted).all()
    assert (part.emotion == bank.emotion[[20, 3, 11, 4]]).all()
    alone = part.confidence[part.targets == part.targets[0]]
    assert part.compute_thresholds()[part.targets[0]] == alone.min()
    with pytest.raises(AlignmentError, match="1 stimuli are not in the bank \\(first: 'x'\\)"):
        bank.select(["s000", "x"])


def test_a_bank_of_another_network_or_table_is_refused(tmp_path):
    place = make_bank().save(tmp_path / "bank")
    fitting = {"teacher_digest": "a" * 64, "stimuli_digests": ["c" * 64, "b" * 64]}
    assert len(ConceptBank.load(place, **fitting)) == 29
    with pytest.raises(ValueError, match=r"bank is of another network \(weights aaaa.*, wanted dddd"):
        ConceptBank.load(place, **{**fitting, "teacher_digest": "d" * 64})
    with pytest.raises(AlignmentError, match=r"bank is of other stimuli, .*table bbbb.*, wanted cccc"):
        ConceptBank.load(place, **{**fitting, "stimuli_digests": ["c" * 64]})


def test_a_damaged_bank_is_refused(tmp_path):
    place = make_bank().save(tmp_path / "bank")
    values = np.load(place / "confidence.npy")
    np.save(place / "confidence.npy", values + 0.01)
    with pytest.raises(StoreError, match=r"confidence.npy was changed after it was written"):
        ConceptBank.load(place)
    (place / "confidence.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(StoreError, match=r"confidence.npy is missing or damaged"):
        ConceptBank.load(place)
    (place / "manifest.json").write_text('{"format": "fernet')
    with pytest.raises(StoreError, match="no valid JSON"):
        ConceptBank.load(place)
    (place / "manifest.json").write_text('{"format": "something else"}')
    with pytest.raises(StoreError, match="does not describe a concept bank"):
        ConceptBank.load(place)
    (place / "manifest.json").write_text('{"format": "fernet-neuro concept bank", "format_version": 99}')
    with pytest.raises(StoreError, match="has format 99, not 1"):
        ConceptBank.load(place)
    with pytest.raises(StoreError, match="holds no concept bank"):
        ConceptBank.load(tmp_path / "absent")


def test_a_bank_is_complete_or_absent(tmp_path, monkeypatch):
    before = make_bank()
    before.save(tmp_path / "bank")
    real, names = np.save, []

    def fill_the_disk(file, *arguments, **options):
        names.append(file)
        if len(names) == 3:
            raise OSError(28, "No space left on device")
        real(file, *arguments, **options)

    monkeypatch.setattr(np, "save", fill_the_disk)
    with pytest.raises(StoreError, match=r"bank could not be written: No space left on device"):
        make_bank(seed=1).save(tmp_path / "bank")
    assert ConceptBank.load(tmp_path / "bank").digest() == before.digest()
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]


def test_what_is_no_bank_is_never_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(StoreError, match="exists and is not a concept bank; nothing was changed"):
        make_bank().save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_bank_holds_what_the_network_makes_of_each_image_as_it_is(network, faces):
    bank = build_concept_bank(network, faces, batch_size=7, device="cpu")
    preprocessing = network.card.preprocessing
    for row in (0, 17, 35):
        image = preprocessing.resize_and_crop(load_image(faces.paths()[row]))
        with torch.no_grad():
            expected = network.module(preprocessing.normalise(image[None]), full=True)
        np.testing.assert_allclose(bank.emotion[row], expected.emotion[0], atol=1e-6)
        np.testing.assert_allclose(bank.confidence[row], expected.confidence[0], atol=1e-6)
        np.testing.assert_allclose(bank.logits[row], expected.logits[0], atol=1e-6)
    assert bank.classes == ("anger", "happiness", "neutral")
    assert (np.array(bank.classes)[bank.targets] == faces.factor("expression")).all()
    assert (bank.stimulus_ids == faces.stimulus_ids).all()
    assert (bank.teacher_digest, bank.stimuli_digest) == (network.weight_digest(), faces.digest())
    whole = build_concept_bank(network, faces, device="cpu")
    np.testing.assert_allclose(whole.emotion, bank.emotion, atol=1e-6)


def test_a_bank_is_made_in_evaluation_mode_and_changes_no_weight(network, faces):
    before = network.weight_digest()
    first = build_concept_bank(network, faces, device="cpu")
    network.module.train()
    second = build_concept_bank(network, faces, device="cpu")
    assert first.digest() == second.digest()
    assert network.weight_digest() == before


def test_a_network_or_table_that_does_not_fit_is_refused(network, faces):
    with pytest.raises(ValueError, match="network 'resnet10-slim' is none; train one with task: concepts"):
        build_concept_bank(build_model("resnet10-slim", n_classes=3, size=16), faces, device="cpu")
    with pytest.raises(ValueError, match="has 3 classes, and 2 are named: anger, neutral"):
        Teacher(network, ("anger", "neutral"))
    names = ("anger", "happy", "neutral")
    with pytest.raises(StimulusError, match=r"first: 'happiness'\); it has: .* Did you mean 'happy'"):
        build_concept_bank(network, faces, classes=names, device="cpu")
    with pytest.raises(ValueError, match="batch_size must be >= 1"):
        build_concept_bank(network, faces, batch_size=0, device="cpu")
    missing = faces.frame.assign(path=[*faces.frame["path"][:-1], "absent.png"])
    with pytest.raises(StimulusError, match="p5_neutral_B"):
        build_concept_bank(network, StimulusTable.from_frame(missing, root=faces.root), device="cpu")


@pytest.fixture
def run(run):
    return partial(run, "concepts")


def test_the_command_makes_a_bank_and_says_how_many_are_confident(tmp_path, run, faces, conceptual_run):
    asked = (conceptual_run, "--stimuli", faces.root / "table.csv", "--out", tmp_path / "bank")
    code, said, _ = run(*asked, "--percentile", 40, "--quiet")
    assert code == 0
    lines = {line.split()[0]: line.split() for line in said.splitlines() if line}
    bank = ConceptBank.load(tmp_path / "bank", teacher_digest=load_run(conceptual_run).weight_digest())
    for name, threshold in zip(bank.classes, bank.compute_thresholds(40), strict=True):
        assert lines[name] == [name, "12", f"{threshold:.4f}", "8"]
    assert "24 of 36 images are confident, at percentile 40 of their class." in said
    code, _, error = run(*asked)
    assert (code, error.count("\n"), "exists already" in error) == (2, 1, True)
    code, said, _ = run(*asked, "--overwrite", "--epoch", "last", "--json")
    report = json.loads(said)
    assert (code, report["percentile"]) == (0, 20)
    assert report["classes"][0]["n_confident"] == 10
    assert ConceptBank.load(tmp_path / "bank").percentile == 20


def test_the_command_takes_a_part_of_the_table(tmp_path, run, faces, conceptual_run):
    asked = (conceptual_run, "--stimuli", faces.root / "table.csv", "--out", tmp_path / "bank", "--quiet")
    code, _, _ = run(*asked, "--select", "session=A", "--select", "identity=[p0, p3]")
    assert code == 0
    part = faces.select(session="A", identity=["p0", "p3"])
    bank = ConceptBank.load(tmp_path / "bank", stimuli_digests=[part.digest()])
    assert (bank.stimulus_ids == part.stimulus_ids).all()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--select", "session=C"), "leaves none of 36 stimuli"),
        (("--select", "session"), "must have the form key=value"),
        (("--epoch", "best"), "was trained without validation, so no epoch is best"),
        (("--epoch", "first"), "--epoch first is not known"),
        (("--percentile", 100), "percentile must lie between 0 and 100"),
        (("--stimuli", "nowhere.csv"), "nowhere.csv does not exist"),
    ],
)
def test_mistakes_in_the_command_are_one_line(tmp_path, run, faces, conceptual_run, extra, message):
    table = ("--stimuli", faces.root / "table.csv")
    code, _, error = run(conceptual_run, *table, "--out", tmp_path / "bank", "--quiet", *extra)
    assert (code, error.count("\n")) == (2, 1)
    assert message in error
    assert not (tmp_path / "bank").exists()


def test_a_teacher_has_the_classes_of_its_run(conceptual_run, tmp_path):
    teacher = read_teacher(conceptual_run)
    assert (teacher.classes, teacher.n_features) == (("anger", "happiness", "neutral"), 11)
    assert not teacher.model.module.training
    with pytest.raises(StoreError, match="is not a complete training run"):
        read_teacher(tmp_path)
