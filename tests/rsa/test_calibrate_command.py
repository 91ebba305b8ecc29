import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.rsa.analysis import calibration
from fernet_neuro.rsa.analysis.calibration import calibrate_rsa, make_null_brain
from fernet_neuro.rsa.analysis.null_data import (
    draw_subjects,
    level_means,
    list_pair_kinds,
    plant_model,
    relabel,
    share_of_movable,
)
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, run_rsa
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.inference.regions import average_sessions
from fernet_neuro.rsa.rdms import RDMSet

N_STIMULI, N_PAIRS, N_SUBJECTS = 13, 78, 5
BLOCKS = np.array([*"aaabbbcccdddz"])


@pytest.fixture
def models(rng):
    ids = np.array([f"face{number}" for number in rng.permutation(N_STIMULI)])
    table = pd.DataFrame({"model": ["shape", "pixels", "gaze"]})
    return RDMSet(rng.uniform(size=(3, N_PAIRS)), ids, table)


@pytest.fixture
def brain(rng, models):
    """Five subjects with two sessions, in two regions; the first region follows the first model."""
    rows = [(roi, f"p{who}", day) for roi in ("FFA", "STS") for who in range(N_SUBJECTS) for day in (1, 2)]
    table = pd.DataFrame(rows, columns=["roi", "subject", "session"])
    signal = (table["roi"] == "FFA").to_numpy(float)[:, None] * models.dissimilarities[0]
    return RDMSet(signal + 0.5 * rng.uniform(size=(20, N_PAIRS)), models.stimulus_ids, table)


def analyse(models, brain, blocks=None, **options):
    settings = RSASettings(n_bootstraps=60, n_permutations=19, **options)
    return RSAFolder(run_rsa(models, brain, settings, blocks=blocks), models, brain)


@pytest.fixture
def few(models, brain):
    """Two models, and one session of one region without an effect."""
    return models.take([0, 1]), brain.select(roi="STS", session=1)


@pytest.fixture
def run(run):
    return partial(run, "calibrate")


@pytest.mark.slow
def test_new_subjects_have_the_mean_and_the_spread_of_those_measured(brain):
    measured = average_sessions(brain)
    drawn = np.stack(
        [draw_subjects(measured, np.random.default_rng(seed)).dissimilarities[:5] for seed in range(1000)]
    )
    pooled = drawn.reshape(-1, N_PAIRS)
    old = measured.dissimilarities[:5]
    assert np.abs(pooled.mean(axis=0) - old.mean(axis=0)).max() < 0.015
    assert np.abs(np.cov(pooled.T) - np.cov(old.T)).max() < 0.005
    assert np.abs(np.corrcoef(drawn[:, 0, 7], drawn[:, 1, 7])[0, 1]) < 0.12
    assert len(np.unique(np.abs(drawn[0] - drawn[0, 0]).sum(axis=1) < 1e-9)) == 2  # nobody twice


@pytest.mark.slow
def test_a_subject_is_drawn_once_for_all_regions_and_one_alone_stays(brain):
    one = average_sessions(brain)
    twins = RDMSet(
        np.tile(one.dissimilarities[:5], (2, 1)),
        one.stimulus_ids,
        one.table.assign(roi=["A"] * 5 + ["B"] * 5),
    )
    drawn = draw_subjects(twins, np.random.default_rng(2)).dissimilarities
    assert np.allclose(drawn[:5], drawn[5:])
    assert not np.allclose(drawn[:5], twins.dissimilarities[:5])
    alone = one.take([0])
    assert draw_subjects(alone, np.random.default_rng(2)) == alone


def test_pairs_that_are_missing_stay_missing(brain, rng):
    gaps = average_sessions(brain).dissimilarities
    gaps[1, 7] = gaps[:, 30] = np.nan
    holed = replace(average_sessions(brain), dissimilarities=gaps)
    assert np.array_equal(np.isnan(draw_subjects(holed, rng).dissimilarities), np.isnan(gaps))
    assert np.isnan(relabel(holed, rng).dissimilarities).sum() == np.isnan(gaps).sum()


