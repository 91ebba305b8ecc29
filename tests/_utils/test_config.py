"""Settings: wrong keys are refused with the nearest right one, and overrides win."""

import pytest
from pydantic import ValidationError, model_validator

from fernet_neuro._utils.config import Settings, keep_ways, read_recipe, read_settings, write_settings


class Inner(Settings):
    rate: float = 0.1
    steps: tuple[int, ...] = (3, 7)


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


class Outer(Settings):
    epochs: int = 11
    name: str | None = None
    optimiser: Inner = Inner()


def test_a_round_trip_gives_equal_settings(tmp_path):
    settings = Outer(epochs=5, name="été", optimiser=Inner(rate=0.25, steps=(2,)))
    write_settings(settings, tmp_path / "recipe.yaml")
    assert read_settings(Outer, tmp_path / "recipe.yaml") == settings


class Placed(Settings):
    stimuli: str | None = None
    arms: dict[str, tuple[str, ...]] | None = None


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project's folder with a table, from which a user works."""
    place = tmp_path / "ann" / "project"
    (place / "faces").mkdir(parents=True)
    (place / "faces" / "table.csv").write_text("stimulus_id\n")
    (place / "runs" / "one").mkdir(parents=True)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("given", ["{}/faces/table.csv", "faces/table.csv", "runs/../faces/table.csv"])
def test_a_kept_recipe_leads_to_files_from_its_own_folder(place, monkeypatch, given):
    kept = place / "runs" / "one" / "recipe.yaml"
    table = given.format(place)
    write_settings(Placed(stimuli=table, arms={"a": (table, "builtin")}), kept)
    assert read_recipe(kept)["stimuli"] == str(place / "faces" / "table.csv")
    assert kept.read_text().count("$here/../../faces/table.csv") == 2
    assert "ann" not in kept.read_text()
    monkeypatch.chdir("/")  # from another folder, and where all was moved together
    moved = place.rename(place.with_name("moved"))
    read = read_settings(Placed, moved / "runs" / "one" / "recipe.yaml")
    assert read.arms == {"a": (str(moved / "faces" / "table.csv"), "builtin")}
    assert read.stimuli == str(moved / "faces" / "table.csv")
    mine = write(moved / "mine.yaml", "base: runs/one/recipe.yaml\n")
    assert read_settings(Placed, mine) == read


def test_a_recipe_that_was_moved_alone_names_the_place_where_its_file_was_sought(place):
    kept = place / "runs" / "recipe.yaml"
    write_settings(Placed(stimuli="faces/table.csv"), kept)
    alone = write(place.parent / "alone" / "recipe.yaml", kept.read_text())
    assert read_recipe(alone)["stimuli"] == str(place.parent / "faces" / "table.csv")


def test_names_links_and_paths_of_other_systems_are_kept(place):
    (place / "faces" / "link.csv").symlink_to(place / "faces" / "table.csv")
    (place / "data").symlink_to(place / "faces")
    (place / "builtin").mkdir()
    values = {
        "name": "builtin", "library": "resnet18@IMAGENET1K_V1", "nowhere": "/no/such/file.csv", "n": 3,
        "windows": "C:\\Users\\ann\\faces.csv", "none": None, "long": "a/" * 5000, "nul": "a/\0.csv",
    }  # fmt: skip
    assert keep_ways(values, place) == values
    links = keep_ways({"file": str(place / "faces" / "link.csv"), "folder": "data/table.csv"}, place / "runs")
    assert links == {"file": "$here/../faces/link.csv", "folder": "$here/../faces/table.csv"}


def test_a_results_folder_behind_a_link_leads_back(place):
    elsewhere = place.parent / "scratch" / "results"
    elsewhere.mkdir(parents=True)
    (place / "out").symlink_to(elsewhere)
    write_settings(Placed(stimuli="faces/table.csv"), place / "out" / "recipe.yaml")
    for folder in (place / "out", elsewhere):
        assert read_recipe(folder / "recipe.yaml")["stimuli"] == str(place / "faces" / "table.csv")


def test_a_users_recipe_may_lead_from_its_own_folder_and_old_ones_with_absolute_paths_are_read(place):
    mine = write(place / "recipes" / "mine.yaml", "stimuli: $here/../faces/table.csv\n")
    old = write(place / "old.yaml", f"stimuli: {place / 'faces' / 'table.csv'}\n")
    assert read_recipe(mine) == read_recipe(old) == {"stimuli": str(place / "faces" / "table.csv")}


