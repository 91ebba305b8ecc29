import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.io

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.files.io import read_rdms
from fernet_neuro.rsa.models.factors import build_model_rdms
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.stimuli.text_table import read_text_table


@pytest.fixture
def run(run):
    return partial(run, "rdm")


@pytest.fixture
def store(noise_table, tmp_path, rng):
    layers = [
        Activations(rng.normal(size=(24, units)).astype(np.float32), noise_table.stimulus_ids, name)
        for name, units in (("conv1", 31), ("fc", 11))
    ]
    return write_store(tmp_path / "store", noise_table, layers)


def test_layers_become_rdms_in_the_order_of_the_store(run, store, tmp_path):
    out = tmp_path / "layers.npz"
    code, text, err = run(
        store.path, "--layer", "fc", "--layer", "conv1", "--distance", "cosine", "--out", out
    )
    assert code == 0, err
    found = RDMSet.load(out)
    assert found.table["layer"].tolist() == ["fc", "conv1"]
    assert np.array_equal(found.stimulus_ids, store.stimuli.stimulus_ids)
    expected = compute_rdms(store.load("fc"), distance="cosine")
    assert np.array_equal(found.dissimilarities[:1], expected.dissimilarities)
    assert "2 RDMs of 24 stimuli, 276 pairs; cosine" in text
    assert f"Written to {out}" in text
    assert run(store.path, "--all-layers", "--out", tmp_path / "all.npz")[0] == 0
    assert RDMSet.load(tmp_path / "all.npz").names == ["conv1", "fc"]


