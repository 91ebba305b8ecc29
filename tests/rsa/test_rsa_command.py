import json
import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

import fernet_neuro as fn
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.faces.landmarks import LandmarkTable
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, is_rsa, run_rsa, select_layers
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.layers import choose_layers
from fernet_neuro.rsa.inference.partition import infer_partition
from fernet_neuro.rsa.models.factors import build_text_rdm
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stimuli.text_table import make_random_table, read_text_table

FAST = ("--bootstrap", 50, "--permutations", 19)


@pytest.fixture
def run(run):
    """The command without its page; ``run.func`` takes any."""
    return partial(run, "rsa", "--no-report")


@pytest.fixture
def group(rng, tmp_path):
    """Three models of 13 stimuli, and five subjects in two regions, the first of which follows a model."""
    ids = np.array([f"face{number}" for number in rng.permutation(13)])
    models = RDMSet(rng.uniform(size=(3, 78)), ids, pd.DataFrame({"name": ["shape", "pixels", "gaze"]}))
    rows = [(roi, f"p{number}") for roi in ("FFA", "STS") for number in range(5)]
    table = pd.DataFrame(rows, columns=["roi", "subject"])
    signal = np.array([1.0 if roi == "FFA" else 0.0 for roi, _ in rows])[:, None] * models.dissimilarities[0]
    brain = RDMSet(signal + 0.3 * rng.uniform(size=(10, 78)), ids, table, distance="correlation")
    models.save(tmp_path / "models.npz")
    brain.save(tmp_path / "brain.npz")
    return tmp_path, models, brain


@pytest.mark.filterwarnings("always:.*are the same RDM")
def test_one_rdm_as_two_models_is_noted(run, group):
    folder, models, _ = group
    again = models.dissimilarities[[2]].astype(np.float32)
    table = pd.DataFrame({"name": ["looks"]})
    RDMSet(again, models.stimulus_ids, table).save(folder / "more.npz")
    sources = ("--models", folder / "models.npz", "--models", folder / "more.npz")
    code, _, err = run(*sources, "--brain", folder / "brain.npz", *FAST, "--out", folder / "out")
    assert code == 0, err
    assert "models 'gaze' and 'looks' are the same RDM under two names, and count as two in" in err


def test_the_folder_holds_what_the_engine_says_and_what_was_compared(run, group):
    folder, models, brain = group
    out = folder / "out"
    code, text, err = run(
        "--models", folder / "models.npz", "--brain", folder / "brain.npz", "--seed", 3, *FAST, "--out", out
    )
    assert code == 0, err
    kept = RSAFolder.load(out)
    named = RDMSet(models.dissimilarities, models.stimulus_ids, pd.DataFrame({"model": models.names}))
    expected = infer_rsa(named, brain, n_bootstraps=50, n_permutations=19, seed=3)
    for table in ("estimates", "pairwise", "subjects", "ceilings"):
        assert getattr(kept.result, table).equals(getattr(expected, table))
    assert (kept.models, kept.brain, kept.stimuli, kept.settings.blocks) == (named, brain, None, None)
    assert kept.settings.n_bootstraps == 50
    assert "FFA: 5 subjects, 13 stimuli; rho_a, to new subjects and stimuli" in text
    assert "shape > gaze" in text or "shape > pixels" in text
    assert RSAResult.load(out) == kept.result


def test_variance_components_are_asked_for_and_named_and_the_rest_says_that_it_is_drawn(run, group):
    folder, models, brain = group
    sides = ("--models", folder / "models.npz", "--brain", folder / "brain.npz", "--inference", "components")
    code, text, err = run(
        *sides, *FAST, "--partition", "shape", "--partition", "gaze", "--out", folder / "out"
    )
    assert code == 0, err
    kept = RSAFolder.load(folder / "out")
    assert kept.settings.inference == "components"
    expected = infer_rsa(models, brain, inference="components", n_permutations=19)
    assert kept.result.estimates["standard_error"].equals(expected.estimates["standard_error"])
    assert "to new subjects and stimuli (both random), by variance components" in text
    assert "Note: intervals of peaks and of shares of variance are by the bootstrap." in text
    assert "MB of memory" in err
    assert fn.rsa(models, brain, inference="components", n_permutations=19).pairwise.equals(expected.pairwise)
    code, text, err = run(*sides, *FAST, "--fit", "weighted", "--out", folder / "fitted")
    assert code == 0, err
    assert "(both random), by bootstrap" in text
    assert "variance components of fitted models have no closed form" in text


