"""The promises that the repository makes about itself: environment, imports, start-up."""

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.stimuli.rendering.factorial import render_faces

ROOT = Path(__file__).resolve().parents[2]
#: What takes long to load; a command loads of these what it uses.
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "matplotlib",
    "seaborn",
    "numba",
    "nilearn",
    "nibabel",
    "numpy",
    "pandas",
    "sklearn",
    "scipy",
    "umap",
    "openTSNE",
    "pynndescent",
    "rsatoolbox",
    "jinja2",
    "ipywidgets",
    "requests",
    "pooch",
}
TABLES = {"numpy", "pandas"}
FITS = TABLES | {"scipy", "numba"}
REPORT = {"matplotlib", "jinja2"}
#: By command, what of these it may load; those with a page, without that first.
ALLOWED = {
    "--help": set(),
    "models list": set(),
    "figures list": set(),
    "run --list": set(),
    "stimuli show {store}/../faces/table.csv": TABLES,
    "probe {store} --all-layers --folds 2 --permutations 19 --quiet --out {out}": FITS,
    "embed {store} --layer fc --permutations 19 --quiet --out {out}": FITS | {"sklearn", "openTSNE"},
    "rsa --models {store} --layer fc --brain {store}/../brain.npz --bootstrap 30 --permutations 19 --quiet "
    "--out {out}": FITS,
}
RUN = """
import json, sys
from fernet_neuro.cli.app import app

for words in {calls}:
    sys.argv = ["fernet-neuro", *words]
    try:
        app()
    except SystemExit as end:
        assert not end.code, end.code
    print()
    print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""


def _run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def _loaded_packages(statement: str) -> set[str]:
    code = (
        f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    return set(json.loads(_run_python(code).splitlines()[-1]))


def test_environment_file_is_generated_from_pyproject():
    spec = importlib.util.spec_from_file_location("make_environment", ROOT / "tools" / "make_environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == module.build_environment()


def test_start_up_loads_no_heavy_package():
    assert not _loaded_packages("import fernet_neuro, fernet_neuro.cli.app") & HEAVY


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    faces = render_faces(out=folder / "faces", identities=4, views=1, sessions=1, size=24)
    values = np.random.default_rng(0).normal(size=(len(faces), 6))
    write_store(folder / "store", faces, [Activations(values, faces.stimulus_ids, "fc")])
    subjects = pd.DataFrame({"subject": [f"s{number}" for number in range(5)]})
    pairs = len(faces) * (len(faces) - 1) // 2
    brain = np.random.default_rng(1).uniform(size=(5, pairs))
    RDMSet(brain, faces.stimulus_ids, subjects, distance="correlation").save(folder / "brain.npz")
    return folder / "store"


@pytest.mark.parametrize(
    "command",
    [pytest.param(text, marks=[pytest.mark.slow] * ("--permutations" in text)) for text in ALLOWED],
)
def test_a_command_loads_no_package_that_it_does_not_use(command, store, tmp_path):
    """One process runs the command without its page, and then with it."""
    out = tmp_path / "out"
    words = command.format(store=store, out=out).split()
    calls = [[*words, "--no-report"], [*words, "--overwrite"]] if "--out" in words else [words]
    printed = [line for line in _run_python(RUN.format(calls=calls)).splitlines() if line.startswith("[")]
    loaded = [set(json.loads(line)) & HEAVY for line in printed]
    assert len(loaded) == len(calls)
    assert loaded[0] <= ALLOWED[command]
    assert loaded[-1] <= ALLOWED[command] | (REPORT if "--out" in words else set())
    assert (out / "index.html").is_file() == ("--out" in words)


def test_loaded_packages_sees_a_heavy_import():
    assert "pandas" in _loaded_packages("import pandas")


def test_everything_after_the_activations_imports_without_torch():
    modules = ("stimuli.table", "stimuli.splits", "activations.store", "probes.evaluate", "stats.multiple",
               "figures.registry", "systems.transfer.diets.readouts")  # fmt: skip
    statement = "import " + ", ".join(f"fernet_neuro.{name}" for name in modules)
    assert "torch" not in _loaded_packages(statement)


def test_torchvision_is_loaded_where_it_is_used():
    """It loads torch's compiler, which takes as long as torch itself."""
    modules = ("experiments.run", "extraction.extract", "models.resolve", "training.fit")
    loaded = _loaded_packages("import " + ", ".join(f"fernet_neuro.{name}" for name in modules))
    assert "torch" in loaded
    assert "torchvision" not in loaded


def test_figures_of_every_system_are_read_and_drawn_without_torch():
    package = ROOT / "fernet_neuro"
    files = [*package.glob("figures/*.py"), *package.glob("systems/*/figures/*.py")]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    loaded = _loaded_packages("\n".join(f"import {name}" for name in modules))
    assert loaded & HEAVY == {"matplotlib", "numpy", "pandas", "scipy", "numba"}


def test_help_is_printed_in_a_few_times_of_what_typer_takes():
    """On a quiet machine that is under half a second; on a busy one both take longer."""
    command = [str(Path(sys.executable).with_name("fernet-neuro")), "--help"]
    environment = {**os.environ, "COLUMNS": "100"}
    durations: dict[str, list[float]] = {"help": [], "typer": []}
    for _ in range(5):
        for name, asked in (("help", command), ("typer", [sys.executable, "-c", "import typer.main"])):
            start = time.perf_counter()
            done = subprocess.run(
                asked, capture_output=True, text=True, check=True, env=environment, timeout=60
            )
            durations[name].append(time.perf_counter() - start)
            if name == "help":
                for verb in ("stimuli", "models", "cost", "train", "extract", "probe", "figures", "run"):
                    assert verb in done.stdout
    assert min(durations["help"]) < 7 * min(durations["typer"])


def test_everything_that_is_imported_is_a_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(text for name in extras if name != "dev" for text in extras[name])]
    known = {re.split(r"[^\w.-]", text)[0].lower().replace("_", "-") for text in wanted}
    imported = set()
    for path in (ROOT / "fernet_neuro").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    outside = imported - set(sys.stdlib_module_names) - {"fernet_neuro", ""}
    owners = importlib.metadata.packages_distributions()
    unknown = {
        name for name in outside
        if not {owner.lower().replace("_", "-") for owner in owners.get(name, [name])} & known
    }  # fmt: skip
    assert len(outside) > 15
    assert unknown == set()
