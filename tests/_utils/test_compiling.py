import os
import subprocess
import sys

from fernet_neuro._utils.compiling import can_write, needs_place

SHOW = "import os; from fernet_neuro._utils.compiling import njit; print(os.environ['NUMBA_CACHE_DIR'])"


def test_nothing_can_be_written_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert can_write(tmp_path / "new" / "folder")
    assert not can_write(tmp_path / "file" / "folder")


def test_a_place_is_needed_where_neither_installation_nor_home_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    closed = tmp_path / "file" / "x"
    assert needs_place(closed, {"HOME": str(closed)})
    assert not needs_place(closed, {"HOME": str(tmp_path)})
    assert not needs_place(closed, {"HOME": str(closed), "XDG_CACHE_HOME": str(tmp_path)})
    assert not needs_place(tmp_path, {"HOME": str(closed)})
    assert not needs_place(closed, {"HOME": str(closed), "NUMBA_CACHE_DIR": "/anywhere"})


def test_a_place_that_was_chosen_is_kept(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "mine")}
    told = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True)
    assert told.stdout.strip() == str(tmp_path / "mine"), told.stderr
