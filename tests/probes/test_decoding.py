import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.neighbors import NearestCentroid

from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.probes.decoding import READOUTS, RIDGE_PENALTY, decode_patterns
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stats.multiple import adjust_fdr

STIMULI = ["shoe", "face", "cat", "house"]


def _simulate(rng, *, signal=0.0, n_runs=5, n_volumes=6, n_voxels=31, block_noise=1.0):
    """Runs with one block per stimulus in random order; volumes of a block share some of their noise."""
    true = rng.normal(size=(4, n_voxels)) * signal
    values, ids, runs = [], [], []
    for run in range(n_runs):
        offset = rng.normal(size=n_voxels) * 3
        for stimulus in rng.permutation(4):
            shared = rng.normal(size=n_voxels) * block_noise
            values.append(true[stimulus] + shared + offset + rng.normal(size=(n_volumes, n_voxels)))
            ids += [STIMULI[stimulus]] * n_volumes
            runs += [f"{run}"] * n_volumes
    return BrainPatterns(np.concatenate(values), np.array(ids), np.array(runs), "VT", "01")


class _Correlation:
    """The class whose mean pattern correlates highest with a row, slow and obvious."""

    def fit(self, values, labels):
        scaled = values - values.mean(axis=1, keepdims=True)
        self.names = np.unique(labels)
        self.means = np.array([scaled[labels == name].mean(axis=0) for name in self.names])
        return self

    def predict(self, values):
        return np.array(
            [self.names[np.argmax([np.corrcoef(row, mean)[0, 1] for mean in self.means])] for row in values]
        )


def _build(readout, values):
    if readout == "ridge":
        # The penalty goes by the mean squared length of a centred training row.
        scale = ((values - values.mean(axis=0)) ** 2).sum() / len(values)
        return RidgeClassifier(alpha=RIDGE_PENALTY * scale)
    return {"correlation": _Correlation, "centroid": NearestCentroid}[readout]()


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("average", [False, True])
def test_guesses_are_those_of_an_obvious_readout(rng, readout, average):
    patterns = _simulate(rng, signal=0.4)
    found = decode_patterns([patterns], readout=readout, average=average, n_permutations=0)
    values, ids, runs = patterns.values, patterns.stimulus_ids, patterns.runs
    if average:
        cells = [(run, name) for run in patterns.run_names for name in STIMULI]
        values = np.array([values[(runs == run) & (ids == name)].mean(axis=0) for run, name in cells])
        runs, ids = (np.array(labels) for labels in zip(*cells, strict=True))
    values = values - np.array([values[runs == run].mean(axis=0) for run in runs])
    guesses = np.empty(len(ids), dtype=ids.dtype)
    for run in patterns.run_names:
        train = runs != run
        guesses[~train] = (
            _build(readout, values[train]).fit(values[train], ids[train]).predict(values[~train])
        )
    scores = [balanced_accuracy_score(ids[runs == run], guesses[runs == run]) for run in patterns.run_names]
    assert found.runs["accuracy"].tolist() == pytest.approx(scores)
    row = found.estimates.iloc[0]
    assert (row["accuracy"], row["chance_level"]) == (pytest.approx(np.mean(scores)), 0.25)
    assert "p_value" not in found.estimates
    names = list(dict.fromkeys(patterns.stimulus_ids.tolist()))
    counts = found.confusion["count"].to_numpy().reshape(4, 4)
    assert np.array_equal(counts, confusion_matrix(ids, guesses, labels=names))


