"""The table keeps labels, order and identity of its stimuli through any file."""

import os
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fernet_neuro._utils.labels import to_label
from fernet_neuro.exceptions import AlignmentError, FernetWarning, StimulusError
from fernet_neuro.stimuli.table import StimulusTable, check_same_stimuli, concat_tables, read_stimuli

TRAPS = [
    "NA",
    "",
    "003",
    "3",
    "nan",
    "None",
    "null",
    "1e3",
    "True",
    "inf",
    "-0",
    "1.0",
    "a,b",
    'a"b',
    "\r\n",
    " x ",
    "x\u00a0",
    "\u200b",
    "X",
]
LABELS = st.sampled_from(TRAPS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def make_table(root: Path | None = None, **columns) -> StimulusTable:
    n_stimuli = len(next(iter(columns.values())))
    names = [f"s{row}" for row in range(n_stimuli)]
    frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names], **columns})
    return StimulusTable.from_frame(frame, root=root)


@pytest.mark.filterwarnings("ignore::fernet_neuro.exceptions.FernetWarning")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.tuples(LABELS, LABELS, st.floats() | st.none(), st.booleans()), min_size=1, max_size=5)
)
def test_any_labels_survive_a_round_trip(suffix, rows):
    identity, extra, number, flag = zip(*rows, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        table = make_table(
            Path(folder), identity=list(identity), extra=list(extra), number=list(number), flag=list(flag)
        )
        back = StimulusTable.read(table.write(Path(folder) / f"table{suffix}"))
    assert back == table
    assert back.frame["identity"].tolist() == [to_label(name) for name in identity]
    assert [str(value) for value in back.frame["flag"]] == [str(value) for value in flag]
    kept = [np.nan if value is None else value for value in number]
    if not np.isnan(kept).all():
        np.testing.assert_array_equal(back.frame["number"].to_numpy(dtype=float), kept)


@pytest.mark.filterwarnings("ignore:.*have the identity 'NA'")
def test_csv_and_parquet_give_the_same_table(tmp_path):
    table = make_table(
        tmp_path, identity=["003", "NA", "日本", ""], code=["1", "2", "30", "4"], age=[38.0, np.nan, 2.5, 1.0]
    )
    from_csv = StimulusTable.read(table.write(tmp_path / "t.csv"))
    from_parquet = StimulusTable.read(table.write(tmp_path / "t.parquet"))
    assert from_csv == from_parquet == table
    assert from_csv.frame["code"].tolist() == [1, 2, 30, 4]
    assert from_csv.frame["identity"].tolist() == ["003", "NA", "日本", ""]


def test_a_selection_survives_a_round_trip_although_its_text_could_be_numbers(tmp_path):
    table = make_table(tmp_path, code=["7", "x", "9"], score=[np.nan, 1.0, np.nan])
    part = table.select([0, 2])
    assert StimulusTable.read(part.write(tmp_path / "part.csv")) == part


@pytest.mark.parametrize(
    ("identity", "wanted"),
    [
        (pd.Series([3, 11, 5]), ["3", "11", "5"]),
        (pd.Series([3.0, np.nan, 5.0]), ["3", "", "5"]),
        (pd.Series(["003", None, pd.NA], dtype=object), ["003", "", ""]),
        (pd.Series(["b", "a", "b"], dtype="category"), ["b", "a", "b"]),
        (pd.Series(["x", None, "y"], dtype="string"), ["x", "", "y"]),
    ],
)
def test_identities_of_any_dtype_become_text(identity, wanted):
    assert make_table(identity=identity).frame["identity"].tolist() == wanted


def test_reading_what_a_spreadsheet_saved(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfstimulus_id,path,identity\r\na,a.png,007\r\n")
    assert StimulusTable.read(tmp_path / "t.csv").factor("identity").tolist() == ["007"]


def test_row_order_is_part_of_the_value(noise_table):
    backwards = noise_table.align_to(noise_table.stimulus_ids[::-1])
    assert backwards != noise_table
    assert backwards.digest() != noise_table.digest()
    assert backwards.align_to(noise_table.stimulus_ids) == noise_table


def test_digest_changes_with_a_label_and_an_image_but_not_with_the_place(noise_table, tmp_path):
    before = noise_table.digest()
    relabelled = noise_table.frame.copy()
    relabelled.loc[5, "expression"] = "surprise"
    assert StimulusTable.from_frame(relabelled, root=tmp_path).digest() != before
    moved = noise_table.write(tmp_path / "elsewhere" / "table.csv")
    assert StimulusTable.read(moved).digest() == before
    Image.new("RGB", (18, 20), (1, 2, 3)).save(noise_table.paths()[7])
    assert noise_table.digest() != before


def test_an_image_changed_behind_an_open_table_is_noticed(noise_table):
    path = noise_table.paths()[3]
    old = path.stat().st_mtime - 3600
    os.utime(path, (old, old))  # old enough to be remembered
    before = noise_table.image_digests
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    after = noise_table.image_digests
    assert [row for row in range(24) if before[row] != after[row]] == [3]


def test_image_digests_name_a_missing_file(noise_table):
    noise_table.paths()[2].unlink()
    with pytest.raises(StimulusError, match=r"id0_happiness_A.*does not exist"):
        _ = noise_table.image_digests


def test_written_paths_are_relative_inside_the_folder_and_absolute_outside(noise_table, tmp_path):
    inside = pd.read_csv(noise_table.write(tmp_path / "again.csv"))
    assert inside["path"][0] == "id0_anger_A.png"
    outside = pd.read_csv(noise_table.write(tmp_path / "sub" / "again.csv"))
    assert outside["path"][0] == str(tmp_path.resolve() / "id0_anger_A.png")


def test_a_link_to_a_picture_stays_a_link(tmp_path, noise_table):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "s0.png").symlink_to(noise_table.paths()[0])
    table = make_table(tmp_path / "set", identity=["a"])
    back = StimulusTable.read(table.write(tmp_path / "set" / "t.csv"))
    assert back.frame["path"].tolist() == ["s0.png"]
    assert back == table


def test_a_failed_write_keeps_the_old_table(noise_table, tmp_path):
    target = noise_table.write(tmp_path / "t.csv")
    before = target.read_bytes()
    unwritable = pd.Series(["fine"] * 23 + ["\ud800"], dtype=object)
    broken = StimulusTable.from_frame(noise_table.frame.assign(identity=unwritable), root=tmp_path)
    with pytest.raises(ValueError, match="surrogates not allowed"):
        broken.write(target)
    assert target.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"path": ["a.png"]}, "needs the column 'stimulus_id'"),
        ({"stimulus_id": ["a"]}, "needs the column 'path'"),
        ({"stimulus_id": ["a", ""], "path": ["a.png", "b.png"]}, "row 1 .* has no stimulus_id"),
        ({"stimulus_id": ["a", "b"], "path": ["a.png", None]}, "stimulus 'b' has no path"),
        ({"stimulus_id": ["a", "b", "a"], "path": ["x", "y", "z"]}, "must be unique; 1 occur .*'a'"),
        ({"stimulus_id": ["a"], "path": ["../a.png"]}, "leaves the table's folder"),
        ({"stimulus_id": ["a"], "path": ["x/../../a.png"]}, "leaves the table's folder"),
        ({"stimulus_id": ["a"], "path": ["a.png"], "": ["x"]}, "needs a name"),
    ],
)
def test_a_table_that_is_none_is_refused(frame, message):
    with pytest.raises(StimulusError, match=message):
        StimulusTable.from_frame(pd.DataFrame(frame))


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame([["a", "a.png", "x", "y"]], columns=["stimulus_id", "path", "view", "view"])
    with pytest.raises(StimulusError, match="'view' occurs twice"):
        StimulusTable.from_frame(frame)


