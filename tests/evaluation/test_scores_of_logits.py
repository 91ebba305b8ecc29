import time

import numpy as np
import pytest
from sklearn import metrics as oracle

from fernet_neuro.evaluation.calibration import bin_confidence, compute_certainty
from fernet_neuro.evaluation.metrics import evaluate_predictions
from tests.evaluation.conftest import CLASSES


def evaluate(logits, labels, **options):
    return evaluate_predictions(logits, labels, CLASSES, **{"n_boot": 200, **options})


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_values_are_those_of_scikit_learn(answers):
    logits, labels, people = answers
    result = evaluate(logits, labels, groups=people)
    predicted, names = np.array(CLASSES)[logits.argmax(axis=1)], list(CLASSES)
    probabilities = softmax(logits)
    assert result["accuracy"] == pytest.approx(oracle.accuracy_score(labels, predicted), abs=1e-12)
    assert result["mean_class_accuracy"] == pytest.approx(
        oracle.balanced_accuracy_score(labels, predicted), abs=1e-12
    )
    assert result["macro_f1"] == pytest.approx(oracle.f1_score(labels, predicted, average="macro"), abs=1e-12)
    assert result["nll"] == pytest.approx(oracle.log_loss(labels, probabilities, labels=names), abs=1e-12)
    truth = (labels[:, None] == np.array(CLASSES)).astype(float)
    assert result["brier"] == pytest.approx(((probabilities - truth) ** 2).sum(axis=1).mean(), abs=1e-12)
    np.testing.assert_array_equal(result.confusion, oracle.confusion_matrix(labels, predicted, labels=names))


def test_values_by_class_are_those_of_scikit_learn(answers):
    logits, labels, _ = answers
    frame = evaluate(logits, labels).frame
    predicted = np.array(CLASSES)[logits.argmax(axis=1)]
    wanted = oracle.precision_recall_fscore_support(labels, predicted, labels=list(CLASSES))
    for metric, values in zip(("precision", "recall", "f1"), wanted, strict=False):
        found = frame[frame["metric"] == metric].set_index("class")["value"]
        np.testing.assert_allclose(found[list(CLASSES)], values, atol=1e-12)
    support = frame[frame["metric"] == "recall"].set_index("class")["n"]
    np.testing.assert_array_equal(support[list(CLASSES)], wanted[3])


def test_calibration_error_is_the_weighted_gap_of_its_bins(answers):
    logits, labels, _ = answers
    result = evaluate(logits, labels, n_bins=6)
    confidence = softmax(logits).max(axis=1)
    right = np.array(CLASSES)[logits.argmax(axis=1)] == labels
    order = np.argsort(confidence)
    gaps = [abs(right[part].sum() - confidence[part].sum()) for part in np.array_split(order, 6)]
    assert result["ece"] == pytest.approx(sum(gaps) / len(labels), abs=1e-12)
    assert list(result.calibration["n"]) == [45] * 6
    assert result.calibration["confidence"].is_monotonic_increasing


def test_small_tables_have_few_bins(answers):
    logits, labels, _ = answers
    assert len(evaluate(logits, labels).calibration) == 270 // 20
    assert len(evaluate(logits[:30], labels[:30]).calibration) == 1


def test_equal_confidences_share_a_bin_in_any_order(rng):
    confidence = rng.choice([0.3, 0.5, 0.5, 0.9, 0.95], 97)
    bins, order = bin_confidence(confidence, 4), rng.permutation(97)
    np.testing.assert_array_equal(bin_confidence(confidence[order], 4), bins[order])
    assert all(len(set(bins[confidence == value])) == 1 for value in np.unique(confidence))
    assert set(bins) == set(range(bins.max() + 1))


def test_extreme_logits_have_finite_losses():
    certain = compute_certainty(np.array([[1000.0, 0.0, -1000.0], [0.0, 1e4, 0.0]]), np.array([2, 1]))
    np.testing.assert_allclose(certain.log_loss, [2000, 0])
    np.testing.assert_allclose(certain.brier, [2, 0])
    assert list(certain.predicted) == [0, 1]


