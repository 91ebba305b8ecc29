"""`info` tells the truth about this installation."""

import json
from importlib import metadata
from pathlib import Path

import torch

from fernet_neuro._utils.shipped import list_recipes
from fernet_neuro.cli import info as module


def test_info_tells_versions_devices_folders_and_what_is_missing(run, monkeypatch, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a.npy").write_bytes(bytes(3_000_000))
    monkeypatch.setenv("FERNET_NEURO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FERNET_NEURO_DATA", str(tmp_path))
    monkeypatch.setattr(module, "_is_installed", lambda name: name != "timm")
    code, said, _ = run("info", "--json")
    found = json.loads(said)
    assert code == 0
    assert found["versions"]["numpy"] == metadata.version("numpy")
    assert found["versions"]["torch"] == metadata.version("torch")
    assert found["devices"][0] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["recipes"] == list(list_recipes())
    assert all(Path(path).is_file() for path in found["stimuli"].values())
    sizes = {item["path"]: item["megabytes"] for item in found["folders"]}
    assert sizes[str(tmp_path / "cache")] == 3
    assert sizes[str(tmp_path)] is None
    assert [item["install"] for item in found["missing"]] == ['pip install "fernet-neuro[zoo]"']
    code, said, _ = run("info")
    assert code == 0
    assert said.startswith(f"fernet-neuro: {found['version']}, in ")
    assert (
        'Not installed: timm (networks of timm, as timm:NAME); install with: pip install "fernet-neuro[zoo]"'
        in said
    )


def test_a_package_is_installed_or_not():
    assert module._is_installed("numpy")
    assert not module._is_installed("no-such-package-here")
