"""``fernet-neuro stimuli frames``, ``select-frames``, ``landmarks`` and ``align`` in the user's hands."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.rendering.clips import ClipSettings, render_clips
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

cv2 = pytest.importorskip("cv2")
EXPRESSIONS = ["anger", "happiness", "neutral"]


@pytest.fixture(scope="module")
def run(run):
    return partial(run, "stimuli")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Rendered clips of two people, from neutral to apex: 14 frames of 48 pixels."""
    settings = ClipSettings(identities=2, expressions=EXPRESSIONS, frames=14, size=48)
    return render_clips(settings, tmp_path_factory.mktemp("drawn") / "clips")


@pytest.fixture(scope="module")
def videos(drawn, tmp_path_factory):
    """Those clips as videos, and two that are broken."""
    folder = tmp_path_factory.mktemp("videos")
    for (who, what), rows in drawn.frame.groupby(["identity", "expression"]):
        path = str(folder / f"{who}_{what}_1.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 25, (48, 48))
        for picture in rows["path"]:
            writer.write(np.ascontiguousarray(load_image(drawn.root / picture)[:, :, ::-1]))
        writer.release()
    (folder / "x_anger_1.mp4").write_bytes(b"")
    (folder / "y_anger_1.mp4").write_bytes(b"no video" * 99)
    return folder


@pytest.fixture(scope="module")
def expression_run(tmp_path_factory):
    """Run of a small network that learnt three expressions from other people."""
    folder = tmp_path_factory.mktemp("trained")
    settings = RenderSettings(
        identities=8, first_identity=50, expressions=EXPRESSIONS, views=1, sessions=1, size=32,
        intensity=[0.5, 1.0],
    )  # fmt: skip
    table = render_faces(settings, folder / "faces")
    recipe = TrainSettings(
        task="expression", model="resnet10-slim", model_options={"size": 32}, epochs=10, batch_size=8,
        optimiser="adamw", lr=3e-3, val_share=0,
    )  # fmt: skip
    fit(recipe, folder / "run", table=table)
    return folder / "run"


@pytest.fixture(scope="module")
def taken(run, videos, tmp_path_factory):
    """Table of all frames of the videos, and what was said while they were taken."""
    out = tmp_path_factory.mktemp("taken") / "frames"
    code, _, error = run("frames", videos, "--out", out)
    assert code == 0
    return out / "table.csv", error


@pytest.fixture
def frames(taken):
    return taken[0]


@pytest.fixture
def few(frames, tmp_path):
    """The first frame of every clip."""
    table = StimulusTable.read(frames)
    table.select(np.flatnonzero(table.factor("frame") == 0)).write(tmp_path / "few.csv")
    return tmp_path / "few.csv"


def test_frames_says_what_was_taken_and_what_was_not(run, videos, tmp_path):
    code, said, error = run("frames", videos, "--out", tmp_path / "frames", "--every", "2", "--quiet")
    assert (code, error) == (0, "")
    assert (
        f"{tmp_path / 'frames' / 'table.csv'}: 42 stimuli, 2 identities, 3 expressions from 6 clips." in said
    )
    assert "x_anger_1.mp4: empty: 0 bytes" in said
    assert "y_anger_1.mp4: corrupt: " in said
    left_out = pd.read_csv(tmp_path / "frames" / "table.left_out.csv")
    assert left_out["path"].tolist() == ["x_anger_1.mp4", "y_anger_1.mp4"]
    code, again, _ = run("frames", videos, "--out", tmp_path / "frames", "--every", "2", "--quiet")
    assert (code, again) == (0, said)


def test_frames_takes_labels_from_a_csv(run, videos, tmp_path):
    (tmp_path / "actors.csv").write_text("video,identity,expression,end_s\nid000_anger_1.mp4,ann,anger,0.2\n")
    options = ("--csv", tmp_path / "actors.csv", "--column", "path=video", "--out", tmp_path / "f", "--quiet")
    assert run("frames", videos, *options)[0] == 0
    table = StimulusTable.read(tmp_path / "f" / "table.csv")
    assert table.factor("identity").tolist() == ["ann"] * 5


def test_frames_shows_a_bar_unless_quiet(taken):
    assert "clips" in taken[1]


def test_a_trained_network_chooses_the_frames_near_the_apex(run, frames, expression_run, tmp_path):
    options = ("--model", expression_run, "--top", 4, "--out", tmp_path / "top.csv", "--quiet")
    code, said, _ = run("select-frames", frames, *options, "--rest", tmp_path / "rest.csv")
    assert code == 0
    assert f"{tmp_path / 'top.csv'}: 24 stimuli, 2 identities, 3 expressions; " in said
    top, rest = (StimulusTable.read(tmp_path / f"{name}.csv") for name in ("top", "rest"))
    assert len(rest) == 6 * 10
    for expression in ("anger", "happiness"):
        chosen, other = (part.select(expression=expression).factor("frame") for part in (top, rest))
        assert chosen.mean() > other.mean() + 3
    assert all(path.is_file() for path in top.paths())
    clips = pd.read_csv(tmp_path / "top.clips.csv")
    assert clips["n_chosen"].tolist() == [4] * 6
    whole = {name: (tmp_path / name).read_bytes() for name in ("top.csv", "rest.csv", "top.clips.csv")}
    words = ("select-frames", frames, *options, "--rest", tmp_path / "rest.csv")
    assert run(*words)[0] == 2
    (tmp_path / "top.csv").unlink()  # as after a kill before the last file
    code, _, error = run(*words)
    assert code == 0, error
    assert {name: (tmp_path / name).read_bytes() for name in whole} == whole
    (tmp_path / "top.csv").unlink()
    (tmp_path / "rest.csv").write_bytes(whole["top.csv"])  # another table of that name is kept
    assert run(*words)[0] == 2
    assert (tmp_path / "rest.csv").read_bytes() == whole["top.csv"]


def test_short_and_tied_clips_are_reported(run, frames, expression_run, tmp_path):
    table = StimulusTable.read(frames)
    twice = table.select(identity="id000", expression="anger").frame
    twice = twice.assign(path=[str(table.root / twice["path"].iloc[0])] * len(twice))
    other = table.select(np.flatnonzero(table.factor("expression") == "neutral")[:3]).frame
    other = other.assign(path=[str(table.root / path) for path in other["path"]])
    StimulusTable.from_frame(pd.concat([twice, other])).write(tmp_path / "t.csv")
    options = ("--model", expression_run, "--top", 5, "--out", tmp_path / "top.csv", "--quiet")
    code, said, _ = run("select-frames", tmp_path / "t.csv", *options)
    assert code == 0
    assert "1 clips have fewer than 5 frames and give all: id000/neutral/1" in said
    assert (
        "1 clips have frames as probable as the last one chosen (the earliest were taken): id000/anger/1"
        in said
    )
    top = StimulusTable.read(tmp_path / "top.csv")
    assert top.select(expression="anger").factor("frame").tolist() == [0, 1, 2, 3, 4]


def test_no_table_of_the_rest_is_written_where_nothing_is_left(run, few, expression_run, tmp_path):
    options = ("--model", expression_run, "--top", 99, "--out", tmp_path / "top.csv", "--quiet")
    code, said, _ = run("select-frames", few, *options, "--rest", tmp_path / "rest.csv")
    assert (code, "no frame is left, so not written" in said) == (0, True)
    assert not (tmp_path / "rest.csv").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--model": "resnet18"}, "resnet18 is not a run folder"),
        ({"--out": "t.csv"}, "must be different files"),
        ({"--rest": "top.csv"}, "must be different files"),
        ({"--out": "top.txt"}, "must end in .csv or .parquet"),
    ],
)
def test_a_mistake_in_selecting_is_one_line(
    changes, message, run, frames, expression_run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    StimulusTable.read(frames).write("t.csv")
    before = (tmp_path / "t.csv").read_bytes()
    options = {"--model": expression_run, "--out": "top.csv", **changes}
    code, _, error = run("select-frames", "t.csv", *(item for pair in options.items() for item in pair))
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "t.csv").read_bytes() == before