def test_order_of_images_and_of_classes_changes_no_value(answers, rng):
    logits, labels, people = answers
    frame = evaluate(logits, labels, groups=people).frame
    rows, columns = rng.permutation(len(labels)), rng.permutation(len(CLASSES))
    other = evaluate_predictions(
        logits[rows][:, columns], labels[rows], [CLASSES[code] for code in columns],
        groups=people[rows], n_boot=200,
    ).frame  # fmt: skip
    keys = ["metric", "class"]
    pairs = frame.merge(other, on=keys, suffixes=("", "_other"))
    assert len(pairs) == len(frame)
    np.testing.assert_allclose(pairs["value"], pairs["value_other"], atol=1e-12)


def test_the_same_seed_gives_the_same_intervals_and_another_does_not(answers):
    logits, labels, people = answers
    first, again, other = (evaluate(logits, labels, groups=people, seed=seed).frame for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first["low"].equals(other["low"])


def test_every_interval_holds_its_value(answers):
    logits, labels, people = answers
    frame = evaluate(logits, labels, groups=people, n_boot=40).frame
    assert ((frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"])).all()
    assert (frame["low"] < frame["high"]).all()


def test_chance_is_what_answers_that_ignore_the_image_reach(rng):
    targets = rng.choice(5, 4000, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    labels, shares = np.array(CLASSES)[targets], np.bincount(targets) / 4000
    constant = evaluate(np.tile(np.log(shares), (4000, 1)), labels)
    chance = {score.metric: score.chance_level for score in constant.scores if not score.label}
    for metric in ("accuracy", "mean_class_accuracy", "nll", "brier"):
        assert constant[metric] == pytest.approx(chance[metric], abs=1e-12)
    guesses = np.zeros((4000, 5))
    guesses[np.arange(4000), rng.permutation(targets)] = 1
    guessing = evaluate(guesses, labels)
    for score in guessing.scores:
        if score.metric in ("mean_class_accuracy", "macro_f1", "recall", "precision", "f1"):
            assert score.spread.value == pytest.approx(score.chance_level, abs=0.05)


def test_expected_calibration_error_is_that_of_true_probabilities(rng):
    found, expected = [], []
    for _ in range(40):
        logits = rng.normal(size=(400, 5))
        cumulated = softmax(logits).cumsum(axis=1)
        targets = (rng.random((400, 1)) > cumulated).sum(axis=1).clip(max=4)
        score = next(
            score for score in evaluate(logits, np.array(CLASSES)[targets]).scores if score.metric == "ece"
        )
        found.append(score.spread.value)
        expected.append(score.chance_level)
    assert np.mean(expected) == pytest.approx(np.mean(found), rel=0.1)


def test_classes_that_no_image_shows_are_said_and_left_out_of_means(answers):
    logits, labels, _ = answers
    shown = labels != "fear"
    result = evaluate(logits[shown], labels[shown])
    predicted = np.array(CLASSES)[logits.argmax(axis=1)][shown]
    recalls = [np.mean(predicted[labels[shown] == name] == name) for name in CLASSES if name != "fear"]
    assert result["mean_class_accuracy"] == pytest.approx(np.mean(recalls))
    assert "No image shows fear: means over classes are over the 4 classes shown." in result.notes
    assert "fear" not in set(result.frame["class"])
    assert result.confusion.shape == (5, 5)
    assert result.confusion[1].sum() == 0


def test_a_class_that_is_never_answered_has_no_precision():
    logits = np.tile([2.0, 1.0, 0.0, 0.0, 0.0], (12, 1))
    frame = evaluate(logits, ["anger"] * 7 + ["fear"] * 5).frame.set_index(["metric", "class"])
    assert np.isnan(frame.loc[("precision", "fear"), "value"])
    assert frame.loc[("precision", "fear"), "n"] == 0
    assert frame.loc[("f1", "fear"), "value"] == 0
    assert frame.loc[("recall", "fear"), "high"] == pytest.approx(0.5218, abs=1e-4)  # 1 - .025 ** (1 / 5)


def test_a_perfect_network_has_an_interval_too():
    logits = np.tile(5 * np.eye(5), (8, 1))
    frame = evaluate(logits, np.tile(CLASSES, 8)).frame.set_index(["metric", "class"])
    assert frame.loc[("accuracy", ""), "low"] == pytest.approx(0.025 ** (1 / 40))
    assert frame.loc[("mean_class_accuracy", ""), "low"] == pytest.approx(0.025 ** (1 / 40))
    assert (frame["high"] >= frame["value"]).all()


def test_a_class_shown_by_one_person_leaves_means_without_interval(answers):
    logits, labels, people = answers
    people = np.where(labels == "fear", "p0", people)
    result = evaluate(logits, labels, groups=people)
    frame = result.frame.set_index(["metric", "class"])
    assert frame.loc[[("mean_class_accuracy", ""), ("recall", "fear")], "low"].isna().all()
    assert frame.loc[[("accuracy", ""), ("recall", "anger")], "low"].notna().all()
    assert any("Only one person shows fear" in note for note in result.notes)


def test_one_person_alone_gives_no_interval(answers):
    logits, labels, _ = answers
    result = evaluate(logits, labels, groups=["p0"] * len(labels))
    assert result.frame["low"].isna().all()
    assert (result.frame["interval"] == "").all()


def test_images_without_identity_count_as_other_people(answers):
    logits, labels, people = answers
    people = people.copy()
    people[:9] = ""
    result = evaluate(logits, labels, groups=people)
    assert result.settings["n_units"] == 29 + 9
    assert any("9 images name no identity" in note for note in result.notes)


@pytest.mark.parametrize("groups", [None, [""] * 270])
def test_without_identities_images_are_the_units_and_that_is_said(answers, groups):
    result = evaluate(*answers[:2], groups=groups)
    assert (result.settings["units"], result.settings["n_units"]) == ("images", 270)
    assert "taken as independent" in result.notes[0]


def test_ten_thousand_resamples_of_a_test_set_take_a_second_or_two(rng):
    targets = rng.integers(0, 7, 3068)
    logits = rng.normal(size=(3068, 7)) + 2 * np.eye(7)[targets]
    classes = [f"class{code}" for code in range(7)]
    start = time.perf_counter()
    assert not evaluate_predictions(logits, np.array(classes)[targets], classes).frame.empty
    assert time.perf_counter() - start < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["angre"] * 270}, "label 'angre' is not a class .* Did you mean 'anger'"),
        ({"logits": np.zeros((270, 4))}, r"got \(270, 4\) for 270 labels and 5 classes"),
        ({"logits": np.full((270, 5), np.nan)}, "logits of image 0 are not finite"),
        ({"groups": ["p0"]}, r"groups must name one per image, shape \(270,\)"),
        ({"n_boot": 0}, "n_boot must be >= 1"),
        ({"n_bins": 0}, "n_bins must be >= 1"),
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"n_boot": 10**8}, "takes too much memory; use at most"),
    ],
)
def test_wrong_input_is_named(answers, change, message):
    given = {"logits": answers[0], "labels": answers[1], **change}
    with pytest.raises(ValueError, match=message):
        evaluate(**given)


@pytest.mark.parametrize("classes", [("a", "a"), ("a",)])
def test_classes_must_differ(classes):
    with pytest.raises(ValueError, match="two or more different names"):
        evaluate_predictions(np.zeros((3, len(classes))), ["a"] * 3, classes)


def test_hundreds_of_classes_are_no_trouble(rng):
    targets = rng.integers(0, 211, 900)
    logits = rng.normal(size=(900, 211)) + 3 * np.eye(211)[targets]
    names = [f"person{code}" for code in range(211)]
    result = evaluate_predictions(logits, np.array(names)[targets], names, n_boot=50)
    assert result["accuracy"] == pytest.approx((logits.argmax(axis=1) == targets).mean())
    assert len(result.frame) == 6 + 3 * len(np.unique(targets))
