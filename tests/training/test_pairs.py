import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from fernet_neuro.exceptions import AlignmentError, FernetWarning, StimulusError
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.pairs import (
    PAIR_COLUMNS,
    check_pairs_differ,
    choose_threshold,
    compute_auc,
    compute_eer,
    draw_pairs,
    evaluate_scores,
    find_pair_rows,
    make_pairs,
    read_pairs,
    write_pairs,
)


def _make_table(n_people, n_pictures):
    people = np.repeat([f"p{k:02d}" for k in range(n_people)], n_pictures)
    frame = pd.DataFrame({"identity": people, "path": "a.png"})
    frame["stimulus_id"] = [f"{who}_{k:04d}" for k, who in enumerate(people)]
    return StimulusTable.from_frame(frame)


@pytest.mark.parametrize("decimals", [6, 1])
@pytest.mark.parametrize("signal", [0.0, 1.0, -1.0])
def test_eer_and_auc_are_those_of_scikit_learn(rng, signal, decimals):
    same = rng.random(301) < 0.4
    scores = np.round(rng.normal(size=301) + signal * same, decimals)
    false_accepts, hits, _ = roc_curve(same, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - interp1d(false_accepts, hits)(x), 0, 1)
    assert compute_eer(scores, same) == pytest.approx(expected, abs=1e-9)
    assert compute_auc(scores, same) == pytest.approx(roc_auc_score(same, scores))


def test_eer_of_hand_made_scores():
    same = np.array([True, True, False, False])
    assert compute_eer(np.array([4.0, 3, 2, 1]), same) == 0
    assert compute_eer(np.array([1.0, 2, 3, 4]), same) == 1
    assert compute_eer(np.array([4.0, 2, 3, 1]), same) == 0.5
    assert compute_eer(np.zeros(4), same) == 0.5


def test_eer_ignores_order_and_monotone_changes(rng):
    same, scores = rng.random(97) < 0.5, rng.normal(size=97)
    order = rng.permutation(97)
    assert compute_eer(scores[order], same[order]) == pytest.approx(compute_eer(scores, same))
    assert compute_eer(np.exp(3 * scores), same) == pytest.approx(compute_eer(scores, same))


def test_one_kind_of_pair_or_bad_scores_are_refused():
    with pytest.raises(ValueError, match="pairs of both kinds"):
        compute_eer(np.arange(3.0), np.ones(3, bool))
    with pytest.raises(ValueError, match="1 of 2 verification scores are not finite"):
        compute_auc(np.array([np.nan, 1.0]), np.array([True, False]))


def test_threshold_is_the_best_of_all_that_could_be_chosen(rng):
    for _ in range(50):
        same = rng.random(23) < 0.5
        scores = np.round(rng.normal(size=23) + same, 1)
        candidates = [-np.inf, *np.unique(scores), np.inf]
        best = max(np.mean((scores >= value) == same) for value in candidates)
        assert np.mean((scores >= choose_threshold(scores, same)) == same) == pytest.approx(best)


def test_threshold_of_one_kind_calls_all_that_kind():
    scores = np.array([0.1, 0.2])
    assert choose_threshold(scores, np.array([True, True])) == 0.1
    assert choose_threshold(scores, np.array([False, False])) > 0.2


def test_threshold_between_neighbouring_floats_keeps_them_apart():
    low = 1.0
    high = np.nextafter(low, 2)
    scores, same = np.array([low, high]), np.array([False, True])
    assert ((scores >= choose_threshold(scores, same)) == same).all()


def test_each_fold_is_tested_at_the_threshold_of_the_others():
    pairs = pd.DataFrame({"fold": [1, 1, 2, 2], "stimulus_id_1": list("abcd"), "stimulus_id_2": list("efgh")})
    pairs["same"] = [True, False, True, False]
    result = evaluate_scores(pairs, np.array([0.9, 0.7, 0.4, 0.2]))
    # Fold 1 is tested at 0.3, so its different pair passes; fold 2 at 0.8, so its same pair does not.
    assert result.folds["threshold"].tolist() == pytest.approx([0.3, 0.8])
    assert result.folds["accuracy"].tolist() == [0.5, 0.5]
    assert (result.accuracy, result.accuracy_se) == (0.5, 0)