def test_tables_that_exist_are_kept(run, frames, expression_run, tmp_path):
    (tmp_path / "top.clips.csv").write_text("precious")
    code, _, error = run("select-frames", frames, "--model", expression_run, "--out", tmp_path / "top.csv")
    assert (code, "top.clips.csv exists already" in error) == (2, True)


def test_expressions_spelt_otherwise_are_named_before_anything_is_written(
    run, frames, expression_run, tmp_path
):
    table = StimulusTable.read(frames)
    frame = table.frame.replace({"expression": {"happiness": "happy"}})
    StimulusTable.from_frame(frame, root=table.root).write(tmp_path / "happy.csv")
    options = ("--model", expression_run, "--out", tmp_path / "top.csv", "--quiet")
    code, _, error = run("select-frames", tmp_path / "happy.csv", *options)
    assert code == 2
    assert "(first: 'happy'); it knows: anger, happiness, neutral" in error
    assert not (tmp_path / "top.csv").exists()


def test_rendered_faces_are_aligned_by_their_true_landmarks(run, drawn, tmp_path):
    points = tmp_path / "points.csv"
    code, said, _ = run("landmarks", drawn.root / "table.csv", "--out", points, "--quiet")
    assert (code, said.strip()) == (0, f"{points}: five points of 84 faces.")
    lines = points.read_text().splitlines()
    broken = lines[5].replace(lines[5].split(",")[3], "?")
    stray = "nobody" + lines[4][lines[4].index(",") :]
    points.write_text("\n".join([*lines[:5], broken, *lines[6:], stray, "only,two"]))
    options = ("--landmarks", points, "--out", tmp_path / "aligned", "--size", 112, "--quiet")
    code, said, _ = run("align", drawn.root / "table.csv", *options)
    assert code == 0
    assert "unreadable landmarks: row 6: no number: right_eye_x is '?'" in said
    assert f"{points}, row 87: wrong number of fields: 2 instead of 11" in said
    assert f"{points}: 1 rows belong to no stimulus of the table." in said
    table = StimulusTable.read(tmp_path / "aligned")
    assert len(table) == 83
    assert load_image(table.paths()[0]).shape == (112, 112, 3)
    assert "table.csv: 83 stimuli, 2 identities, 3 expressions, 1 view, 1 session at 112 pixels." in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give the faces' points with --landmarks POINTS.csv, or find them with --detector NAME"),
        (("--landmarks", "p.csv", "--detector", "d.onnx"), "give --landmarks or --detector, not both"),
        (("--landmarks", "p.csv", "--largest"), "--largest belongs to --detector"),
        (("--landmarks", "p.csv", "--min-score", 0.5), "--min-score belongs to --detector"),
        (("--landmarks", "p.csv"), "table of landmarks p.csv does not exist"),
        (("--detector", "d.onnx"), "detector d.onnx does not exist; give an ONNX file of YuNet"),
        (("--detector", "bad.onnx"), "detector bad.onnx is no ONNX file of YuNet that OpenCV can run"),
        (("--landmarks", "p.csv", "--size", "100"), "use one of: 112, 150, 224"),
    ],
)
def test_a_mistake_in_aligning_is_one_line(options, message, run, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.onnx").write_text("no network")
    code, _, error = run("align", drawn.root / "table.csv", "--out", "aligned", *options)
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "aligned").exists()


