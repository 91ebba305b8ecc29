from pathlib import Path

import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.training.config import TrainSettings, explain_changes

RECIPES = sorted((Path(__file__).parents[2] / "configs" / "train").glob("*.yaml"))


def test_recipes_are_shipped():
    names = {path.stem for path in RECIPES}
    assert {"identification", "verification", "expression", "lfw_siamese", "lab_densenet"} <= names


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_shipped_recipe_is_valid_and_survives_a_round_trip(path):
    settings = read_settings(TrainSettings, path)
    assert TrainSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown key 'ephocs'\. Did you mean 'epochs'"):
        read_settings(TrainSettings, None, ["ephocs=3"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["warmup_epochs=20", "epochs=20"], "warmup_epochs .* must be less than epochs"),
        (["pairs=a.csv"], "pairs belong to task verification"),
        (["keep=best", "val_share=0"], "needs validation"),
        (["lr=-1"], "'lr'"),
        (["augment=[flip]"], "'augment.0'"),
        (["val_share=1"], "'val_share'"),
    ],
)
def test_values_that_cannot_work_are_refused_before_any_work(changes, message):
    with pytest.raises(ValueError, match=message):
        read_settings(TrainSettings, None, changes)


def test_changes_name_each_key_but_not_where_files_lie():
    before = TrainSettings(stimuli="a.csv", epochs=3)
    now = TrainSettings(stimuli="b.csv", epochs=5, seed=7)
    assert explain_changes(before.model_dump(mode="json"), now) == ["epochs: 3 -> 5", "seed: 0 -> 7"]
    assert explain_changes(before.model_dump(mode="json"), before) == []
