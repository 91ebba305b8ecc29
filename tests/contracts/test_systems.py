"""What every published system promises, the built-in ones and one that another package brings."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest
import torch

from fernet_neuro import catalogue
from fernet_neuro._utils.config import Settings, read_recipe, read_settings
from fernet_neuro._utils.shipped import list_recipes
from fernet_neuro.catalogue import KINDS, System, list_systems, load
from fernet_neuro.experiments.recipes import EXPERIMENTS
from fernet_neuro.figures.registry import FIGURES
from fernet_neuro.models.entry import MODELS, PUBLISHED
from fernet_neuro.models.registry import build_model, make_example
from fernet_neuro.training.config import TASKS, TrainSettings

LAB = Path(__file__).with_name("lab_system")
NAMES = ("general", "transfer", "crpn", "lfnsb", "text_guided", "zoo", "lab")
#: Options that make the large networks quick to build.
SMALL = {
    "crpn-conceptual": {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 32}
}
SMALL |= {"crpn-perceptual": {"trunk": "resnet10-slim", "size": 32}}
SMALL |= {
    name: {"size": 32, "n_classes": 5} for name in ("resnet18", "resnet50", "resnet50-vggface2", "swin_t")
}
SMALL |= {name: {"size": 32} for name in ("e2n-resnet18", "e2n-swin_t", "e2n-vit_b_16")}


@pytest.fixture(scope="module", autouse=True)
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build the lab's wheel, and put what is in it where packages are found."""
    place = tmp_path_factory.mktemp("lab")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--wheel-dir", str(place), str(LAB)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    with zipfile.ZipFile(next(place.glob("*.whl"))) as wheel:
        wheel.extractall(place / "site")
    (place / "site" / "tests_that_fail").mkdir()
    (place / "site" / "tests_that_fail" / "system.py").write_text("SYSTEM = NET = 1 / 0\n", encoding="utf-8")
    sys.path.insert(0, str(place / "site"))
    catalogue.clear()
    yield place / "site"
    sys.path.remove(str(place / "site"))
    catalogue.clear()


@pytest.fixture(params=NAMES)
def system(request: pytest.FixtureRequest) -> System:
    return list_systems()[request.param]


def test_all_systems_are_here() -> None:
    assert tuple(list_systems()) == NAMES


def test_a_lab_needs_five_small_files_at_most() -> None:
    files = [path for path in LAB.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) <= 5
    assert all(len(path.read_text(encoding="utf-8").splitlines()) < 100 for path in files)


def test_a_system_says_where_it_comes_from(system: System) -> None:
    assert system.title
    assert system.licence
    assert system.paper or system.name == "general"


@pytest.mark.slow
@torch.no_grad()
def test_its_networks_answer_under_their_names(system: System) -> None:
    for name in system.networks:
        model = build_model(name, **SMALL.get(name, {}))
        assert model.card.name == name
        assert MODELS[name].licence
        assert torch.isfinite(model.module(make_example(model.card.preprocessing))).all()


def test_its_published_weights_say_what_they_are(system: System) -> None:
    for name in system.weights:
        entry = PUBLISHED[name]
        assert entry.files
        assert all((entry.learnt, entry.licence, entry.citation, entry.input, entry.page))
        assert all(file.sha256 and file.size for file in entry.files) or not entry.address
        assert name not in MODELS


def test_its_tasks_bring_their_settings(system: System) -> None:
    for name in system.tasks:
        entry = TASKS[name]
        assert callable(load(entry.make))
        assert bool(entry.section) == (entry.settings is not None)
        for key in (*entry.settings.weight_keys, *entry.settings.location_keys) if entry.settings else ():
            assert key in entry.settings.model_fields
        for key in entry.settings.refused if entry.settings else ():
            assert key in TrainSettings.model_fields


def test_its_figures_have_the_names_they_go_by(system: System) -> None:
    assert [FIGURES[name].name for name in system.figures] == list(system.figures)


def test_its_experiments_have_settings_that_know_their_name(system: System) -> None:
    for name in system.experiments:
        settings = EXPERIMENTS[name].settings
        assert issubclass(settings, Settings)
        assert settings.model_fields["experiment"].default == name


def test_its_page_sections_can_be_imported(system: System) -> None:
    assert all(callable(load(place)) for place in system.sections.values())


def test_every_recipe_that_comes_with_a_system_can_be_read() -> None:
    recipes = list_recipes()
    assert "lab/table" in recipes
    bases = {
        (path.parent / base).resolve()
        for path in recipes.values()
        for base in re.findall(r"base: ([\w./]+)", path.read_text(encoding="utf-8"))
    }
    for name, path in recipes.items():
        if path.resolve() in bases:
            continue
        values = read_recipe(path)
        kind = EXPERIMENTS[values["experiment"]].settings if "experiment" in values else TrainSettings
        assert read_settings(kind, path), name


