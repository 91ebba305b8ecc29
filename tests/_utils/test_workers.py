"""Workers of a process that is killed do not go on without it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from joblib import delayed, parallel_config, register_parallel_backend
from joblib.parallel import BACKENDS, ThreadingBackend, get_active_backend

from fernet_neuro._utils.workers import in_processes, using_backend
from fernet_neuro.exceptions import FernetError

_SLEEPERS = """
import sys, time
from joblib import delayed
from fernet_neuro._utils.workers import in_processes

def sleep(folder, number):
    import os, pathlib
    pathlib.Path(folder, f"{number}.pid").write_text(str(os.getpid()))
    time.sleep(300)

in_processes(2)(delayed(sleep)(sys.argv[1], number) for number in range(2))
"""


def _wait_for(what, seconds=90):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is not of this system")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "sleepers.py"
    script.write_text(_SLEEPERS)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    _wait_for(lambda: len([path for path in tmp_path.glob("*.pid") if path.read_text()]) == 2)
    workers = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    assert parent.pid not in workers
    assert all(psutil.pid_exists(worker) for worker in workers)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    _wait_for(lambda: not any(psutil.pid_exists(worker) for worker in workers), seconds=30)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_order(n_jobs):
    assert in_processes(n_jobs)(delayed(pow)(number, 2) for number in range(5)) == [0, 1, 4, 9, 16]


class _Counting(ThreadingBackend):
    """A backend of somebody else's, that counts what it is given."""

    given = 0

    def submit(self, *args, **options):
        type(self).given += 1
        return super().submit(*args, **options)


def test_a_backend_that_the_user_chose_does_the_work():
    register_parallel_backend("counting", _Counting)
    with parallel_config("counting"):
        assert in_processes(2)(delayed(abs)(number) for number in (-3, 4)) == [3, 4]
    assert _Counting.given > 0
    del BACKENDS["counting"]


def test_workers_go_along_to_another_working_folder(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found = in_processes(2)(delayed(Path.cwd)() for _ in range(4))
        assert set(found) == {(tmp_path / name).resolve()}


def find_process(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "is_here"), [("threading", True), ("loky", False), ("dask", False)])
def test_loops_are_done_by_the_backend_that_is_asked_for(backend, is_here):
    with using_backend(backend):
        active = get_active_backend()[0]
        found = in_processes(2)(delayed(find_process)(number) for number in range(4))
    assert backend in type(active).__name__.lower()
    assert (set(found) == {os.getpid()}) is is_here
    assert get_active_backend()[0] is not active


@pytest.mark.parametrize(
    ("backend", "error", "message"),
    [
        ("dsk", ValueError, "Did you mean 'dask'"),
        ("loky=tcp://there:1", ValueError, "only dask has an address; give backend='loky'"),
        ("dask=tcp://127.0.0.1:1", FernetError, "no scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_a_backend_that_is_not_there(backend, error, message, monkeypatch):
    monkeypatch.setattr("fernet_neuro._utils.workers._PATIENCE", "1s")
    with pytest.raises(error, match=message), using_backend(backend):
        pass
