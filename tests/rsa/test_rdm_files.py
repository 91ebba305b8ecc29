import json

import numpy as np
import pandas as pd
import pytest
import scipy.io
from scipy.spatial.distance import squareform

from fernet_neuro.exceptions import AlignmentError, StoreError
from fernet_neuro.rsa.brain_rdms import read_brain
from fernet_neuro.rsa.files.io import READERS, WRITERS, read_rdms, write_rdms
from fernet_neuro.rsa.files.toolbox import from_rsatoolbox, import_rsatoolbox, to_rsatoolbox
from fernet_neuro.rsa.rdms import RDMSet

PETNAMES = ("clear-koala", "wise-heron")


def _structures(brain, shape, field="RDM"):
    records = np.empty(shape, dtype=[(field, object), ("name", object), ("color", object)])
    for row, index in enumerate(np.ndindex(shape)):
        records[index] = (brain.to_squares()[row], f"FFA | S{index[0]} | Session: {index[-1]}", [0, 0, 1])
    return records


@pytest.mark.parametrize("suffix", [suffix for suffix in WRITERS if suffix != ".csv"])
def test_what_is_written_is_read_again(brain, tmp_path, suffix):
    path = write_rdms(brain, tmp_path / f"rdms{suffix}")
    back = read_rdms(path)
    assert np.array_equal(back.dissimilarities, brain.dissimilarities)
    assert np.array_equal(back.stimulus_ids, brain.stimulus_ids)
    if suffix != ".json":
        assert back.table[list(brain.table)].equals(brain.table)
    assert (back == brain) == (suffix == ".npz")
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5", ".csv"])
def test_missing_pairs_survive_a_file(brain, tmp_path, suffix):
    vectors = brain.dissimilarities[:1].copy()
    vectors[0, 5] = np.nan
    gappy = RDMSet(vectors, brain.stimulus_ids)
    back = read_rdms(write_rdms(gappy, tmp_path / f"rdms{suffix}"))
    assert np.array_equal(back.dissimilarities, vectors, equal_nan=True)


