"""Fixtures that every test may use; shapes never repeat a number, so that a swapped axis fails."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.cli.app import main
from fernet_neuro.stimuli.table import StimulusTable


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200501)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give each test an empty cache, so that no store of another test is found."""
    monkeypatch.setenv("FERNET_NEURO_CACHE", str(tmp_path / ".cache"))


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that calls ``fernet-neuro`` and gives exit code, output and errors.

    Tests of one command override it with ``partial(run, "rsa")``.
    """

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fernet-neuro", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets; tests that use it carry the marker ``realdata``."""
    root = os.environ.get("FERNET_NEURO_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("set FERNET_NEURO_DATA to the folder with the real data sets")
    return Path(root).resolve()


@pytest.fixture
def noise_table(tmp_path: Path, rng: np.random.Generator) -> StimulusTable:
    """24 noise images (20 x 18 px) of 4 identities x 3 expressions x 2 sessions, one view."""
    rows = []
    for identity in range(4):
        for expression in ("anger", "happiness", "neutral"):
            for session in "AB":
                name = f"id{identity}_{expression}_{session}"
                pixels = rng.integers(0, 256, (20, 18, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"{name}.png")
                rows.append(
                    {
                        "stimulus_id": name,
                        "path": f"{name}.png",
                        "identity": f"id{identity}",
                        "expression": expression,
                        "view": "straight",
                        "session": session,
                    }
                )
    table = StimulusTable.from_frame(pd.DataFrame(rows), root=tmp_path)
    table.write(tmp_path / "table.csv")
    return table
