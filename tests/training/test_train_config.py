from pathlib import Path

import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.training.config import TrainSettings, explain_changes

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPES = sorted([*(CONFIGS / "train").glob("*.yaml"), *(CONFIGS / "crpn" / "train").glob("*.yaml")])


def test_recipes_are_shipped():
    names = {path.stem for path in RECIPES}
    assert {"identification", "verification", "expression", "lfw_siamese", "lab_densenet"} <= names
    stage_1 = {f"conceptual_{data}" for data in ("rafdb", "affectnet7", "ra", "imagen", "rendered")}
    assert {*stage_1, "identity_readout"} <= names


@pytest.mark.parametrize("data", ["rafdb", "affectnet7", "ra"])
def test_stage_1_has_the_papers_settings(data):
    settings = read_settings(TrainSettings, CONFIGS / "crpn" / "train" / f"conceptual_{data}.yaml")
    concepts = settings.concepts
    weights = (concepts.orthogonality_weight, concepts.confidence_weight, concepts.contrastive_weight)
    assert weights == (0.1, 1, 0.01)
    assert (settings.optimiser, settings.lr, settings.weight_decay) == ("adam", 1e-4, 1e-5)
    assert (settings.betas, settings.batch_size, settings.epochs) == ((0.5, 0.999), 64, 100)
    assert (settings.schedule, settings.cycle_length, settings.cycle_unit) == ("cosine-cycle", 5, "epoch")
    assert settings.select == {"split": "train"}


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
        (
            ["warmup_epochs=1", "epochs=1"],
            r"warmup_epochs \(1\) must be less .*set warmup_epochs=0 as well",
        ),
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