def test_common_labels_keep_geometry_and_lose_the_models(brain, models, rng):
    measured = average_sessions(brain)
    before = compare_rdms(measured, measured, "spearman").values
    found = []
    for _ in range(150):
        shuffled = relabel(measured, rng)
        found.append(compare_rdms(models, shuffled, "spearman").values)
    assert np.allclose(compare_rdms(shuffled, shuffled, "spearman").values, before)
    assert compare_rdms(models, measured, "spearman").values[0, :5].min() > 0.7
    assert np.abs(np.mean(found, axis=0)).max() < 0.06


def test_labels_of_their_own_leave_no_common_geometry(brain, rng):
    measured = average_sessions(brain).select(roi="FFA")
    between = [
        compare_rdms(shuffled, shuffled, "pearson").values[np.triu_indices(5, 1)].mean()
        for shuffled in (relabel(measured, rng, by_subject=True) for _ in range(200))
    ]
    assert abs(np.mean(between)) < 0.02
    assert compare_rdms(measured, measured, "pearson").values.min() > 0.6


def test_blocks_stay_together_and_what_they_share_is_levelled(brain, rng):
    same = (BLOCKS[:, None] == BLOCKS)[np.triu_indices(N_STIMULI, 1)]
    kinds = list_pair_kinds(BLOCKS, N_STIMULI)
    assert len(np.unique(kinds)) == 3  # inside blocks of three, between them, and with the one alone
    marked = replace(average_sessions(brain), dissimilarities=np.tile(10.0 * same, (10, 1)))
    assert np.ptp(level_means(marked.dissimilarities, kinds)) < 1e-12
    identity = RDMSet(~same[None] * 1.0, brain.stimulus_ids, pd.DataFrame({"model": ["identity"]}))
    measured = average_sessions(brain)
    like_blocks = replace(measured, dissimilarities=measured.dissimilarities - 2.0 * same)
    left = [
        compare_rdms(identity, relabel(like_blocks, rng, blocks=BLOCKS), "pearson").values for _ in range(100)
    ]
    assert np.abs(np.mean(left, axis=0)).max() < 0.02
    assert compare_rdms(identity, like_blocks, "pearson").values.min() > 0.5
    assert share_of_movable(BLOCKS, N_STIMULI) == 12 / 13
    assert share_of_movable(None, N_STIMULI) == 1


def test_cosines_get_distances_with_a_true_zero(brain, models, rng):
    signed = replace(average_sessions(brain), distance="crossnobis")
    found = [
        compare_rdms(models, relabel(signed, rng, comparison="cosine"), "cosine").values for _ in range(150)
    ]
    assert np.abs(np.mean(found, axis=0)).max() < 0.06
    assert compare_rdms(models, relabel(signed, rng), "cosine").values.min() > 0.4
    positive = replace(signed, distance="correlation")  # without an effect they are above 0 too
    assert np.isclose(
        relabel(positive, rng, comparison="cosine").dissimilarities.mean(), positive.dissimilarities.mean()
    )


@pytest.mark.slow
def test_cosines_of_positive_distances_are_found_out(run, few, tmp_path):
    positive = replace(few[1], distance="correlation")
    for comparison, code in (("whitened_cosine", 1), ("whitened_pearson", 0)):
        options = {"comparison": comparison, "generalise_to": "subjects"}
        folder = analyse(few[0].take([0]), positive, **options).save(tmp_path / comparison)
        found, text, err = run("--like", folder, "--datasets", 12)
        assert found == code, err
        line = next(line for line in text.splitlines() if "estimates p_value" in line and " all " in line)
        assert line.endswith("above the nominal rate") == bool(code)
        assert ("NOT CALIBRATED" in text) == bool(code)
        assert ("above zero without any effect" in text) == bool(code)
    assert "No rate is shown to be above the nominal one; with 12 data sets rates up to" in text