@pytest.mark.parametrize("readout", READOUTS)
def test_a_planted_difference_is_found(rng, readout):
    row = decode_patterns([_simulate(rng, signal=1.5)], readout=readout, n_permutations=200).estimates.iloc[0]
    assert row["p_value"] == pytest.approx(1 / 201)
    assert row["accuracy"] > 0.7
    assert row["null_mean"] == pytest.approx(0.25, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("readout", ["correlation", "ridge"])
def test_false_positives_over_200_null_data_sets(readout):
    p_values = [
        decode_patterns(
            [_simulate(np.random.default_rng(number), n_voxels=17)],
            readout=readout,
            n_permutations=99,
            seed=number,
        ).estimates["p_value"][0]
        for number in range(200)
    ]
    assert false_positive_rate(np.array(p_values)).is_calibrated


def test_exchanging_volumes_of_a_block_one_by_one_is_found_out():
    p_values = []
    for number in range(60):
        data = _simulate(np.random.default_rng(number), n_voxels=17, block_noise=3.0)
        # In turns, so that no volume follows one of its own block: each is then taken for a block.
        turns = np.argsort(np.tile(np.arange(6), 20) + 6 * np.repeat(np.arange(5), 24), kind="stable")
        found = decode_patterns([data.take(turns)], n_permutations=99, seed=number)
        assert found.estimates["n_blocks"][0] == 120
        p_values.append(found.estimates["p_value"][0])
    assert not false_positive_rate(np.array(p_values)).is_calibrated


def test_regions_are_corrected_within_a_participant(rng):
    regions = ((1, "FFA"), (0, "V1"), (0.4, "OFA"))
    first, second = (
        [replace(_simulate(rng, signal=signal), roi=roi, subject=who) for signal, roi in chosen]
        for who, chosen in (("01", regions), ("02", regions[:2]))
    )
    found = decode_patterns([*first, *second], n_permutations=99).estimates
    assert found["roi"].tolist() == ["FFA", "V1", "OFA", "FFA", "V1"]
    for who in ("01", "02"):
        part = found[found["subject"] == who]
        assert part["p_fdr"].tolist() == pytest.approx(adjust_fdr(part["p_value"].to_numpy()).tolist())


def test_names_order_and_offsets_of_runs_do_not_matter(rng):
    data = _simulate(rng, signal=0.5)
    wanted = decode_patterns([data], n_permutations=0).runs["accuracy"].tolist()
    moved = replace(data, values=data.values + np.array([float(run) * 50 for run in data.runs])[:, None])
    assert decode_patterns([moved], n_permutations=0).runs["accuracy"].tolist() == pytest.approx(wanted)
    renamed = replace(data, stimulus_ids=np.char.add("z", data.stimulus_ids))
    assert decode_patterns([renamed], n_permutations=0).runs["accuracy"].tolist() == pytest.approx(wanted)
    blind = decode_patterns([moved], n_permutations=0, centre=False, readout="centroid").estimates[
        "accuracy"
    ][0]
    assert blind < np.mean(wanted)


def test_files_hold_what_was_found(rng, tmp_path):
    found = decode_patterns([_simulate(rng, signal=0.5)], n_permutations=20, seed=3)
    found.save(tmp_path)
    back = pd.read_csv(tmp_path / "results.csv", dtype={"subject": str}, keep_default_na=False)
    pd.testing.assert_frame_equal(back, found.estimates)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["kind"] == "decoding"
    assert summary["settings"]["seed"] == 3
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 5
    assert pd.read_csv(tmp_path / "confusion.csv")["count"].sum() == 120


def test_what_cannot_be_decoded_is_refused(rng):
    data = _simulate(rng)
    with pytest.raises(ValueError, match=r"readout='correl' is not known.*'correlation'"):
        decode_patterns([data], readout="correl")
    with pytest.raises(ValueError, match="n_permutations must be >= 0"):
        decode_patterns([data], n_permutations=-1)
    with pytest.raises(StimulusError, match="VT of subject 01 has 4 and 1"):
        decode_patterns([data.select(runs=["2"])])
    gap = data.take(~((data.runs == "3") & (data.stimulus_ids == "cat")))
    with pytest.raises(StimulusError, match=r"run 3 of VT of subject 01 has no pattern of 'cat'"):
        decode_patterns([gap])
