"""Fixtures that every test may use; shapes never repeat a number, so that a swapped axis fails."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fontTools.subset import Options
from PIL import Image

from fernet_neuro.cli.app import main
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.viz.style import RC_PARAMS


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200501)


@pytest.fixture(scope="module", autouse=True)
def _quick_collection() -> None:
    """Leave what lives as long as the process out of garbage collection, which each training asks for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, _caches: Iterator[Path]) -> None:
    """Give each test an empty cache, so that no store of another test is found; made by who writes to it."""
    monkeypatch.setenv("FERNET_NEURO_CACHE", str(next(_caches)))


def cheapen_fonts(patch: pytest.MonkeyPatch) -> None:
    """Write fonts without what no PDF reads."""
    kept_out = [*Options._drop_tables_default, "GDEF", "GPOS", "GSUB", "MATH"]
    patch.setattr(Options, "_drop_tables_default", kept_out)


@pytest.fixture(scope="session", autouse=True)
def _cheap_fonts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cheapen_fonts(patch)
        yield


@pytest.fixture(scope="module", autouse=True)
def _cheap_pictures() -> Iterator[None]:
    """Write figures in few pixels; tests of figures have them whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RC_PARAMS, "savefig.dpi", 100)
        yield


@pytest.fixture(scope="session")
def run() -> Callable[..., tuple[int, str, str]]:
    """Return a function that calls ``fernet-neuro`` and gives exit code, output and errors.

    Tests of one command override it with ``partial(run, "rsa")``.
    """

    def call(*arguments: object) -> tuple[int, str, str]:
        out, err = (TextIOWrapper(BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["fernet-neuro", *map(str, arguments)])
            code = _run_main(err)
        return code, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err))

    return call


def _run_main(err: TextIOWrapper) -> int:
    """Return the exit code; another exception tells what was said until then."""
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    except BaseException as error:
        error.add_note(err.buffer.getvalue().decode("utf-8"))
        raise
    raise AssertionError("the command did not exit")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets; tests that use it carry the marker ``realdata``."""
    root = os.environ.get("FERNET_NEURO_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("set FERNET_NEURO_DATA to the folder with the real data sets")
    return Path(root).resolve()


@pytest.fixture(scope="session")
def make_noise_table() -> Callable[[Path, np.random.Generator], StimulusTable]:
    """Return a function that writes `noise_table` into a folder."""
    return _write_noise_table


@pytest.fixture
def noise_table(tmp_path: Path, rng: np.random.Generator) -> StimulusTable:
    """24 noise images (20 x 18 px) of 4 identities x 3 expressions x 2 sessions, one view."""
    return _write_noise_table(tmp_path, rng)


def _write_noise_table(folder: Path, rng: np.random.Generator) -> StimulusTable:
    rows = []
    for identity in range(4):
        for expression in ("anger", "happiness", "neutral"):
            for session in "AB":
                name = f"id{identity}_{expression}_{session}"
                pixels = rng.integers(0, 256, (20, 18, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}.png")
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
    table = StimulusTable.from_frame(pd.DataFrame(rows), root=folder)
    table.write(folder / "table.csv")
    return table