@pytest.mark.parametrize("comparison", ["pearson", "cosine"])
def test_the_planted_model_is_the_mean_geometry(brain, models, comparison):
    measured = average_sessions(brain)
    planted = plant_model(measured, models.dissimilarities[2], comparison)
    means = planted.mean("roi")
    assert np.allclose(compare_rdms(models.take([2]), means, comparison).values, 1)
    kept = measured.take([0]).dissimilarities - measured.take(range(5)).mean().dissimilarities
    assert np.allclose(planted.dissimilarities[0] - means.dissimilarities[0], kept[0])


def test_a_claim_about_these_stimuli_gets_labels_by_subject(brain, models):
    for target, is_shared in (("both", True), ("subjects", False)):
        analysis = replace(analyse(models, brain, generalise_to=target), brain=average_sessions(brain))
        null, true_model = make_null_brain(analysis, "relabelled", 0, np.random.default_rng(1))
        between = compare_rdms(null.take(range(5)), null.take(range(5)), "pearson").values
        assert (between[np.triu_indices(5, 1)].mean() > 0.4) == is_shared
        assert true_model is None
    assert make_null_brain(analysis, "true model", 4, np.random.default_rng(1))[1] == "pixels"


@pytest.mark.slow
def test_the_report_has_every_p_value_and_exact_intervals(run, brain, models, tmp_path):
    analyse(models, brain, comparison="pearson", generalise_to="subjects").save(tmp_path / "rsa")
    code, text, err = run("--like", tmp_path / "rsa", "--datasets", 15, "--out", tmp_path / "c.json")
    assert code == 0, err
    report = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    rates = pd.DataFrame(report["rates"])
    whole = rates[rates["scope"] == "all"]
    assert (whole["table"] + " " + whole["p"]).tolist() == [
        "estimates p_value", "estimates p_permutation", "estimates p_fdr", "estimates p_bonferroni",
        "estimates p_max", "pairwise p_value", "pairwise p_fdr", "pairwise p_bonferroni", "pairwise p_max",
        "ceilings p_value", "estimates p_ceiling", "estimates p_ceiling_fdr",
        "estimates p_ceiling_bonferroni", "estimates p_ceiling_max",
    ]  # fmt: skip
    assert whole["n_tests"].tolist() == [6, 6, 2, 2, 2, 6, 2, 2, 2, 2, 2, 2, 2, 2]
    assert ((rates["low"] <= rates["rate"]) & (rates["rate"] <= rates["high"])).all()
    assert report["is_calibrated"]
    assert "not 15 independent studies" in report["notes"][0]
    assert any("relabelled on its own" in note for note in report["notes"])
    assert f"rates up to {100 * rates['high'].max():.1f} % would not have been seen" in text
    assert "--jobs must be 1 or more" in run("--like", tmp_path / "rsa", "--jobs", 0)[2]


@pytest.mark.slow
def test_a_dishonest_test_is_found_and_exits_with_one(run, few, tmp_path, monkeypatch):
    honest = calibration.infer_models

    def dishonest(*arguments, **options):
        result = honest(*arguments, **options)
        return replace(result, estimates=result.estimates.assign(p_value=result.estimates["p_value"] / 10))

    monkeypatch.setattr(calibration, "infer_models", dishonest)
    folder = analyse(*few, comparison="pearson", generalise_to="subjects").save(tmp_path / "rsa")
    code, text, _ = run("--like", folder, "--datasets", 15, "--seed", 4)
    assert code == 1
    line = next(line for line in text.splitlines() if "estimates p_value" in line and " all " in line)
    assert line.endswith("above the nominal rate")
    assert "NOT CALIBRATED" in text
    assert "pairwise p_value" in text


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report_on_any_number_of_jobs(run, few, tmp_path):
    analysis = analyse(*few, comparison="pearson")
    folder, place = analysis.save(tmp_path / "rsa"), tmp_path / "c.json"
    code, text, err = run("--like", folder, "--datasets", 10, "--seed", 3, "--out", place, "--json")
    assert code in (0, 1), err
    report = json.loads(text)
    assert report == json.loads(place.read_text(encoding="utf-8"))
    rates = pd.DataFrame(report["rates"])
    assert rates.equals(calibrate_rsa(analysis, 10, seed=3, n_jobs=2).rates)
    assert not rates["rate"].isna().any()


