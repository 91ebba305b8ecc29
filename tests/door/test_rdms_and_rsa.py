"""Whatever has patterns, labels or pictures becomes RDMs, and models meet brains by name."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from torch import nn

import fernet_neuro as fn
from fernet_neuro.rsa import distances
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, run_rsa
from fernet_neuro.rsa.brain_rdms import compute_brain_rdms
from fernet_neuro.rsa.models.factors import build_model_rdms
from fernet_neuro.rsa.rdms import concat_rdms

FEW = {"n_bootstraps": 40, "n_permutations": 40}


@pytest.fixture(scope="module")
def faces():
    return fn.render_faces(identities=3, views=1, sessions=1, size=16)


@pytest.fixture(scope="module")
def store(faces):
    return fn.extract(fn.load_model("resnet10-slim", size=16), faces)


def brain_like(rdms, n_subjects=4):
    noise = np.random.default_rng(2).normal(scale=0.3, size=(n_subjects, rdms.n_pairs))
    frame = pd.DataFrame({"subject": [f"s{n}" for n in range(n_subjects)], "roi": "FFA"})
    return fn.RDMSet(rdms.dissimilarities[:1] + noise, rdms.stimulus_ids, frame)


def patterns_of(table, n_runs=3):
    rng = np.random.default_rng(4)
    ids = table.stimulus_ids.tolist() * n_runs
    runs = np.repeat([str(run) for run in range(n_runs)], len(table))
    return [
        fn.BrainPatterns(rng.normal(size=(len(ids), 11)), ids, runs, "FFA", name) for name in ("01", "02")
    ]


def test_layers_of_a_network_a_store_and_activations_give_the_same_rdms(faces, store):
    expected = concat_rdms(
        [distances.compute_rdms(store[name], distance="cosine") for name in ("layer1", "fc")]
    )
    model = fn.load_model("resnet10-slim", size=16)
    for source in (model, store, str(store.path)):
        found = fn.compute_rdms(source, faces, layers=["layer1", "fc"], distance="cosine")
        assert found.table["weights"].tolist() == ["random weights"] * 2  # which activations do not know
        assert replace(found, table=found.table.drop(columns="weights")) == expected
    alone = fn.compute_rdms(store, layers=["fc"], distance="cosine")
    assert np.array_equal(
        fn.compute_rdms(store["fc"], distance="cosine").dissimilarities, alone.dissimilarities
    )
    array = np.asarray(store["fc"].values)
    found = fn.compute_rdms(array, stimulus_ids=faces.stimulus_ids)
    assert np.array_equal(found.dissimilarities, fn.compute_rdms(store["fc"]).dissimilarities)


def test_networks_by_name_take_a_size_and_all_layers(faces):
    rdms = fn.compute_rdms("resnet10-slim", faces, size=32)
    assert rdms.names == list(fn.load_model("resnet10-slim").layers)
    maps = fn.embed("resnet10-slim", faces, size=32, n_permutations=0)
    assert maps.quality["layer"].unique().tolist() == rdms.names


def test_tables_and_brains_go_their_own_ways(faces):
    wanted = build_model_rdms(faces, ["identity"], pixels=True)
    assert fn.compute_rdms(faces, factors=["identity"], pixels=True) == wanted
    patterns = patterns_of(faces)
    assert fn.compute_rdms(patterns) == compute_brain_rdms(patterns, "crossnobis")
    assert fn.compute_rdms(patterns[0], distance="correlation").n_rdms == 1


def test_what_does_not_go_together_is_told(faces, store):
    with pytest.raises(ValueError, match="are of a stimulus table"):
        fn.compute_rdms(store, factors=["identity"])
    with pytest.raises(ValueError, match="a network needs pictures to see"):
        fn.compute_rdms("resnet10-slim")
    with pytest.raises(ValueError, match="declare it"):
        fn.compute_rdms(nn.Linear(2, 2), faces)


def test_two_subjects_with_one_rdm_are_refused(faces):
    labels = fn.compute_rdms(faces, factors=["identity"])
    brain = brain_like(labels)
    copied = brain.take([0, 1, 2, 0])
    copied = fn.RDMSet(copied.dissimilarities, brain.stimulus_ids, brain.table)
    with pytest.raises(ValueError, match="subjects s0 and s3 have the same RDM"):
        fn.rsa(labels, copied, **FEW)


def test_an_rsa_of_sources_is_that_of_their_rdms(faces, store):
    layers = fn.compute_rdms(store, layers=["layer1", "fc"])
    labels = fn.compute_rdms(faces, factors=["identity"])
    brain = brain_like(labels)
    found = fn.rsa(store, brain, faces, layers=["layer1", "fc"], factors=["identity"], **FEW)
    assert found.models == ["layer1", "fc", "identity"]
    again = fn.rsa([layers, labels], brain, **FEW)
    columns = ["model", "estimate", "low", "high", "p_value", "p_max", "p_permutation"]
    assert found.frame[columns].equals(again.frame[columns])
    alone = run_rsa(labels, brain, RSASettings(**FEW))
    assert found.frame.query("model == 'identity'")["estimate"].item() == alone.frame["estimate"].item()


def test_files_and_folders_are_read(faces, store, tmp_path):
    labels = fn.compute_rdms(faces, factors=["identity"])
    brain = brain_like(labels)
    brain.save(tmp_path / "brain.npz")
    labels.save(tmp_path / "labels.npz")
    found = fn.rsa(tmp_path / "labels.npz", tmp_path / "brain.npz", **FEW)
    assert found.frame.equals(fn.rsa(labels, brain, **FEW).frame)


def test_patterns_are_put_in_the_models_order_and_blocks_are_columns(faces):
    patterns = patterns_of(faces)
    labels = fn.compute_rdms(faces.select(np.arange(len(faces))[::-1]), factors=["expression"])
    ahead = fn.compute_rdms(faces, factors=["expression"])
    estimates = [
        fn.rsa(models, patterns, faces, blocks="expression", **FEW).frame["estimate"]
        for models in (labels, ahead)
    ]
    assert estimates[0].to_numpy() == pytest.approx(estimates[1].to_numpy())


def test_settings_go_by_name(faces):
    labels = fn.compute_rdms(faces, factors=["identity"])
    found = fn.rsa(labels, brain_like(labels), comparison="spearman", **FEW)
    assert (found.settings["comparison"], found.settings["n_bootstraps"]) == ("spearman", 40)
    with pytest.raises(TypeError, match="n_bootstrap"):
        fn.rsa(labels, brain_like(labels), n_bootstrap=40)


def test_names_tell_sources_apart_and_the_folder_holds_what_was_compared(faces, store, tmp_path):
    brain = brain_like(fn.compute_rdms(faces, factors=["identity"]))
    sources = {"one": store, "two": store["fc"]}
    result = fn.rsa(sources, brain, faces, layers=["layer1", "fc"], out=tmp_path / "rsa", **FEW)
    assert result.models == ["layer1", "one/fc", "two/fc"]
    kept = RSAFolder.load(tmp_path / "rsa")
    assert (kept.result, kept.stimuli) == (result, faces)
    assert kept.models.n_rdms == 3