def test_json_has_all_tables_and_no_not_a_number(run, group):
    folder, _, _ = group
    options = ("--roi", "FFA", "--comparison", "spearman", "--partition", "shape", "--partition", "gaze")
    code, text, err = run(
        "--models", folder / "models.npz", "--brain", folder / "brain.npz", *options, *FAST,
        "--out", folder / "out", "--json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert found["kind"] == "rsa"
    assert [row["model"] for row in found["models"]] == ["shape", "pixels", "gaze"]
    assert {row["roi"] for row in found["models"]} == {"FFA"}
    assert found["models"][0]["p_permutation"] == 0.05
    assert len(found["pairwise"]) == 3
    assert [row["models"] for row in found["partition"]] == ["shape", "gaze", "shape & gaze", "shape + gaze"]
    assert found["partition"][0]["share"] > 0.5 > abs(found["partition"][1]["share"])
    assert found["peaks"] == []


@pytest.mark.filterwarnings("always:.*are the same RDM")
def test_models_of_several_sources_keep_names_apart(run, group):
    folder, models, _ = group
    (folder / "more").mkdir()
    models.take([1]).save(folder / "more" / "other.npz")
    code, _, err = run(
        "--models", folder / "models.npz", "--models", folder / "more" / "other.npz",
        "--brain", folder / "brain.npz", *FAST, "--out", folder / "out",
    )  # fmt: skip
    assert code == 0, err
    assert "'models/pixels' and 'other/pixels' are the same RDM" in err
    kept = RSAFolder.load(folder / "out")
    assert kept.models.table["model"].tolist() == ["shape", "models/pixels", "gaze", "other/pixels"]
    assert kept.result.estimates["source"].unique().tolist() == ["models", "other"]
    one, other = kept.result.select_roi("FFA")["estimate"].iloc[[1, 3]]
    assert one == other


def test_texts_stand_beside_layers_judgement_and_brain(run, noise_table, tmp_path, rng):
    ids = noise_table.stimulus_ids
    layer = Activations(rng.normal(size=(24, 31)).astype(np.float32), ids, "conv1")
    store = write_store(tmp_path / "store", noise_table, [layer])
    judged = RDMSet(rng.uniform(size=(1, 276)), ids, pd.DataFrame({"model": ["judgement"]}))
    judged.save(tmp_path / "judgement.npz")
    language = build_text_rdm(noise_table, read_text_table("builtin"))
    noise = 0.1 * language.dissimilarities.std() * rng.normal(size=(6, 276))
    subjects = pd.DataFrame({"subject": list("abcdef")})
    brain = RDMSet(language.dissimilarities + noise, ids, subjects, distance="correlation")
    brain.save(tmp_path / "brain.npz")
    code, text, err = run(
        "--models", store.path, "--models", tmp_path / "judgement.npz", "--all-layers", "--text", "builtin",
        "--brain", tmp_path / "brain.npz", *FAST, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    kept = RSAFolder.load(tmp_path / "out").result
    assert kept.estimates["model"].tolist() == ["conv1", "judgement", "texts (all-MiniLM-L6-v2)"]
    most = kept.settings["attainable"]["texts (all-MiniLM-L6-v2)"]
    assert 0.9 * most < kept.estimates["estimate"].iloc[2] <= most < 1
    assert "at most" in text
    again = fn.rsa([store, judged], brain, noise_table, texts="builtin", n_bootstraps=50, n_permutations=19)
    np.testing.assert_allclose(again.estimates["estimate"], kept.estimates["estimate"])


def test_a_text_table_is_no_rdm_file_and_must_name_the_expressions(run, group, noise_table, tmp_path):
    folder, _, _ = group
    make_random_table(["anger", "joy"], 5).save(tmp_path / "texts.npz")
    rest = ("--brain", folder / "brain.npz", "--out", folder / "out")
    code, _, err = run("--models", tmp_path / "texts.npz", *rest)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "but of 'fernet-neuro text table'" in err
    code, _, err = run("--models", tmp_path / "table.csv", "--text", tmp_path / "texts.npz", *rest)
    assert code == 2
    assert "no class 'happiness', 'neutral'" in err


def test_layers_of_a_store_meet_patterns_of_brains_with_identities_as_blocks(run, noise_table, tmp_path, rng):
    shared = rng.normal(size=(24, 31))
    layers = [
        Activations((shared * weight + rng.normal(size=shared.shape)).astype(np.float32), ids, name)
        for ids in [noise_table.stimulus_ids]
        for name, weight in (("conv1", 0), ("layer2", 3), ("fc", 1))
    ]
    write_store(tmp_path / "store", noise_table, layers)
    for subject in ("01", "02", "03", "04"):
        order = rng.permutation(24)
        values = [shared[order] + rng.normal(size=shared.shape) for _ in range(3)]
        ids, runs = np.tile(noise_table.stimulus_ids[order], 3), np.repeat(["1", "2", "3"], 24)
        item = BrainPatterns(np.concatenate(values), ids, runs, "FFA", subject)
        item.save(tmp_path / "bids" / f"sub-{subject}" / "func" / f"sub-{subject}_roi-FFA_patterns.npz")
    options = ("--all-layers", "--identity-blocks", "identity", "--generalise-to", "subjects", "--pixels")
    code, text, err = run(
        "--models", tmp_path / "store", "--brain", tmp_path / "bids", *options, *FAST, "--out", tmp_path / "o"
    )
    assert code == 0, err
    kept = RSAFolder.load(tmp_path / "o")
    assert kept.result.estimates["layer"].tolist() == ["conv1", "layer2", "fc", ""]
    assert kept.result.estimates["model"].tolist() == ["conv1", "layer2", "fc", "pixels"]
    assert kept.brain.distance == "crossnobis"
    assert np.array_equal(kept.models.stimulus_ids, noise_table.stimulus_ids)
    assert kept.stimuli == noise_table
    assert list(kept.settings.blocks) == noise_table.factor("identity").tolist()
    assert kept.result.estimates["estimate"].argmax() == 1
    assert kept.result.peaks["layer"].tolist() == ["layer2"]
    assert "peak of store: layer2, between layer2 and layer2" in text
    assert "within a region" in text


def test_layers_of_a_network_without_trained_weights_are_called_so(run, noise_table, tmp_path, rng):
    network = fn.load_model("resnet10-slim", size=32)
    fn.extract(network, noise_table, ["layer1", "fc"], out=tmp_path / "store")
    values = rng.uniform(size=(3, 24 * 23 // 2))
    RDMSet(values, noise_table.stimulus_ids, pd.DataFrame({"subject": list("abc")})).save(tmp_path / "b.npz")
    words = ("--models", tmp_path / "store", "--all-layers", "--pixels", "--brain", tmp_path / "b.npz")
    code, text, err = run.func("rsa", *words, *FAST, "--out", tmp_path / "o")
    assert code == 0, err
    rows = {
        line.split()[0]: line for line in text.splitlines() if line.startswith(("layer1 ", "fc ", "pixels "))
    }
    assert {name: "random weights" in line for name, line in rows.items()} == {
        "layer1": True, "fc": True, "pixels": False,
    }  # fmt: skip
    assert "Note: layer1, fc: Weights are random" in text
    assert "@WEIGHTS" in text
    assert "random weights" in (tmp_path / "o" / "index.html").read_text()
    assert RSAResult.load(tmp_path / "o").estimates["weights"].tolist() == ["random weights"] * 2 + [""]
    in_python = fn.rsa(network, RDMSet.load(tmp_path / "b.npz"), noise_table, layers=["fc"], n_bootstraps=20)
    assert in_python.frame["weights"].tolist() == ["random weights"]


def test_blocks_reach_every_part_of_an_analysis(group):
    _, models, brain = group
    named = replace(models, table=models.table.assign(layer=models.names))
    people = np.array([*np.repeat(np.arange(4), 3), 3])
    settings = RSASettings("pearson", n_bootstraps=60, n_permutations=99)
    found = run_rsa(named, brain, settings, blocks=people, partition=models.names[:2])
    alone = run_rsa(named, brain, settings, partition=models.names[:2])
    options = {"comparison": "pearson", "n_bootstraps": 60, "blocks": people}
    peaks = choose_layers(named, brain, **options).peaks
    expected = infer_partition(named.take([0, 1]), brain, **options)
    assert np.allclose(found.peaks["nested_score"], peaks["nested_score"], atol=0)
    assert np.allclose(found.partition[["share", "high"]].astype(float), expected[["share", "high"]], atol=0)
    assert not np.allclose(*(item.partition["high"].astype(float) for item in (found, alone)))
    assert not np.allclose(found.peaks["nested_score"], alone.peaks["nested_score"])
    assert not np.allclose(found.estimates["standard_error"], alone.estimates["standard_error"])


def test_each_peak_goes_by_the_name_of_its_network(run, noise_table, tmp_path, rng):
    shared = rng.normal(size=(24, 31))
    for network, best in (("trained", "fc"), ("twin", "conv1")):
        layers = [
            Activations(
                (shared * 3 * (name == best) + rng.normal(size=shared.shape)).astype(np.float32),
                noise_table.stimulus_ids,
                name,
            )
            for name in ("conv1", "fc")
        ]
        write_store(tmp_path / network, noise_table, layers)
    scans = RDMSet.from_squares(
        np.array([1 - np.corrcoef(shared + rng.normal(size=shared.shape)) for _ in range(5)]).round(12),
        noise_table.stimulus_ids,
        pd.DataFrame({"subject": list("abcde")}),
    )
    scans.save(tmp_path / "brain.npz")
    sources = ("--models", tmp_path / "trained", "--models", tmp_path / "twin", "--all-layers")
    code, text, err = run(*sources, "--brain", tmp_path / "brain.npz", *FAST, "--out", tmp_path / "out")
    assert code == 0, err
    assert "peak of trained: fc, between" in text
    assert "peak of twin: conv1, between" in text


def test_layers_that_are_numbers_go_by_their_names_beside_models_without(run, noise_table, tmp_path, rng):
    shared = rng.normal(size=(24, 31))
    layers = [
        Activations(
            (shared * 3 * (name == "4") + rng.normal(size=shared.shape)).astype(np.float32), ids, name
        )
        for ids in [noise_table.stimulus_ids]
        for name in ("0", "2", "4")
    ]
    write_store(tmp_path / "store", noise_table, layers)
    scans = RDMSet.from_squares(
        np.array([1 - np.corrcoef(shared + rng.normal(size=shared.shape)) for _ in range(5)]).round(12),
        noise_table.stimulus_ids,
        pd.DataFrame({"subject": list("abcde")}),
    )
    scans.save(tmp_path / "brain.npz")
    arguments = (
        "--models",
        tmp_path / "store",
        "--all-layers",
        "--pixels",
        "--brain",
        tmp_path / "brain.npz",
    )
    code, text, err = run(*arguments, *FAST, "--out", tmp_path / "out")
    assert code == 0, err
    assert "peak of store: 4, between 4 and 4;" in text
    kept = RSAFolder.load(tmp_path / "out")
    assert kept.result.peaks["layer"].tolist() == ["4"]
    assert (
        kept.result.estimates["layer"].tolist() == kept.models.table["layer"].tolist() == ["0", "2", "4", ""]
    )
    assert kept.result.models == ["0", "2", "4", "pixels"]
    assert set(kept.result.estimates["distance"]) == {"correlation"}


@pytest.mark.parametrize("missing", [None, np.nan, "nan"])
def test_a_model_without_a_layer_is_none(group, missing):
    _, models, _ = group
    table = pd.DataFrame({"name": models.names, "layer": ["conv1", missing, "fc"]})
    layers = select_layers(replace(models, table=table))
    assert layers.names == ["shape", "gaze"]
    assert select_layers(replace(models, table=table.assign(layer=["fc", missing, missing]))) is None


def test_notes_on_what_cannot_be_said_are_printed(run, group, rng):
    folder, models, _ = group
    arguments = ("--models", folder / "models.npz", "--brain", folder / "brain.npz", "--roi", "FFA", *FAST)
    code, text, err = run(*arguments, "--comparison", "cosine", "--out", folder / "cosine")
    assert code == 0, err
    assert "Note: FFA: dissimilarities may all be positive" in text
    assert "Note" not in run(*arguments, "--comparison", "pearson", "--out", folder / "pearson")[1]
    ids = models.stimulus_ids
    layers = pd.DataFrame({"model": ["one", "two", "three"], "layer": ["conv1", "conv2", "fc"]})
    RDMSet(rng.uniform(size=(3, 78)), ids, layers).align_to(ids[:6]).save(folder / "six.npz")
    RDMSet(rng.uniform(size=(3, 78)), ids, layers).align_to(ids[:4]).save(folder / "four.npz")
    rest = ("--brain", folder / "brain.npz", "--align", "--roi", "STS", *FAST)
    code, text, err = run("--models", folder / "six.npz", *rest, "--out", folder / "six")
    assert code == 0, err
    assert "peak: " in text
    assert "Note: an interval that passes 1 or -1" in text
    code, text, err = run(
        "--models", folder / "four.npz", *rest, "--generalise-to", "subjects", "--out", folder / "four"
    )
    assert code == 0, err
    assert "a layer chosen on other subjects and stimuli scores -\n" in text
    assert "Note: stimuli, or blocks of them, are too few for the score of a layer chosen on" in text


def test_action_units_and_landmarks_are_models(run, noise_table, tmp_path, rng):
    units = rng.uniform(size=(24, 2))
    frame = noise_table.frame.assign(AU01=units[:, 0], AU12=units[:, 1])
    frame.to_csv(tmp_path / "faces.csv", index=False)
    points = np.array([[6, 6], [14, 6], [10, 10], [7, 14], [13, 14]]) + rng.normal(size=(24, 5, 2)) / 3
    LandmarkTable(noise_table.stimulus_ids, points, pd.DataFrame()).write(tmp_path / "points.csv")
    squares = np.linalg.norm(units[:, None] - units, axis=-1)
    RDMSet.from_squares(
        np.array([squares, squares**1.02, squares**0.98]),
        noise_table.stimulus_ids,
        pd.DataFrame({"subject": list("abc")}),
    ).save(tmp_path / "brain.npz")
    code, _, err = run(
        "--models", tmp_path / "faces.csv", "--weights", "units=AU01,AU12", "--landmarks",
        tmp_path / "points.csv", "--brain", tmp_path / "brain.npz", *FAST, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    frame = RSAResult.load(tmp_path / "out").estimates
    assert frame["model"].tolist() == ["units", "landmarks"]
    assert frame["estimate"].iloc[0] > 0.95 > 0.3 > abs(frame["estimate"].iloc[1])
    arguments = ("--models", tmp_path / "faces.csv", "--brain", tmp_path / "brain.npz", "--weights", "AU01")
    assert "--weights 'AU01' must have the form NAME=COLUMN" in run(*arguments, "--out", tmp_path / "x")[2]


def test_a_table_without_pictures_says_what_it_lacks(run, group):
    folder, models, _ = group
    names = ",".join(["face", "house"] * 7).split(",")[:13]
    lines = [f"{name},{kind}" for name, kind in zip(models.stimulus_ids, names, strict=True)]
    (folder / "kinds.csv").write_text("\n".join(["stimulus_id,kind", *lines]), encoding="utf-8")
    arguments = ("--models", folder / "kinds.csv", "--factor", "kind", "--brain", folder / "brain.npz", *FAST)
    code, _, err = run(*arguments, "--out", folder / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "a stimulus table needs the column 'path'; got: stimulus_id, kind" in err


def test_stores_are_training_seeds_of_one_network_when_told(run, noise_table, tmp_path, rng):
    shared = rng.normal(size=(24, 31))
    for seed in range(3):
        values = (shared + rng.normal(size=shared.shape)).astype(np.float32)
        layer = Activations(values, noise_table.stimulus_ids, "fc")
        write_store(tmp_path / f"seed{seed}", noise_table, [layer])
    scans = RDMSet.from_squares(
        np.array([1 - np.corrcoef(shared + rng.normal(size=shared.shape)) for _ in range(5)]).round(12),
        noise_table.stimulus_ids,
        pd.DataFrame({"subject": list("abcde")}),
    )
    scans.save(tmp_path / "brain.npz")
    sources = [word for seed in range(3) for word in ("--models", tmp_path / f"seed{seed}")]
    arguments = (*sources, "--layer", "fc", "--pixels", "--brain", tmp_path / "brain.npz", *FAST, "--out")
    code, _, err = run(*arguments, tmp_path / "out", "--over-seeds", "--generalise-to", "subjects")
    assert code == 0, err
    kept = RSAFolder.load(tmp_path / "out")
    frame = kept.result.estimates
    assert frame["model"].tolist() == ["fc", "pixels"]
    assert frame["n_seeds"].tolist() == ["3", "0"]
    alone = compare_rdms(kept.models.take([0, 1, 2]), kept.brain, "rho_a").values.mean()
    assert abs(frame["estimate"].iloc[0] - alone) < 1e-12
    assert kept.settings.over_seeds
    assert kept.models.table["seed"].tolist() == ["seed0", "seed1", "seed2", ""]
    assert kept.models.names == ["fc | seed0", "fc | seed1", "fc | seed2", "pixels"]
    code, _, err = run(*arguments, tmp_path / "one", "--over-seeds", "--partition", "fc")
    assert (code, "means over training seeds" in err) == (2, True)
    assert run(*arguments, tmp_path / "apart", "--generalise-to", "subjects")[0] == 0
    assert RSAResult.load(tmp_path / "apart").models == ["seed0/fc", "seed1/fc", "seed2/fc", "pixels"]
    shutil.copytree(tmp_path / "seed1", tmp_path / "seed9")
    copied = ("--models", tmp_path / "seed9", "--over-seeds")
    code, _, err = run(*arguments, tmp_path / "copied", *copied)
    assert code == 2
    assert re.search("seed9 is of the same network as .*seed1, to the last weight", err)
    # Another source called like a store takes no seed away.
    scans.take([0]).save(tmp_path / "more" / "seed0.npz")
    more = ("--models", tmp_path / "more" / "seed0.npz", "--over-seeds", "--generalise-to", "subjects")
    code, _, err = run(*arguments, tmp_path / "more_out", *more)
    assert code == 0, err
    frame = RSAResult.load(tmp_path / "more_out").estimates.set_index("model")
    assert frame.loc["fc", "seeds"] == "seed0 seed1 seed2"


def test_a_fitted_model_stands_beside_its_parts(run, group):
    folder, _, _ = group
    code, text, err = run(
        "--models", folder / "models.npz", "--brain", folder / "brain.npz", "--roi", "FFA",
        "--fit", "weighted", "--comparison", "pearson", "--generalise-to", "subjects", *FAST,
        "--out", folder / "out",
    )  # fmt: skip
    assert code == 0, err
    frame = RSAResult.load(folder / "out").estimates
    assert frame["model"].tolist() == ["shape", "pixels", "gaze", "weighted"]
    assert frame["estimate"].iloc[3] > 0.5
    assert "weighted" in text


def test_alignment_is_asked_for_and_then_keeps_the_order_of_the_models(run, group):
    folder, models, brain = group
    ids = models.stimulus_ids
    brain.align_to([*ids[2:][::-1]]).save(folder / "fewer.npz")
    arguments = ("--models", folder / "models.npz", "--brain", folder / "fewer.npz", *FAST, "--out")
    code, text, err = run(*arguments, folder / "out")
    assert (code, text, err.count("\n")) == (2, "", 1)
    assert f"2 of 13 in the models are not in the brain RDMs (first: '{ids[0]}'). Add --align" in err
    assert not (folder / "out").exists()
    assert run(*arguments, folder / "out", "--align")[0] == 0
    kept = RSAFolder.load(folder / "out")
    assert kept.models == RDMSet(
        models.align_to(ids[2:]).dissimilarities, ids[2:], pd.DataFrame({"model": models.names})
    )
    assert kept.brain == brain.align_to(ids[2:])
    brain.align_to(ids[[1, 0, *range(2, 13)]]).save(folder / "fewer.npz")
    assert f"differ first at row 0: '{ids[0]}' against '{ids[1]}'" in run(*arguments, folder / "other")[2]


def test_one_subject_leaves_inference_over_stimuli(run, group):
    folder, _, brain = group
    brain.select(roi="FFA").take([0]).save(folder / "one.npz")
    arguments = ("--models", folder / "models.npz", "--brain", folder / "one.npz", *FAST, "--out")
    code, _, err = run.func("rsa", *arguments, folder / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "region 'FFA' has one subject only ('p0')" in err
    assert "--generalise-to stimuli: intervals and tests over stimuli" in err
    code, text, err = run(*arguments, folder / "out", "--generalise-to", "stimuli")
    assert code == 0, err
    assert "FFA: 1 subject, 13 stimuli" in text
    assert "no noise ceiling: one subject" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--comparison", "spearmann"), "--comparison spearmann is not known"),
        (("--comparison", "spearmann"), "Did you mean 'spearman'?"),
        (("--roi", "FFB"), "no RDM is of roi 'FFB'"),
        (("--subject-column", "participant"), "no column 'participant' that says whose each is"),
        (("--partition", "shapes"), "--partition shapes is not known"),
        (("--partition", "shape"), "split between 2 to 8 different models"),
        (("--jobs", "0"), "--jobs must be 1 or more, or -1 for one per core"),
        (("--fit", "linear"), "--fit linear is not known"),
        (("--fit", "weighted", "--engine", "rsatoolbox"), "is for --engine own"),
        (("--over-seeds",), "training seeds need two or more stores"),
        (("--over-seeds", "--fit", "weighted"), "are for fixed models"),
        (("--engine", "rsatools"), "--engine rsatools is not known"),
        (("--generalise-to", "subject"), "--generalise-to subject is not known"),
        (("--layer", "fc"), "--layer goes with an activation store"),
        (("--factor", "identity"), "name one as a model, or with --stimuli"),
        (("--identity-blocks", "identity"), "name the table with --stimuli"),
        (("--models", "store"), "say which layers of store"),
        (("--models", "store", "--layer", "fc1"), "no layer 'fc1'. Did you mean 'fc'?"),
        (("--models", "table.csv"), "is a stimulus table: say what the models are"),
        (("--models", "store", "--layer", "fc", "--all-layers"), "not both"),
        (("--models", "nowhere"), "no such file or folder"),
        (("--models", "models.npz"), "two models are called"),
        (("--models", "flat.npz"), "model 'flat' is constant"),
        (
            ("--models", "store", "--layer", "fc"),
            "13 of 13 in the models of models are not in the models of store",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_code_two(
    run, group, noise_table, rng, monkeypatch, options, message
):
    folder, models, _ = group
    activations = Activations(rng.normal(size=(24, 11)).astype(np.float32), noise_table.stimulus_ids, "fc")
    write_store(folder / "store", noise_table, [activations])
    RDMSet(np.full((1, 78), 0.1), models.stimulus_ids, pd.DataFrame({"model": ["flat"]})).save(
        folder / "flat.npz"
    )
    monkeypatch.chdir(folder)
    code, text, err = run("--models", "models.npz", "--brain", "brain.npz", *FAST, *options, "--out", "out")
    assert (code, text, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not (folder / "out").exists()


def test_a_folder_that_is_there_is_kept_unless_it_is_an_rsa_and_told(run, group):
    folder, _, _ = group
    arguments = ("--models", folder / "models.npz", "--brain", folder / "brain.npz", *FAST, "--out")
    out = folder / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    for more in ((), ("--overwrite",)):
        assert "does not hold an RSA; name another folder" in run(*arguments, out, *more)[2]
    assert "is a file; name a folder" in run(*arguments, folder / "models.npz")[2]
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (out / "mine.txt").unlink()
    assert run(*arguments, out)[0] == 0
    before = RSAResult.load(out)
    assert "already holds an RSA; add --overwrite" in run(*arguments, out)[2]
    assert run(*arguments, out, "--overwrite", "--seed", 5)[0] == 0
    assert RSAResult.load(out).settings["seed"] == 5 != before.settings["seed"]
    (out / "summary.json").unlink()  # as if writing had been interrupted
    assert run(*arguments, out, "--seed", 6)[0] == 0
    assert RSAResult.load(out).settings["seed"] == 6


@pytest.mark.parametrize("kind", [RDMSet, RSAResult])
def test_a_folder_in_which_writing_was_interrupted_at_any_point_is_an_rsa_s(group, monkeypatch, kind):
    folder, models, brain = group
    result = run_rsa(models, brain, n_bootstraps=20, n_permutations=0)

    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        RSAFolder(result, models, brain).save(folder / "out")
    assert is_rsa(folder / "out")
    assert not (folder / "out" / "summary.json").exists()


def test_a_stimulus_table_names_stimuli_that_files_do_not(run, noise_table, tmp_path, rng):
    np.savez(tmp_path / "group.npz", rdms=rng.uniform(size=(4, 276)))
    code, text, err = run(
        "--models", tmp_path / "table.csv", "--factor", "identity", "--factor", "expression",
        "--brain", tmp_path / "group.npz", "--subject-column", "index", "--stimuli", tmp_path / "table.csv",
        "--identity-blocks", "identity", *FAST, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    kept = RSAFolder.load(tmp_path / "out")
    assert np.array_equal(kept.brain.stimulus_ids, noise_table.stimulus_ids)
    assert kept.result.estimates["model"].tolist() == ["identity", "expression"]
    assert kept.result.settings["n_blocks"] == 4
    assert "Note: no p (labels) of identity: to exchange whole blocks" in text
    assert "brain: 4 subjects, 24 stimuli in 4 blocks (identity); rho_a" in text


def test_three_blocks_say_what_remains(run, noise_table, tmp_path, rng):
    np.savez(tmp_path / "group.npz", rdms=rng.uniform(size=(4, 276)))
    arguments = (
        "--models", tmp_path / "table.csv", "--factor", "identity", "--factor", "expression",
        "--brain", tmp_path / "group.npz", "--subject-column", "index", "--stimuli", tmp_path / "table.csv",
        "--identity-blocks", "expression", *FAST, "--out", tmp_path / "out",
    )  # fmt: skip
    code, _, err = run.func("rsa", *arguments)
    assert code == 2
    assert "24 stimuli in 3 blocks are too few" in err
    assert "What remains is --generalise-to subjects" in err
    assert run(*arguments, "--generalise-to", "subjects")[0] == 0


def test_help_shows_examples(run):
    code, text, _ = run("--help")
    assert code == 0
    assert "fernet-neuro rsa --models 92_modelRDMs.mat" in " ".join(text.replace("│", " ").split())


def test_shares_and_peaks_of_too_few_stimuli_are_refused_or_left_out_with_a_word():
    rng = np.random.default_rng(3)
    ids = [f"face{row}" for row in range(5)]
    brain = RDMSet(rng.uniform(size=(6, 10)), ids, pd.DataFrame({"subject": list("abcdef")}))
    models = RDMSet(rng.uniform(size=(2, 10)), ids, pd.DataFrame({"model": ["layer1", "fc"]}))
    with pytest.raises(ValueError, match=r"5 stimuli in 5 blocks are too few .* 6 stimuli"):
        run_rsa(models, brain, comparison="pearson", n_permutations=0, partition=["layer1", "fc"])
    layered = RDMSet(
        models.dissimilarities,
        ids,
        models.table.assign(network="net", layer=["layer1", "fc"], layer_index=[0, 1]),
    )
    result = run_rsa(layered, brain, comparison="pearson", n_permutations=0)
    assert result.used_inference == "variance components"
    assert len(result.peaks) == 0
    assert any("no interval for the peak layer: 5 stimuli" in note for note in result.settings["notes"])
