import json

import numpy as np
import pandas as pd
import pytest

from fernet_neuro._utils import tables
from fernet_neuro.exceptions import StoreError

COLUMNS = {"name": str, "score": float, "n": int}


def strange():
    """Labels that pandas would read as numbers or as absent, and numbers that only exact reading keeps."""
    scores = [0.1 + 0.2, np.nan, 5e-324, 1 / 3, 2**53 + 2.0]
    names = ["NA", "007", "1.0", "", 'a,\n"b"']
    return pd.DataFrame({"name": names, "score": scores, "n": [1, -2, 2**62 + 1, 0, 7]})


def test_a_table_comes_back_to_the_last_bit(tmp_path):
    tables.write_csv(strange(), tmp_path / "new" / "t.csv")
    read = tables.read_table(tmp_path / "new" / "t.csv", COLUMNS)
    assert read["name"].tolist() == strange()["name"].tolist()
    assert read["n"].tolist() == strange()["n"].tolist()
    np.testing.assert_array_equal(read["score"], strange()["score"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["t.csv"]


def test_further_columns_are_text_behind_the_model():
    frame = pd.DataFrame({"seed": [3.0, np.nan], "x": ["1", "2"], "model": ["a", "b"]})
    typed = tables.as_typed(frame, {"model": str, "x": float})
    assert typed.to_dict("list") == {"model": ["a", "b"], "seed": ["3", ""], "x": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,n\na,1\n", "t.csv has no column score"),
        ("name,score,n\n", "t.csv has no rows"),
        ("name,score,n\na,much,1\n", "t.csv: row 2 has 'much' under 'score', which is no number"),
        ("name,score,n\na,1,\n", "t.csv: row 2 has '' under 'n', which is no whole number"),
        ("name,score,n\na,1,2\nb,2", "t.csv: the file is cut in row 3, which has 2 of 3 fields"),
        ('name,score,n\na,1,2\n"b,2,2\n', "t.csv: Error tokenizing data"),
    ],
)
def test_what_a_table_lacks_is_said(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        tables.read_table(tmp_path / "t.csv", COLUMNS)


def test_a_folder_is_whole_or_as_before(tmp_path):
    arrays = {"null.npz": {"a|b": np.arange(3.0)}}
    tables.save_tables(tmp_path, {"t.csv": strange(), **arrays}, {"n": 5})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"t.csv", "null.npz", "summary.json"}
    assert json.loads(before["summary.json"]) == {"n": 5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        tables.save_tables(tmp_path, {"t.csv": strange().head(1)}, {"n": np.nan})
    with pytest.raises(TypeError):
        tables.save_tables(tmp_path, {"t.csv": strange().head(1), "null.npz": None}, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_missing_or_damaged_is_said_with_the_command(tmp_path):
    command = rf"fernet-neuro embed STORE --out {tmp_path}$"
    absent = pytest.raises(StoreError, match=rf"t.csv does not exist; make it with: {command}")
    with absent, tables.loading(tmp_path, ["t.csv"], "embed STORE"):
        pass
    damaged = pytest.raises(StoreError, match=rf"is damaged \(a b\); make it again with: {command}")
    with damaged as found, tables.loading(tmp_path, [], "embed STORE"):
        raise ValueError("a\nb")
    assert "\n" not in str(found.value)