def test_a_csv_holds_one_square_with_or_without_a_first_column(brain, tmp_path):
    one = RDMSet(brain.dissimilarities[:1], brain.stimulus_ids)
    path = write_rdms(one, tmp_path / "one.csv")
    assert read_rdms(path) == one
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.split(",", 1)[1] for line in lines), encoding="utf-8")
    assert read_rdms(bare) == one
    with pytest.raises(ValueError, match=r"one RDM; there are 5"):
        write_rdms(brain, tmp_path / "all.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n0,1,2\n1,0,x\n2,3,0\n", r"has 'x' for 'b' and 'c': no number"),
        (",a,b,c\na,0,1,2\nc,1,0,3\nb,2,3,0\n", "row 2 is 'c', but column 2 is 'b'"),
        ("a,b,c,d\n0,1,2,3\n1,0,3,4\n", "not square: 4 stimuli in its heading, 2 rows"),
        ("a,b,c\n0,1,2\n1,0,3\n2,4,0\n", "is not symmetric"),
        ("a,b,a\n0,1,2\n1,0,3\n2,3,0\n", "'a' occurs twice"),
        ("a,b\n0,1,3\n", "not a square table"),
        ("stimulus_id,path\nx,y\nz,w\n", "has 'x' for 'stimulus_id' and 'stimulus_id': no number"),
    ],
)
def test_a_csv_that_is_no_rdm_is_refused(tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_rdms(tmp_path / "bad.csv")


def test_files_go_to_rsatoolbox_and_come_from_it(brain, tmp_path):
    module = import_rsatoolbox()
    write_rdms(brain, tmp_path / "ours.hdf5")
    theirs = module.rdm.load_rdm(str(tmp_path / "ours.hdf5"))
    assert np.array_equal(theirs.dissimilarities, brain.dissimilarities)
    assert list(theirs.pattern_descriptors["stimulus_id"]) == brain.stimulus_ids.tolist()
    assert list(theirs.rdm_descriptors["subject"]) == brain.table["subject"].tolist()
    dataset = module.data.Dataset(
        np.random.default_rng(0).normal(size=(4, 9)), obs_descriptors={"conds": ["d", "b", "a", "c"]}
    )
    made = module.rdm.calc_rdm(dataset, method="correlation", descriptor="conds")
    made.save(str(tmp_path / "theirs.h5"))
    back = read_rdms(tmp_path / "theirs.h5")
    assert back.stimulus_ids.tolist() == ["a", "b", "c", "d"]
    assert back.distance == "correlation"
    assert np.array_equal(back.dissimilarities, made.dissimilarities)
    assert read_rdms(tmp_path / "theirs.h5", variable="index").stimulus_ids.tolist() == list("0123")
    with pytest.raises(ValueError, match=r"no pattern descriptor 'cond'; .*'conds'"):
        read_rdms(tmp_path / "theirs.h5", variable="cond")


def test_rsatoolbox_files_hold_ascii_alone(brain, tmp_path):
    named = RDMSet(brain.dissimilarities, [*brain.stimulus_ids[:-1], "Gesicht_ä"], brain.table)
    with pytest.raises(ValueError, match=r"ASCII alone; .*Write \.npz instead"):
        write_rdms(named, tmp_path / "rdms.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (5,)])
def test_structures_of_the_matlab_toolbox_are_read(brain, tmp_path, shape):
    scipy.io.savemat(tmp_path / "brain.mat", {"RDMs": _structures(brain, shape), "note": "x"})
    back = read_rdms(tmp_path / "brain.mat")
    assert np.array_equal(back.dissimilarities, brain.dissimilarities)
    assert set(back.table) == {"name", "roi", "subject", "session"}
    assert back.stimulus_ids.tolist() == [f"stimulus00{number}" for number in range(1, 8)]
    given = read_rdms(tmp_path / "brain.mat", stimulus_ids=brain.stimulus_ids)
    assert np.array_equal(given.stimulus_ids, brain.stimulus_ids)


def test_subjects_by_sessions_keep_their_places(brain, tmp_path):
    six = RDMSet(np.vstack([brain.dissimilarities, brain.dissimilarities[:1] / 2]), brain.stimulus_ids)
    scipy.io.savemat(tmp_path / "six.mat", {"RDMs": _structures(six, (3, 2))})
    back = read_rdms(tmp_path / "six.mat")
    assert back.table["subject"].tolist() == ["S0", "S0", "S1", "S1", "S2", "S2"]
    assert back.table["session"].tolist() == ["0", "1"] * 3
    assert np.array_equal(back.dissimilarities, six.dissimilarities)


@pytest.mark.parametrize("form", ["square", "stack", "matlab_stack", "row", "column", "rows", "columns"])
@pytest.mark.parametrize("suffix", [".mat", ".npz", ".npy"])
def test_arrays_of_any_layout_are_read(brain, tmp_path, form, suffix):
    vectors, squares = brain.dissimilarities, brain.to_squares()
    array = {
        "square": squares[0],
        "stack": squares,
        "matlab_stack": np.moveaxis(squares, 0, -1),
        "row": vectors[:1],
        "column": vectors[:1].T,
        "rows": vectors,
        "columns": vectors.T,
    }[form]
    path = tmp_path / f"array{suffix}"
    if suffix == ".mat":
        scipy.io.savemat(path, {"rdm": array, "note": "text"})
    elif suffix == ".npz":
        np.savez(path, rdm=array, note=np.array("text"))
    else:
        np.save(path, array)
    back = read_rdms(path)
    expected = vectors if len(array.shape) > 2 or form in ("rows", "columns") else vectors[:1]
    assert np.array_equal(back.dissimilarities, expected)
    assert list(back.table) == (["index"] if len(expected) > 1 else [])


def test_vectors_of_matlab_are_those_of_squareform(brain, tmp_path):
    scipy.io.savemat(tmp_path / "v.mat", {"v": squareform(brain.to_squares()[3]).astype(np.float32)})
    assert np.allclose(read_rdms(tmp_path / "v.mat").to_squares()[0], brain.to_squares()[3], atol=1e-6)


def test_further_axes_are_numbered(brain, tmp_path):
    np.savez(
        tmp_path / "axes.npz",
        rdms=np.stack([brain.dissimilarities[:3], brain.dissimilarities[2:]]),
        stimulus_ids=brain.stimulus_ids,
    )
    back = read_rdms(tmp_path / "axes.npz")
    assert back.table.to_dict("list") == {"index_0": [0, 0, 0, 1, 1, 1], "index_1": [0, 1, 2, 0, 1, 2]}
    assert np.array_equal(back.stimulus_ids, brain.stimulus_ids)
    assert np.array_equal(back.dissimilarities[5], brain.dissimilarities[4])


def test_one_of_several_arrays_must_be_named(brain, models, tmp_path):
    np.savez(tmp_path / "two.npz", brain=brain.dissimilarities, models=models.dissimilarities, n=np.array(3))
    with pytest.raises(ValueError, match=r"holds several \(brain, models\); name one with variable="):
        read_rdms(tmp_path / "two.npz")
    found = read_rdms(tmp_path / "two.npz", variable="models")
    assert np.array_equal(found.dissimilarities, models.dissimilarities)
    with pytest.raises(ValueError, match=r"no RDMs called 'model'; it has: brain, models\. Did"):
        read_rdms(tmp_path / "two.npz", variable="model")
    scipy.io.savemat(tmp_path / "two.mat", {"a": brain.dissimilarities, "b": models.dissimilarities})
    assert read_rdms(tmp_path / "two.mat", variable="b").n_rdms == 3
    np.savez(tmp_path / "none.npz", x=np.arange(4))
    with pytest.raises(ValueError, match="holds no RDMs"):
        read_rdms(tmp_path / "none.npz")


def _save_meadows(path, brain, names):
    stimuli = np.array([f"{name}.png" for name in brain.stimulus_ids.tolist()])
    content = {}
    for row, name in enumerate(names):
        suffix = f"_{name.replace('-', '_')}" if len(names) > 1 else ""
        content[f"rdmutv{suffix}"] = brain.dissimilarities[[row]]
        content[f"stimuli{suffix}"] = stimuli
    scipy.io.savemat(path, content)


@pytest.mark.parametrize(
    ("name", "participants"),
    [
        ("Meadows_myExp_v_v1_clear-koala_2_1D.mat", PETNAMES[:1]),
        ("Meadows_myExp_v_v1_arrangement_1D.mat", PETNAMES),
    ],
)
def test_meadows_mat_files_are_read_as_by_rsatoolbox(brain, tmp_path, name, participants):
    _save_meadows(tmp_path / name, brain, participants)
    found = read_rdms(tmp_path / name)
    assert found.table["subject"].tolist() == list(participants)
    assert np.array_equal(found.stimulus_ids, brain.stimulus_ids)
    import_rsatoolbox()
    from rsatoolbox.io.meadows import load_rdms

    theirs = from_rsatoolbox(load_rdms(str(tmp_path / name)))
    assert np.array_equal(theirs.align_to(found.stimulus_ids).dissimilarities, found.dissimilarities)


def _task(rdms, row, name, kind="multiarrange"):
    stimuli = [{"name": item, "id": number} for number, item in enumerate(rdms.stimulus_ids.tolist())]
    vector = rdms.dissimilarities[row].tolist()
    return {"task": {"task_type": kind, "name": name}, "stimuli": stimuli, "rdm": vector}


def test_meadows_json_files_are_read_task_by_task(brain, tmp_path):
    path = tmp_path / "Meadows_myExp_v_v2_wise-heron_tree.json"
    moved = brain.align_to(brain.stimulus_ids[[3, 0, 1, 2, 6, 5, 4]])
    tasks = [{"task": {"task_type": "info"}}, _task(brain, 0, "first"), _task(moved, 1, "second")]
    path.write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    found = read_rdms(path)
    assert found.table.to_dict("list") == {"subject": ["wise-heron"] * 2, "task": ["first", "second"]}
    assert np.allclose(found.dissimilarities, brain.dissimilarities[:2])
    assert read_rdms(path, variable="second").n_rdms == 1
    with pytest.raises(ValueError, match="no task 'third'; it has: first, second"):
        read_rdms(path, variable="third")
    tasks[2] = _task(brain.align_to(brain.stimulus_ids[:5]), 0, "second")
    path.write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    with pytest.raises(AlignmentError, match="different stimuli"):
        read_rdms(path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", StoreError, "is not JSON"),
        ("{}", StoreError, "no list of tasks"),
        ('{"tasks": []}', ValueError, "no task of the type 'multiarrange'"),
        (
            '{"tasks": [{"task": {"task_type": "multiarrange", "name": "a"}, "rdm": [1]}]}',
            ValueError,
            "'a' has no stimuli and rdm",
        ),
    ],
)
def test_a_json_file_that_is_not_of_meadows_is_refused(tmp_path, text, error, message):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        read_rdms(tmp_path / "x.json")


def test_a_meadows_file_without_its_stimuli_is_refused(brain, tmp_path):
    scipy.io.savemat(tmp_path / "m.mat", {"rdmutv": brain.dissimilarities[:1]})
    with pytest.raises(ValueError, match="has 'rdmutv' but no 'stimuli'"):
        read_rdms(tmp_path / "m.mat")
    gappy = RDMSet(np.full((1, 21), np.nan), brain.stimulus_ids)
    with pytest.raises(ValueError, match="no missing pairs"):
        write_rdms(gappy, tmp_path / "m.json")


@pytest.mark.parametrize("suffix", [".pkl", ".pickle"])
def test_a_pickle_is_refused_by_its_name(tmp_path, suffix):
    (tmp_path / f"x{suffix}").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(StoreError, match=r"is a pickle, which could run any program"):
        read_rdms(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_missing_damaged_and_unknown_files_are_refused_in_one_line(brain, tmp_path, suffix):
    with pytest.raises(StoreError, match="does not exist"):
        read_rdms(tmp_path / f"none{suffix}")
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(b"\x00\xff\xfe not any format\n" * 40)
    with pytest.raises((StoreError, ValueError), match=rf"bad\{suffix}") as caught:
        read_rdms(path)
    assert "\n" not in str(caught.value).strip()
    with pytest.raises(StoreError, match="must end in one of"):
        read_rdms(tmp_path / "rdms.txt")
    with pytest.raises(StoreError, match="must end in one of"):
        write_rdms(brain, tmp_path / "rdms.txt")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_pickled_arrays_inside_a_file_are_not_opened(tmp_path, suffix):
    array = np.array([{"a": 1}, None], dtype=object)
    path = tmp_path / f"evil{suffix}"
    np.savez(path, rdm=array) if suffix == ".npz" else np.save(path, array)
    with pytest.raises(StoreError, match="cannot be read"):
        read_rdms(path)


def test_names_of_another_number_of_stimuli_are_refused(brain, tmp_path):
    path = write_rdms(brain, tmp_path / "rdms.npz")
    with pytest.raises(ValueError, match="is of 7 stimuli; got 3 stimulus ids"):
        read_rdms(path, stimulus_ids=list("abc"))
    renamed = read_rdms(path, stimulus_ids=list("abcdefg"))
    assert renamed.table.equals(brain.table)


def test_objects_of_rsatoolbox_are_copied_both_ways(brain):
    theirs = to_rsatoolbox(brain)
    theirs.dissimilarities[:] = 0
    theirs.rdm_descriptors["subject"][0] = "changed"
    assert brain.dissimilarities.min() > 0
    assert brain.table["subject"][0] == "01"
    descriptors = {"session": [1, 2]}
    made = import_rsatoolbox().rdm.RDMs(brain.dissimilarities[:2].copy(), rdm_descriptors=descriptors)
    back = from_rsatoolbox(made)
    assert back.table.equals(pd.DataFrame({"session": ["1", "2"]}, dtype=object))
    assert back.stimulus_ids.tolist() == [str(number) for number in range(7)]
    made.dissimilarities[:] = 0
    assert back.dissimilarities.min() > 0
    again = from_rsatoolbox(to_rsatoolbox(brain))
    assert np.array_equal(again.stimulus_ids, brain.stimulus_ids)
    assert again.table.equals(brain.table)
    assert again.distance == brain.distance
    with pytest.raises(ValueError, match="no pattern descriptor 'face'"):
        from_rsatoolbox(made, "face")


VECTORS = np.abs(np.random.default_rng(11).normal(size=(21, 66)))


def _save_array(path, array, **beside):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, rdms=array, **beside)
    else:
        scipy.io.savemat(path, {"rdms": array, **beside})
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
@pytest.mark.parametrize("is_columns", [False, True])
def test_a_shape_with_two_readings_is_refused_until_the_stimuli_are_named(tmp_path, suffix, is_columns):
    path = _save_array(tmp_path / f"a{suffix}", VECTORS.T if is_columns else VECTORS)
    with pytest.raises(ValueError, match=r"66 RDMs of 7 stimuli") as refused:
        read_rdms(path)
    assert "21 RDMs of 12 stimuli" in str(refused.value)
    names = [f"s{number}" for number in range(12)]
    np.testing.assert_array_equal(read_rdms(path, stimulus_ids=names).dissimilarities, VECTORS)
    if suffix != ".npy":
        array = VECTORS.T if is_columns else VECTORS
        named = _save_array(tmp_path / f"b{suffix}", array, stimuli=np.array(names))
        np.testing.assert_array_equal(read_rdms(named).dissimilarities, VECTORS)


def test_columns_of_pairs_are_read_where_nothing_else_fits(tmp_path):
    deep = np.abs(np.random.default_rng(2).normal(size=(66, 5, 4)))
    read = read_rdms(_save_array(tmp_path / "a.npy", deep))
    assert (read.n_rdms, read.n_stimuli) == (20, 12)
    np.testing.assert_array_equal(read.dissimilarities, deep.reshape(66, 20).T)


@pytest.mark.parametrize("is_behind", [False, True])
def test_as_many_rdms_as_stimuli_are_told_apart_by_symmetry(tmp_path, is_behind):
    stack = np.stack([squareform(row[:15]) for row in VECTORS[:6]])
    path = _save_array(tmp_path / "a.npy", np.moveaxis(stack, 0, -1) if is_behind else stack)
    np.testing.assert_array_equal(read_rdms(path).dissimilarities, VECTORS[:6, :15])


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_arrays_beside_rdms_say_whose_they_are(tmp_path, suffix):
    text = np.array(["p1", "p2", "p3", "p4", "p5"], dtype=object if suffix == ".mat" else str)
    flat = read_rdms(_save_array(tmp_path / f"a{suffix}", VECTORS[:5], subject=text, roi=np.arange(5)))
    assert flat.table["subject"].tolist() == ["p1", "p2", "p3", "p4", "p5"]
    assert flat.table["roi"].astype(str).tolist() == list("01234")
    cube = VECTORS[:20].reshape(5, 4, 66)
    deep = read_rdms(_save_array(tmp_path / f"b{suffix}", cube, subjects=text, rois=np.arange(4)))
    assert deep.table["subject"].tolist() == np.repeat(["p1", "p2", "p3", "p4", "p5"], 4).tolist()
    assert deep.table["roi"].astype(str).tolist() == list("0123") * 5
    with pytest.raises(ValueError, match="5 values of 'subject' for 4 RDMs"):
        read_rdms(_save_array(tmp_path / f"c{suffix}", VECTORS[:4], subject=text))


def test_objects_and_long_tables_are_refused_with_the_way_out(tmp_path):
    np.save(tmp_path / "a.npy", np.array([VECTORS[0], VECTORS[0, :3]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", rdms=np.array([VECTORS[0], None], dtype=object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(StoreError, match=r"Python objects.*np.stack"):
            read_rdms(tmp_path / name)
    (tmp_path / "a.csv").write_text("subject,one,other,d\n1,a,b,0.5\n1,a,c,1\n1,b,c,2\n2,a,b,0.3\n2,a,c,1\n")
    with pytest.raises(ValueError, match=r"is not square.*pivot"):
        read_rdms(tmp_path / "a.csv")


def _read_table_of(tmp_path, vectors, **columns):
    RDMSet(vectors, np.array([f"s{n:02d}" for n in range(12)]), pd.DataFrame(columns)).save(
        tmp_path / "a.npz"
    )
    return read_brain(tmp_path / "a.npz")


@pytest.mark.parametrize("missing", ["", None, np.nan, "n/a"])
def test_rdms_of_nobody_are_refused(tmp_path, missing):
    with pytest.raises(ValueError, match=r"2 of 5 RDMs of .*a.npz have no subject \(first: row 1\)"):
        _read_table_of(tmp_path, VECTORS[:5], subject=["a", missing, "b", missing, "c"])


def test_repeats_need_a_session(tmp_path):
    people = ["a", "b", "a", "b"]
    with pytest.raises(ValueError, match=r"first twice: roi V1, subject a.*column session"):
        _read_table_of(tmp_path, VECTORS[:4], subject=people, roi=["V1"] * 4)
    assert _read_table_of(tmp_path, VECTORS[:4], subject=people, session=["1", "1", "2", "2"]).n_rdms == 4
    assert _read_table_of(tmp_path, VECTORS[:4], subject=people, roi=["V1", "V1", "V2", "V2"]).n_rdms == 4


def test_one_rdm_under_two_names_is_refused(tmp_path):
    copied = VECTORS[[0, 1, 0]]
    with pytest.raises(ValueError, match="subjects a and c have the same RDM"):
        _read_table_of(tmp_path, copied, subject=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"subjects a \(session 1\) and a \(session 2\) have the same RDM"):
        _read_table_of(tmp_path, copied, subject=["a", "b", "a"], session=["1", "1", "2"])
    single = np.concatenate([VECTORS[:2], VECTORS[:1].astype(np.float32)])
    with pytest.raises(ValueError, match="subjects a and c have the same RDM"):
        _read_table_of(tmp_path, single, subject=["a", "b", "c"])
    assert _read_table_of(tmp_path, copied, subject=["a", "b", "a"], roi=["V1", "V1", "V2"]).n_rdms == 3
    rated = np.round(copied > 0.7)  # two values: chance
    assert _read_table_of(tmp_path, rated, subject=["a", "b", "c"]).n_rdms == 3


def test_regions_keep_the_order_in_which_they_are_asked_for(tmp_path):
    columns = {"subject": ["a", "a", "b", "b"], "roi": ["V1", "FFA", "V1", "FFA"]}
    _read_table_of(tmp_path, VECTORS[:4], **columns)
    read = read_brain(tmp_path / "a.npz", rois=["FFA", "V1"])
    assert read.table["roi"].tolist() == ["FFA", "FFA", "V1", "V1"]
    np.testing.assert_array_equal(read.dissimilarities, VECTORS[[1, 3, 0, 2]])


def test_names_of_stimuli_are_in_one_unicode_form(tmp_path):
    np.savez(tmp_path / "a.npz", rdms=VECTORS[0, :3], stimulus_ids=np.array(["Zoe\u0308", "b", "c"]))
    assert read_rdms(tmp_path / "a.npz").stimulus_ids[0] == "Zo\u00eb"


@pytest.mark.parametrize("way", ["checksum", "cut"])
def test_damaged_elements_of_mat_files_never_reach_scipy(way, tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"rdms": VECTORS[:, :3]}, do_compression=True)
    data = bytearray(path.read_bytes())
    data[-3] ^= 255
    path.write_bytes(data if way == "checksum" else data[:-9])
    with pytest.raises(StoreError, match=r"a\.mat cannot be read as \.mat: (Error -3|an element is damaged)"):
        read_rdms(path)
