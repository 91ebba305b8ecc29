"""Trained networks that come with a system: put there by the script, and used by name like any run."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

import fernet_neuro as fn
from fernet_neuro import catalogue
from fernet_neuro._utils.shipped import find_trained, list_trained
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.predictions import read_classes
from fernet_neuro.models.registry import build_model, make_example
from fernet_neuro.models.weights import load_model, read_weight_digest, save_model
from fernet_neuro.training.folder import RunFolder, find_run

ROOT = Path(__file__).resolve().parents[2]
NAME = "tiny-rendered"
RECIPE = {
    "task": "expression", "model": "resnet10-slim", "model_options": {"size": 16}, "epochs": 2,
    "batch_size": 21, "val_share": 0.3, "keep": "best",
}  # fmt: skip
MEASURED = "stimuli,score,value,low,high,chance_level,n\nphotographs,accuracy,0.61,0.52,0.7,0.5,140\n"
SYSTEM = """
from fernet_neuro.catalogue import System

SYSTEM = System("shipping", "ships a network", licence="BSD-3-Clause", trained="shipping_system")
OTHER = System("other", "ships it too", licence="BSD-3-Clause", trained="shipping_system")
"""
LEARNT = "21 rendered faces of 3 people"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> fn.StimulusTable:
    out = tmp_path_factory.mktemp("faces") / "set"
    return fn.render_faces(identities=3, views=1, sessions=1, size=32, out=out)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ship_network", ROOT / "tools" / "ship_network.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, faces: fn.StimulusTable, script: ModuleType
) -> Iterator[Path]:
    """Train a network, put it into a system of its own, and return the folder that holds run and package."""
    folder = tmp_path_factory.mktemp("shipping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERNET_NEURO_CACHE", str(folder / "cache"))
        fn.train(RECIPE, folder / "run", table=faces)
        (folder / "shipping_system").mkdir()
        (folder / "shipping_system" / "__init__.py").write_text(SYSTEM)
        (folder / "measured.csv").write_text(MEASURED)
        patch.syspath_prepend(str(folder))
        bring(patch, "SYSTEM")
        script.ship(folder / "run", NAME, folder / "measured.csv", LEARNT, system="shipping")
        yield folder
    sys.modules.pop("shipping_system", None)
    catalogue.clear()


def bring(patch: pytest.MonkeyPatch, *attributes: str) -> None:
    """Let the package announce these of its systems."""
    points = [EntryPoint(name, f"shipping_system:{name}", catalogue.GROUP) for name in attributes]
    patch.setattr(catalogue, "entry_points", lambda group: points)
    catalogue.clear()


@pytest.fixture
def shipped(place: Path) -> Path:
    return place / "shipping_system" / "trained" / NAME


def test_only_what_is_needed_is_shipped(shipped: Path) -> None:
    files = {path.relative_to(shipped).as_posix() for path in shipped.rglob("*") if path.is_file()}
    assert files == {"recipe.yaml", "record.json", "model/model.json", "model/model.safetensors"}
    assert RunFolder(shipped).find_state() == "complete"


def test_nothing_of_the_machine_is_shipped(place: Path, shipped: Path, faces: fn.StimulusTable) -> None:
    for path in shipped.rglob("*.*"):
        if path.is_file():
            assert str(place).encode() not in path.read_bytes()
            assert str(faces.root).encode() not in path.read_bytes()


def test_weights_are_those_of_the_run_rounded_to_16_bits(place: Path, shipped: Path) -> None:
    weights = load_model(place / "run").module.state_dict()
    for name, tensor in fn.load_model(NAME).module.state_dict().items():
        assert torch.equal(tensor, weights[name].half().to(tensor.dtype)), name
    sizes = [(folder / "model" / "model.safetensors").stat().st_size for folder in (place / "run", shipped)]
    assert sizes[1] < 0.52 * sizes[0]


def test_the_card_says_where_it_comes_from_and_how_well_it_does(shipped: Path) -> None:
    card = fn.load_model(NAME).card
    assert card.licence == "BSD-3-Clause"
    assert card.training_data.startswith(f"{LEARNT}; expression on ")
    assert card.training_data.endswith("seed 0")
    assert re.search(
        r"change probabilities of the 252 builtin faces by at most [\d.e-]+, and \d+ answers", card.source
    )
    assert card.measured == [
        {"stimuli": "photographs", "score": "accuracy", "value": 0.61, "low": 0.52, "high": 0.7,
         "chance_level": 0.5, "n": 140}
    ]  # fmt: skip


def test_it_is_a_run_by_its_name(shipped: Path) -> None:
    assert list_trained()[NAME] == shipped
    found = find_run(NAME)
    assert found == RunFolder(shipped)
    assert read_classes(NAME) == tuple(found.read_record()["task"]["classes"])
    assert found.read_record()["digests"]["weights"] == fn.load_model(NAME).weight_digest()


def test_its_twin_has_the_same_layers_and_nothing_learnt(faces: fn.StimulusTable) -> None:
    report = fn.probe(NAME, faces, layers=["layer4"], n_folds=3, n_permutations=9)
    assert set(report.frame["source"]) == {"network", "pixels", "untrained"}
    assert report.settings["trained_people"][NAME]["n_people"] == 3


def test_it_is_tested_like_a_run_and_knows_its_people(faces: fn.StimulusTable) -> None:
    with pytest.raises(StimulusError, match=f"trained on in {NAME}"):
        fn.evaluate(NAME, faces[::2], n_boot=10)
    others = fn.render_faces(identities=2, first_identity=50, views=1, sessions=1, size=32)
    report = fn.evaluate(NAME, others, n_boot=10)
    assert set(report.frame["epoch"]) == {"last"}


def test_another_network_can_start_from_it(tmp_path: Path, faces: fn.StimulusTable) -> None:
    recipe = {**RECIPE, "epochs": 1, "keep": "last", "lr": 1e-9, "weights": NAME}
    model = fn.train(recipe, tmp_path / "run", table=faces)
    start = next(fn.load_model(NAME).module.parameters())
    torch.testing.assert_close(next(model.module.parameters()), start, atol=1e-6, rtol=0)
    assert f"from weights {NAME}" in model.card.training_data


def test_commands_list_and_show_it(run) -> None:
    code, out, err = run("models", "list")
    assert code == 0, err
    assert f"{NAME:<19} resnet10-slim, " in out
    assert "photographs, accuracy: 0.610 [0.520, 0.700], chance 0.500, n 140" in out
    listed = json.loads(run("models", "list", "--json")[1])[-1]
    assert listed["name"] == NAME
    assert 0.1 < listed["megabytes"] < 12
    assert "measured:       photographs, accuracy: 0.610" in run("models", "show", NAME)[1]
    assert run("cost", NAME, "--size", 32)[0] == 0
    code, _, err = run("models", "show", NAME, "--size", 32)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "takes no options" in err


def test_two_networks_of_one_name_are_refused(run, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        bring(patch, "SYSTEM", "OTHER")
        with pytest.raises(
            ValueError, match=f"system 'other' brings a trained network '{NAME}', and there is"
        ):
            find_trained(NAME)
        code, out, _ = run("info")
        assert (code, "PROBLEM: system 'other' brings" in out) == (0, True)
    catalogue.clear()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": "stimuli,score,value\na,b,1\n"}, "missing: .'chance_level'"),
        ({"accuracy": "stimuli,score,value,chance_level\n"}, "must have rows"),
        ({"system": "crpn"}, "system 'crpn' ships no networks"),
        ({"learnt_from": "faces in /home/me/faces"}, "names a place on this machine"),
        ({"LARGEST": 1000}, "may take 1,000 bytes together; got"),
    ],
)
def test_what_is_not_fit_to_be_shipped_changes_nothing(
    place, shipped, script, monkeypatch, tmp_path, changes, message
):
    before = {path: path.stat().st_mtime_ns for path in shipped.rglob("*")}
    given = SimpleNamespace(**{"accuracy": MEASURED, "system": "shipping", "learnt_from": LEARNT} | changes)
    monkeypatch.setattr(script, "LARGEST", changes.get("LARGEST", script.LARGEST))
    (tmp_path / "measured.csv").write_text(given.accuracy)
    with pytest.raises(ValueError, match=message):
        script.ship(place / "run", NAME, tmp_path / "measured.csv", given.learnt_from, system=given.system)
    assert {path: path.stat().st_mtime_ns for path in shipped.rglob("*")} == before


@torch.no_grad()
def test_half_precision_stores_the_network_that_is_left_in_memory(tmp_path: Path) -> None:
    model = build_model("resnet10-slim", n_classes=5, size=16, seed=3)
    exact = model.module(torch.ones_like(make_example(model.card.preprocessing))).numpy()
    save_model(model, tmp_path / "half", half=True)
    found = load_model(tmp_path / "half")
    assert found.weight_digest() == model.weight_digest() == read_weight_digest(tmp_path / "half")
    rounded = found.module(torch.ones_like(make_example(model.card.preprocessing))).numpy()
    np.testing.assert_allclose(rounded, exact, atol=5e-3)
    assert not np.array_equal(rounded, exact)


def test_a_weight_too_large_for_16_bits_is_refused(tmp_path: Path) -> None:
    model = build_model("resnet10-slim", n_classes=5, size=16)
    next(model.module.buffers()).fill_(1e6)
    with pytest.raises(ValueError, match="too large for 16 bits; save it with half=False"):
        save_model(model, tmp_path / "half", half=True)
    assert not (tmp_path / "half").exists()
