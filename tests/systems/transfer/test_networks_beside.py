"""The demo's networks beside, small: dual pathway and text-guided, trained, tested, read out; their page."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from fernet_neuro._utils.config import read_settings
from fernet_neuro.activations.store import ActivationStore, write_store
from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.page import show_pathways
from fernet_neuro.systems.text_guided.matching import write_match
from fernet_neuro.systems.text_guided.page import show_guided
from fernet_neuro.systems.transfer.recipe import TransferSettings
from fernet_neuro.systems.transfer.run import check_beside
from fernet_neuro.training.folder import load_run
from tests.systems.transfer.conftest import make_settings

DEMO = "demo"


def read_layers(folder: Path, name: str, target: str) -> pd.DataFrame:
    path = folder / "beside" / "probes" / name / target / "summary.json"
    return pd.DataFrame(json.loads(path.read_text())["layers"])


def read_section(folder: Path, name: str = "pathways") -> str:
    """Return the page's section on the dual pathway, or another."""
    text = (folder / "index.html").read_text()
    return " ".join(text[text.index(f'<section id="{name}">') :].split("</section>")[0].split())


@pytest.mark.slow
def test_the_frozen_trunk_is_the_identity_network_of_the_same_run(finished):
    identity = load_run(finished / "runs" / "identity" / "seed0").module.state_dict()
    pathway = load_run(finished / "runs" / "conceptual" / "seed0").module
    frozen = pathway.non_emotion.trunk.state_dict()
    assert frozen
    assert all(torch.equal(value, identity[name]) for name, value in frozen.items())
    learnt = pathway.emotion.trunk.state_dict()
    assert any(not torch.equal(value, identity[name]) for name, value in learnt.items())


@pytest.mark.slow
def test_the_perceptual_pathway_learnt_from_this_conceptual_pathway(finished):
    record = json.loads((finished / "runs" / "perceptual" / "seed0" / "record.json").read_text())
    teacher = load_run(finished / "runs" / "conceptual" / "seed0").weight_digest()
    assert teacher in json.dumps(record)
    assert record["task"]["regime"] == "crpn"


@pytest.mark.slow
def test_both_pathways_are_tested_on_people_whom_neither_saw(finished):
    probe = StimulusTable.read(finished / "stimuli" / "probe.csv")
    for name in ("conceptual", "perceptual"):
        predictions = pd.read_csv(finished / "evaluation" / name / "predictions.csv")
        assert predictions["stimulus_id"].tolist() == probe.stimulus_ids.tolist()
        metrics = pd.read_csv(finished / "evaluation" / name / "metrics.csv", keep_default_na=False)
        row = metrics[(metrics["metric"] == "accuracy") & (metrics["class"] == "")].iloc[0]
        right = (predictions["true"] == predictions["predicted"]).mean()
        assert float(row["value"]) == pytest.approx(right)
        assert float(row["low"]) <= right <= float(row["high"])
        assert row["interval"] == "identities"
        assert float(row["chance_level"]) == pytest.approx(1 / 3)


@pytest.mark.slow
def test_features_are_read_out_both_ways_with_nulls_twin_and_pixels(finished):
    wanted = {"conceptual": {"emotion", "non_emotion"}, "perceptual": {"perceptual"}}
    for name, layers in wanted.items():
        for target, holdout in (("expression", "identity"), ("identity", "view")):
            found = read_layers(finished, name, target)
            assert set(found.loc[found["source"] != "control-task", "holdout"]) == {holdout}
            for source in ("network", "untrained"):
                rows = found[found["source"] == source]
                assert set(rows["layer"]) == layers
                assert rows["p_value_max"].between(1 / 20, 1).all()
            assert "pixels" in set(found["source"])


@pytest.mark.slow
def test_maps_are_judged_by_both_factors_against_relabelled_faces(finished):
    quality = pd.read_csv(finished / "maps" / "quality.csv", keep_default_na=False)
    judged = quality[quality["measure"] == "knn_balanced_accuracy"]
    assert set(zip(judged["layer"], judged["factor"], judged["space"], strict=True)) == {
        (layer, factor, space)
        for layer in ("emotion", "non_emotion")
        for factor in ("expression", "identity")
        for space in ("features", "map")
    }
    assert set(judged["n_permutations"]) == {29}


@pytest.mark.slow
def test_the_page_has_the_figure_once_and_the_numbers_of_the_files(finished):
    text = (finished / "index.html").read_text()
    section = read_section(finished)
    assert section.count('id="figure-crpn-fig2"') == text.count('id="figure-crpn-fig2"') == 1
    row = read_layers(finished, "conceptual", "identity").set_index(["source", "layer"])
    value = 100 * row.loc[("network", "emotion"), "balanced_accuracy"]
    assert f"read out of the emotion features with {value:.1f} %" in section.split("Identity (new views")[1]
    for link in re.findall(r'href="([^"#]+)"', section):
        assert (finished / link).is_file(), link


