"""``fernet-neuro stimuli`` in the user's hands: what it writes, what it says, how it fails."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.stimuli.table import StimulusTable


@pytest.fixture
def run(run):
    return partial(run, "stimuli")


@pytest.fixture
def photos(tmp_path):
    for number, name in enumerate(("ann_fear", "ann_anger", "bob_fear", "bob_anger", "cy_fear", "odd")):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (24, 24), (100, 40 * number, 90)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def table(run, photos, tmp_path):
    run(
        "import",
        "folder",
        photos,
        "--pattern",
        "{identity}_{expression}",
        "--out",
        tmp_path / "t.csv",
        "--quiet",
    )
    return tmp_path / "t.csv"


def test_import_writes_the_table_and_what_was_left_out(run, photos, tmp_path):
    out = tmp_path / "faces.csv"
    options = ("--pattern", "{identity}_{expression}", "--quiet", "--out", out)
    code, output, _ = run("import", "folder", photos, *options)
    assert code == 0
    assert f"{out}: 5 stimuli, 3 identities, 2 expressions." in output
    assert "1 entry left out" in output
    assert "1  no match" in output
    left_out = pd.read_csv(tmp_path / "faces.left_out.csv")
    assert left_out["path"].tolist() == ["odd.png"]
    assert len(StimulusTable.read(out)) == 5


def test_import_of_a_csv_renames_columns(run, photos, tmp_path):
    (tmp_path / "labels.csv").write_text("file,who\nann_fear.png,ann\n")
    out = tmp_path / "faces.parquet"
    options = ("--csv", tmp_path / "labels.csv", "--column", "identity=who", "--quiet", "--out", out)
    assert run("import", "folder", photos, *options)[0] == 0
    assert StimulusTable.read(out).factor("identity").tolist() == ["ann"]


def test_import_reads_a_named_layout(run, tmp_path):
    (tmp_path / "lfw" / "Zico").mkdir(parents=True)
    Image.new("RGB", (250, 250), (90, 90, 90)).save(tmp_path / "lfw" / "Zico" / "Zico_0001.jpg")
    code, output, _ = run("import", "lfw", tmp_path, "--out", tmp_path / "lfw.csv", "--quiet")
    assert (code, output.strip()) == (0, f"{tmp_path / 'lfw.csv'}: 1 stimulus, 1 identity.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kdeff", "photos", "--out", "t.csv"), "Did you mean 'kdef'?"),
        (("folder", "none", "--out", "t.csv"), "source folder none does not exist"),
        (("folder", "photos", "--out", "t.txt"), "must end in .csv or .parquet"),
        (
            ("kdef", "photos", "--pattern", "{identity}_", "--out", "t.csv"),
            "--pattern belongs to the layout 'folder'; 'kdef' has no such option",
        ),
        (("folder", "photos", "--csv", "l.csv", "--column", "identity", "--out", "t.csv"), "form NAME=VALUE"),
    ],
)
def test_a_mistake_is_one_line_and_keeps_what_was_there(
    arguments, message, run, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("precious")
    code, _, error = run("import", *arguments, "--overwrite")
    assert code == 2
    assert error.startswith("Error: ")
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "t.csv").read_text() == "precious"


@pytest.mark.parametrize("taken", ["t.csv", "t.left_out.csv"])
def test_import_replaces_a_file_only_when_told(taken, run, photos, tmp_path):
    (tmp_path / taken).write_text("precious")
    arguments = ("import", "folder", photos, "--quiet", "--pattern", "{identity}_{expression}")
    arguments += ("--out", tmp_path / "t.csv")
    code, _, error = run(*arguments)
    assert (code, error.count("\n")) == (2, 1)
    assert f"{taken} exists already; choose another name, or replace it with --overwrite" in error
    assert [path.name for path in tmp_path.glob("t.*")] == [taken]
    assert (tmp_path / taken).read_text() == "precious"
    assert run(*arguments, "--overwrite")[0] == 0
    assert len(StimulusTable.read(tmp_path / "t.csv")) == 5


def test_an_import_that_was_interrupted_before_its_last_file_goes_on(run, photos, tmp_path):
    arguments = ("import", "folder", photos, "--quiet", "--pattern", "{identity}_{expression}")
    arguments += ("--out", tmp_path / "t.csv")
    assert run(*arguments)[0] == 0
    table, left_out = (tmp_path / "t.csv").read_bytes(), (tmp_path / "t.left_out.csv").read_bytes()
    (tmp_path / "t.csv").unlink()
    assert run(*arguments)[0] == 0
    assert (tmp_path / "t.csv").read_bytes() == table
    assert (tmp_path / "t.left_out.csv").read_bytes() == left_out


@pytest.mark.parametrize("labels", ["t.csv", "t.left_out.csv"])
def test_import_never_replaces_the_labels_it_reads(labels, run, photos, tmp_path):
    (tmp_path / labels).write_text("file,identity\nann_fear.png,ann\n")
    arguments = ("--csv", tmp_path / labels, "--out", tmp_path / "t.csv", "--overwrite")
    code, _, error = run("import", "folder", photos, *arguments)
    assert code == 2
    assert "is read by this command and would be overwritten" in error
    assert (tmp_path / labels).read_text().startswith("file,identity")


def test_show_puts_labels_first_and_cuts_what_is_long(run, tmp_path):
    rows = [(str(k), f"{k}.png", str([k] * 20), "x" * 90, f"id{k}") for k in range(40)]
    frame = pd.DataFrame(rows, columns=["stimulus_id", "path", "identity_weights", "licence", "identity"])
    StimulusTable.from_frame(frame).write(tmp_path / "t.csv")
    lines = run("show", tmp_path / "t.csv")[1].splitlines()
    assert lines[1].split()[0] == "identity"
    assert f"  licence        {'x' * 29}... 40" in lines
    assert lines[-1].endswith("long and many: identity_weights")
    assert len(json.loads(run("show", tmp_path / "t.csv", "--json")[1])["factors"]["identity_weights"]) == 40


def test_show_counts_each_factor(run, table):
    code, output, _ = run("show", table)
    assert code == 0
    assert "anger 2, fear 3" in output
    assert "session        (empty)" in output
    counts = json.loads(run("show", table, "--json")[1])
    assert counts["n_stimuli"] == 5
    assert counts["factors"]["identity"] == {"ann": 2, "bob": 2, "cy": 1}


def test_check_is_quiet_about_sound_pictures_and_fails_on_faults(run, table, photos, tmp_path):
    code, output, _ = run("check", table, "--quiet")
    assert (code, output.strip()) == (0, f"{table}: all 5 pictures are sound.")
    (photos / "bob_fear.png").unlink()
    code, output, _ = run("check", table, "--quiet", "--out", tmp_path / "faults.csv")
    assert code == 2
    assert "1 of 5 stimuli have a fault" in output
    assert pd.read_csv(tmp_path / "faults.csv")["fault"].tolist() == ["missing"]


def test_check_refuses_an_empty_table_and_to_replace_the_table(run, table, tmp_path):
    before = table.read_text()
    assert "is read by this command" in run("check", table, "--out", table)[2]
    assert table.read_text() == before
    table.write_text(before.splitlines()[0] + "\n")
    code, _, error = run("check", table)
    assert (code, "t.csv has no stimuli; there is nothing to check" in error) == (2, True)


def test_sheet_is_written_and_narrowed(run, table, tmp_path):
    whole, part = tmp_path / "whole.png", tmp_path / "part.png"
    assert run("sheet", table, "--out", whole, "--size", 40)[0] == 0
    assert run("sheet", table, "--out", part, "--size", 40, "--select", "identity=ann")[0] == 0
    with Image.open(whole) as image, Image.open(part) as other:
        assert image.height - other.height == 2 * 44
    code, _, error = run("sheet", table, "--out", whole, "--select", "identity=anne")
    assert code == 2
    assert "Did you mean 'ann'?" in error
    assert "must end in one of: .png, .jpg" in run("sheet", table, "--out", tmp_path / "sheet.pdf")[2]


def test_split_says_which_pictures_are_in_both_parts(run, tmp_path, rng):
    for name in "ab":
        picture = Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8))
        picture.save(tmp_path / f"{name}.png")
    picture.save(tmp_path / "c.png", compress_level=0)
    frame = pd.DataFrame({"stimulus_id": list("abc"), "identity": list("uvw")})
    frame.assign(path=frame["stimulus_id"] + ".png").to_csv(tmp_path / "table.csv", index=False)
    for seed in range(6):
        parts = [tmp_path / f"train{seed}.csv", tmp_path / f"test{seed}.csv"]
        options = ("--test-share", 0.34, "--seed", seed, "--out-train", parts[0], "--out-test", parts[1])
        code, _, err = run("split", tmp_path / "table.csv", *options)
        tested = StimulusTable.read(parts[1]).stimulus_ids.tolist()
        assert code == 0, err
        said = "Note: 1 of 1 stimuli of the test part are pictures that are trained on too"
        assert (said in err) == (tested != ["a"])


def test_split_writes_two_tables_that_share_no_identity(run, table, tmp_path):
    parts = [tmp_path / "train.csv", tmp_path / "test.csv"]
    options = ("--test-share", 0.34, "--seed", 4, "--out-train", parts[0], "--out-test", parts[1])
    assert run("split", table, *options)[0] == 0
    train, test = map(StimulusTable.read, parts)
    assert len(train) + len(test) == 5
    assert not set(train.factor("identity")) & set(test.factor("identity"))
    before = parts[1].read_text()
    parts[0].unlink()
    assert run("split", table, *options)[0] == 0  # as after an interrupted call
    assert StimulusTable.read(parts[0]) == train
    parts[0].unlink()
    code, _, error = run("split", table, *options, "--test-share", 0.67)
    assert (code, "test.csv exists already" in error, parts[0].exists()) == (2, True, False)
    assert parts[1].read_text() == before
    assert run("split", table, *options, "--overwrite")[0] == 0
    code, _, error = run("split", table, "--out-train", parts[0], "--out-test", parts[0])
    assert code == 2
    assert "three different files" in error
