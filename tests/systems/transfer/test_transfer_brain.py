"""The demo's simulated group, small: shown, scanned, recovered, compared, resumed; and what its page says."""

import json
import re
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.activations.store import ActivationStore, write_store
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.experiments.brain import (
    build_models,
    check_brain,
    choose_stimuli,
)
from fernet_neuro.experiments.page_brain import SHARES, match_regions, region_table, share_table, show_brain
from fernet_neuro.experiments.recipes import run_experiment
from fernet_neuro.experiments.settings import BrainSettings
from fernet_neuro.rsa.analysis.run import RSAFolder
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.transfer.recipe import TransferSettings
from tests.systems.transfer.conftest import LAYERS, REGIONS, make_settings

pytestmark = pytest.mark.slow

DEMO = "demo"


def with_group(**changes) -> TransferSettings:
    """Return the small recipe with changes to its group."""
    return make_settings(brain=changes)


def read_section(folder: Path) -> str:
    """Return the page's section on the simulated group."""
    text = (folder / "index.html").read_text()
    return text[text.index('<section id="brain">') :].split("</section>")[0]


@pytest.fixture(scope="module")
def probe(finished) -> StimulusTable:
    return StimulusTable.read(finished / "stimuli" / "probe.csv")


# What is shown


def test_every_person_is_shown_with_every_expression_once_and_views_are_balanced(finished, probe):
    shown = StimulusTable.read(finished / "brain" / "stimuli.csv").frame
    assert len(shown) == 15
    assert (shown.groupby(["identity", "expression"]).size() == 1).all()
    assert len(shown.groupby(["expression", "view"])) == 9
    assert (shown.groupby("identity")["view"].nunique() == 3).all()
    assert set(shown["stimulus_id"]) <= set(probe.stimulus_ids)


def test_stimuli_that_are_not_there_are_refused_before_training(probe):
    with pytest.raises(StimulusError, match=r"brain.identities=6 people are to be shown; .* have 5"):
        check_brain(with_group(identities=6).brain, probe)
    with pytest.raises(StimulusError, match=r"no picture of identity .* with expression 'fear'"):
        check_brain(with_group(expressions=["fear"]).brain, probe)
    lacking = probe.select(probe.factor("view") == "straight")
    assert set(choose_stimuli(lacking, with_group().brain).factor("view")) == {"straight"}
    with pytest.raises(ValueError, match="regions OFA and pSTS overlap"):
        near = {**REGIONS, "pSTS": {**REGIONS["pSTS"], "centre": [40, -76, -10]}}
        check_brain(with_group(simulation={"regions": near, "voxel_size": 6}).brain, probe)


# The stage


def test_every_stage_leaves_its_files(finished):
    assert len(list((finished / "brain" / "bids").glob("sub-*/func/*_bold.nii.gz"))) == 8
    assert len(list((finished / "brain" / "patterns").rglob("*_patterns.npz"))) == 8
    for name in ("results", "pairwise", "subjects", "ceilings", "peaks"):
        assert (finished / "rsa" / f"{name}.csv").is_file()
    assert (finished / "figures" / "rsa-layer-roi.pdf").is_file()


def test_models_are_the_layers_their_twins_and_pixels(finished):
    folder = RSAFolder.load(finished / "rsa")
    names = [
        f"{kind}{network}/{layer}"
        for network in ("identity", "expression")
        for kind in ("", "untrained ")
        for layer in LAYERS
    ]
    features = [name for beside in make_settings().beside.values() for name in beside.layers.values()]
    named = [*features, *(f"untrained {name}" for name in features)]
    assert folder.models.names == ["pixels", *named, *names]
    shown = folder.stimuli
    store = ActivationStore.open(finished / "stores" / "expression" / "seed0-untrained")
    layer = store.load("avgpool").align_to(shown.stimulus_ids)
    np.testing.assert_allclose(
        folder.models.dissimilarities[-1], compute_rdms(layer).dissimilarities[0], atol=1e-9
    )
    pixels = compute_rdms(compute_pixels(shown)).dissimilarities[0]
    np.testing.assert_allclose(folder.models.dissimilarities[0], pixels, atol=1e-9)
    assert folder.result.rois == list(REGIONS)
    assert set(folder.result.estimates["n_subjects"]) == {4}
    assert list(folder.settings.blocks) == shown.factor("identity").tolist()
    peaks = folder.result.peaks
    assert set(zip(peaks["roi"], peaks["network"], strict=True)) == {
        (roi, f"{kind}{network}")
        for roi in REGIONS
        for kind in ("", "untrained ")
        for network in ("identity", "expression")
    }


def test_planted_shares_are_recovered_in_the_stage(finished):
    shares = pd.read_csv(finished / "brain" / "shares.csv").set_index(["roi", "factor"])
    for roi, section in REGIONS.items():
        for factor in ("view", "identity", "expression", "pixels"):
            row = shares.loc[(roi, factor)]
            assert row["planted"] == pytest.approx(section["shares"].get(factor, 0.0))
            assert row["share"] == pytest.approx(row["planted"], abs=0.25)
    assert shares.loc[("pSTS", "expression"), "p_value"] < 0.05