@pytest.mark.slow
def test_the_text_guided_network_is_read_out_and_its_neutral_faces_are_matched(finished):
    section = read_section(finished, "texts")
    for target in ("expression", "identity"):
        found = read_layers(finished, "guided", target)
        rows = found[found["source"] == "network"].set_index("layer")
        assert set(rows.index) == {"visual", "neutral", "difference"}
        assert f"neutral with {100 * rows.loc['neutral', 'balanced_accuracy']:.1f} %" in section
    match = pd.read_csv(finished / "beside" / "examined" / "guided" / "seed0" / "match.csv")
    assert match["source"].tolist() == ["network", "network", "untrained", "untrained", "pixels"]
    assert match["n_twins"].iloc[0] == 2
    assert f"by its neutral form {100 * match['accuracy'].iloc[1]:.1f} %" in section
    assert "all-MiniLM-L6-v2, which is not CLIP" in section
    assert "The backbone starts from the identity network" in section
    for link in re.findall(r'href="([^"#]+)"', section):
        assert (finished / link).is_file(), link
    assert "guided" not in read_section(finished)


@pytest.mark.slow
def test_why_neutral_faces_cannot_be_matched_is_said(finished, tmp_path):
    store = ActivationStore.open(finished / "stores" / "guided" / "seed0-trained")
    loud = np.flatnonzero(store.stimuli.factor("expression") != "neutral")
    layers = [store[name].align_to(store.stimuli.stimulus_ids[loud]) for name in ("visual", "neutral")]
    write_match(write_store(tmp_path / "store", store.stimuli.select(loud), layers), [], tmp_path)
    assert "three people or more" in (tmp_path / "left_out.txt").read_text()
    assert not (tmp_path / "match.csv").exists()
    unread = shutil.ignore_patterns("stores", "brain", "rsa")
    copy = shutil.copytree(finished, tmp_path / "copy", ignore=unread)
    place = copy / "beside" / "examined" / "guided" / "seed0"
    (place / "match.csv").unlink()
    shutil.copy(tmp_path / "left_out.txt", place)
    assert "Neutral forms are not matched: matching needs three people" in show_guided(copy).body


@pytest.mark.slow
def test_pathways_stand_apart_from_the_networks_that_are_compared(finished):
    compared = {path.name for path in (finished / "probes").iterdir()}
    assert compared == {"identity", "verification", "expression"}
    bars = pd.read_csv(finished / "figures" / "transfer-bars.csv", keep_default_na=False)
    assert not {"conceptual", "perceptual", "guided"} & set(bars["network"])


@pytest.mark.slow
def test_an_interrupted_stage_goes_on_to_the_same_bits(finished, resumed):
    model = "model/model.safetensors"
    again = ["beside/probes/perceptual/identity/summary.json", "maps/quality.csv", "maps/coordinates.csv"]
    for name in (f"runs/perceptual/seed0/{model}", *again):
        assert (resumed / name).read_bytes() == (finished / name).read_bytes()
    before, after = (folder / "runs" / "conceptual" / "seed0" / model for folder in (finished, resumed))
    assert after.stat().st_mtime_ns == before.stat().st_mtime_ns
    assert read_section(resumed) == read_section(finished)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conceptual": {"from": {"non_emotion": "identitty"}}}, r"'identitty' is not known.*'identity'"),
        ({"conceptual": {"from": {"emotions": "identity"}}}, "emotions"),
        ({"conceptual": {"seed": 3}}, "has a seed of its own and starts from"),
        ({"identity": {"seed": 3}}, "identity: seeds are given once"),
        ({"perceptual": {"stimuli": "x.csv"}}, r"perceptual.stimuli='x.csv' is not known"),
        ({"beside": {"conceptul": {"layers": {"emotion": "x"}}}}, "Did you mean 'conceptual'"),
        ({"compared": ["identity", "conceptual"]}, "'conceptual' is both in `compared` and `beside`"),
        ({"beside": {name: {"layers": {"x": "y"}, "maps": {}} for name in ("conceptual", "perceptual")}},
         "one network may have `maps`"),
    ],
)  # fmt: skip
def test_networks_that_contradict_the_recipe_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_settings(**changes)


@pytest.mark.slow
def test_a_network_that_cannot_be_built_is_refused_before_training(finished):
    tables = [StimulusTable.read(finished / "stimuli" / f"{name}.csv") for name in ("train", "probe")]
    options = {"emotion_trunk": "resnet10-slimm", "non_emotion_trunk": "resnet10-slim", "size": 32}
    with pytest.raises(ValueError, match=r"networks.conceptual: .*resnet10-slim"):
        check_beside(make_settings(conceptual={"model_options": options}), *tables)
    check_beside(make_settings(), *tables)


@pytest.mark.slow
def test_expressions_that_were_not_trained_on_are_refused_before_training(finished):
    train, probe = (StimulusTable.read(finished / "stimuli" / f"{name}.csv") for name in ("train", "probe"))
    with pytest.raises(StimulusError, match=r"conceptual cannot be tested on the probe stimuli.*neutral"):
        check_beside(make_settings(), train.select(expression=["anger", "happiness"]), probe)