def test_a_table_becomes_model_rdms(run, noise_table, tmp_path):
    out = tmp_path / "models.npz"
    table = tmp_path / "table.csv"
    code, text, err = run(
        table, "--factor", "expression", "--factor", "identity", "--text", "builtin", "--pixels",
        "--out", out, "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    report = json.loads(text)
    assert [row["name"] for row in report["rdms"]] == [
        "expression",
        "identity",
        "texts (all-MiniLM-L6-v2)",
        "pixels",
    ]
    assert report["rdms"][0]["maximum"] == 1
    assert (report["n_rdms"], report["n_stimuli"], report["n_pairs"]) == (4, 24, 276)
    expected = build_model_rdms(
        noise_table, ["expression", "identity"], texts=read_text_table("builtin"), pixels=True
    )
    assert RDMSet.load(out) == expected


def test_a_store_knows_its_stimuli_and_gives_both_kinds_at_once(run, store, tmp_path):
    out = tmp_path / "both.npz"
    code, _, err = run(store.path, "--layer", "fc", "--factor", "identity", "--gabor", "--out", out)
    assert code == 0, err
    found = RDMSet.load(out)
    assert found.n_rdms == 3
    assert found.table["distance"].tolist() == ["correlation", "categorical", "correlation"]


def test_weights_and_landmarks_become_models(run, noise_table, tmp_path, rng):
    frame = noise_table.frame.assign(AU01=rng.random(24), AU02=rng.random(24))
    StimulusTable.from_frame(frame, root=noise_table.root).write(tmp_path / "rated.csv")
    points = np.array([30, 40, 70, 40, 50, 60, 35, 80, 65, 80]) + rng.normal(size=(24, 10))
    names = [
        f"{point}_{axis}"
        for point in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
        for axis in "xy"
    ]
    marks = pd.DataFrame(points, columns=names).assign(stimulus_id=noise_table.stimulus_ids)
    marks.to_csv(tmp_path / "marks.csv", index=False)
    out = tmp_path / "models.npz"
    options = ("--weights", "units=AU01,AU02", "--landmarks", tmp_path / "marks.csv")
    code, _, err = run(tmp_path / "rated.csv", *options, "--out", out)
    assert code == 0, err
    assert RDMSet.load(out).names == ["units", "landmarks"]


def test_files_are_converted(run, brain, tmp_path):
    records = np.empty((1, 2), dtype=[("RDM", object), ("name", object)])
    for row in range(2):
        records[0, row] = (brain.to_squares()[row], f"hIT | BE | Session: {row + 1}")
    scipy.io.savemat(tmp_path / "brain.mat", {"RDMs": records})
    names = StimulusTable.from_frame(
        pd.DataFrame({"stimulus_id": brain.stimulus_ids, "path": brain.stimulus_ids})
    )
    names.write(tmp_path / "names.csv")
    out = tmp_path / "brain.h5"
    code, text, err = run(tmp_path / "brain.mat", "--stimuli", tmp_path / "names.csv", "--out", out, "--json")
    assert (code, err) == (0, "")
    assert json.loads(text)["rdms"][1]["session"] == "2"
    back = read_rdms(out)
    assert np.array_equal(back.dissimilarities, brain.dissimilarities[:2])
    assert np.array_equal(back.stimulus_ids, brain.stimulus_ids)


def test_missing_pairs_are_counted(run, brain, tmp_path):
    vectors = brain.dissimilarities[:2].copy()
    vectors[0, :3] = vectors[1] = np.nan
    RDMSet(vectors, brain.stimulus_ids).save(tmp_path / "gaps.npz")
    code, text, _ = run(tmp_path / "gaps.npz", "--out", tmp_path / "again.npz", "--json")
    rows = json.loads(text)["rdms"]
    assert (code, rows[0]["n_missing"], rows[1]["n_missing"]) == (0, 3, 21)
    assert rows[1]["mean"] is None
    text = run(tmp_path / "gaps.npz", "--out", tmp_path / "again.npz", "--overwrite")[1]
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("RDM ")] == ["3", "21"]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("store", (), "say what the RDMs are of: --layer NAME or --all-layers"),
        ("table.csv", (), "is a stimulus table: say what the RDMs are of: --factor NAME"),
        ("store", ("--layer", "fc1"), "no layer 'fc1'. Did you mean 'fc'?"),
        ("store", ("--layer", "fc", "--all-layers"), "not both"),
        ("store", ("--layer", "fc", "--distance", "corr"), "--distance corr is not known"),
        ("store", ("--layer", "fc", "--distance", "crossnobis"), "needs runs"),
        ("store", ("--factor", "age"), "no factor 'age'"),
        ("table.csv", ("--layer", "fc"), "--layer goes with an activation store"),
        ("table.csv", ("--factor", "view"), "all 24 stimuli are the same in 'view'"),
        ("table.csv", ("--factor", "identity", "--distance", "cosine"), "--distance is between patterns"),
        ("table.csv", ("--factor", "identity", "--variable", "x"), "are for an RDM file"),
        ("table.csv", ("--weights", "AU01"), "must have the form NAME=COLUMN"),
        ("table.csv", ("--weights", "a=AU01", "--weights", "a=AU02"), "gives 'a' two values"),
        ("table.csv", ("--landmarks", "none.csv"), "does not exist"),
        ("none.npz", (), "does not exist"),
        ("nowhere/none", ("--layer", "fc"), "no such folder"),
        ("x.txt", (), "must end in one of"),
    ],
)
def test_what_makes_no_rdm_is_one_line_and_exit_code_two(
    run, store, tmp_path, monkeypatch, source, options, message
):
    monkeypatch.chdir(tmp_path)
    code, text, err = run(source, *options, "--out", "out.npz")
    assert (code, text, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "out.npz").exists()


def test_a_file_that_is_there_is_kept_unless_told(run, store, tmp_path):
    out = tmp_path / "layers.npz"
    out.write_text("mine", encoding="utf-8")
    code, _, err = run(store.path, "--layer", "fc", "--out", out)
    assert code == 2
    assert "already there; add --overwrite" in err
    assert out.read_text(encoding="utf-8") == "mine"
    assert run(store.path, "--layer", "fc", "--out", out, "--overwrite")[0] == 0
    assert (
        "is a folder"
        in run(store.path, "--layer", "fc", "--out", (tmp_path / "d.npz").mkdir() or tmp_path / "d.npz")[2]
    )
    assert "must end in one of" in run(store.path, "--layer", "fc", "--out", tmp_path / "x.txt")[2]


def test_a_network_must_be_extracted_first(run, tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.json").write_text("{}", encoding="utf-8")
    code, _, err = run(tmp_path / "net", "--layer", "fc", "--out", tmp_path / "x.npz")
    assert code == 2
    assert "is a network; extract its activations first: fernet-neuro extract" in err


def test_help_shows_examples(run):
    code, text, _ = run("--help")
    assert code == 0
    assert "fernet-neuro rdm 92_brainRDMs.mat --out brain.h5" in " ".join(text.replace("│", " ").split())
