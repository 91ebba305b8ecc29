"""What a command prints first is what its page leads with, of a choice that is told."""

import html
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import fernet_neuro as fn
from fernet_neuro.activations.store import write_store
from fernet_neuro.experiments.report_texts import describe_embedding, describe_probe, describe_rsa
from fernet_neuro.probes.result import ProbeReport


def read_lead(folder):
    """Return the words that a page leads with."""
    lead = (folder / "index.html").read_text(encoding="utf-8").split('class="lead">')[1].split("</p>")[0]
    return html.unescape(re.sub(r"<[^>]+>", "", lead)).strip()


@pytest.fixture(scope="module")
def table(make_noise_table, tmp_path_factory):
    return make_noise_table(tmp_path_factory.mktemp("pictures"), np.random.default_rng(1))


@pytest.fixture(scope="module")
def store(table, simulated, tmp_path_factory):
    """Three layers, of which the one before the last tells expressions worst."""
    rng = np.random.default_rng(20200501)
    strengths = {"layer4": 3.0, "avgpool": 0.4, "fc": 0.6}
    layers = [
        replace(simulated(table, rng, expression=value), layer=name) for name, value in strengths.items()
    ]
    return write_store(tmp_path_factory.mktemp("stores") / "store", table, layers).path


@pytest.fixture(scope="module")
def brain(table, tmp_path_factory):
    rng = np.random.default_rng(0)
    models = fn.compute_rdms(table, factors=["identity", "expression"])
    people = pd.DataFrame({"subject": list("abcde"), "roi": "FFA"})
    noise = rng.normal(size=(5, models.dissimilarities.shape[1]))
    path = tmp_path_factory.mktemp("brain") / "brain.npz"
    fn.RDMSet(models.dissimilarities[:1] + noise, table.stimulus_ids, people).save(path)
    return path


@pytest.fixture(scope="module")
def done(run, store, brain, tmp_path_factory):
    """Where each command that reports left its results, and what it printed."""
    out, few = tmp_path_factory.mktemp("out"), ("--permutations", 19, "--quiet")
    commands = {
        "probe": (store, "--all-layers", "--folds", 4, "--no-controls"),
        "embed": (store, "--layer", "layer4", "--layer", "avgpool", "--perplexity", 4),
        "rsa": ("--models", store, "--all-layers", "--brain", brain),
    }
    found = {}
    for name, words in commands.items():
        code, printed, err = run(name, *words, *few, "--out", out / name)
        assert code == 0, err
        found[name] = (out / name, printed.splitlines())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["probe", "embed", "rsa"])
def test_the_first_line_of_a_command_is_the_lead_of_its_page(done, name):
    folder, lines = done[name]
    assert lines[0] == read_lead(folder)
    assert "avgpool" not in lines[0]
    is_chosen = "chosen by its" in lines[0]
    assert is_chosen == (name != "probe"), "the layer of a probe was fixed beforehand"


def test_the_layer_of_a_probe_is_fixed_and_the_highest_is_called_chosen(done):
    folder, (first, second, *_) = done["probe"]
    frame = ProbeReport.load(folder).frame.set_index("layer")["balanced_accuracy"]
    assert frame.idxmax() == "layer4"
    assert first.startswith("From average pool, ")
    assert f"{100 * frame['avgpool']:.1f} %" in first
    assert second == (
        f"Highest of 3 layers and read-outs: layer4 (ridge), {100 * frame['layer4']:.1f} %, chosen by its "
        "score, which is therefore somewhat high."
    )


def test_an_answer_tells_the_corrected_p(done):
    probe = fn.ProbeReport.load(done["probe"][0])
    for row in probe.layers:
        row.update(p_value=0.0123, p_value_max=0.0456)
    maps = fn.EmbeddingResult.load(done["embed"][0])
    maps.quality[["p_value", "p_value_max"]] = 0.0123, 0.0456
    rsa = fn.RSAResult.load(done["rsa"][0])
    rsa.estimates[["p_value", "p_fdr", "p_max"]] = 0.0123, 0.0234, 0.0456
    for answer in (describe_probe(probe), describe_embedding(maps), describe_rsa(rsa)):
        assert "p = .046, corrected over " in answer.answer
        assert not {".012", ".023"} & set(re.findall(r"p = (\.\d+)", answer.answer))


def test_maps_are_told_by_what_neighbours_share_in_the_features(done):
    maps = fn.EmbeddingResult.load(done["embed"][0])
    told = {("expression", "avgpool"): 0.5, ("expression", "layer4"): 0.3, ("identity", "layer4"): 0.42,
            ("identity", "avgpool"): 0.21}  # fmt: skip
    quality, values = maps.quality, []
    for row in quality.itertuples():
        is_told = (row.space, row.measure) == ("features", "neighbour_purity")
        values.append(told[row.factor, row.layer] if is_told else 0.9)
    quality["value"], quality["p_value_max"] = values, 0.01
    quality["low"], quality["high"] = quality["value"] - 0.1, quality["value"] + 0.1
    answer = describe_embedding(maps).answer
    assert answer.startswith(
        "Neighbours share expression most in average pool: 50.0 % [40.0, 60.0] of them (p = .010, corrected "
        "over layers); chance is "
    )
    assert "%. Neighbours share identity most in layer 4: 42.0 % [32.0, 52.0] of them" in answer
    assert "90.0" not in answer


def test_an_rsa_names_the_best_model_its_comparison_and_the_ceiling(done):
    rsa = fn.RSAResult.load(done["rsa"][0])
    rsa.estimates["estimate"] = [0.1, 0.4, 0.2]
    rsa.ceilings[["lower", "upper"]] = 0.31, 0.62
    answer = describe_rsa(rsa).answer
    best = rsa.words[rsa.estimates["model"].iloc[1]]
    assert answer.startswith(f"In FFA, {best} fits best of 3 models: ")
    assert re.search(
        r"3 models: (rank correlation rho-a|Pearson correlation|whitened correlation) \.40 \[", answer
    )
    assert "; noise ceiling .31 to .62)." in answer


def test_a_page_cites_the_network_and_names_the_versions_that_were_noted(done):
    probe = fn.ProbeReport.load(done["probe"][0])
    plain = describe_probe(probe)
    assert "umap-learn" not in plain.versions
    probe.settings["versions"] = {"python": "3.99"}
    probe.settings["networks"] = [{**probe.settings["networks"][0], "name": "face-api-identity"}] * 2
    cited = describe_probe(probe)
    assert cited.versions == "python 3.99"
    assert cited.methods.count("face-api-identity learnt who is shown, on about 3 million photographs") == 1
    assert "(licence: MIT (face-api))" in cited.methods
    assert cited.references[: len(plain.references)] == plain.references
    assert [line[:11] for line in cited.references[len(plain.references) :]] == ["King (2009)"]
