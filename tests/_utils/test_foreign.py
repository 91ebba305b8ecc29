"""One table, as R, spreadsheets and hasty scripts write it, is read as the same table or refused."""

import unicodedata

import pandas as pd
import pytest

from fernet_neuro._utils.foreign import has_heading, read_foreign
from fernet_neuro._utils.tables import read_text, to_csv, write_csv

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
    (tmp_path / "t.csv").write_text("sep=|\nsubject|stimulus\n003|a,b;c\n")
    assert read_foreign(tmp_path / "t.csv").to_dict("list") == {"subject": ["003"], "stimulus": ["a,b;c"]}


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_rows_that_end_in_a_delimiter_keep_their_columns(tmp_path, delimiter):
    path = write(tmp_path / "t.csv", [HEADING, *ROWS], delimiter, end=delimiter)
    assert read_foreign(path).to_dict("list") == TRUTH
    both = write(tmp_path / "u.csv", [[*HEADING, ""], *([*row, ""] for row in ROWS)], delimiter)
    assert read_foreign(both).to_dict("list") == TRUTH
    some = write(tmp_path / "v.csv", [HEADING, [*ROWS[0], ""], *ROWS[1:]], delimiter)
    assert read_foreign(some).to_dict("list") == TRUTH


def test_the_names_of_rows_that_r_writes_are_left_out(tmp_path):
    named = [[str(number), *row] for number, row in enumerate(ROWS, start=1)]
    named[1][-1] = "NA"
    path = write(tmp_path / "t.tsv", [quoted(HEADING), *([*quoted(row[:3]), row[3]] for row in named)], "\t")
    assert read_foreign(path).to_dict("list") == TRUTH  # NA without quotes is a gap
    plain = write(tmp_path / "u.txt", [HEADING[:2], ["1", "003", "NA"], ["2", "4", "x"]], " ")
    assert read_foreign(plain).to_dict("list") == {"subject": ["003", "4"], "stimulus": ["NA", "x"]}


def test_quoted_na_is_a_label(tmp_path):
    path = write(tmp_path / "t.csv", [quoted(HEADING), ['"NA"', '"x,NA,y"', "NA"]])
    assert read_foreign(path).to_numpy().tolist() == [["NA", "x,NA,y", ""]]


def test_two_readings_are_refused_with_both(tmp_path):
    path = write(tmp_path / "t.csv", [["run", "stimulus"], ["1", "a"], ["2", "b"]], end=",")
    with pytest.raises(ValueError, match=r"either a number in front, as R.*, or an empty end"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,Zo\xeb\n", r"line 2 is not UTF-8 \(byte 0xeb\).*Windows-1252.*iconv"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without its mark"),
        (b"a,b\n1,2\n3,4,5\n", "row 2 has more fields than the 2 of the heading"),
        (b"a,b\n1,2,x\n1,4,5\n", "row 1 has more fields"),
        (b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        (b"a,b\n1,2,3,4\n", "Expected 3 fields"),
        (b"\n\n", "it is empty"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_foreign(tmp_path / "t.csv")


def test_a_cell_that_spaces_swallowed_is_refused(tmp_path):
    (tmp_path / "t.txt").write_text("a b c\n1 2 3\n1 3\n")
    with pytest.raises(ValueError, match="row 2 has fewer than the 3 fields"):
        read_foreign(tmp_path / "t.txt")


def test_decimal_commas_are_numbers_and_thousands_are_not(tmp_path):
    rows = [
        ["id", "x", "big", "n"],
        ["0,5", "-1,5", "1,500", "3"],
        ["b", "", "2,000", "4"],
        ["c", "2", "3,125", "5"],
    ]
    read = read_foreign(write(tmp_path / "t.csv", rows, ";"))
    assert read["x"].tolist() == ["-1.5", "", "2"]
    assert read["id"].tolist() == ["0,5", "b", "c"]
    assert read["big"].tolist() == ["1,500", "2,000", "3,125"]


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