def test_accuracy_and_its_standard_error_are_over_folds(rng):
    table = _make_table(40, 5)
    pairs = make_pairs(table, n_folds=10, n_per_fold=60, seed=3)
    scores = rng.normal(size=600) + 1.5 * pairs["same"]
    result = evaluate_scores(pairs, scores.to_numpy())
    accuracies = result.folds["accuracy"]
    assert result.accuracy == pytest.approx(accuracies.mean())
    assert result.accuracy_se == pytest.approx(accuracies.std(ddof=1) / np.sqrt(10))
    assert 0.7 < result.accuracy < 0.85
    summary = result.to_dict()
    assert (summary["n_pairs"], summary["n_folds"], summary["chance_level"]) == (600, 10, 0.5)


def test_a_single_fold_has_no_standard_error():
    pairs = make_pairs(_make_table(6, 3), n_folds=1, n_per_fold=10)
    assert evaluate_scores(pairs, np.arange(10.0)).to_dict()["accuracy_se"] is None


def test_drawn_pairs_are_what_they_say_and_half_are_same(rng):
    people = rng.choice([f"p{k}" for k in range(7)], 53)
    people[0] = "alone"
    rows, same = draw_pairs(people, 2001, rng)
    assert same.sum() == 1001
    assert np.array_equal(people[rows[:, 0]] == people[rows[:, 1]], same)
    assert (rows[:, 0] != rows[:, 1]).all()
    # Every picture turns up, and partners are spread evenly over those possible.
    assert set(rows[~same].ravel()) == set(range(53))


def test_partners_of_a_picture_are_equally_likely():
    people = np.array(["a", "b", "a", "a", "c", "b"])
    rows, same = draw_pairs(people, 60_000, np.random.default_rng(1))
    with_first = rows[rows[:, 0] == 0]
    kind = same[rows[:, 0] == 0]
    counts = np.bincount(with_first[kind, 1], minlength=6) / kind.sum()
    assert counts == pytest.approx([0, 0, 0.5, 0.5, 0, 0], abs=0.03)
    counts = np.bincount(with_first[~kind, 1], minlength=6) / (~kind).sum()
    assert counts == pytest.approx([0, 1 / 3, 0, 0, 1 / 3, 1 / 3], abs=0.03)


def test_pairs_need_two_people_and_somebody_twice(rng):
    with pytest.raises(StimulusError, match="got 1 people with 3 pictures"):
        draw_pairs(np.array(["a", "a", "a"]), 4, rng)
    with pytest.raises(StimulusError, match="got 2 people with 2 pictures"):
        draw_pairs(np.array(["a", "b"]), 4, rng)


def test_made_pairs_share_nobody_between_folds():
    table = _make_table(31, 4)
    pairs = make_pairs(table, n_folds=5, n_per_fold=20, seed=2)
    assert tuple(pairs.columns) == PAIR_COLUMNS
    people = table.factor("identity")[find_pair_rows(pairs, table)]
    seen = [set(people[pairs["fold"] == fold].ravel()) for fold in range(1, 6)]
    assert sum(len(one) for one in seen) == len(set.union(*seen))
    assert pairs.groupby("fold")["same"].sum().tolist() == [10] * 5
    assert pairs.equals(make_pairs(table, n_folds=5, n_per_fold=20, seed=2))
    with pytest.raises(StimulusError, match="need 32 identities or more; the table has 31"):
        make_pairs(table, n_folds=16)


def test_pairs_survive_their_file(tmp_path):
    table = _make_table(6, 3)
    pairs = make_pairs(table, n_folds=2, n_per_fold=7)
    write_pairs(pairs, tmp_path / "pairs.csv")
    pd.testing.assert_frame_equal(read_pairs(tmp_path / "pairs.csv", table), pairs, check_dtype=False)