def test_what_cannot_be_calibrated_is_one_line_and_exit_code_two(run, brain, models, tmp_path):
    code, _, err = run("--like", tmp_path / "none")
    assert (code, err.count("\n")) == (2, 1)
    assert "does not exist; make it with: fernet-neuro rsa" in err
    folder = analyse(models, brain, comparison="pearson", generalise_to="subjects").save(tmp_path / "rsa")
    (tmp_path / "c.json").write_text("mine", encoding="utf-8")
    assert "already there; add --overwrite" in run("--like", folder, "--out", tmp_path / "c.json")[2]
    assert "nominal must lie between 0 and 1" in run("--like", folder, "--nominal", 1)[2]
    assert "--level must lie" in run("--like", folder, "--level", 0)[2]
    (folder / "models.npz").unlink()
    assert "models.npz does not exist" in run("--like", folder)[2]
    with pytest.raises(ValueError, match="n_datasets must be >= 10"):
        calibrate_rsa(RSAFolder.load(analyse(models, brain).save(tmp_path / "other")), 5)


def test_fitted_models_are_not_held_against_the_ceiling_and_one_subject_has_none(brain, models):
    one = analyse(models, brain.select(subject="p0"), comparison="pearson", generalise_to="stimuli")
    report = calibrate_rsa(one, 10)
    assert set(report.rates["null"]) == {"relabelled"}
    assert report.is_calibrated
    signed = replace(brain.select(roi="STS"), distance="crossnobis")
    blocked = analyse(models, signed, BLOCKS, generalise_to="subjects", comparison="cosine")
    blocked = replace(
        blocked, result=replace(blocked.result, settings={**blocked.result.settings, "fit": "weighted"})
    )
    notes = calibration._list_notes(replace(blocked, brain=average_sessions(blocked.brain)), 20)
    for words in ("blocks of equal size (92% of", "mean is taken off", "pays for its fit"):
        assert any(words in note for note in notes)
    assert calibration._choose_nulls(blocked) == ["relabelled", "no shared geometry"]


@pytest.mark.slow
def test_either_inference_of_an_analysis_is_calibrated(run, models, brain, tmp_path):
    analysis, place = analyse(models.take([0, 1]), brain.select(roi="FFA")), tmp_path / "c.json"
    folder, rates = analysis.save(tmp_path / "rsa"), {}
    for inference in ("bootstrap", "components"):
        asked = ("--datasets", 12, "--inference", inference, "--out", place, "--overwrite")
        code, text, err = run("--like", folder, *asked)
        assert code == 0, err
        rates[inference] = text
    assert "(rho_a, variance components)" in rates["components"]
    assert "(rho_a, 60 bootstrap samples)" in rates["bootstrap"]
    report = json.loads(place.read_text(encoding="utf-8"))
    assert report["settings"]["inference"] == "components"
    assert report["is_calibrated"]


@pytest.mark.slow
def test_the_report_names_the_inference_that_was_used_not_the_one_that_was_asked_for(run, few, tmp_path):
    options = {"comparison": "kendall_tau_a", "inference": "components"}
    folder = analyse(*few, **options).save(tmp_path / "rsa")
    _, text, err = run("--like", folder, "--datasets", 10)
    assert "(kendall_tau_a, 60 bootstrap samples)" in text, err
