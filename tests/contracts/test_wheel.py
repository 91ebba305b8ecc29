"""What is published works away from the checkout: an sdist, the wheel built of it, and the guide with it."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from fernet_neuro import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
#: Reads command lines and runs each as the console script does, in one process: torch is imported once.
SHELL = """
import shlex, sys
from pathlib import Path
import fernet_neuro
from fernet_neuro.cli.app import main
assert Path(fernet_neuro.__file__).is_relative_to(sys.prefix), fernet_neuro.__file__
for line in sys.stdin:
    sys.argv = shlex.split(line)
    try:
        main()
    except SystemExit as left:
        assert not left.code, line
"""
#: The guide's commands at a small size.
SMALLER = {
    "--identities 20 --expressions all --views 3 --sessions 2 --size 64":
        "--identities 10 --expressions anger,fear --views 2 --sessions 1 --size 32",
    "fernet-neuro probe": "fernet-neuro probe --permutations 9 --twins 2 --no-report",
}  # fmt: skip
DEMO = (
    "stimuli.identities=8", "stimuli.expressions=[anger,fear]", "stimuli.views=2", "stimuli.sessions=1",
    "stimuli.size=32", "probe_share=0.5", "beside=null", "brain=null", "compared=null",
    "networks={identity: {task: identification, model: resnet10-slim, model_options: {size: 32}, epochs: 1}}",
    "probes=[{target: expression, holdout: identity, permutations: 9, n_folds: 2, twins: 2}]",
)  # fmt: skip


def call(*command: object, folder: Path, text: str | None = None) -> str:
    """Run a command in `folder`, where no checkout is on the path, and return what it prints."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return a folder with an sdist and the wheel that was built of it."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", folder, folder=ROOT)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation")
    call(*pip, "--wheel-dir", folder, next(folder.glob("*.tar.gz")), folder=folder)
    return folder


@pytest.fixture(scope="module")
def programs(built) -> Path:
    """Return the folder of programs of an environment with the wheel, which borrows what it depends on."""
    place = built / "environment"
    venv.create(place, symlinks=True)
    names = {"base": str(place), "platbase": str(place)}
    libraries = Path(sysconfig.get_path("purelib", "venv", names))
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (libraries / "borrowed.pth").write_text("\n".join(borrowed))
    programs = Path(sysconfig.get_path("scripts", "venv", names))
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install", "--no-index", "--no-deps")
    call(*pip, "--force-reinstall", next(built.glob("*.whl")), folder=built)
    return programs


def list_package(names: list[str]) -> set[str]:
    """Return the names below ``fernet_neuro/``, wherever that lies."""
    return {name[name.index("fernet_neuro/") :] for name in names if "/fernet_neuro/" in f"/{name}"}


def test_sdist_and_wheel_hold_every_file_of_the_package_and_nothing_by_accident(built):
    files = [path for path in (ROOT / "fernet_neuro").rglob("*") if path.is_file()]
    package = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    wheel = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        sdist = archive.getnames()
    assert list_package(wheel) == list_package(sdist) == package
    assert {name.split("/")[0] for name in wheel} == {"fernet_neuro", f"fernet_neuro-{__version__}.dist-info"}
    top = {name.split("/")[1] for name in sdist if "/" in name}
    assert {"README.md", "LICENSE", "pyproject.toml", "Makefile", "tests", "docs", "notebooks"} <= top
    assert not {".venv", "demo", "shared", "dist", ".git", ".pytest_cache"} & top


def test_the_wheel_is_used_as_the_guide_says_in_its_first_ten_minutes(programs, tmp_path):
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").replace("\\\n", " ")
    section = guide.split("## The first ten minutes")[1].split("\n## ")[0]
    lines = re.findall(r"^fernet-neuro .*", section, re.MULTILINE)
    for old, new in SMALLER.items():
        lines = [re.sub(r" +", " ", line).replace(old, new) for line in lines]
    demo = " ".join(
        ["fernet-neuro run demo --out demo --quiet --jobs 1", *(f"--set '{change}'" for change in DEMO)]
    )
    printed = call(programs / "python", "-c", SHELL, folder=tmp_path, text="\n".join([demo, *lines]))
    assert "crpn/table3" in printed
    assert "builtin: 252 stimuli" in printed
    for made in ("demo/index.html", "my/sheet.png", "my/store/manifest.json", "my/identity/results.csv"):
        assert (tmp_path / made).is_file(), made
    assert (
        call(programs / "fernet-neuro", "--version", folder=tmp_path).strip() == f"fernet-neuro {__version__}"
    )