def test_named_layers_of_further_networks_are_models_of_their_own(finished, tmp_path, rng):
    shown = StimulusTable.read(finished / "brain" / "stimuli.csv")
    named = {
        "conceptual": {"emotion": "emotion features", "non_emotion": "non-emotion features"},
        "perceptual": {"perceptual": "perceptual pathway"},
    }
    contents = {
        "conceptual": ("emotion", "non_emotion"),
        "perceptual": ("perceptual",),
        "identity": ("stem", "avgpool"),
        "expression": ("stem",),
    }
    for network, layers in contents.items():
        for kind in ("trained", "untrained"):
            made = [Activations(rng.normal(size=(15, 7)), shown.stimulus_ids, layer) for layer in layers]
            write_store(tmp_path / "stores" / network / f"seed3-{kind}", shown, made)
    compared = ("identity", "expression")
    models = build_models(with_group(networks=None).brain, tmp_path, shown, compared, named=named, seed=3)
    assert models.names[:7] == [
        "pixels", "emotion features", "non-emotion features", "perceptual pathway",
        "untrained emotion features", "untrained non-emotion features", "untrained perceptual pathway",
    ]  # fmt: skip
    assert set(models.table["layer"][:7]) == {""}
    assert models.table["layer"][7:].tolist() == ["stem", "avgpool"] * 2 + ["stem"] * 2
    store = ActivationStore.open(tmp_path / "stores" / "perceptual" / "seed3-untrained")
    wanted = compute_rdms(store.load("perceptual")).dissimilarities[0]
    np.testing.assert_allclose(models.dissimilarities[6], wanted)


def test_a_second_run_finishes_what_the_first_left_and_changes_nothing_else(finished, resumed):
    patterns = sorted((finished / "brain" / "patterns").rglob("sub-02*_patterns.npz"))
    assert patterns
    again = ["rsa/results.csv", "rsa/peaks.csv", "brain/shares.csv"]
    for name in (*again, *(path.relative_to(finished) for path in patterns)):
        assert (resumed / name).read_bytes() == (finished / name).read_bytes()
    bold = "brain/bids/sub-01/func/sub-01_task-faces_run-01_bold.nii.gz"
    assert (resumed / bold).stat().st_mtime_ns == (finished / bold).stat().st_mtime_ns


