import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import squareform

from fernet_neuro.exceptions import AlignmentError, StoreError
from fernet_neuro.rsa.pairs import add_to_pairs, count_stimuli, sum_by_stimulus
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli, concat_rdms


def test_squares_and_vectors_are_those_of_scipy(brain):
    squares = brain.to_squares()
    assert squares.shape == (5, 7, 7)
    for square, vector in zip(squares, brain.dissimilarities, strict=True):
        assert np.array_equal(square, squareform(vector))
        assert np.array_equal(square[np.triu_indices(7, 1)], vector)
    back = RDMSet.from_squares(
        squares, brain.stimulus_ids, brain.table, distance="correlation", n_channels=40
    )
    assert back == brain


@pytest.mark.parametrize("n", range(2, 60))
def test_the_number_of_stimuli_follows_from_that_of_pairs(n):
    assert count_stimuli(n * (n - 1) // 2) == n
    assert count_stimuli(n * (n - 1) // 2 + 1) is None


def test_sums_by_stimulus_are_products_with_the_incidence_matrix(rng):
    n, vectors = 6, rng.normal(size=(4, 15))
    rows, columns = np.triu_indices(n, 1)
    incidence = np.zeros((15, n))
    incidence[np.arange(15), rows] = incidence[np.arange(15), columns] = 1
    assert np.allclose(sum_by_stimulus(vectors, n), vectors @ incidence, atol=1e-12)
    amounts, changed = rng.normal(size=(4, n)), vectors.copy()
    add_to_pairs(changed, amounts)
    assert np.allclose(changed, vectors + amounts @ incidence.T, atol=1e-12)


def test_reordering_moves_rows_and_columns_of_the_square_together(brain, rng):
    order = rng.permutation(7)
    moved = brain.align_to(brain.stimulus_ids[order])
    assert np.array_equal(moved.to_squares(), brain.to_squares()[:, order][:, :, order])
    assert moved != brain
    assert moved.align_to(brain.stimulus_ids) == brain


def test_stimuli_can_be_left_out(brain):
    fewer = brain.align_to(brain.stimulus_ids[[5, 1, 2]])
    assert np.array_equal(fewer.to_squares(), brain.to_squares()[:, [5, 1, 2]][:, :, [5, 1, 2]])


def test_an_unknown_or_repeated_stimulus_is_refused(brain):
    with pytest.raises(AlignmentError, match=r"no 2 of the stimulus ids \(first: 'hand3'\).*'hand"):
        brain.align_to(["face9", "hand3", "hand4"])
    with pytest.raises(ValueError, match="'face1' occurs twice"):
        brain.align_to(["face1", "face9", "face1"])


def test_rdms_are_chosen_by_their_labels(brain):
    assert brain.select(subject="02").table["session"].tolist() == ["1", "2"]
    assert brain.select(subject=["01", "03"], session=1).n_rdms == 2
    assert brain.select(session="2") == brain.take([1, 3])
    assert brain.take(brain.table["session"] == "2") == brain.take([1, 3])
    with pytest.raises(ValueError, match=r"no column 'subj'; they have: roi, subject, session.*'subject'"):
        brain.select(subj="01")
    with pytest.raises(ValueError, match=r"no RDM is of subject '2'; there are: 01, 02, 03"):
        brain.select(subject="2")
    with pytest.raises(ValueError, match="no RDM has all of"):
        brain.select(subject="03", session=2)


def test_means_are_of_groups_in_their_order_and_skip_missing_pairs(brain):
    vectors = brain.dissimilarities.copy()
    vectors[0, 4] = vectors[2:4, 6] = np.nan
    gappy = RDMSet(vectors, brain.stimulus_ids, brain.table, distance="correlation")
    mean = gappy.mean(by="subject")
    assert mean.table.to_dict("list") == {"roi": ["FFA"] * 3, "subject": ["01", "02", "03"]}
    assert mean.dissimilarities[0, 4] == vectors[1, 4]
    assert np.isnan(mean.dissimilarities[1, 6])
    assert np.allclose(mean.dissimilarities[0, 5:], vectors[:2, 5:].mean(axis=0))
    assert gappy.mean(by=list(brain.table)) == gappy, "each is its own mean"
    overall = brain.mean()
    assert np.allclose(overall.dissimilarities, brain.dissimilarities.mean(axis=0))
    assert overall.table.to_dict("list") == {"roi": ["FFA"]}
    with pytest.raises(ValueError, match="no column 'sub'"):
        brain.mean(by="sub")


def test_names_are_what_tells_rdms_apart(brain, models):
    assert models.names == ["pixels", "shape", "category"]
    assert brain.names[:2] == ["FFA | 01 | 1", "FFA | 01 | 2"]
    assert brain.select(session=1).names[-1] == "FFA | 03 | 1"
    seeds = models.table.assign(model=["fc", "fc", "shape"], seed=["a", "b", ""], source="store")
    assert RDMSet(models.dissimilarities, models.stimulus_ids, seeds).names == ["fc | a", "fc | b", "shape"]
    assert RDMSet(models.dissimilarities, models.stimulus_ids).names == ["RDM 0", "RDM 1", "RDM 2"]


@pytest.mark.parametrize("column", ["layer", "model", "name", "network", "source", "roi", "subject", "seed"])
def test_labels_that_look_like_numbers_stay_text(brain, tmp_path, column):
    layers, other = brain.take([0, 1]), RDMSet(brain.dissimilarities[:1], brain.stimulus_ids)
    layers = RDMSet(layers.dissimilarities, layers.stimulus_ids, pd.DataFrame({column: [0, 4]}))
    assert layers.table[column].tolist() == ["0", "4"]
    joined = concat_rdms([layers, other])
    joined.save(tmp_path / "set.npz")
    for found in (joined, RDMSet.load(tmp_path / "set.npz")):
        assert found.table[column].tolist() == ["0", "4", ""]
    assert joined.select(**{column: 4}).n_rdms == 1
    gaps = RDMSet(brain.dissimilarities[:2], brain.stimulus_ids, pd.DataFrame({column: [7.0, np.nan]}))
    assert gaps.table[column].tolist() == ["7", ""], "a table that had become one of floats"


@pytest.mark.parametrize("gap", [False, True])
def test_a_set_is_the_same_after_a_round_trip_through_a_file(brain, tmp_path, gap):
    vectors = brain.dissimilarities.copy()
    vectors[3, 3] = np.nan if gap else 1.5
    table = brain.table.assign(weight=[0.5, np.nan, 2, 3, 4], good=[True, False] * 2 + [True], note="ä b")
    rdms = RDMSet(vectors, brain.stimulus_ids, table, distance="crossnobis", unit="sd²", n_channels=12)
    rdms.save(tmp_path / "set.npz")
    assert RDMSet.load(tmp_path / "set.npz") == rdms
    assert [path.name for path in tmp_path.iterdir()] == ["set.npz"]
    bare = RDMSet(vectors, brain.stimulus_ids)
    bare.save(tmp_path / "bare.npz")
    assert RDMSet.load(tmp_path / "bare.npz") == bare


def test_a_file_that_is_no_set_is_refused(brain, tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        RDMSet.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", header=np.array(json.dumps({"format": "x"})))
    with pytest.raises(StoreError, match="not of the format 'fernet-neuro rdms', version 1"):
        RDMSet.load(tmp_path / "other.npz")
    brain.save(tmp_path / "cut.npz")
    data = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match=r"cut\.npz cannot be read"):
        RDMSet.load(tmp_path / "cut.npz")


def test_a_pickle_is_never_opened(tmp_path):
    np.savez(tmp_path / "evil.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(StoreError, match="cannot be read"):
        RDMSet.load(tmp_path / "evil.npz")


def test_sets_of_the_same_stimuli_are_joined_and_others_refused(brain, models):
    joined = concat_rdms([brain, models])
    assert (joined.n_rdms, joined.distance, joined.n_channels) == (8, "mixed", None)
    assert joined.table["distance"].tolist() == ["correlation"] * 5 + ["model"] * 3
    assert joined.table["model"].tolist()[-2:] == ["shape", "category"]
    assert np.array_equal(joined.take(range(5)).dissimilarities, brain.dissimilarities)
    assert concat_rdms([brain.take([0]), brain.take([1, 2, 3, 4])]) == brain
    told = RDMSet(
        brain.dissimilarities[:1],
        brain.stimulus_ids,
        pd.DataFrame({"distance": ["correlation"]}),
        "correlation",
    )
    assert concat_rdms([told, brain]).table["distance"].tolist() == ["correlation"] * 6
    with pytest.raises(AlignmentError, match="set 0 and set 1"):
        concat_rdms([brain, models.align_to(models.stimulus_ids[::-1])])
    with pytest.raises(ValueError, match="at least one"):
        concat_rdms([])


def test_other_stimuli_or_another_order_are_named(brain, models):
    check_same_stimuli(brain, models)
    swapped = models.align_to(models.stimulus_ids[[0, 2, 1, 3, 4, 5, 6]])
    with pytest.raises(AlignmentError, match=r"differ first at row 1: 'hand2' against 'tool10'.*align_to"):
        check_same_stimuli(brain, swapped)
    fewer = models.align_to(models.stimulus_ids[[0, 1, 2, 4, 5, 6]])
    with pytest.raises(AlignmentError, match=r"1 of 7 in brain are not in models \(first: 'face1'\)"):
        check_same_stimuli(brain, fewer, ("brain", "models"))
    with pytest.raises(
        AlignmentError, match=r"1 of 7 in the second RDMs are not in the first RDMs \(first: 'face1'\)"
    ):
        check_same_stimuli(fewer, models)


@pytest.mark.parametrize(
    ("vectors", "names", "message"),
    [
        (np.zeros((2, 4)), "abc", r"\(n_rdms, n_pairs\), 3 pairs for 3 stimulus ids; got \(2, 4\)"),
        (np.zeros(3), "abc", "from_squares"),
        (np.zeros((2, 3)), "aba", "must be unique; 'a' occurs twice"),
        (np.full((2, 3), [[1], [np.inf]]), "abc", "RDM 1 are infinite"),
        (np.zeros((2, 0)), "a", "0 pairs for 1 stimulus"),
    ],
)
def test_shapes_and_values_that_are_no_rdms_are_refused(vectors, names, message):
    with pytest.raises(ValueError, match=message):
        RDMSet(vectors, np.array(list(names)))


def test_a_table_has_one_row_per_rdm():
    with pytest.raises(ValueError, match="one row per RDM, 2; got 3"):
        RDMSet(np.zeros((2, 3)), np.array(list("abc")), pd.DataFrame({"layer": list("xyz")}))


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ((1, 2, 0), 9.0, r"RDM 1 is not symmetric: \S+ at \(0, 2\) and 9 at \(2, 0\)"),
        ((2, 3, 3), 0.5, r"RDM 2 has 0.5 on its diagonal \(stimulus 3\)"),
        ((0, 0, 1), np.nan, "RDM 0 is not symmetric"),
    ],
)
def test_squares_that_are_no_rdms_are_refused(brain, cell, value, message):
    squares = brain.to_squares()
    squares[cell] = value
    with pytest.raises(ValueError, match=message):
        RDMSet.from_squares(squares, brain.stimulus_ids)


def test_squares_need_two_equal_sides(brain):
    with pytest.raises(ValueError, match=r"got \(5, 7, 6\)"):
        RDMSet.from_squares(brain.to_squares()[:, :, :6], brain.stimulus_ids)


def test_a_missing_diagonal_and_missing_pairs_are_allowed(brain):
    squares = brain.to_squares()[:1]
    squares[0, range(7), range(7)] = np.nan
    squares[0, 0, 4] = squares[0, 4, 0] = np.nan
    rdms = RDMSet.from_squares(squares, brain.stimulus_ids)
    assert np.isnan(rdms.dissimilarities).sum() == 1
