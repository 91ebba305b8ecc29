"""Joint sets: labels matched by name, ids that stay apart, and every doubt refused in one line."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.registry import DATASETS
from fernet_neuro.stimuli.join import join_tables, name_tables
from fernet_neuro.stimuli.table import StimulusTable

read_rafdb = DATASETS["rafdb"].read
read_affectnet = DATASETS["affectnet"].read


def make_table(labels, root="/pictures/a", **columns) -> StimulusTable:
    """Return a table with a row per label, whose ids are numbers from 1."""
    ids = [str(number) for number in range(1, len(labels) + 1)]
    frame = pd.DataFrame({"stimulus_id": ids, "path": [f"{name}.png" for name in ids], "expression": labels})
    return StimulusTable.from_frame(frame.assign(**columns), root=root)


@pytest.fixture
def pair():
    first = make_table(["anger", "fear", "anger"], identity=["7", "8", "7"], age=[30, 40, 50])
    second = make_table(["fear", "anger"], root="/pictures/b", identity=["7", ""], valence=[0.5, ""])
    return {"first": first, "second": second}


def test_rows_keep_their_order_and_ids_stay_apart(pair):
    joint = join_tables(pair)
    assert joint.stimulus_ids.tolist() == ["first/1", "first/2", "first/3", "second/1", "second/2"]
    assert joint.factor("expression").tolist() == ["anger", "fear", "anger", "fear", "anger"]
    assert joint.factor("dataset").tolist() == ["first"] * 3 + ["second"] * 2
    assert joint.paths() == [*pair["first"].paths(), *pair["second"].paths()]


def test_people_numbered_alike_are_not_one_person(pair):
    identities = join_tables(pair).factor("identity", complete=False)
    assert identities.tolist() == ["first/7", "first/8", "first/7", "second/7", ""]


def test_a_column_that_one_set_lacks_is_empty_there(pair):
    joint = join_tables(pair)
    np.testing.assert_array_equal(joint.factor("age", complete=False), [30, 40, 50, np.nan, np.nan])
    np.testing.assert_array_equal(joint.factor("valence", complete=False), [np.nan] * 3 + [0.5, np.nan])


def test_a_joint_set_survives_its_file_and_is_joined_on(pair, tmp_path):
    joint = join_tables(pair)
    assert StimulusTable.read(joint.write(tmp_path / "joint.csv")) == joint
    third = make_table(["anger", "fear"], root="/pictures/c")
    larger = join_tables({"joint": StimulusTable.read(tmp_path / "joint.csv"), "third": third})
    assert larger.stimulus_ids.tolist() == [*joint.stimulus_ids.tolist(), "third/1", "third/2"]
    assert larger.factor("dataset").tolist() == [*joint.factor("dataset").tolist(), "third", "third"]
    assert larger.factor("identity", complete=False)[:4].tolist() == [
        "first/7",
        "first/8",
        "first/7",
        "second/7",
    ]


def test_the_column_dataset_has_precedence_over_the_name(pair):
    pair["first"] = make_table(["anger", "fear"], dataset="rafdb")
    assert join_tables(pair).factor("dataset").tolist() == ["rafdb", "rafdb", "second", "second"]


def test_two_spellings_are_refused_with_the_renaming_to_give(pair):
    pair["second"] = make_table(["Angry", "fear", "Angry"], root="/pictures/b")
    message = (
        r"expression labels that are spelled differently: 'Angry' in second \(2\) and 'anger' in first "
        r"\(2\)\. If each pair is one label, give --map Angry=anger\."
    )
    for keep_all in (False, True):
        with pytest.raises(StimulusError, match=message):
            join_tables(pair, keep_all=keep_all)
    joint = join_tables(pair, renames={"Angry": "anger"})
    assert joint.factor("expression").tolist() == ["anger", "fear", "anger", "anger", "fear", "anger"]


def test_all_pairs_are_named_at_once():
    tables = {
        "a": make_table(["happy", "sad", "fear"]),
        "b": make_table(["happiness", "sadness", "fear"], root="/pictures/b"),
    }
    with pytest.raises(StimulusError, match="give --map happy=happiness --map sad=sadness"):
        join_tables(tables)


@pytest.mark.parametrize(
    ("one", "other", "advice"),
    [
        ("Big Smile", "big  smile", "--map 'big  smile=Big Smile'"),  # one word but for case and spaces
        ("smiling", "smile", "--map smile=smiling"),  # likely; the commoner is kept
        ("disgusst", "disgust", "--map disgust=disgusst"),
    ],
)
def test_labels_of_any_words_are_compared(one, other, advice):
    tables = {"a": make_table([one, one, "rest"]), "b": make_table([other, "rest"], root="/pictures/b")}
    with pytest.raises(StimulusError, match=advice):
        join_tables(tables)


def test_likely_pairs_may_be_kept_apart_and_certain_ones_may_not():
    tables = {"a": make_table(["smiling", "rest"]), "b": make_table(["smile", "rest"], root="/pictures/b")}
    assert len(set(join_tables(tables, keep_all=True).factor("expression"))) == 3
    tables["a"] = make_table(["Smile", "rest"])
    with pytest.raises(StimulusError, match="give --map Smile=smile"):
        join_tables(tables, keep_all=True)


def test_two_spellings_within_one_set_are_found_too():
    tables = {"a": make_table(["happy", "happiness"]), "b": make_table(["happiness"], root="/pictures/b")}
    with pytest.raises(StimulusError, match=r"'happy' in a \(1\) and 'happiness' in a \(1\), b \(1\)"):
        join_tables(tables)


def test_labels_of_one_set_alone_are_dropped_or_kept_but_never_by_default(pair):
    pair["second"] = make_table(["fear", "contempt", "anger", "contempt"], root="/pictures/b")
    with pytest.raises(
        StimulusError,
        match=r"lack some expression labels: 'contempt' only in second \(2\)\. Leave them out with --drop "
        r"contempt, .*--keep-all",
    ):
        join_tables(pair)
    dropped = join_tables(pair, drop=["contempt"])
    assert set(dropped.factor("expression")) == {"anger", "fear"}
    assert len(dropped) == 5
    assert dropped.stimulus_ids.tolist()[3:] == ["second/1", "second/3"]
    kept = join_tables(pair, keep_all=True)
    assert kept.factor("expression").tolist().count("contempt") == 2


def test_a_label_that_two_of_three_sets_have_is_refused(pair):
    pair["third"] = make_table(["fear"], root="/pictures/c")
    with pytest.raises(
        StimulusError, match=r"'anger' only in first \(2\), second \(1\)\. Leave them out with"
    ):
        join_tables(pair)


def test_renames_apply_once_so_labels_can_change_places(pair):
    joint = join_tables(pair, renames={"anger": "fear", "fear": "anger"})
    assert joint.factor("expression").tolist() == ["fear", "anger", "fear", "anger", "fear"]


def test_labels_of_another_factor_are_joined_by_name(pair):
    tables = {
        "a": make_table(["fear", "anger"], identity=["ann", "bob"]),
        "b": make_table(["fear", "joy"], root="/pictures/b", identity=["bob", "ann"]),
    }
    joint = join_tables(tables, factor="identity")
    assert joint.factor("identity").tolist() == ["ann", "bob", "bob", "ann"]
    assert joint.stimulus_ids.tolist() == ["a/1", "a/2", "b/1", "b/2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"renames": {"angre": "anger"}}, "there is no expression 'angre' to rename; .*Did you mean 'anger'"),
        ({"drop": ["feer"]}, "there is no expression 'feer' to drop; .*Did you mean 'fear'"),
        ({"drop": ["fear", "anger"]}, "no stimulus is left of first, second"),
        ({"factor": "emotion"}, "first: the stimulus table has no factor 'emotion'"),
        ({"factor": "identity"}, "second: 1 of 2 stimuli have no 'identity'"),
    ],
)
def test_mistakes_are_explained(arguments, message, pair):
    with pytest.raises(StimulusError, match=message):
        join_tables(pair, **arguments)


def test_a_picture_is_joined_once(pair):
    pair["again"] = pair["first"]
    with pytest.raises(StimulusError, match=r"first and again both hold the picture /pictures/a/1.png"):
        join_tables(pair)
    with pytest.raises(ValueError, match="at least two tables; got 1"):
        join_tables({"first": pair["first"]})


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a", "a"], "two data sets are called 'a'"), (["a", ""], "got ''"), (["a", "b/c"], "got 'b/c'")],
)
def test_data_sets_need_names_of_their_own(names, message, pair):
    with pytest.raises(StimulusError, match=message):
        name_tables(list(pair.values()), names)
    assert list(name_tables(list(pair.values()), ["x", "y"])) == ["x", "y"]


@pytest.fixture
def run(run):
    return partial(run, "stimuli")


@pytest.fixture
def trees(tmp_path):
    """RAF-DB and AffectNet (new) as their owners lay them out, a picture per class."""

    def photograph(path, size) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (120, 90, 70)).save(path)

    raf, affectnet = tmp_path / "basic", tmp_path / "AffectNet"
    (raf / "EmoLabel").mkdir(parents=True)
    lines = [f"train_{code:05d}.jpg {code}\n" for code in range(1, 8)]
    (raf / "EmoLabel" / "list_patition_label.txt").write_text("".join(lines))
    for code in range(1, 8):
        photograph(raf / "Image" / "aligned" / f"train_{code:05d}_aligned.jpg", (100, 100))
    annotations = affectnet / "train_set" / "annotations"
    annotations.mkdir(parents=True)
    for code in range(8):
        photograph(affectnet / "train_set" / "images" / f"{code}.jpg", (44, 46))
        np.save(annotations / f"{code}_exp.npy", np.array(str(code)))
    return raf, affectnet


def test_raf_db_and_affectnet_become_one_table_by_commands(run, trees, tmp_path):
    raf, affectnet = tmp_path / "one.csv", tmp_path / "two.csv"
    code, output, _ = run("import", "rafdb", trees[0], "--out", raf, "--quiet")
    assert code == 0
    assert "train: 7 stimuli; published: 12,271 (anger 1 of 705" in output
    assert "test: no stimuli; published: 3,068" in output
    assert run("import", "affectnet", trees[1], "--out", affectnet, "--quiet")[0] == 0
    out = tmp_path / "joint.csv"
    code, _, error = run("join", raf, affectnet, "--out", out)
    assert (code, error.count("\n"), out.exists()) == (2, 1, False)
    assert "'contempt' only in two (1). Leave them out with --drop contempt" in error
    code, output, _ = run("join", raf, affectnet, "--out", out, "--drop", "contempt")
    assert code == 0
    assert output == f"{out}: 14 stimuli, 7 expressions.\n  rafdb: 7 stimuli\n  affectnet: 7 stimuli\n"
    joint = StimulusTable.read(out)
    # Each class has one picture of either set, although their codes agree nowhere.
    counts = joint.frame.groupby(["expression", "dataset"]).size()
    assert counts.tolist() == [1] * 14
    assert joint == join_tables(
        {"a": read_rafdb(trees[0]).table, "b": read_affectnet(trees[1]).table}, drop=["contempt"]
    )
    assert all(path.is_file() for path in joint.paths())


def test_the_options_of_the_new_layouts_reach_them(run, trees, tmp_path):
    code, output, _ = run(
        "import", "affectnet", trees[1], "--classes", 7, "--out", tmp_path / "a.csv", "--quiet"
    )
    assert code == 0
    assert "1  contempt (classes=7)" in output
    code, _, error = run("import", "rafdb", trees[0], "--images", "original", "--out", tmp_path / "b.csv")
    assert (code, "holds no folder Image/original" in error) == (2, True)
    code, _, error = run("import", "rafdb", trees[0], "--classes", 7, "--out", tmp_path / "b.csv")
    assert (code, error) == (
        2,
        "Error: --classes belongs to the layout 'affectnet'; 'rafdb' has no such option.\n",
    )
    folder = trees[1] / "train_set" / "images"
    (folder / "list.txt").write_text("0.jpg 0\n3.jpg 3\n")
    arguments = (
        "import",
        "fedro",
        folder,
        "--list",
        folder / "list.txt",
        "--quiet",
        "--out",
        tmp_path / "c.csv",
    )
    code, _, error = run(*arguments)
    assert (code, "--code 0=neutral" in error) == (2, True)
    assert run(*arguments, "--code", "0=neutral", "--code", "3=surprise")[0] == 0
    assert StimulusTable.read(tmp_path / "c.csv").factor("expression").tolist() == ["neutral", "surprise"]


def test_join_names_sets_by_file_by_folder_or_as_told(run, tmp_path):
    for name in ("one", "two"):
        make_table(["anger", "fear"], root=tmp_path / name).write(tmp_path / name / "table.csv")
    tables = (tmp_path / "one" / "table.csv", tmp_path / "two" / "table.csv")
    out = tmp_path / "joint.csv"
    assert run("join", *tables, "--out", out)[0] == 0
    assert StimulusTable.read(out).stimulus_ids.tolist() == ["one/1", "one/2", "two/1", "two/2"]
    assert "joint.csv exists already" in run("join", *tables, "--out", out)[2]
    assert run("join", *tables, "--name", "a", "--name", "b", "--out", out, "--overwrite")[0] == 0
    assert StimulusTable.read(out).stimulus_ids.tolist() == ["a/1", "a/2", "b/1", "b/2"]
    assert (
        "--name must be given once per table; got 1 for 2"
        in run("join", *tables, "--name", "a", "--out", "j.csv")[2]
    )
    assert "is read by this command" in run("join", *tables, "--out", tables[0], "--overwrite")[2]
    assert "must end in .csv or .parquet" in run("join", *tables, "--out", "j.txt")[2]
    assert "--map gives 'fear' two values" in run(
        "join", *tables, "--map", "fear=a", "--map", "fear=b", "--out", tmp_path / "j.csv"
    )[2]  # fmt: skip
