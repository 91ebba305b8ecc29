import subprocess
import sys

import pytest

from fernet_neuro._utils.locks import holding
from fernet_neuro.exceptions import StoreError

OTHER = """
import sys, time
from pathlib import Path
from fernet_neuro._utils.locks import holding
with holding(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_one_process_at_a_time_until_it_ends_however_that_ends(tmp_path):
    folder = tmp_path / "run"
    other = subprocess.Popen([sys.executable, "-c", OTHER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match=r"another process is training in .*run"),
            holding(folder, "training"),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with holding(folder, "training"):
        assert list(folder.iterdir()) == []  # nothing is left behind


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(KeyError), holding(tmp_path, "training"):
        raise KeyError
    with holding(tmp_path, "training"):
        pass
