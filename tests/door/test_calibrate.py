"""Earlier probes, embeddings and decodings are repeated on labels that mean nothing."""

import json

import numpy as np
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import ActivationStore, write_store
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.door.calibrate import _exchange_labels, _plan_exchange, _shuffle_blocks, calibrate
from fernet_neuro.embedding import pipeline
from fernet_neuro.embedding.maps import compute_map
from fernet_neuro.embedding.pipeline import compute_embedding
from fernet_neuro.exceptions import AlignmentError, StoreError
from fernet_neuro.probes.decoding import decode_patterns
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.probes.exchange import plan_exchange
from fernet_neuro.probes.result import summarise_seeds
from fernet_neuro.stimuli.table import StimulusTable


@pytest.fixture
def store(noise_table, rng, tmp_path) -> ActivationStore:
    """Two layers that tell expressions apart."""
    shown = np.unique(noise_table.factor("expression"), return_inverse=True)[1][:, None]
    layers = [
        Activations(
            ((shown == np.arange(3)) + 0.1 * rng.normal(size=(24, 3))).astype(np.float32),
            noise_table.stimulus_ids,
            name,
        )
        for name in ("one", "two")
    ]
    return write_store(tmp_path / "store", noise_table, layers)


@pytest.mark.slow
def test_a_probe_that_finds_an_effect_finds_none_in_exchanged_labels(store, run, tmp_path):
    report = run_probe(store, n_folds=2, n_permutations=19, controls=())
    assert max(row["p_value"] for row in report.layers) == 1 / 20  # the planted effect
    report.save(tmp_path / "results")
    code, _, error = run("calibrate", "--like", tmp_path / "results")
    assert (code, "name it (--source STORE)" in error) == (2, True)
    options = ("--source", store.path, "--datasets", 30, "--json")
    code, out, _ = run("calibrate", "--like", tmp_path / "results", *options)
    found = json.loads(out)
    assert (code, found["is_calibrated"]) == (0, True)
    rates = {(row["p"], row["scope"]): row["rate"] for row in found["rates"]}
    assert set(rates) == {("p_value", "all"), ("p_value", "worst"), ("p_value_max", "all")}
    assert max(rates.values()) <= 0.2  # 30 data sets: the binomial 99 % limit at .05 is .17, of the worst .2


def test_the_store_must_be_the_one_that_was_read(store, noise_table, tmp_path):
    run_probe(store, n_folds=4, n_permutations=9, controls=()).save(tmp_path / "results")
    values = Activations(np.eye(24, 3, dtype=np.float32), noise_table.stimulus_ids, "one")
    other = write_store(tmp_path / "other", noise_table, [values])
    with pytest.raises(StoreError, match="is not the store that"):
        calibrate(tmp_path / "results", source=other.path)
    with pytest.raises(ValueError, match="inference is of RSA alone"):
        calibrate(tmp_path / "results", source=store.path, inference="components")


def test_labels_of_other_stimuli_than_those_mapped_are_refused(store, noise_table, tmp_path):
    maps = compute_embedding(store, ["one"], factors=["expression"], perplexities=[3.0], n_permutations=9)
    maps.save(tmp_path / "maps")
    others = noise_table.select(np.arange(len(noise_table))[::-1])
    with pytest.raises(AlignmentError, match="the table and the store differ first at row 0"):
        calibrate(tmp_path / "maps", 10, source=store.path, stimuli=others)


def test_exchanged_labels_keep_each_persons_counts(noise_table, rng):
    labels = noise_table.factor("expression")
    drawn = _exchange_labels(plan_exchange(noise_table, "expression", "identity"), labels, rng)
    assert (drawn != labels).any()
    for who in np.unique(noise_table.factor("identity")):
        rows = noise_table.factor("identity") == who
        assert sorted(drawn[rows]) == sorted(labels[rows])


