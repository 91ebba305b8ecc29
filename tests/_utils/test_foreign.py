"""One table, as R, spreadsheets and hasty scripts write it, is read as the same table or refused."""

import codecs
import unicodedata

import pandas as pd
import pytest

from fernet_neuro._utils.foreign import has_heading, read_foreign
from fernet_neuro._utils.labels import find_alike, to_label
from fernet_neuro._utils.tables import read_text, to_csv, write_csv
from fernet_neuro.exceptions import FernetWarning

HEADING = ["subject", "stimulus", "rating"]
ROWS = [["003", "Zoë", "0.5"], ["003", "=1+1", ""], ["010", "a b", "-1.25"]]
TRUTH = dict(zip(HEADING, map(list, zip(*ROWS, strict=True)), strict=True))


def write(path, rows, delimiter=",", encoding="utf-8", end=""):
    lines = [delimiter.join(row) + (end if number else "") for number, row in enumerate(rows)]
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode(encoding))
    return path


def quoted(row):
    return [f'"{cell}"' for cell in row]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("suffix", "delimiter"),
    [(".csv", ","), (".csv", ";"), (".tsv", "\t"), (".csv", "\t"), (".tsv", ","), (".txt", "\t")],
)
def test_encodings_and_delimiters_do_not_matter(tmp_path, suffix, delimiter, encoding):
    path = write(tmp_path / f"t{suffix}", [HEADING, *ROWS], delimiter, encoding)
    assert read_foreign(path).to_dict("list") == TRUTH


def test_the_delimiter_that_a_spreadsheet_names_counts(tmp_path):
    for first, mark in (("sep=|\n", "|"), ("sep= \n", " "), ("", "|")):
        (tmp_path / "t.csv").write_text(f"{first}subject{mark}stimulus\n003{mark}a,b;c\n")
        assert read_foreign(tmp_path / "t.csv").to_dict("list") == {"subject": ["003"], "stimulus": ["a,b;c"]}


@pytest.mark.parametrize(
    ("name", "content", "heading"),
    [
        ("t.csv", "id;time, ms\n1;2\n3;4\n", ["id", "time, ms"]),
        ("t.csv", "id;time, ms\n1,5;2,5\n3;4\n", ["id", "time, ms"]),
        ("t.csv", "id|time, ms\n1|2\n", ["id", "time, ms"]),
        ("t.csv", "id;time, ms;\n1;2;\n3;4;\n", ["id", "time, ms"]),
        ("t.csv", "id\tname; first, last\na\tb; c, d\n", ["id", "name; first, last"]),
        ("t.tsv", "id\ta,b\n1\t2,5\n", ["id", "a,b"]),
        ("t.txt", "picture id,rating\na,1\n", ["picture id", "rating"]),
        ("t.txt", "id, rating\na, 1\n", ["id", "rating"]),
        ("t.txt", "id  rating,mm \n a  1 \n", ["id", "rating,mm"]),
    ],
)
def test_another_delimiter_in_the_heading_parts_no_columns(tmp_path, name, content, heading):
    (tmp_path / name).write_text(content)
    read = read_foreign(tmp_path / name)
    assert list(read) == heading
    assert (read != "").all(axis=None)