def test_a_group_of_an_earlier_version_is_told_and_simulated_again(finished, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    brain = folder / "brain"
    for lost in (folder / "rsa", brain / "bids" / "code"):
        shutil.rmtree(lost)
    (brain / SHARES).unlink()
    with pytest.raises(StoreError, match=r"planted\.json, .* is missing or damaged"):
        run_experiment(make_settings(), folder, resume=True)
    for made in ("bids", "patterns"):
        shutil.rmtree(brain / made)
    run_experiment(make_settings(), folder, resume=True)
    assert (brain / SHARES).read_bytes() == (finished / "brain" / SHARES).read_bytes()


def test_the_recipe_names_only_networks_that_it_has():
    with pytest.raises(ValueError, match=r"'expresion' is not known.*Did you mean 'expression'"):
        with_group(networks=["expresion"])
    with pytest.raises(ValueError, match="identities"):
        BrainSettings(identities=3)


def test_the_demos_recipe_has_the_stage_and_goes_without_it():
    settings = read_settings(TransferSettings, DEMO)
    assert settings.brain.networks == ("identity", "expression")
    # As many people in the pictures as in the scanner: neither alone limits the degrees of freedom.
    assert settings.brain.identities == settings.brain.simulation.subjects
    assert read_settings(TransferSettings, DEMO, ["brain=null"]).brain is None


# The page


def test_the_section_shows_answer_figure_and_tables(finished):
    section = read_section(finished)
    assert "4 simulated people look at 15 of the probe pictures" in section
    assert 'id="figure-rsa-layer-roi"' in section
    for name in ("brain/shares.csv", "brain/bids/README.md", "rsa/results.csv", "rsa/peaks.csv"):
        assert f'href="{name}"' in section
        assert (finished / name).is_file()
    text = (finished / "index.html").read_text()
    assert text.count('id="figure-rsa-layer-roi"') == 1


def test_tables_hold_the_numbers_of_the_files(finished):
    result = RSAResult.load(finished / "rsa")
    table = region_table(result).set_index("Model")
    assert list(table.columns) == ["OFA", "pSTS"]
    row = result.select_roi("pSTS").set_index("model").loc["expression/avgpool"]
    number = f"{row['estimate']:.2f}".replace("0.", ".", 1)
    assert table.loc["expression/avgpool", "pSTS"].startswith(number)
    assert "identity/layer1" not in table.index
    assert "untrained identity/avgpool" in table.index
    shares = pd.read_csv(finished / "brain" / "shares.csv")
    cell = share_table(shares).set_index("Region").loc["pSTS", "Expression"]
    assert cell.startswith(".90, ")


def write_folder(finished: Path, out: Path, estimates: dict[str, dict[str, float]]) -> Path:
    """Write results with made-up estimates by region and model; differences of .1 or more are significant."""
    found = RSAResult.load(finished / "rsa")
    (out / "brain").mkdir(parents=True)
    shutil.copy(finished / "brain" / "shares.csv", out / "brain" / "shares.csv")
    frame, pairs = found.estimates.copy(), []
    for roi, values in estimates.items():
        rows = frame["roi"] == roi
        frame.loc[rows, "estimate"] = [values.get(model, 0.0) for model in frame.loc[rows, "model"]]
        for first, second in combinations(frame.loc[rows, "model"], 2):
            difference = values.get(first, 0.0) - values.get(second, 0.0)
            p_value = 1e-5 if abs(difference) >= 0.1 else 0.4
            pairs.append({"roi": roi, "model_1": first, "model_2": second, "difference": difference,
                          "p_value": p_value})  # fmt: skip
    pairwise = pd.DataFrame(pairs).reindex(columns=found.pairwise.columns)
    replace(found, estimates=frame, pairwise=pairwise).save(out / "rsa")
    return out


MATCHED = {"expression/avgpool": 0.5, "identity/avgpool": 0.1, "pixels": 0.2}
NOT_ABOVE_PIXELS = {"expression/avgpool": 0.25, "identity/avgpool": 0.1, "pixels": 0.2}
PIXELS_AHEAD = {"expression/avgpool": 0.1, "identity/avgpool": 0.2, "pixels": 0.6}
UNDECIDED = {"expression/avgpool": 0.32, "identity/avgpool": 0.3}


BOTH_MATCHED = (
    "OFA and pSTS match the expression network (average pool: .50 and .50), which is closer than the "
    "identity network, its untrained twin and pixels."
)
ONE_MATCHED = (
    "OFA matches the expression network (average pool: .25), which is closer than the identity network and "
    "its untrained twin, but not significantly closer than pixels."
)
NEITHER = "In OFA the expression network and the identity network do not differ significantly."


@pytest.mark.parametrize(
    ("first", "second", "said", "not_said"),
    [
        (MATCHED, MATCHED, [BOTH_MATCHED], "not significantly"),
        (
            NOT_ABOVE_PIXELS,
            PIXELS_AHEAD,
            [ONE_MATCHED, "In pSTS pixels are closer than any network."],
            "do not differ",
        ),
        (UNDECIDED, MATCHED, [NEITHER, "pSTS matches the expression network"], "OFA matches"),
    ],
)
def test_the_sentence_follows_the_numbers(finished, tmp_path, first, second, said, not_said):
    folder = write_folder(finished, tmp_path / "made", {"OFA": first, "pSTS": second})
    text = " ".join(re.sub("<[^>]+>", "", show_brain(folder).body).split())
    for words in said:
        assert words in text
    assert not_said not in text


def test_p_values_are_corrected_over_all_sentences(finished, tmp_path):
    folder = write_folder(finished, tmp_path / "made", {"OFA": MATCHED, "pSTS": UNDECIDED})
    result = RSAResult.load(folder / "rsa")
    matches, n_tests = match_regions(result)
    assert n_tests == 2 * 5  # two networks: one pair, and two controls of each, in two regions
    assert matches[0].others == ("identity",)
    weak = result.pairwise.assign(p_value=result.pairwise["p_value"].replace(1e-5, 0.006))
    matches, _ = match_regions(replace(result, pairwise=weak))
    assert matches[0].others == ()


def test_the_recovery_sentence_counts_what_was_not_planted(finished, tmp_path):
    folder = write_folder(finished, tmp_path / "made", {"OFA": MATCHED, "pSTS": MATCHED})
    shares = pd.read_csv(folder / "brain" / "shares.csv")
    shares["share"] = shares["planted"]
    shares.loc[1, "share"] += 0.17
    shares["p_value"] = np.where(shares["planted"] > 0, 0.001, 0.5)
    shares.loc[shares.index[shares["planted"] == 0][0], "p_value"] = 0.01
    shares.to_csv(folder / "brain" / "shares.csv", index=False)
    text = " ".join(show_brain(folder).body.split())
    assert f"at most by 0.17 ({shares.loc[1, 'factor']} in {shares.loc[1, 'roi']})" in text
    assert "4 of 4 planted factors are significant, and 1 of 4 that were not planted" in text


def test_a_page_without_a_group_has_no_section(finished, tmp_path):
    from fernet_neuro.systems.transfer.page import write_report

    for name in ("probes", "brain"):
        shutil.copytree(finished / name, tmp_path / name)
    assert 'id="brain"' not in write_report(tmp_path).read_text()
    assert json.loads((finished / "rsa" / "summary.json").read_text())["kind"] == "rsa"
