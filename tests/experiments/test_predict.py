"""`predict`: probabilities under the right names, and nothing predicted for what cannot be a face's crop."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fernet_neuro as fn
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.predictions import compute_class_probabilities

RECIPE = {"task": "expression", "model": "resnet10-slim", "model_options": {"size": 16}, "val_share": 0}
CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    out = tmp_path_factory.mktemp("faces") / "set"
    return fn.render_faces(identities=2, views=1, sessions=1, size=40, out=out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, faces):
    place = tmp_path_factory.mktemp("runs") / "run"
    fn.train(RECIPE, place, table=faces, epochs=1, batch_size=7)
    return str(place)


@pytest.fixture
def folder(tmp_path, faces):
    """Return a folder with two faces, one in a folder of its own, and what must be left out."""
    place = tmp_path / "photos"
    (place / "more").mkdir(parents=True)
    for path, name in zip(faces.paths(), ("a.png", "more/b.png"), strict=False):
        (place / name).write_bytes(path.read_bytes())
    grey = np.full((80, 80, 3), 120, np.uint8)
    Image.fromarray(grey[:31]).save(place / "flat.png")
    Image.fromarray(grey[:, :35]).save(place / "long.png")
    Image.fromarray(grey // 60).save(place / "black.png")
    (place / "broken.png").write_bytes(faces.paths()[0].read_bytes()[:500])
    (place / "notes.txt").write_text("not a picture")
    (place / "away.png").symlink_to(faces.paths()[0])
    return place


def test_the_table_holds_what_the_network_says_under_the_names_of_its_classes(faces, trained):
    found = fn.predict(faces, trained)
    wanted = compute_class_probabilities(trained, faces)
    assert found.classes == wanted.classes == CLASSES
    assert found.frame.columns.tolist()[:4] == ["stimulus_id", "path", "expression", "confidence"]
    np.testing.assert_allclose(found.frame[[f"p_{name}" for name in CLASSES]], wanted.values)
    np.testing.assert_allclose(found.frame["confidence"], wanted.values.max(axis=1))
    assert found.frame["expression"].tolist() == [CLASSES[place] for place in wanted.values.argmax(axis=1)]
    assert found.frame["stimulus_id"].tolist() == faces.stimulus_ids.tolist()
    assert "14 pictures by resnet10-slim, 0 left out" in repr(found)


def test_a_picture_a_folder_and_a_table_give_the_same_answers(faces, trained, folder):
    table = fn.predict(faces, trained).frame.iloc[:2, 3:].to_numpy()
    np.testing.assert_allclose(fn.predict(folder, trained).frame.iloc[:, 3:], table, atol=1e-6)
    one = fn.predict(folder / "a.png", trained, n_jobs=2).frame
    np.testing.assert_allclose(one.iloc[:, 3:], table[:1], atol=1e-6)
    assert one["stimulus_id"].tolist() == ["a.png"]
    frame = fn.predict(faces.frame.assign(path=[str(path) for path in faces.paths()]), trained).frame
    assert len(frame) == 14


def test_what_cannot_be_the_crop_of_a_face_is_listed_and_not_predicted(trained, folder):
    found = fn.predict(folder, trained)
    assert found.frame["stimulus_id"].tolist() == ["a.png", "more/b.png"]
    reasons = dict(zip(found.left_out["stimulus_id"], found.left_out["reason"], strict=True))
    assert list(reasons) == ["black.png", "broken.png", "flat.png", "long.png", "away.png", "notes.txt"]
    assert reasons["notes.txt"].startswith("is not a picture that can be read (.bmp, ")
    assert reasons["away.png"].startswith("is outside the source folder")
    assert reasons["black.png"] == "is almost black (mean luminance 2.0 of 255)"
    assert reasons["broken.png"].startswith("is damaged or truncated")
    assert reasons["flat.png"].startswith(
        "is 80 x 31 pixels, which cannot be the crop of a face: a crop shows"
    )
    assert "at most 2 times as long as wide" in reasons["long.png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flat.png", r"flat\.png is 80 x 31 pixels, which cannot be the crop of a face: .*stimuli align"),
        ("broken.png", r"broken\.png is damaged or truncated"),
        ("absent.png", r"absent\.png does not exist"),
        ("notes.txt", r"notes\.txt is neither a picture \(.bmp, .*\) nor a stimulus table"),
        ("absent", "stimulus table .*absent does not exist"),
    ],
)
def test_one_picture_that_cannot_be_shown_is_an_error(trained, folder, name, message):
    with pytest.raises(StimulusError, match=message) as caught:
        fn.predict(folder / name, trained)
    assert "\n" not in str(caught.value)


def test_a_folder_without_anything_to_show_is_an_error(trained, folder):
    (folder / "a.png").unlink()
    (folder / "more" / "b.png").unlink()
    with pytest.raises(StimulusError, match=r"black\.png is almost black .*\(and so with all 4 pictures\)"):
        fn.predict(folder, trained)
    (folder / "more" / "photo.heic").write_bytes(b"ftypheic")
    with pytest.raises(
        StimulusError, match=r"more holds no pictures .*; photo\.heic is in HEIC: not read; save"
    ):
        fn.predict(folder / "more", trained)


def test_only_a_trained_network_has_classes(faces):
    with pytest.raises(ValueError, match=r"resnet10-slim is not a run folder.*which output is which class"):
        fn.predict(faces, "resnet10-slim")


def test_whatever_a_run_was_trained_to_name_is_predicted(tmp_path, faces):
    fn.train({**RECIPE, "task": "identification"}, tmp_path / "who", table=faces, epochs=1, batch_size=7)
    found = fn.predict(faces, str(tmp_path / "who"))
    assert found.factor == "identity"
    assert set(found.frame["identity"]) <= set(faces["identity"])


def test_the_command_prints_writes_and_lists_what_was_left_out(run, trained, folder, tmp_path):
    out = tmp_path / "answers.csv"
    asked = ("predict", folder, "--model", trained, "--out", out, "--quiet")
    code, said, err = run(*asked)
    assert code == 0
    assert len(err.splitlines()) == 6
    assert "Left out: flat.png is 80 x 31 pixels" in err
    assert "2 pictures: " in said
    assert f"{trained} learnt from: expression on 14 stimuli of 2 identities" in said
    written = pd.read_csv(out)
    assert written["stimulus_id"].tolist() == ["a.png", "more/b.png"]
    assert len(pd.read_csv(tmp_path / "answers_left_out.csv")) == 6
    code, _, err = run(*asked)
    assert (code, "is already there; add --overwrite" in err) == (2, True)
    code, said, _ = run("predict", folder / "a.png", "--model", trained, "--json")
    (picture,) = json.loads(said)["pictures"]
    assert picture["confidence"] == pytest.approx(max(picture[f"p_{name}"] for name in CLASSES))
