import hashlib

import numpy as np
import pytest
from PIL import Image

from fernet_neuro._utils.config import read_settings
from fernet_neuro._utils.shipped import PACKAGE
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.shipped import SETS
from fernet_neuro.stimuli.table import StimulusTable

FOLDER = PACKAGE / "stimuli" / "shipped"


def read_picture(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def check_same_pictures(table, again):
    """Same pixels; where the last bit of a float differs between machines, all but a few per mille."""
    assert again.stimulus_ids.tolist() == table.stimulus_ids.tolist()
    for one, other in zip(table.paths(), again.paths(), strict=True):
        difference = np.abs(read_picture(one) - read_picture(other)).max(axis=2)
        assert (difference > 2).mean() < 0.005, one.name


@pytest.mark.parametrize("name", SETS)
def test_shipped_sets_are_complete_and_unchanged(name):
    table = StimulusTable.read(name)
    assert len(table) == 12 * 7 * 3
    cells = set(zip(*(table.factor(f) for f in ("identity", "expression", "view")), strict=True))
    assert len(cells) == 252
    assert table.image_digests == tuple(table.factor("digest"))
    assert read_picture(table.paths()[0]).shape == (128, 128, 3)
    sums = (FOLDER / name / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ", 1)) for line in sums)
    files = [path for path in (FOLDER / name).rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    assert set(listed) == {path.relative_to(FOLDER / name).as_posix() for path in files}
    for path in files:
        expected = listed[path.relative_to(FOLDER / name).as_posix()]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == expected


@pytest.mark.parametrize("name", SETS)
def test_shipped_sets_name_source_licence_and_command(name):
    readme = (FOLDER / name / "README.md").read_text()
    assert "fernet-neuro stimuli render --identities 12" in readme
    assert "Licence" in readme
    licence = (FOLDER / name / "LICENSE").read_text()
    assert ("Permission is hereby granted" in licence) if name.startswith("ict") else ("CC0" in licence)
    if name.startswith("ict"):
        assert "Copyright (c) 2020 USC Institute for Creative Technologies" in licence
        assert "Learning Formation of Physically-Based Face Attributes" in readme


def test_both_sets_together_stay_below_five_megabytes():
    total = sum(path.stat().st_size for name in SETS for path in (FOLDER / name).rglob("*") if path.is_file())
    assert total <= 5e6


@pytest.mark.slow
def test_rendering_again_finds_the_shipped_pictures(tmp_path):
    source = FOLDER / "builtin"
    settings = read_settings(RenderSettings, source / "settings.yaml")
    again = render_faces(settings, tmp_path / "again", n_jobs=2)
    check_same_pictures(StimulusTable.read(source), again)


def test_another_seed_is_told_apart_from_the_shipped_pictures(tmp_path):
    source = FOLDER / "builtin"
    settings = read_settings(RenderSettings, source / "settings.yaml", ["seed=1", "identities=1"])
    table = StimulusTable.read(source).select(identity="id000")
    with pytest.raises(AssertionError, match=r"id000_anger_A_half_left\.png"):
        check_same_pictures(table, render_faces(settings, tmp_path / "other"))


@pytest.mark.slow
@pytest.mark.realdata
def test_rendering_again_finds_the_shipped_ict_pictures(tmp_path, data_root):
    source = FOLDER / "ict"
    model = data_root / "ict_facekit" / "ict_face_light.npz"
    settings = read_settings(
        RenderSettings, source / "settings.yaml", [f"face_model={model}", "identities=3"]
    )
    again = render_faces(settings, tmp_path / "again", n_jobs=2)
    table = StimulusTable.read(source).select(identity=["id000", "id001", "id002"])
    check_same_pictures(table, again)