@pytest.mark.parametrize(
    ("given", "files", "message"),
    [
        ("nowhere", (), "folder nowhere does not exist; give a folder of photographs, or a stimulus table"),
        ("nowhere.csv", (), "stimulus table nowhere.csv does not exist"),
        ("empty", (), "empty, which holds no files."),
        ("phone", ("IMG_1.HEIC", "IMG_2.heic"), "2 in HEIC (first: IMG_1.HEIC: not read; save it as JPEG"),
        ("camera", ("a.CR2", "b.nef"), "2 in a camera's raw format (first: a.CR2: not read; develop it"),
        ("words", ("a.txt",), "1 not a picture (a.txt); pictures end in .bmp, .gif, .jpeg, .jpg,"),
        ("films", ("a.MP4",), "1 a video (a.MP4: `fernet-neuro stimuli frames` takes pictures"),
        ("one.jpg", None, "one.jpg is one photograph; give a folder of photographs, or a stimulus table"),
        ("one.heic", None, "one.heic is in HEIC: not read; save it as JPEG or PNG; give a folder"),
        ("one.zip", None, "one.zip is an archive: unpack it; give a folder of photographs"),
        ("one.txt", None, "one.txt is not a picture; give a folder of photographs"),
    ],
)  # fmt: skip
def test_what_is_no_folder_of_photographs_is_told_for_what_it_is(
    given, files, message, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if files is None:
        (tmp_path / given).write_bytes(b"x")
    elif "nowhere" not in given:
        (tmp_path / given).mkdir()
    for name in files or ():
        (tmp_path / given / name).write_bytes(b"x")
    code, _, error = run("align", given, "--out", "aligned", "--landmarks", "points.csv")
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "aligned").exists()


def test_a_folder_without_a_table_is_refused_where_a_table_is_wanted(run, tmp_path):
    code, _, error = run("check", tmp_path)
    assert code == 2
    assert (
        "holds no stimulus table (table.csv); `fernet-neuro stimuli align` makes one of photographs" in error
    )


def test_people_that_the_network_was_trained_on_are_pointed_out(run, few, expression_run, tmp_path):
    table = StimulusTable.read(few)
    frame = table.frame.replace({"identity": {"id000": "id050"}})
    StimulusTable.from_frame(frame, root=table.root).write(tmp_path / "known.csv")
    options = ("--model", expression_run, "--quiet", "--out")
    _, _, error = run("select-frames", tmp_path / "known.csv", *options, tmp_path / "a.csv")
    assert "1 of 2 people were trained on in" in error
    assert "(first: 'id050'); if they are the same people, choose another network." in error
    assert run("select-frames", few, *options, tmp_path / "b.csv")[2] == ""


def test_help_says_on_what_the_network_must_be_trained(run):
    assert "trained on the training set" in " ".join(run("select-frames", "--help")[1].split())
