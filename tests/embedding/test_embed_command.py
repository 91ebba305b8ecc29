import json
from functools import partial
from pathlib import Path

import pytest

from fernet_neuro.activations.store import write_store
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

NETWORK = """
import fernet_neuro as fn
from torch import nn

def build(size):
    pool = nn.AdaptiveAvgPool2d(2)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(20, 7))
    return fn.load_model(net, size=size, channels="rgb", mean=0.5, std=0.5)
"""
OPTIONS = ("--layer", "emotion", "--permutations", 19)


@pytest.fixture
def run(run):
    """The command without its page; ``run.func`` takes any."""
    return partial(run, "embed", "--no-report")


@pytest.fixture(scope="module")
def store(emotion_layers, tmp_path_factory):
    table, layers = emotion_layers
    return write_store(tmp_path_factory.mktemp("stores") / "two", table, layers)


def test_a_store_becomes_maps_a_table_and_a_figure(run, store, tmp_path):
    out = tmp_path / "maps"
    words = (*OPTIONS, "--layer", "non_emotion", "--perplexity", 7, "--out", out)
    code, text, err = run.func("embed", store.path, *words)
    assert code == 0, err
    assert sorted(path.name for path in out.iterdir()) == [
        "coordinates.csv", "figures", "index.html", "quality.csv", "settings.json",
    ]  # fmt: skip
    assert (out / "figures" / "embedding-maps.png").is_file()
    code, _, err = run(store.path, *OPTIONS, "--overwrite", "--out", tmp_path / "bare")
    assert code == 0, err
    assert not (tmp_path / "bare" / "index.html").exists()
    rows = [line.split() for line in text.splitlines() if line.startswith(("emotion", "non_emotion"))]
    assert len(rows) == 2 * 2 * 4
    assert "identity: neighbours show another expression" in text
    assert "Trustworthiness of the maps: emotion (7)" in text
    assert EmbeddingResult.load(out).settings["perplexities"] == [7.0]


def test_json_is_settings_and_quality_and_nothing_else(run, store, tmp_path):
    out = tmp_path / "maps"
    code, text, err = run(store.path, *OPTIONS, "--color-by", "expression", "--out", out, "--json")
    assert (code, err) == (0, "")
    report = json.loads(text)
    result = EmbeddingResult.load(out)
    assert report["settings"] == result.settings
    assert [row["value"] for row in report["quality"]] == result.quality["value"].tolist()
    assert report["quality"][0]["perplexity"] is None
    assert {row["factor"] for row in report["quality"]} == {"expression", ""}


def test_the_same_command_gives_the_same_files(run, store, tmp_path):
    for name in "ab":
        assert run(store.path, *OPTIONS, "--seed", 5, "--out", tmp_path / name)[0] == 0
    for path in filter(Path.is_file, (tmp_path / "a").rglob("*")):
        again = (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
        # The page names its folder.
        assert path.read_bytes() == again.replace(bytes(tmp_path / "b"), bytes(tmp_path / "a")), path.name


def test_a_network_is_extracted_first(run, noise_table, tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    arguments = [f"{tmp_path / 'net.py'}:build", "--stimuli", tmp_path / "table.csv", "--layer", 4]
    arguments += ["--size", 16, "--permutations", 9, "--out", tmp_path / "maps"]
    code, _, err = run(*arguments)
    assert code == 0, err
    assert (tmp_path / "maps" / "store" / "manifest.json").is_file()
    assert EmbeddingResult.load(tmp_path / "maps").settings["perplexities"] == [7.0]


def test_people_whom_the_network_was_trained_on_are_counted(run, noise_table, tmp_path):
    settings = TrainSettings(
        task="identification",
        model="resnet10-slim",
        model_options={"size": 16},
        epochs=1,
        batch_size=18,
        val_share=0,
    )
    trained = tmp_path / "trained"
    fit(settings, trained, table=noise_table.select(identity=["id0", "id3"]), device="cpu")
    arguments = ("--stimuli", tmp_path / "table.csv", "--layer", "fc", "--permutations", 0)
    code, text, err = run(trained, *arguments, "--out", tmp_path / "maps")
    assert code == 0, err
    assert f"2 of 4 people were trained on in {trained}" in text
    counts = {str(trained): {"n_trained": 2, "n_people": 4}}
    assert EmbeddingResult.load(tmp_path / "maps").settings["trained_people"] == counts


def test_finished_maps_are_not_overwritten_unasked(run, store, tmp_path):
    arguments = (store.path, *OPTIONS, "--out", tmp_path / "maps")
    assert run(*arguments)[0] == 0
    code, _, err = run(*arguments)
    assert code == 2
    assert "already holds settings.json; add --overwrite" in err
    assert run(*arguments, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name layers with --layer NAME"),
        (("--layer", "emotions"), "has no layer 'emotions'. Did you mean 'emotion'?"),
        (("--layer", "emotion", "--perplexity", "19"), "tsne takes 2 to 18 here"),
        (("--layer", "emotion", "--perplexity", "5", "--perplexity", "5"), "--perplexity 5 is given twice"),
        (("--layer", "emotion", "--method", "umapp"), "Did you mean 'umap'?"),
        (("--layer", "emotion", "--color-by", "expressions"), "Did you mean 'expression'?"),
        (("--layer", "emotion", "--color-by", "view"), "the table has only 'view0'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(run, store, tmp_path, arguments, message):
    code, _, err = run(store.path, *arguments, "--out", tmp_path / "maps")
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "maps").exists()


def test_a_network_needs_stimuli_and_is_checked_before_it_runs(run, noise_table, tmp_path):
    code, _, err = run("resnet10-slim", "--layer", "layer4", "--out", tmp_path / "maps")
    assert (code, "(--stimuli TABLE)" in err) == (2, True)
    arguments = ("resnet10-slim", "--stimuli", tmp_path / "table.csv", "--layer", "layer4")
    code, _, err = run(*arguments, "--perplexity", 8, "--out", tmp_path / "maps")
    assert (code, "--perplexity 8 does not fit 24 stimuli" in err) == (2, True)
    code, _, err = run("nowhere/store", "--layer", "layer4", "--out", tmp_path / "maps")
    assert (code, "no such folder" in err) == (2, True)
    assert not (tmp_path / "maps").exists()


def test_a_file_is_no_folder_for_maps(run, store, tmp_path):
    (tmp_path / "maps").write_text("")
    code, _, err = run(store.path, *OPTIONS, "--out", tmp_path / "maps")
    assert (code, "is a file; name a folder" in err) == (2, True)