def test_reading_says_what_is_wrong_with_the_file(tmp_path):
    with pytest.raises(StimulusError, match="does not exist"):
        StimulusTable.read(tmp_path / "none.csv")
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(StimulusError, match=r"must end in \.csv or \.parquet"):
        StimulusTable.read(tmp_path / "t.txt")
    for name in ("empty.csv", "empty.parquet"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(StimulusError, match="cannot be read"):
            StimulusTable.read(tmp_path / name)


def test_a_parquet_file_cut_short_is_refused(noise_table, tmp_path):
    path = noise_table.write(tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StimulusError, match="cannot be read"):
        StimulusTable.read(path)


def test_factor_suggests_the_nearest_name_and_names_the_gap(noise_table):
    with pytest.raises(StimulusError, match=r"no factor 'exprssion'.*Did you mean 'expression'"):
        noise_table.factor("exprssion")
    gap = make_table(identity=["a", "", "c"])
    with pytest.raises(StimulusError, match=r"1 of 3 stimuli have no 'identity' \(first: 's1'\)"):
        gap.factor("identity")
    assert gap.factor("identity", complete=False).tolist() == ["a", "", "c"]


def test_select_by_factor_agrees_with_a_mask(noise_table):
    wanted = noise_table.select(identity=["id1", "id3"], session="B")
    mask = np.isin(noise_table.frame["identity"], ["id1", "id3"]) & (noise_table.frame["session"] == "B")
    assert wanted == noise_table.select(mask.to_numpy())
    assert len(wanted) == 6
    assert make_table(code=[5, 6, 7]).select(code=6).stimulus_ids.tolist() == ["s1"]
    assert make_table(identity=["5", "6"]).select(identity=6).stimulus_ids.tolist() == ["s1"]
    assert len(noise_table.select([])) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([True, False], "mask of 2 for a table of 24"),
        ([3, 24], "has row 24"),
        ([0.5], "1-D mask or row numbers"),
        ([[1]], "1-D mask or row numbers"),
    ],
)
def test_select_refuses_rows_that_are_none(noise_table, rows, message):
    with pytest.raises(ValueError, match=message):
        noise_table.select(rows)


