import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro._utils.shipped import list_recipes
from fernet_neuro.training.config import TrainSettings, explain_changes

RECIPES = [path for path in list_recipes().values() if path.parent.name == "train"]


def test_recipes_are_shipped():
    names = {path.stem for path in RECIPES}
    assert {"identification", "verification", "expression", "lfw_siamese", "lab_densenet"} <= names
    stage_1 = {f"conceptual_{data}" for data in ("rafdb", "affectnet7", "ra", "imagen", "rendered")}
    assert {*stage_1, "identity_readout"} <= names


@pytest.mark.parametrize("data", ["rafdb", "affectnet7", "ra"])
def test_stage_1_has_the_papers_settings(data):
    settings = read_settings(TrainSettings, f"crpn/conceptual_{data}")
    concepts = settings.section
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
        (["experiment=grid"], "recipe of an experiment, not of a training; use `run`"),
        (["pairs=a.csv"], "'pairs' is a key of task 'verification' and is given as verification.pairs"),
        (["keep=best", "val_share=0"], "needs validation"),
        (["lr=-1"], "'lr'"),
        (["augment=[flip]"], "'augment.0'"),
        (["val_share=1"], "'val_share'"),
        (["warmup_lr=0.1"], "give warmup_epochs above 0"),
        (["min_lr=0.01", "schedule=step"], r"min_lr \(0.01\) is where schedules .*; schedule is 'step'"),
        (["min_lr=0.1", "lr=0.1"], r"below lr \(0.1\)"),
        (["sampling=balanced", "class_weights=balanced"], "balance the same classes twice"),
        (["sam_rho=0.05", "precision=fp16"], "use 'bf16' or 'no'"),
        (["sam_rho=0"], "'sam_rho'"),
        (["flooding=-1"], "'flooding'"),
        (["erase_area=[0.3, 0.2]"], "'erase_area': .*smallest value comes first"),
        (["warps=[{p: 0.5}]"], "'warps.0': .*one or more of rotate, affine and pad_crop"),
        (["warps=[{p: 1.5, rotate: 5}]"], r"'warps.0.p'"),
        (["warps=[{pad-crop: 5}]"], r"unknown key 'warps.0.pad-crop'. Did you mean 'pad_crop'"),
        (["warps=[{affine: {scale: [1.2, 1]}}]"], "'warps.0.affine.scale': .*smallest value comes first"),
    ],
)
def test_values_that_cannot_work_are_refused_before_any_work(changes, message):
    with pytest.raises(ValueError, match=message):
        read_settings(TrainSettings, None, changes)


def test_changes_name_each_key_but_not_where_files_lie():
    before = TrainSettings(stimuli="a.csv", epochs=3)
    now = TrainSettings(stimuli="b.csv", epochs=5, seed=7)
    kept, asked = before.model_dump(mode="json"), now.model_dump(mode="json")
    assert explain_changes(kept, asked) == ["epochs: 3 -> 5", "seed: 0 -> 7"]
    assert explain_changes(kept, kept) == []