@pytest.mark.slow
def test_the_command_refuses_a_bad_section_with_one_line(run, tmp_path):
    change = "networks.conceptual.from.emotion=expresion"
    code, _, error = run("run", DEMO, "--out", tmp_path / "new", "--set", change)
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    assert "Did you mean 'expression'?" in error
    assert not (tmp_path / "new").exists()


def test_the_demos_recipe_has_the_stage_and_goes_without_it():
    settings = read_settings(TransferSettings, DEMO)
    assert settings.networks["conceptual"].starts["non_emotion_weights"] == "identity"
    assert settings.networks["guided"].starts["trunk_weights"] == "identity"
    assert settings.list_compared() == ("identity", "verification", "expression")
    assert {probe.target: probe.holdout for probe in settings.probes} == {
        "expression": "identity",
        "identity": "view",
    }
    assert read_settings(TransferSettings, DEMO, ["beside=null"]).beside == {}


#: Shares by factor and layer, and half the width of their intervals.
DESIGNED = {"expression": (0.9, 0.4), "identity": (0.2, 0.7)}
REVERSED = {"expression": (0.4, 0.9), "identity": (0.7, 0.2)}
HALF = {"expression": (0.9, 0.4), "identity": (0.45, 0.5)}


def write_results(folder: Path, shares: dict[str, tuple[float, float]]) -> Path:
    """Write made-up read-outs of both pathways, and tests of them."""
    for target, (emotion, non_emotion) in shares.items():
        layers = {
            "conceptual": {"emotion": emotion, "non_emotion": non_emotion},
            "perceptual": {"perceptual": 0.6},
        }
        for name, values in layers.items():
            rows = [make_row("network", layer, value, target) for layer, value in values.items()]
            rows.append(make_row("pixels", "pixels", 0.31, target))
            place = folder / "beside" / "probes" / name / target
            place.mkdir(parents=True)
            (place / "summary.json").write_text(json.dumps({"settings": {}, "layers": rows}))
    rng = np.random.default_rng(3)
    labels = np.array(["anger", "fear", "joy"] * 8)
    people = np.repeat([f"id{k}" for k in range(6)], 4)
    for name in ("conceptual", "perceptual"):
        logits = rng.normal(size=(24, 3))
        result = evaluate_predictions(logits, labels, ["anger", "fear", "joy"], groups=people, n_boot=50)
        result.save(folder / "evaluation" / name)
        metrics = folder / "evaluation" / name / "metrics.csv"
        frame = pd.read_csv(metrics, keep_default_na=False).assign(epoch="last", seed="0")
        frame.to_csv(metrics, index=False)
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump({"networks": {"conceptual": {"from": {"emotion_weights": "a<b"}}}})
    )
    return folder


def make_row(source: str, layer: str, value: float, target: str) -> dict:
    return {
        "source": source, "layer": layer, "layer_index": 1, "readout": "ridge", "target": target,
        "holdout": "identity" if target == "expression" else "view", "n_classes": 5, "chance_level": 0.2,
        "balanced_accuracy": value, "balanced_accuracy_low": value - 0.1,
        "balanced_accuracy_high": value + 0.1, "interval": "identities", "p_value": 0.01,
        "p_value_max": 0.5 if value < 0.3 else 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "said", "not_said"),
    [
        (DESIGNED, ["the emotion features carry more of it", "appears in both read-outs"], "other way"),
        (
            REVERSED,
            ["does not appear", "For expression it is the other way", "For identity it is"],
            "overlap",
        ),
        (HALF, ["intervals overlap", "appears for expression alone"], "other way"),
    ],
)
def test_the_sentence_follows_the_numbers(tmp_path, shares, said, not_said):
    text = " ".join(show_pathways(write_results(tmp_path, shares)).body.split())
    for words in said:
        assert words in text
    assert not_said not in text
    first, second = shares["identity"]
    assert f"with {100 * first:.1f} %" in text
    assert f"with {100 * second:.1f} %" in text
    assert "emotion trunk from the a&lt;b network" in text


@pytest.fixture(scope="module")
def designed(tmp_path_factory) -> str:
    """The section on pathways that hold what they were designed to hold."""
    return show_pathways(write_results(tmp_path_factory.mktemp("designed"), DESIGNED)).body


def test_what_is_not_above_its_null_is_said_to_be(designed):
    text = " ".join(designed.split())
    assert "20.0 % [10.0, 30.0] (not above exchanged labels)" in text
    assert text.count("not above exchanged labels") == 1


def test_the_table_has_a_row_per_layer_and_a_column_per_factor(designed):
    rows = re.findall(r"<tr>(.*?)</tr>", designed)
    cells = [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row)] for row in rows]
    assert ["emotion", "trained", "90.0 [80.0, 100.0]*", "20.0 [10.0, 30.0]"] in cells
    assert ["perceptual", "trained", "60.0 [50.0, 70.0]*", "60.0 [50.0, 70.0]*"] in cells
    assert ["–", "pixels", "31.0 [21.0, 41.0]*", "31.0 [21.0, 41.0]*"] in cells