def test_defaults_come_from_nothing_and_from_an_empty_file(tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    assert read_settings(Outer) == read_settings(Outer, tmp_path / "empty.yaml") == Outer()


def test_set_wins_over_the_file_and_reaches_inside(tmp_path):
    (tmp_path / "recipe.yaml").write_text("epochs: 5\noptimiser: {rate: 0.5}\n")
    overrides = ["epochs=9", "optimiser.rate=1.5", "optimiser.steps=[1, 2]", "name=a=b"]
    settings = read_settings(Outer, tmp_path / "recipe.yaml", overrides)
    assert settings == Outer(epochs=9, name="a=b", optimiser=Inner(rate=1.5, steps=(1, 2)))


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Outer().epochs = 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 5", r"recipe .*: unknown key 'epoch'\. Did you mean 'epochs'\?"),
        ("optimiser: {rat: 1}", r"unknown key 'optimiser\.rat'\. Did you mean 'rate'\?"),
        ("zzz: 5", r"unknown key 'zzz'\.$"),
        ("epochs: many", r"'epochs': .*\(got 'many'\)"),
        ("epoch: 5\nnam: x", r"'epoch'.*; unknown key 'nam'"),
        ("- epochs", "must be a mapping of keys to values; got list"),
        ("epochs: [", "is not valid YAML"),
    ],
)
def test_a_wrong_recipe_is_explained(text, message, tmp_path):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(Outer, tmp_path / "recipe.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "must have the form key=value"),
        ("=3", "must have the form key=value"),
        ("epochs.more=3", "'epochs' is a single value"),
        ("epochs=[", "is not valid YAML"),
        ("epohcs=3", r"settings: unknown key 'epohcs'\. Did you mean 'epochs'"),
    ],
)
def test_a_wrong_override_is_explained(override, message):
    with pytest.raises(ValueError, match=message):
        read_settings(Outer, None, ["epochs=2", override])


class Strict(Settings):
    task: str
    epochs: int = 11

    @model_validator(mode="after")
    def _check(self):
        if self.epochs == 13:
            raise ValueError("13 epochs bring bad luck")
        return self


def test_unknown_keys_come_before_missing_ones_and_the_recipe_is_not_printed():
    with pytest.raises(ValueError, match=r"^settings: unknown key 'taks'\. .*'task'\?; 'task' is missing\.$"):
        read_settings(Strict, None, ["taks=expression", "epochs=5"])
    with pytest.raises(ValueError, match=r"^settings: 13 epochs bring bad luck$"):
        read_settings(Strict, None, ["task=expression", "epochs=13"])


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"none\.yaml does not exist\..* Give a file, or a built-in name: .*demo"
    ):
        read_settings(Outer, tmp_path / "none.yaml")


def _write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_recipe_has_what_its_base_has_and_its_own_keys_win(tmp_path):
    _write(
        tmp_path,
        faces="size: 48\nviews: [left, right]\nweights: {anger: 3, fear: 5}\n",
        common="name: common\nstimuli: {base: faces.yaml, seed: 7}\n",
        mine="base: common.yaml\nname: mine\nstimuli: {views: [front], weights: {fear: 9}}\n",
    )
    assert read_recipe(tmp_path / "mine.yaml", ["stimuli.size=96"]) == {
        "name": "mine",
        "stimuli": {"size": 96, "views": ["front"], "weights": {"anger": 3, "fear": 9}, "seed": 7},
    }


def test_a_base_that_is_missing_no_name_or_the_recipe_itself_is_refused(tmp_path):
    _write(tmp_path, a="base: b.yaml\n", b="base: a.yaml\n", c="base: nowhere.yaml\n", d="x: {base: 5}\n")
    with pytest.raises(ValueError, match=r"a\.yaml is its own base"):
        read_recipe(tmp_path / "a.yaml")
    with pytest.raises(ValueError, match=r"nowhere\.yaml does not exist"):
        read_recipe(tmp_path / "c.yaml")
    with pytest.raises(ValueError, match="base must be the name of a file; got 5"):
        read_recipe(tmp_path / "d.yaml")