def test_two_delimiters_that_part_all_rows_are_refused_until_one_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("a;b, c\n1;2,5\n")
    with pytest.raises(ValueError, match=r"both ',' and ';' part heading and rows alike.*sep=, or sep=;"):
        read_foreign(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("sep=;\na;b, c\n1;2,5\n")
    assert read_foreign(tmp_path / "t.csv").to_dict("list") == {"a": ["1"], "b, c": ["2.5"]}


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_rows_that_end_in_a_delimiter_keep_their_columns(tmp_path, delimiter):
    path = write(tmp_path / "t.csv", [HEADING, *ROWS], delimiter, end=delimiter)
    assert read_foreign(path).to_dict("list") == TRUTH
    both = write(tmp_path / "u.csv", [[*HEADING, ""], *([*row, ""] for row in ROWS)], delimiter)
    assert read_foreign(both).to_dict("list") == TRUTH
    some = write(tmp_path / "v.csv", [HEADING, [*ROWS[0], ""], *ROWS[1:]], delimiter)
    assert read_foreign(some).to_dict("list") == TRUTH
    two = write(tmp_path / "w.csv", [HEADING, *ROWS], delimiter, end=delimiter * 2)
    assert read_foreign(two).to_dict("list") == TRUTH


def test_rows_that_end_in_a_delimiter_and_may_have_names_are_noted_or_refused(tmp_path):
    path = write(tmp_path / "t.csv", [["id", "rating"], ["a", "1"], ["b", "2"]], end=",")
    with pytest.warns(FernetWarning, match=r"each row of .*t.csv ends in ',', which its heading does not"):
        assert read_foreign(path).to_dict("list") == {"id": ["a", "b"], "rating": ["1", "2"]}
    named = write(tmp_path / "r.csv", [quoted(row) for row in (["id", "x"], ["p", "a"], ["q", "b"])], end=",")
    with pytest.raises(ValueError, match=r"either a number or a name in front, as R.*, or an empty end"):
        read_foreign(named)
    some = tmp_path / "s.csv"
    some.write_text('"id","x"\n"p","a",\n"q","b","c"\n')  # an empty cell in one row only: R
    assert read_foreign(some).to_dict("list") == {"id": ["a", "b"], "x": ["", "c"]}


@pytest.mark.parametrize(
    "content",
    [
        "name,age\nSmith, John,3\nDoe, Jane,4\n",
        "id,name\n1,Smith, John\n2,Doe, Jane\n",
        '"id","name"\n1,Smith, John\n2,Doe, Jane\n',
        "onset\tduration\n1\t2\tface\n3\t2\tcar\n",
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_a_field_more_in_each_row_is_refused_unless_r_quoted_its_names(tmp_path, suffix, content):
    (tmp_path / f"t{suffix}").write_text(content)
    pattern = "one field more than the 2 of the heading.*either names of rows.*or a text.*Name all columns"
    with pytest.raises(ValueError, match=pattern):
        read_foreign(tmp_path / f"t{suffix}")
    (tmp_path / "u.txt").write_text("id name\n1 John Smith\n2 Jane Doe\n")
    with pytest.raises(ValueError, match=pattern):
        read_foreign(tmp_path / "u.txt")


@pytest.mark.parametrize(
    "content",
    [
        'id,name,age\n1,"Smith,20\n2,Jones,30\n3,Brown",40\n',
        'id,name,age\n1,"Smith,20\n2,Brown",40\n',
        'id,"name,age\n1,Smith,3\n2,Brown",4\n',
        'id name age\n1 "Smith 20\n2 Brown" 40\n',
        'id,name\n1,"Smith\n2,Brown"\n',
    ],
)
def test_a_quote_that_swallows_rows_is_refused(tmp_path, content):
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(ValueError, match=r"a quote makes lines \d to \d one row.*take out its line breaks"):
        read_foreign(tmp_path / "t.txt")


def test_texts_of_several_lines_are_read(tmp_path):
    (tmp_path / "t.csv").write_text('id,"reaction\ntime",note\n1,2,"first, of all\nthen\n"\n')
    read = read_foreign(tmp_path / "t.csv")
    assert read.to_dict("list") == {"id": ["1"], "reaction\ntime": ["2"], "note": ["first, of all\nthen"]}


def test_a_text_of_several_lines_that_may_be_rows_is_noted(tmp_path):
    (tmp_path / "t.csv").write_text('id,note,z\na,"one, two,1\nb,two, three",2\nc,x,3\n')
    with pytest.warns(FernetWarning, match=r"a quote makes lines 2 to 3 of .*t\.csv one row; if they"):
        assert read_foreign(tmp_path / "t.csv")["id"].tolist() == ["a", "c"]
    (tmp_path / "t.csv").write_text('id,note,z\na,"one, two,1\nthree",2\nc,"x\ny",3\n')
    assert read_foreign(tmp_path / "t.csv")["note"].tolist() == ["one, two,1\nthree", "x\ny"]


def test_r_leaves_no_text_without_quotes(tmp_path):
    heading = '"nr","age","person"\n'
    (tmp_path / "t.csv").write_text(heading + '"1","0",2.5e-01,Smith, Jo\n"2","1",3,Miller, Al\n')
    with pytest.raises(ValueError, match=r"row 1 has 5 fields|each row has one field more"):
        read_foreign(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text('"nr","person"\n"0",Smith, Jo\n"1",Miller, Al\n')
    with pytest.raises(ValueError, match="each row has one field more than the 2 of the heading"):
        read_foreign(tmp_path / "t.csv")
    rows = '"1",2.5e-01,TRUE,"Smith, Jo",2026-11-29\n"2",NA,FALSE,NA,2026-11-30\n'
    (tmp_path / "t.csv").write_text('"age","old","person","day"\n' + rows)
    read = read_foreign(tmp_path / "t.csv")
    assert read["person"].tolist() == ["Smith, Jo", ""]
    assert read["day"].tolist() == ["2026-11-29", "2026-11-30"]


def test_rows_that_are_numbered_between_tabs_are_those_of_r(tmp_path):
    (tmp_path / "t.tsv").write_text("person\tage\n1\tSmith, Jo\t20\n2\tMiller\t30\n")
    assert read_foreign(tmp_path / "t.tsv").to_dict("list") == {
        "person": ["Smith, Jo", "Miller"],
        "age": ["20", "30"],
    }
    (tmp_path / "t.tsv").write_text("person\tage\n2\tSmith, Jo\t20\n3\tMiller\t30\n")
    with pytest.raises(ValueError, match="each row has one field more"):
        read_foreign(tmp_path / "t.tsv")


def test_rows_that_are_short_are_noted(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n4,5\n")
    with pytest.warns(FernetWarning, match=r"t.csv has 1 rows with fewer fields.*\(first: row 2\)"):
        assert read_foreign(tmp_path / "t.csv")["c"].tolist() == ["3", ""]


def test_white_space_at_the_ends_of_cells_and_names_does_not_count(tmp_path):
    (tmp_path / "t.csv").write_text('\ufeffid , "name"\u00a0,x\np0 , "Smith, John" ,\t1\n', encoding="utf-8")
    assert read_foreign(tmp_path / "t.csv").to_dict("list") == {
        "id": ["p0"], "name": ["Smith, John"], "x": ["1"]
    }  # fmt: skip
    (tmp_path / "t.csv").write_text("id,id \n1,2\n")
    with pytest.raises(ValueError, match="two columns are called 'id'"):
        read_foreign(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("Age,age\n1,2\n")
    with pytest.warns(FernetWarning, match=r"the heading of .*t.csv: 'Age' and 'age' differ only in case"):
        read_foreign(tmp_path / "t.csv")


@pytest.mark.parametrize("cell", ["#REF!", "#DIV/0!", "#NAME?", "####"])
def test_what_a_spreadsheet_shows_in_place_of_a_value_is_refused(tmp_path, cell):
    (tmp_path / "t.csv").write_text(f"id,x\n1,#1\n2,{cell}\n")
    with pytest.raises(ValueError, match=rf"row 2 has '{cell[:3]}.*' under 'x'.*mend it there"):
        read_foreign(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text", [" a b", "a b ", "a\u00a0b", "\u200ba\u202fb\u200e", "\ta b\r\n", "\u202aa b"]
)
def test_labels_have_one_form(text):
    assert to_label(text) == "a b"
    assert find_alike(["P0", "p 0", "q", "Straße", "STRASSE"]) == [["P0", "p 0"], ["Straße", "STRASSE"]]


def test_the_names_of_rows_that_r_writes_are_left_out(tmp_path):
    named = [[str(number), *row] for number, row in enumerate(ROWS, start=1)]
    named[1][-1] = "NA"
    path = write(tmp_path / "t.tsv", [quoted(HEADING), *([*quoted(row[:3]), row[3]] for row in named)], "\t")
    assert read_foreign(path).to_dict("list") == TRUTH  # NA without quotes is a gap
    plain = write(tmp_path / "u.txt", [quoted(HEADING[:2]), ['"a b"', "3", '"NA"'], ['"c"', "4", "NA"]], " ")
    assert read_foreign(plain).to_dict("list") == {"subject": ["3", "4"], "stimulus": ["NA", ""]}


def test_quoted_na_is_a_label(tmp_path):
    path = write(tmp_path / "t.csv", [quoted(HEADING), ['"NA"', '"x,NA,y"', "NA"]])
    assert read_foreign(path).to_numpy().tolist() == [["NA", "x,NA,y", ""]]


def test_two_readings_are_refused_with_both(tmp_path):
    path = write(tmp_path / "t.csv", [["run", "stimulus"], ["1", "a"], ["2", "b"]], end=",")
    with pytest.raises(ValueError, match=r"either a number or a name in front, as R.*, or an empty end"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,Zo\xeb\n", r"line 2 is not UTF-8 \(byte 0xeb\).*the program wrote: iconv -f ENCODING"),
        ("a,b\n1,2\n3,悲しみ\n".encode("shift-jis"), r"line 3 is not UTF-8 \(byte 0x94\)"),
        ("a,b\r1,2\r3,Zoë\r".encode("mac-roman"), r"line 3 is not UTF-8 \(byte 0x91\)"),
        ("a,b\r\n1,2\r\n3,Łucja\r\n".encode("cp1250"), r"line 3 is not UTF-8 \(byte 0xa3\)"),
        ("a,b\n1,2\n".encode("utf-32"), "it is UTF-32; .*iconv -f UTF-32"),
        (codecs.BOM_UTF32_BE + "a,b\n1,2\n".encode("utf-32-be"), "it is UTF-32; "),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 or UTF-32 without its mark"),
        ("a,b\n1,2\n".encode("utf-32-be"), "UTF-16 or UTF-32 without its mark"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "UTF-16 that is damaged or cut short"),
        (
            b"a,b\n1,2\n3,4,5\n",
            "row 2 has 3 fields and the heading 2; does a text with ',' in it lack its quotes",
        ),
        (b"a,b\n1,2,x\n1,4,5\n", "row 1 has 3 fields and the heading 2"),
        (b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        (b"a,b\n1,2,3,4\n", "row 1 has 4 fields and the heading 2"),
        (b"\n\n", "it is empty"),
        (b'a,b\n1,"2\n3,4\n', "the quote that is opened in line 2 is not closed"),
        (b'a,b\n1,2\n3,"4"x\n', "line 3 has text behind a closing quote"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_foreign(tmp_path / "t.csv")
    assert "Windows" not in str(caught.value)  # which encoding it is, nobody can know


def test_a_cell_that_spaces_swallowed_is_refused(tmp_path):
    (tmp_path / "t.txt").write_text("a b c\n1 2 3\n1 3\n")
    with pytest.raises(ValueError, match="row 2 has fewer than the 3 fields"):
        read_foreign(tmp_path / "t.txt")
    with pytest.raises(ValueError, match=r"row 1 has 3 fields, not the 2 of x, y"):
        read_foreign(tmp_path / "t.txt", names=["x", "y"])


def test_decimal_commas_are_numbers_and_thousands_are_not(tmp_path):
    rows = [
        ["id", "x", "big", "n", "gap", "small"],
        ["0,5", "-1,5", "1,500", "3", "1,5E+01", "0,500"],
        ["b", "", "2,000", "4", "NA", "0,250"],
        ["c", "2", "3,125", "5", "+2,5", ",125"],
    ]
    read = read_foreign(write(tmp_path / "t.csv", rows, ";"))
    assert read["x"].tolist() == ["-1.5", "", "2"]
    assert read["id"].tolist() == ["0,5", "b", "c"]
    assert read["big"].tolist() == ["1,500", "2,000", "3,125"]
    assert read["gap"].tolist() == ["1.5E+01", "NA", "+2.5"]
    assert read["small"].tolist() == ["0.500", "0.250", ".125"]


def test_points_that_may_part_thousands_are_refused_beside_decimal_commas(tmp_path):
    (tmp_path / "t.csv").write_text("onset;duration;name\n1.500;0,5;a\n2.500;0,5;b\n")
    with pytest.raises(
        ValueError, match=r"'1.500' under 'onset' may be 1500 or have decimals: 'duration' has commas"
    ):
        read_foreign(tmp_path / "t.csv")
    for first in ("0.500", "1.5", "1.500x"):
        (tmp_path / "t.csv").write_text(f"onset;duration;name\n{first};0,5;a\n2.500;0,5;b\n")
        assert read_foreign(tmp_path / "t.csv")["onset"].tolist() == [first, "2.500"]


def test_tables_without_a_heading_are_known(tmp_path):
    (tmp_path / "rp_a.txt").write_text("  1.0e-02  -2.0\n  3.0  nan\n")
    (tmp_path / "t.txt").write_text("trans_x 1\n1 2\n")
    assert not has_heading(tmp_path / "rp_a.txt")
    assert has_heading(tmp_path / "t.txt")
    assert read_foreign(tmp_path / "rp_a.txt", names=["x", "y"]).to_dict("list") == {
        "x": ["1.0e-02", "3.0"], "y": ["-2.0", "nan"]
    }  # fmt: skip


def test_no_spreadsheet_runs_what_we_write_and_we_read_what_was_meant(tmp_path):
    labels = [
        "=1+1",
        "+x",
        "-y",
        "@SUM(A1)",
        "'=1",
        "'tis",
        "-3",
        "fear",
        "\t=2",
        unicodedata.normalize("NFD", "é"),
    ]
    frame = pd.DataFrame({"label": labels, "score": range(len(labels))})
    write_csv(frame, tmp_path / "t.csv")
    cells = pd.read_csv(tmp_path / "t.csv", dtype=str)["label"]
    assert not any(cell[0] in "=+@\t" or (cell[0] == "-" and cell != "-3") for cell in cells)
    for read in (read_text, read_foreign):
        assert read(tmp_path / "t.csv")["label"].tolist() == labels
    assert to_csv(pd.DataFrame({"a": [-1.5]})) == "a\n-1.5\n"