def test_align_to_refuses_unknown_ids(noise_table):
    with pytest.raises(AlignmentError, match=r"1 stimulus ids are not in the table \(first: 'nobody'\)"):
        noise_table.align_to(["id0_anger_A", "nobody"])


def test_concat_keeps_order_and_refuses_a_repeated_id(noise_table, tmp_path):
    other = make_table(tmp_path / "other", identity=["x", "y"], light=["left", "right"])
    both = concat_tables([noise_table, other])
    assert both.stimulus_ids.tolist() == [*noise_table.stimulus_ids, "s0", "s1"]
    assert both.paths() == [*noise_table.paths(), *other.paths()]
    assert both.factor("light", complete=False)[-2:].tolist() == ["left", "right"]
    with pytest.raises(StimulusError, match="must be unique"):
        concat_tables([noise_table, noise_table])


def test_check_same_stimuli_names_the_first_difference():
    check_same_stimuli(["a", "b"], np.array(["a", "b"]), ("x", "y"))
    with pytest.raises(AlignmentError, match="differ first at row 1: 'b' against 'c'"):
        check_same_stimuli(["a", "b"], ["a", "c"], ("x", "y"))
    with pytest.raises(AlignmentError, match="x has 1 stimuli and y 2"):
        check_same_stimuli(["a"], ["a", "c"], ("x", "y"))


