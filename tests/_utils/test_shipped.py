"""Built-in names: where they lead, and what a wrong one is told."""

import pytest
import yaml

from fernet_neuro._utils.config import read_recipe
from fernet_neuro._utils.shipped import describe_recipe, find_recipe, list_recipes
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.shipped import SETS
from fernet_neuro.stimuli.table import StimulusTable


def test_names_of_recipes_are_their_paths_without_train():
    names = list_recipes()
    assert {"demo", "ict", "expression", "crpn/table1", "crpn/fig4_hard", "crpn/conceptual_rafdb"} <= set(
        names
    )
    root = names["demo"].parent
    assert len(names) == len(list(root.rglob("*.yaml")))  # no two recipes share a name
    assert names["crpn/conceptual_rafdb"] == root / "crpn" / "train" / "conceptual_rafdb.yaml"


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_says_in_a_line_what_it_is(name):
    assert 20 < len(describe_recipe(find_recipe(name))) <= 110


def test_a_file_comes_before_a_built_in_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # results of that name are not a recipe
    assert read_recipe("demo")["experiment"] == "identity-to-expression"
    (tmp_path / "demo").rmdir()
    (tmp_path / "demo").write_text("experiment: mine\n")
    assert read_recipe("demo") == {"experiment": "mine"}


def test_a_recipe_elsewhere_takes_a_built_in_one_as_its_base(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: crpn/table3\nseeds: [7]\nstimuli: {base: crpn/hard_faces, identities: 5}\n")
    ours, theirs = read_recipe(mine), read_recipe("crpn/table3")
    assert ours["arms"] == theirs["arms"]
    assert (ours["seeds"], ours["stimuli"]["identities"], theirs["stimuli"]["identities"]) == ([7], 5, 90)


def test_a_file_beside_comes_before_a_built_in_base(tmp_path):
    (tmp_path / "demo").write_text(yaml.safe_dump({"seeds": [3]}))
    (tmp_path / "mine.yaml").write_text("base: demo\n")
    assert read_recipe(tmp_path / "mine.yaml") == {"seeds": [3]}


@pytest.mark.parametrize(("wrong", "right"), [("tabel3", "crpn/table3"), ("configs/demo.yaml", "demo")])
def test_an_unknown_recipe_is_told_the_closest_and_all(wrong, right):
    with pytest.raises(ValueError, match=f"recipe {wrong} does not exist. Did you mean '{right}'") as caught:
        read_recipe(wrong)
    assert all(name in str(caught.value) for name in list_recipes())


def test_shipped_sets_are_read_by_name(tmp_path, monkeypatch):
    assert set(SETS) == {"builtin", "ict"}
    assert len(StimulusTable.read("builtin")) == 252
    StimulusTable.read("ict").select(range(3)).write(tmp_path / "builtin" / "table.csv")
    monkeypatch.chdir(tmp_path)
    assert len(StimulusTable.read("builtin")) == 3  # what lies here comes first


def test_an_unknown_set_is_told_the_closest():
    with pytest.raises(
        StimulusError, match=r"table built-in does not exist\. Did you mean 'builtin'\? .* ict"
    ):
        StimulusTable.read("built-in")