def test_lfw_files_are_read(tmp_path):
    frame = pd.DataFrame({"stimulus_id": ["Ann_Lee_0001", "Ann_Lee_0002", "Bo_Ek_0001"], "path": "a.png"})
    frame["identity"] = ["Ann_Lee", "Ann_Lee", "Bo_Ek"]
    (tmp_path / "pairs.txt").write_text("1\nAnn_Lee\t1\t2\nAnn_Lee\t2\tBo_Ek\t1\n")
    pairs = read_pairs(tmp_path / "pairs.txt", StimulusTable.from_frame(frame))
    assert pairs["same"].tolist() == [True, False]
    assert pairs["stimulus_id_2"].tolist() == ["Ann_Lee_0002", "Bo_Ek_0001"]


def test_unusable_pair_files_say_why(tmp_path):
    table = _make_table(3, 2)
    with pytest.raises(StimulusError, match=r"pairs file .*absent\.csv does not exist"):
        read_pairs(tmp_path / "absent.csv", table)
    (tmp_path / "wrong.csv").write_text("fold,first\n1,a\n")
    with pytest.raises(StimulusError, match="lacks the columns stimulus_id_1, stimulus_id_2, same"):
        read_pairs(tmp_path / "wrong.csv", table)
    for text, message in (
        ("", r"pairs\.csv cannot be read: it is empty"),
        (",".join(PAIR_COLUMNS), "a header and no pairs"),
    ):
        (tmp_path / "pairs.csv").write_text(text)
        with pytest.raises(StimulusError, match=message):
            read_pairs(tmp_path / "pairs.csv", table)
    (tmp_path / "foreign.csv").write_text("fold,stimulus_id_1,stimulus_id_2,same\n1,p00_0000,nobody,True\n")
    with pytest.raises(AlignmentError, match=r"1 stimuli of the pairs .*'nobody'"):
        read_pairs(tmp_path / "foreign.csv", table)


@pytest.mark.parametrize(("said", "wanted"), [("True,False", [True, False]), ("1,0", [True, False]),
                                              ("TRUE,false", [True, False])])  # fmt: skip
def test_pairs_say_true_or_false(tmp_path, said, wanted):
    table = _make_table(3, 2)
    one, two, *_ = table.stimulus_ids
    rows = [f"{fold},{one},{two},{same}" for fold, same in enumerate(said.split(","))]
    (tmp_path / "pairs.csv").write_text("\n".join([",".join(PAIR_COLUMNS), *rows]))
    assert read_pairs(tmp_path / "pairs.csv", table)["same"].tolist() == wanted
    (tmp_path / "pairs.csv").write_text((tmp_path / "pairs.csv").read_text() + f"\n2,{one},{two},different\n")
    with pytest.raises(StimulusError, match=r"says 'different' under same \(row 2\)"):
        read_pairs(tmp_path / "pairs.csv", table)


@pytest.fixture
def pictures(tmp_path):
    """Six pictures of three people; e is another file of the picture b."""
    for number, name in enumerate("abcdf"):
        pixels = np.random.default_rng(number).integers(0, 255, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    with Image.open(tmp_path / "b.png") as image:
        image.save(tmp_path / "e.png", compress_level=0)
    frame = pd.DataFrame({"stimulus_id": list("abcdef"), "identity": list("uuvvww")})
    return StimulusTable.from_frame(frame.assign(path=frame["stimulus_id"] + ".png"), root=tmp_path)


def _list_pairs(*pairs):
    return pd.DataFrame([(*pair, True) for pair in pairs], columns=list(PAIR_COLUMNS))


def test_folds_share_no_pair_of_pictures_whatever_they_are_called(pictures):
    check_pairs_differ(_list_pairs((1, "a", "b"), (1, "b", "a"), (2, "c", "e"), (2, "a", "c")), pictures)
    for other in (("b", "a"), ("a", "e")):
        pairs = _list_pairs((1, "a", "b"), (2, "c", "d"), (2, *other))
        said = f"'a' and 'b' of fold 1 is in fold 2 too .as '{other[0]}' and '{other[1]}'"
        with pytest.raises(StimulusError, match=said):
            check_pairs_differ(pairs, pictures)


def test_a_pair_of_one_picture_is_noted(pictures):
    with pytest.warns(FernetWarning, match="1 of 2 pairs show one picture twice .first: 'e' and 'b'"):
        check_pairs_differ(_list_pairs((1, "a", "b"), (2, "e", "b")), pictures)
