"""The same people on other diets: what they show, what is read out of networks, and what is said of it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fernet_neuro._utils.config import read_settings
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.recipes import run_experiment
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.transfer.diets import page, tables
from fernet_neuro.systems.transfer.diets.run import even_out
from fernet_neuro.systems.transfer.diets.settings import DietsSettings
from tests.figures.conftest import make_diets

SMALL = (
    "sizes=[4,6]",
    "stimuli={identities: 6, size: 32, views: 1, sessions: 2, expressions: [anger, happiness, neutral]}",
    "diets.neutral.change.sessions=6",
    "diets.one.change.sessions=7",
    "tests.views.stimuli={first_identity: 50, identities: 4, size: 32, views: 1, sessions: 2,"
    " expressions: [anger, neutral]}",
    "networks.identity.epochs=1",
    "networks.identity.warmup_epochs=0",
    "networks.identity.model_options.size=32",
    "networks.verification={task: verification, model: siamese, epochs: 1, val_share: 0.0, batch_size: 8,"
    " model_options: {trunk: resnet10-slim, size: 32}}",
    "layers=[layer4,avgpool]",
    "probes=[{target: expression, holdout: identity, permutations: 0, n_folds: 2, twins: 2}]",
)
#: Fewer pictures, for what is refused when all are drawn and before any is learnt.
FEW = ("sizes=[2]", "stimuli.identities=2", "diets.neutral.change.sessions=2", "diets.one.change.sessions=2")


def _settings(*more: str) -> DietsSettings:
    return read_settings(DietsSettings, "transfer/diets_small", [*SMALL, *more])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diets") / "results"
    run_experiment(_settings(), folder)
    return folder


@pytest.mark.slow
def test_everybody_has_as_many_pictures_in_every_diet(finished):
    shown = {
        name: StimulusTable.read(finished / "stimuli" / f"{name}.csv").frame
        for name in ("balanced-6", "neutral-6", "one-6", "balanced-4")
    }
    assert {tuple(frame["identity"].value_counts()) for name, frame in shown.items() if "6" in name} == {
        (6,) * 6
    }
    people = [list(dict.fromkeys(frame["identity"])) for frame in shown.values()]
    assert people[0] == people[1] == people[2]
    assert people[3] == people[0][:4]
    assert set(shown["neutral-6"]["expression"]) == {"neutral"}
    assert set(shown["one-6"].groupby("identity")["expression"].nunique()) == {1}
    assert set(shown["balanced-6"].groupby("identity")["expression"].nunique()) == {3}


@pytest.mark.slow
def test_read_outs_are_those_of_run_probe_beside_the_same_untrained_networks(finished):
    stores = finished / "stores" / "views"
    report = run_probe(
        ActivationStore.open(stores / "identity-neutral-6" / "seed0"),
        target="expression",
        holdout="identity",
        n_permutations=0,
        n_folds=2,
        untrained_stores=[ActivationStore.open(stores / "identity-untrained" / f"seed{k}") for k in range(2)],
    )
    found = pd.read_csv(finished / "readouts.csv", dtype={"seed": str})
    for layer in ("layer4", "avgpool"):
        row = found.query(f"diet == 'neutral' and size == 6 and layer == '{layer}' and seed == 'mean'").iloc[
            0
        ]
        ours, twins = (
            report.frame.query(f"source == '{name}' and layer == '{layer}'").iloc[0]
            for name in ("network", "untrained")
        )
        assert row["accuracy_percent"] == pytest.approx(100 * ours["balanced_accuracy"])
        assert row["difference_untrained_percent"] == pytest.approx(100 * ours["difference_untrained"])
        assert row["difference_untrained_p"] == pytest.approx(ours["difference_untrained_p"])
        assert row["untrained_low_percent"] == pytest.approx(100 * twins["twin_low"])


@pytest.mark.slow
def test_layers_in_a_trunk_go_by_the_names_of_the_recipe(finished):
    found = pd.read_csv(finished / "readouts.csv")
    assert list(dict.fromkeys(found[found["network"] == "verification"]["layer"])) == ["layer4", "avgpool"]


@pytest.mark.slow
def test_the_page_gives_the_answer_of_the_tables(finished):
    text = (finished / "index.html").read_text(encoding="utf-8")
    row = pd.read_csv(finished / "readouts.csv").query(
        "network == 'identity' and diet == 'balanced' and size == 6 and layer == 'avgpool' and seed == 'mean'"
    )
    assert f"gives {row['accuracy_percent'].iloc[0]:.1f} %" in text
    assert (finished / "figures" / "diets.pdf").is_file()


@pytest.mark.slow
def test_one_training_seed_has_no_columns_of_intervals(finished):
    names = list(page.tabulate_differences(_settings(), finished).columns)
    assert names == ["Read-out", "Test", "People", "Diet", "Difference (points)"]


@pytest.mark.slow
def test_a_second_run_changes_nothing(finished):
    before = {path: path.stat().st_mtime_ns for path in (finished / "runs").rglob("*.safetensors")}
    text = (finished / "readouts.csv").read_text()
    run_experiment(_settings(), finished, resume=True)
    assert before == {path: path.stat().st_mtime_ns for path in (finished / "runs").rglob("*.safetensors")}
    assert (finished / "readouts.csv").read_text() == text


def test_differences_are_paired_by_seed_and_corrected_over_diets(tmp_path):
    make_diets(tmp_path)
    settings = read_settings(DietsSettings, "transfer/diets")
    readouts = tables.read_readouts(tmp_path)
    found = tables.compare_diets(settings, readouts)
    case = "test == 'views' and target == 'expression' and holdout == 'identity' and size == 300"
    case += " and layer == 'avgpool'"
    seeds = readouts.query(f"{case} and network == 'identity' and seed != 'mean'")
    values = seeds.pivot_table(index="seed", columns="diet", values="accuracy_percent")
    rows = found.query(case).set_index("diet")
    p_values = [stats.ttest_rel(values[name], values["balanced"]).pvalue for name in rows.index]
    assert rows["p_value"].to_numpy() == pytest.approx(p_values)
    assert rows.loc["neutral", "difference_percent"] == pytest.approx(
        (values["neutral"] - values["balanced"]).mean()
    )
    assert rows["p_holm"].min() == pytest.approx(min(1, 3 * min(p_values)))


def test_an_answer_says_loses_only_where_the_corrected_p_value_does(tmp_path):
    make_diets(tmp_path)
    settings = read_settings(DietsSettings, "transfer/diets")
    frame = tables.read_readouts(tmp_path)
    row = (
        (frame["diet"] == "balanced") & (frame["network"] == "identity") & (frame["size"] == 300)
        & (frame["seed"] == "mean") & (frame["layer"] == "avgpool") & (frame["target"] == "expression")
    )  # fmt: skip
    frame.loc[row, ["difference_untrained_percent", "difference_untrained_p_holm"]] = (-9.9, 0.04)
    assert "“all seven expressions” gives" in page.answer(settings, frame)
    assert "loses 9.9 points" in page.answer(settings, frame)
    frame.loc[row, "difference_untrained_p_holm"] = 0.06
    assert "loses 9.9 points" not in page.answer(settings, frame)


def test_pictures_are_left_out_person_by_person_in_the_order_of_the_table():
    frame = pd.DataFrame(
        {
            "stimulus_id": [f"s{k}" for k in range(9)],
            "path": "x.png",
            "identity": list("aaaabbbbb"),
            "expression": "e",
        }
    )
    table = StimulusTable.from_frame(frame)
    kept = even_out(table, 3, 0)
    assert kept.frame["identity"].tolist() == list("aaabbb")
    assert np.all(np.diff([int(name[1:]) for name in kept.stimulus_ids]) > 0)
    again, other = (list(even_out(table, 3, seed).stimulus_ids) for seed in (0, 1))
    assert list(kept.stimulus_ids) == again != other


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stimuli.identities=5", "largest of sizes, 6"),
        ("diets.neutral.change.seed=3", "would show other people"),
        ("diets.neutral.change.expression=[neutral]", "Did you mean 'expressions'"),
        ("headline=fc", "headline"),
        ("fed=somebody", "use one of: identity, verification"),
        (
            "probes=[{target: expression, holdout: identity, readouts: [ridge, logistic]}]",
            "one read-out each",
        ),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused_in_one_line(override, message):
    with pytest.raises(ValueError, match=message) as caught:
        _settings(override)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_people_of_a_test_who_were_learned_are_refused_before_training(tmp_path):
    with pytest.raises(StimulusError, match="id00"):
        run_experiment(_settings(*FEW, "tests.views.stimuli.first_identity=0"), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_a_layer_that_a_network_lacks_is_named_before_training(tmp_path):
    with pytest.raises(ValueError, match="layer9"):
        run_experiment(_settings(*FEW, "layers=[layer9]"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