def test_quantities_are_exchanged_as_numbers_of_each_person_and_calibrated(store, noise_table, rng, tmp_path):
    valence = store["one"].values[:, 0].astype(float) + np.tile([0.0, 0.1], 12)
    table = StimulusTable.from_frame(noise_table.frame.assign(valence=valence), root=tmp_path)
    report = run_probe(
        store, table=table, target="valence", n_folds=2, n_permutations=19, controls=(), layers=["one"]
    )
    assert report.settings["scale"] == "numbers"
    exchange = _plan_exchange(table, report.settings, report.settings["permute_within"])
    assert exchange.is_quantity
    drawn = _exchange_labels(exchange, table.factor("valence"), rng)
    assert (drawn != valence).any()
    for who in np.unique(table.factor("identity")):
        rows = table.factor("identity") == who
        assert sorted(drawn[rows]) == sorted(valence[rows])
    report.save(tmp_path / "results")
    table.write(tmp_path / "valence.csv")
    found = calibrate(tmp_path / "results", 10, source=store.path, stimuli=tmp_path / "valence.csv")
    assert found.is_calibrated
    assert found.rates["rate"].max() <= 0.4  # 10 data sets: the binomial 99.9 % limit at .05


def test_labels_that_were_exchanged_freely_stay_so(store, tmp_path, monkeypatch):
    report = run_probe(store, n_folds=2, n_permutations=9, controls=(), permute_within=None, layers=["one"])
    report.save(tmp_path / "results")
    asked = []
    monkeypatch.setattr(
        "fernet_neuro.door.calibrate.plan_exchange",
        lambda *words: asked.append(words[-1]) or plan_exchange(*words),
    )
    calibrate(tmp_path / "results", 10, source=store.path)
    assert set(asked) == {None}


def test_probes_over_several_seeds_say_how_to_go_on(store, tmp_path):
    one = run_probe(store, n_folds=4, n_permutations=9, controls=(), layers=["one"])
    summarise_seeds([one, one]).save(tmp_path / "results")
    with pytest.raises(ValueError, match=r"probe one of them alone .*--like ONE"):
        calibrate(tmp_path / "results", source=store.path)


def test_a_damaged_summary_of_a_decoding_is_named(tmp_path):
    for name in ("runs.csv", "confusion.csv", "results.csv"):
        (tmp_path / name).write_text("true\n")
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        calibrate(tmp_path, source=tmp_path)


def test_embeddings_are_calibrated(store, tmp_path):
    result = compute_embedding(store, ["one"], perplexities=[3.0], n_permutations=19)
    result.save(tmp_path / "maps")
    report = calibrate(tmp_path / "maps", 10, source=store.path)
    assert report.is_calibrated
    assert set(report.rates["p"]) == {"p_value", "p_value_max"}


def test_one_map_of_a_layer_serves_all_factors_of_a_data_set(store, tmp_path, monkeypatch):
    options = {"factors": ["expression", "identity"], "perplexities": [3.0], "n_permutations": 9}
    compute_embedding(store, ["one", "two"], **options).save(tmp_path / "maps")
    seeds = []

    def count(*args, seed, **settings):
        seeds.append(seed)
        return compute_map(*args, seed=seed, **settings)

    monkeypatch.setattr(pipeline, "compute_map", count)
    found = calibrate(tmp_path / "maps", 10, source=store.path).p_values
    assert (len(seeds), len(set(seeds))) == (2 * 10, 10)
    assert {name.split()[0] for name in found["model"]} == {"expression", "identity"}


def test_decodings_are_calibrated_and_blocks_stay_whole(rng, tmp_path):
    names, runs = ["a", "a", "b", "b", "c", "c"] * 3, ["1"] * 6 + ["2"] * 6 + ["3"] * 6
    signal = np.array([[ord(name) - 97.0] for name in names]) * np.ones(5)
    item = BrainPatterns(signal + 0.1 * rng.normal(size=(18, 5)), names, runs, "V1", "01")
    shuffled = _shuffle_blocks(item, rng)
    assert (shuffled.stimulus_ids[::2] == shuffled.stimulus_ids[1::2]).all()
    assert all(sorted(shuffled.stimulus_ids[at : at + 6]) == names[:6] for at in (0, 6, 12))
    (tmp_path / "patterns").mkdir()
    item.save(tmp_path / "patterns" / "sub-01_roi-V1_patterns.npz")
    result = decode_patterns([item], readout="centroid", n_permutations=39, centre=False)
    result.save(tmp_path / "decoding")
    with pytest.raises(ValueError, match="holds no patterns"):
        calibrate(tmp_path / "decoding", 20)