@pytest.mark.parametrize("name", ["transfer", "crpn", "lfnsb", "text_guided", "zoo"])
def test_saying_what_a_system_brings_imports_nothing_else(name: str) -> None:
    code = (
        f"import sys, fernet_neuro.systems.{name}.system\n"
        "print(sorted(m for m in sys.modules if m.startswith('fernet_neuro.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    known = ["fernet_neuro.catalogue", "fernet_neuro.systems", f"fernet_neuro.systems.{name}"]
    assert done.stdout.strip() == str([*known, f"fernet_neuro.systems.{name}.system"])


@pytest.mark.slow
def test_a_labs_table_and_figure_are_one_command_each(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    # In this process, as processes of a run are tested elsewhere.
    code, _, err = run("run", "lab/table", "--out", tmp_path / "out", "--quiet", "--jobs", 1)
    assert code == 0, err
    rows = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(rows["arm"]) == {"plain", "centres"}
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    spread = rows.query("metric == 'accuracy' and epoch == 'last' and seed != 'mean' and arm == 'plain'")[
        "value"
    ]
    assert "Spread over training seeds" in page
    assert f"<li>plain: {100 * spread.min():.1f} to {100 * spread.max():.1f} %</li>" in page
    log = next((tmp_path / "out" / "runs").rglob("log.csv"))
    assert {"cross_entropy", "centre"} <= {
        name.split(".")[-1].removeprefix("train_") for name in pd.read_csv(log)
    }
    code, _, err = run(
        "figures", "build", "lab-arms", "--results", tmp_path / "out", "--out", tmp_path / "figures"
    )
    assert code == 0, err
    drawn = pd.read_csv(tmp_path / "figures" / "lab-arms.csv")
    assert len(drawn) == 4
    assert (tmp_path / "figures" / "lab-arms.pdf").stat().st_size > 1000


# --- what a system can do wrong: one line each, and exit code 2 ---------------------------------------------


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that lets another package bring systems: an object, or a place."""

    def call(*systems: object) -> None:
        places = []
        for number, system in enumerate(systems):
            if not isinstance(system, str):
                monkeypatch.setattr(sys.modules[__name__], f"BROUGHT{number}", system, raising=False)
                system = f"{__name__}:BROUGHT{number}"
            places.append(EntryPoint(f"brought{number}", system, catalogue.GROUP))
        monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
        monkeypatch.setattr(catalogue, "entry_points", lambda group: places)
        catalogue.clear()

    yield call
    catalogue.clear()


NET = {"my-net": "lab_system.training:LAB_NET"}


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        ([System("crpn", "another")], r"two systems are called 'crpn'; .*rename"),
        (
            [System("a", "a", networks={"resnet18": "x:y"})],
            r"'general' and 'a' both bring networks .*'resnet18'",
        ),
        (
            [System("a", "a", networks=NET), System("b", "b", networks=NET)],
            r"'a' and 'b' both bring .*'my-net'",
        ),
        (["no_such_package.system:SYSTEM"], r"system 'brought0'.*no_such_package.*mend or uninstall"),
        (["lab_system.system:NOTHING"], r"system 'brought0'.*NOTHING"),
        (["lab_system.training:LAB_NET"], r"system 'brought0'.*must be a System; got ModelEntry"),
        (["tests_that_fail.system:SYSTEM"], r"system 'brought0'.*division by zero"),
    ],
)
def test_systems_that_cannot_stand_beside_others_are_one_line(run, bring, systems, message) -> None:
    bring(*systems)
    code, out, err = run("models", "list")
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert re.search(message, err), err


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("no_such_package:NET", "cannot be imported"),
        ("lab_system.training:NO_SUCH_NET", "cannot be imported"),
        ("tests_that_fail.system:NET", "division by zero"),
        ("lab_system.training:LabNet", "must be a ModelEntry; got type"),
    ],
)
def test_an_entry_that_cannot_be_used_is_one_line_and_others_still_work(run, bring, place, message) -> None:
    bring(
        replace(
            list_systems()["lab"], name="mine", networks={"my-net": place}, tasks={}, figures={}, recipes=""
        )
    )
    code, _, err = run("models", "show", "my-net")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "my-net" in err
    assert message in err
    assert run("models", "show", "resnet10-slim")[0] == 0


@pytest.mark.parametrize("package", ["no_such_package", "no_such_package.inside", "lab_system.figure"])
def test_recipes_of_a_package_that_is_not_there_are_one_line(run, bring, package) -> None:
    bring(System("mine", "mine", recipes=package))
    code, _, err = run("run", "demo", "--out", "anywhere")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert f"system 'mine': there is no package '{package}', whose files it brings" in err


def test_info_still_works_and_names_the_problem(run, bring) -> None:
    bring(System("a", "a", networks={"resnet18": "x:y"}))
    code, out, _ = run("info")
    assert code == 0
    assert "PROBLEM: systems 'general' and 'a' both bring networks" in out


def test_kinds_are_the_attributes_of_a_system() -> None:
    assert all(isinstance(getattr(System("a", "a"), kind), dict) for kind in KINDS)
