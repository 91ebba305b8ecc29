"""Videos to frames, on clips that our own renderer drew and OpenCV encoded."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import MissingDependencyError, StimulusError, StoreError
from fernet_neuro.stimuli.datasets.clips import list_clips
from fernet_neuro.stimuli.datasets.clips_frames import extract_frames
from fernet_neuro.stimuli.datasets.clips_video import FrameRule, write_frames
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.rendering.clips import ClipSettings, render_clips
from fernet_neuro.stimuli.table import StimulusTable

cv2 = pytest.importorskip("cv2")

KINDS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
FPS = {".mp4": 25.0, ".avi": 12.5, ".mkv": 30.0}


def write_video(path, pictures, fps):
    """Encode RGB pictures (n, height, width, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*KINDS[path.suffix]), fps, (width, height))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[:, :, ::-1]))
    writer.release()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Pictures of rendered clips by (identity, expression): 11 frames of 64 pixels."""
    settings = ClipSettings(identities=2, expressions=["happiness", "anger"], frames=11, size=64)
    table = render_clips(settings, tmp_path_factory.mktemp("drawn") / "clips")
    pictures = np.stack([load_image(path) for path in table.paths()])
    return {
        key: pictures[index] for key, index in table.frame.groupby(["identity", "expression"]).indices.items()
    }


@pytest.fixture(scope="module")
def videos(drawn, tmp_path_factory):
    """Folder of one video per clip, in three containers; never change it."""
    folder = tmp_path_factory.mktemp("videos")
    for number, ((identity, expression), pictures) in enumerate(drawn.items()):
        suffix = list(KINDS)[number % len(KINDS)]
        write_video(folder / f"{identity}_{expression}_1{suffix}", pictures, FPS[suffix])
    return folder


@pytest.fixture
def bad_videos(videos, tmp_path):
    """One good video and one of each kind of bad ones."""
    folder = tmp_path / "bad"
    folder.mkdir()
    good = next(videos.glob("*.avi")).read_bytes()
    (folder / "ann_anger_1.avi").write_bytes(good)
    (folder / "bob_anger_1.mp4").write_bytes(b"")
    (folder / "cy_anger_1.mp4").write_bytes(bytes(range(256)) * 20)
    (folder / "dee_anger_1.avi").write_bytes(good[: len(good) // 2])
    (folder / "eve_anger_1.mp4").write_bytes(next(videos.glob("*.mp4")).read_bytes()[:3000])
    (folder / "odd.avi").write_bytes(good)
    (folder / "notes.txt").write_text("x")
    writer = cv2.VideoWriter(str(folder / "flo_anger_1.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, (64, 64))
    writer.release()
    return folder


def test_every_frame_comes_out_at_the_videos_own_rate(videos, drawn, tmp_path):
    table = extract_frames(videos, tmp_path / "out").table
    assert len(table) == 4 * 11
    for (identity, expression), pictures in drawn.items():
        rows = table.select(identity=identity, expression=expression)
        fps = FPS[next(videos.glob(f"{identity}_{expression}_*")).suffix]
        assert rows.factor("frame").tolist() == list(range(11))
        assert set(rows.factor("fps")) == {fps}
        np.testing.assert_allclose(rows.factor("time_s"), np.arange(11) / fps, atol=2e-3)
        frames = np.stack([load_image(path) for path in rows.paths()]).astype(float)
        # Lossy, but each frame is nearest to its own picture, and red is not blue.
        distance = np.array([[np.abs(a - b).mean() for b in pictures] for a in frames])
        assert np.diag(distance).max() < 6
        changing = range(1, 7)  # before the apex no two pictures are equal
        assert [int(distance[k].argmin()) for k in changing] == list(changing)
        assert np.abs(frames - pictures[..., ::-1]).mean() > 2 * np.diag(distance).mean()


def test_labels_ids_and_digests_are_in_the_table(videos, tmp_path):
    table = extract_frames(videos, tmp_path / "out").table
    first = table.frame.iloc[0]
    assert first["stimulus_id"] == "id000_anger_1_f000000"
    assert first["path"] == "clips/id000_anger_1.frames/000000.png"
    assert (first["identity"], first["expression"], first["clip"]) == ("id000", "anger", 1)
    assert list(table.image_digests) == table.factor("digest").tolist()
    assert StimulusTable.read(tmp_path / "out" / "table.csv") == table


def test_every_third_frame_and_a_smaller_size(videos, tmp_path):
    table = extract_frames(videos, tmp_path / "out", every=3, size=48).table
    one = table.select(identity="id001", expression="happiness")
    assert one.factor("frame").tolist() == [0, 3, 6, 9]
    assert load_image(one.paths()[0]).shape == (48, 48, 3)


def test_proportions_stay_and_small_frames_are_not_enlarged(tmp_path, rng):
    noise = rng.integers(0, 256, (3, 60, 90, 3), dtype=np.uint8)
    write_video(tmp_path / "in" / "a_b_c.avi", noise, 10)
    small = extract_frames(tmp_path / "in", tmp_path / "small", size=20).table
    assert load_image(small.paths()[0]).shape == (20, 30, 3)
    same = extract_frames(tmp_path / "in", tmp_path / "same", size=300).table
    assert load_image(same.paths()[0]).shape == (60, 90, 3)


def test_the_number_of_threads_changes_nothing(videos, tmp_path):
    one, three = (extract_frames(videos, tmp_path / f"{n}", n_jobs=n).table for n in (1, 3))
    assert one.digest() == three.digest()


def test_bad_videos_are_named_with_their_reason_and_the_good_one_is_kept(bad_videos, tmp_path):
    report = extract_frames(bad_videos, tmp_path / "out")
    assert set(report.table.factor("identity")) == {"ann"}
    assert len(report.table) == 11
    reasons = dict(report.left_out.itertuples(index=False))
    assert reasons["bob_anger_1.mp4"] == "empty: 0 bytes"
    assert reasons["cy_anger_1.mp4"].startswith("corrupt: cut short, damaged or no video")
    assert reasons["dee_anger_1.avi"].startswith("cut short: ")
    assert reasons["dee_anger_1.avi"].endswith(" of 11 frames can be decoded")
    assert reasons["eve_anger_1.mp4"].startswith("corrupt")
    assert reasons["flo_anger_1.avi"] == "no frames: not one can be decoded"
    assert reasons["odd.avi"].startswith("no match: the name does not fit the pattern {identity}_")
    assert reasons["notes.txt"] == "not a video"
    assert sorted(item.name for item in (tmp_path / "out" / "clips").iterdir()) == ["ann_anger_1.frames"]


def test_a_video_that_is_cut_short_is_taken_if_asked_for(bad_videos, tmp_path):
    table = extract_frames(bad_videos, tmp_path / "out", allow_short=True).table
    assert 0 < len(table.select(identity="dee")) < 11


def test_no_usable_video_is_an_error_that_counts_every_reason(bad_videos, tmp_path):
    for path in bad_videos.glob("ann*"):
        path.unlink()
    with pytest.raises(StimulusError, match=r"no usable video .*; 7 left out: ") as caught:
        extract_frames(bad_videos, tmp_path / "out")
    said = str(caught.value)
    assert "1 empty (bob_anger_1.mp4: " in said
    assert "1 no frames (flo_anger_1.avi: not one can be decoded)" in said
    assert "1 not a video (notes.txt)" in said
    counts = [int(count) for count in re.findall(r"(\d+) [a-z ]+ \(", said.partition("left out: ")[2])]
    assert sum(counts) == 7


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(StimulusError, match="no usable video was found"):
        extract_frames(tmp_path / "in", tmp_path / "out")


def test_what_is_done_is_not_done_again_and_what_is_damaged_is(videos, tmp_path):
    before = extract_frames(videos, tmp_path / "out").table
    places = sorted((tmp_path / "out" / "clips").iterdir())
    times = [place.stat().st_mtime_ns for place in places]
    (places[1] / "000004.png").unlink()
    (places[2] / "clip.json").write_text("{")
    (tmp_path / "out" / "clips" / ".half.x.tmp").mkdir()
    again = extract_frames(videos, tmp_path / "out").table
    assert again == before
    assert [place.stat().st_mtime_ns == time for place, time in zip(places, times, strict=True)] == [
        True, False, False, True,
    ]  # fmt: skip
    assert sorted((tmp_path / "out" / "clips").iterdir()) == places


def test_a_killed_run_goes_on_where_it_was(videos, tmp_path):
    code = (
        "import os, signal, sys\n"
        "from fernet_neuro.stimuli.datasets import clips_frames as m\n"
        "real, done = m.write_frames, []\n"
        "def write(*arguments):\n"
        "    if len(done) == 2:\n"
        "        real(*arguments)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    done.append(1)\n"
        "    return real(*arguments)\n"
        "m.write_frames = write\n"
        "m.extract_frames(sys.argv[1], sys.argv[2])\n"
    )
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", code, str(videos), str(out)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    finished = sorted(path.name for path in (out / "clips").iterdir() if not path.name.startswith("."))
    assert len(finished) == 2
    assert not (out / "table.csv").exists()
    table = extract_frames(videos, out).table
    assert table.digest() == extract_frames(videos, tmp_path / "whole").table.digest()
    assert not [path for path in (out / "clips").iterdir() if path.name.startswith(".")]


def test_another_option_or_video_is_never_mixed_in(videos, tmp_path):
    copy = tmp_path / "in"
    copy.mkdir()
    for path in videos.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    before = extract_frames(copy, tmp_path / "out").table
    with pytest.raises(StoreError, match=r"made from another video or with other options; .* --overwrite"):
        extract_frames(copy, tmp_path / "out", every=2)
    one, other = sorted(copy.glob("*.mp4"))[0], sorted(copy.glob("*.mp4"))[-1]
    assert one != other
    one.write_bytes(other.read_bytes())
    with pytest.raises(StoreError, match=f"{one.stem}.frames was made from another video"):
        extract_frames(copy, tmp_path / "out")
    assert StimulusTable.read(tmp_path / "out") == before
    assert len(extract_frames(copy, tmp_path / "out", every=2, overwrite=True).table) == 4 * 6


def test_folders_of_others_are_left_alone(videos, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    with pytest.raises(StoreError, match="holds no frames of videos; nothing was changed"):
        extract_frames(videos, tmp_path / "mine", overwrite=True)
    with pytest.raises(StoreError, match="lies inside the folder of the videos"):
        extract_frames(videos, videos / "out")
    assert not (videos / "out").exists()


def test_a_csv_gives_labels_and_parts_of_a_video(videos, tmp_path):
    name = next(videos.glob("*.mp4")).name
    labels = pd.DataFrame(
        {
            "video": [name, name, name, "gone.mp4", name, name, "../x.mp4"],
            "identity": ["ann", "bob", "cy", "dee", "eve", "flo", "gus"],
            "expression": "anger",
            "clip": "block 1",
            "start_s": ["", "0.12", "0.2", "0", "9", "now", "0"],
            "end_s": ["0.12", "0.2", "", "", "", "", ""],
        }
    )
    labels.to_csv(tmp_path / "labels.csv", index=False)
    report = extract_frames(videos, tmp_path / "out", csv=tmp_path / "labels.csv", columns={"path": "video"})
    frames = {who: report.table.select(identity=who).factor("frame").tolist() for who in ("ann", "bob", "cy")}
    assert frames == {"ann": [0, 1, 2], "bob": [3, 4], "cy": [5, 6, 7, 8, 9, 10]}
    np.testing.assert_allclose(report.table.select(identity="bob").factor("time_s"), [0.12, 0.16], atol=2e-3)
    assert set(report.table.factor("clip")) == {"block 1"}
    reasons = report.left_out.groupby("path")["reason"].apply(list)
    assert reasons["gone.mp4"] == ["missing: no such file"]
    assert reasons["../x.mp4"][0].startswith("outside the source folder")
    assert reasons[name] == [
        "empty part: no frame of the video lies in it",
        "unreadable time: start_s must be seconds from 0 on; got 'now'",
    ]
    assert (report.left_out["reason"] == "not in the CSV").sum() == 3


def test_part_of_a_video_is_the_same_frames_as_the_whole(videos, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    whole.mkdir(), part.mkdir()
    video = next(videos.glob("*.mkv"))
    all_frames = write_frames(video, whole)
    some = write_frames(video, part, FrameRule(start_s=0.1, end_s=0.3))
    assert some.frames == [3, 4, 5, 6, 7, 8]
    assert some.digests == all_frames.digests[3:9]
    assert some.times_s == all_frames.times_s[3:9]


def test_ids_never_lead_out_of_the_folder(videos, tmp_path):
    name = next(videos.glob("*.mp4")).name
    ids = ["../../evil", "a/b", "/abs", "sp ace", "a", "CON..", "A"]
    frame = pd.DataFrame({"path": name, "stimulus_id": ids, "identity": "x", "expression": "anger"})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    report = extract_frames(videos, tmp_path / "out", csv=tmp_path / "labels.csv", every=5)
    root = (tmp_path / "out" / "clips").resolve()
    assert all(path.resolve().is_relative_to(root) for path in report.table.paths())
    assert len({path.parent for path in report.table.paths()}) == 6
    assert set(report.table.factor("clip")) == set(ids[:-1])
    twice = report.left_out["reason"][report.left_out["path"] == name]
    assert twice.tolist() == [f"id occurs twice: 'A' is already {name}"]


def test_two_files_of_one_name_are_told_apart_or_left_out(videos, tmp_path):
    folder = tmp_path / "in"
    data = next(videos.glob("*.avi")).read_bytes()
    for name in ("a/x_anger_1.avi", "b/x_anger_1.avi", "b/x_anger_1.mkv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    report = extract_frames(folder, tmp_path / "out")
    assert len(report.table) == 22
    assert report.left_out["path"].tolist() == ["b/x_anger_1.mkv"]
    assert report.left_out["reason"][0] == "id occurs twice: 'b/x_anger_1' is already b/x_anger_1.avi"


def test_links_out_of_the_folder_are_not_followed(videos, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    source = next(videos.glob("*.avi"))
    (folder / "a_anger_1.avi").symlink_to(source)
    (folder / "b_anger_1.avi").write_bytes(source.read_bytes())
    report = extract_frames(folder, tmp_path / "out")
    assert report.left_out["reason"].tolist()[0].startswith("outside the source folder")
    assert set(report.table.factor("identity")) == {"b"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be >= 1; got 0"),
        ({"size": 0}, "size must be >= 1; got 0"),
        ({"n_jobs": 0}, "n_jobs must be >= 1; got 0"),
        ({"pattern": "{a}_{b}", "csv": "x.csv"}, "either pattern or csv, not both"),
        ({"columns": {"path": "video"}}, "give csv too"),
        ({"pattern": "{identity}_{frame}_{x}"}, "label 'frame', which is a column of every table of frames"),
        ({"pattern": "{identity}{clip}"}, "two placeholders touch"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message, videos, tmp_path):
    with pytest.raises(ValueError, match=message):
        extract_frames(videos, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(StimulusError, match=r"source folder .*none does not exist"):
        extract_frames(tmp_path / "none", tmp_path / "out")


def test_clips_are_listed_without_opening_them(tmp_path):
    (tmp_path / "x_anger_2.mp4").write_text("no video")
    clips, left_out = list_clips(tmp_path)
    assert [(clip.clip_id, clip.labels["clip"]) for clip in clips] == [("x_anger_2", "2")]
    assert left_out == []


def test_without_opencv_the_package_to_install_is_named(monkeypatch, videos, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)  # what Python keeps of a package that is not there
    with pytest.raises(MissingDependencyError, match=r"decoding videos .*install opencv-python-headless"):
        extract_frames(videos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_decoders_own_messages_stay_out_of_the_way(bad_videos, tmp_path):
    code = (
        "import sys\n"
        "from fernet_neuro.stimuli.datasets.clips_frames import extract_frames\n"
        "extract_frames(sys.argv[1], sys.argv[2])\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    command = [sys.executable, "-c", code, str(bad_videos), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_record_of_a_clip_says_what_was_taken(videos, tmp_path):
    extract_frames(videos, tmp_path / "out")
    place = next((tmp_path / "out" / "clips").iterdir())
    record = json.loads((place / "clip.json").read_text())
    assert len(record["frames"]) == len(record["digests"]) == 11
    assert sorted(record["files"]) == sorted(path.name for path in place.glob("*.png"))
