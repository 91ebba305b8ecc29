"""The commands around texts, from the built-in table to neutral forms of faces."""

import json

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.store import ActivationStore
from tests.training.conftest import faces as faces


def test_show_says_that_the_built_in_table_is_not_clip(run):
    code, out, err = run("text", "show", "builtin")
    assert code == 0, err
    assert "not CLIP" in out
    assert "an anger facial expression." in out
    assert json.loads(run("text", "show", "builtin", "--json")[1])["width"] == 384


@pytest.fixture
def trained(run, faces, tmp_path):
    """The table of a few faces, and the run of a tiny network that learnt them for one epoch."""
    table = faces.write(tmp_path / "faces" / "table.csv")
    code, _, err = run(
        "train", "text_guided/rendered", "--stimuli", table, "--out", tmp_path / "run", "--quiet",
        *(f"--set={key}" for key in ("epochs=1", "warmup_epochs=0", "batch_size=12")),
        "--set=model_options.size=16",
    )  # fmt: skip
    assert code == 0, err
    return table, tmp_path / "run"


def test_a_trained_network_is_read_and_its_neutral_forms_are_matched(run, trained, tmp_path):
    table, _ = trained
    code, _, err = run(
        "extract", tmp_path / "run", "--stimuli", table, "--layer", "visual", "--layer", "neutral", "--layer",
        "difference", "--out", tmp_path / "store", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    store = ActivationStore.open(tmp_path / "store")
    np.testing.assert_allclose(
        store["difference"].values, store["visual"].values - store["neutral"].values, atol=1e-5
    )
    code, out, err = run("text", "match", tmp_path / "store", "--out", tmp_path / "store.csv")
    assert code == 0, err
    assert "faces find their person (chance 16.7 %)" in out
    code, out, err = run(
        "text", "match", tmp_path / "run", "--stimuli", table, "--twins", 2, "--out", tmp_path / "run.csv",
        "--quiet",
    )  # fmt: skip
    assert code == 0, err
    assert "people were trained on" in out
    of_run, of_store = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("run", "store"))
    assert list(of_run["source"]) == ["network", "network", "untrained", "untrained", "pixels"]
    assert list(of_store["source"]) == ["network", "network", "pixels"]
    assert of_run["accuracy"].iloc[[0, 1, 4]].tolist() == of_store["accuracy"].tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--encoder", "bert"], "use one of: minilm, use, clip, sentence"),
        (["--encoder", "minilm", "--prompt", "a face"], "{emotion}"),
        (["--encoder", "minilm", "--class", "joy"], "no word for class 'joy'"),
        (["--encoder", "minilm", "--word", "joy"], "CLASS=WORD"),
    ],
)
def test_what_cannot_be_embedded_is_one_line(run, tmp_path, options, said):
    code, _, err = run("text", "export", *options, "--out", tmp_path / "texts.npz")
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "texts.npz").exists()


@pytest.mark.realdata
def test_smiles_of_photographs_look_for_their_person_and_are_named(run, trained, data_root, tmp_path):
    """Pixels find 29 of 70 people again across a smile, as their cosines say."""
    photographs, table = data_root / "london_faces" / "images_256", tmp_path / "london.csv"
    assert run(
        "stimuli", "import", "folder", photographs, "--pattern", "{identity}_{expression}", "--out", table
    )[0] == 0  # fmt: skip
    code, _, err = run(
        "text", "match", trained[1], "--stimuli", table, "--twins", 2, "--out", tmp_path / "match.csv",
        "--quiet",
    )  # fmt: skip
    assert code == 0, err
    match = pd.read_csv(tmp_path / "match.csv")
    assert (match["n_people"] == 70).all()
    assert (match["n_images"] == 70).all()
    pixels = match[match["source"] == "pixels"].iloc[0]
    assert pixels["accuracy"] == pytest.approx(29 / 70, abs=0.03)
    assert pixels["p_value"] == pytest.approx(1 / 1001)
    code, out, err = run("predict", table, "--model", trained[1], "--quiet")
    assert code == 0, err
    assert "140 pictures" in out