def test_a_mask_or_a_slice_gives_stimuli_and_several_columns_are_of_the_frame(noise_table):
    anger = noise_table[noise_table["expression"] == "anger"]
    assert anger.stimulus_ids.tolist() == [name for name in noise_table.stimulus_ids if "anger" in name]
    assert noise_table[2:9:3].stimulus_ids.tolist() == noise_table.stimulus_ids[2:9:3].tolist()
    with pytest.raises(TypeError, match=r"one column by its name; got \['identity'.*Use table.frame"):
        noise_table[["identity", "view"]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_frame_of_a_table_is_the_table_again(tmp_path, suffix):
    """Paths start from the table's folder, also those of some rows, and no file says where it lay."""
    table = make_table(tmp_path / "faces", identity=["a", "b", "a"])
    assert read_stimuli(table.frame) == table
    some = read_stimuli(table.frame[table.frame["identity"] == "a"])
    assert some.paths() == [tmp_path / "faces" / "s0.png", tmp_path / "faces" / "s2.png"]
    back = StimulusTable.read(table.write(tmp_path / f"other{suffix}"))
    assert back.frame.attrs == {"root": str(tmp_path)}
    if suffix == ".parquet":
        assert not pd.read_parquet(tmp_path / "other.parquet").attrs


@pytest.mark.parametrize("disk", ["NFC", "NFD"])
@pytest.mark.parametrize("said", ["NFC", "NFD"])
def test_a_name_in_two_unicode_forms_is_one_name(tmp_path, disk, said):
    name = "José"
    for expression in ("fear", "anger"):
        file = unicodedata.normalize(disk, f"{name}_{expression}.png")
        Image.new("RGB", (8, 8)).save(tmp_path / file)
    forms = [
        unicodedata.normalize(said, name),
        unicodedata.normalize("NFD" if said == "NFC" else "NFC", name),
    ]
    rows = [f"{who}_{e},{who}_{e}.png,{who}" for who, e in zip(forms, ("fear", "anger"), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["stimulus_id,path,identity", *rows]), encoding="utf-8")
    table = StimulusTable.read(tmp_path / "t.csv")
    assert set(table.factor("identity")) == {name}
    assert all(path.is_file() for path in table.paths())
    assert len(table.select(identity=forms[0])) == len(table.select(identity=forms[1])) == 2
    assert len(table.align_to([f"{forms[1]}_fear"])) == 1
    assert StimulusTable.read(table.write(tmp_path / "u.csv")) == table


def test_people_called_na_are_noted_and_gaps_among_numbers_are_gaps(tmp_path):
    (tmp_path / "t.csv").write_text(
        "stimulus_id,path,identity,valence\n1,a.png,NA,0.5\n2,b.png,NA,NA\n3,c.png,x,1\n"
    )
    with pytest.warns(FernetWarning, match=r"2 stimuli of .*t.csv have the identity 'NA'"):
        table = StimulusTable.read(tmp_path / "t.csv")
    np.testing.assert_array_equal(table.frame["valence"], [0.5, np.nan, 1.0])
    (tmp_path / "t.csv").write_text('"stimulus_id","path","identity"\n"1","a.png",NA\n"2","b.png","NB"\n')
    assert StimulusTable.read(tmp_path / "t.csv").frame["identity"].tolist() == ["", "NB"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_white_space_and_gaps_make_no_people(tmp_path, suffix):
    people = ["p0", "p0 ", "\u00a0p0", " ", "n/a", "#N/A", "N/A", "\u200bp0"]
    names = [f"s{row}" for row in range(len(people))]
    frame = pd.DataFrame(
        {"stimulus_id": names, "path": names, "identity": people, "age": ["3", *["n/a "] * 7]}
    )
    if suffix == ".csv":
        frame.to_csv(tmp_path / "t.csv", index=False)
    else:
        frame.to_parquet(tmp_path / "t.parquet")
    table = StimulusTable.read(tmp_path / f"t{suffix}")
    assert table["identity"].tolist() == ["p0", "p0", "p0", "", "", "", "", "p0"]
    np.testing.assert_array_equal(table["age"], [3.0] + [np.nan] * 7)
    assert len(table.select(identity="p0 ")) == 4
    assert StimulusTable.read(table.write(tmp_path / f"u{suffix}")) == table


def test_labels_that_may_be_one_or_none_are_noted(tmp_path):
    (tmp_path / "t.csv").write_text(
        "stimulus_id,path,identity,expression,mood\na,a.png,P0,NULL,Fear\nA,A.png,p0,joy,fear\n"
    )
    with pytest.warns(FernetWarning) as noted:
        table = StimulusTable.read(tmp_path / "t.csv")
    said = {str(note.message).partition("t.csv")[2][:28] for note in noted}
    assert said == {
        " have the expression 'NULL',",
        ": 'P0' and 'p0' differ only ",
        ": 'Fear' and 'fear' differ o",
    }
    assert table["identity"].nunique() == 2
    with pytest.warns(FernetWarning, match="column 'identity' of the data frame: 'P0' and 'p0' differ only"):
        read_stimuli(pd.DataFrame({"stimulus_id": ["a", "b"], "path": ["a", "b"], "identity": ["P0", "p0"]}))
    assert len(read_stimuli(table.frame)) == 2


@pytest.mark.parametrize("name", ["Identity", " IDENTITY", "view ", "Session", "EXPRESSION"])
def test_a_column_that_is_almost_called_as_one_of_ours_is_not_left_aside(tmp_path, name):
    (tmp_path / "t.csv").write_text(f"stimulus_id,path,{name}\na,a.png,x\n")
    if name.strip().islower():
        assert StimulusTable.read(tmp_path / "t.csv")[name.strip()].tolist() == ["x"]
    else:
        with pytest.raises(StimulusError, match=f"{name.strip()!r} must be called {name.strip().lower()!r}"):
            StimulusTable.read(tmp_path / "t.csv")


def test_tables_of_results_lead_to_pictures_without_names_of_the_owners_folders(tmp_path):
    faces = tmp_path / "ann" / "faces"
    faces.mkdir(parents=True)
    frame = pd.DataFrame({"stimulus_id": ["a", "b"], "path": ["x/a.png", "b.png"]})
    table = StimulusTable.from_frame(frame, root=faces)
    (tmp_path / "ann" / "results" / "store").mkdir(parents=True)
    place = table.write(tmp_path / "ann" / "results" / "store" / "stimuli.csv", inside=False)
    assert "../../faces/x/a.png" in place.read_text()
    assert str(tmp_path) not in place.read_text()
    found = StimulusTable.read(place, inside=False)
    assert found == table
    assert found.paths() == [faces.resolve() / "x" / "a.png", faces.resolve() / "b.png"]
    with pytest.raises(StimulusError, match="leaves the table's folder"):
        StimulusTable.read(place)
    old = table.write(tmp_path / "ann" / "results" / "old.csv")  # as results were written before
    assert StimulusTable.read(old, inside=False) == table
