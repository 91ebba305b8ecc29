import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import COMPARISONS, compare_rdms
from fernet_neuro.rsa.inference.bootstrap import evaluate_samples
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.random_effects import list_effect_sets
from fernet_neuro.rsa.inference.resample import draw_resamples
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms
from fernet_neuro.rsa.result import RSAResult

FEW = {"n_bootstraps": 60, "n_permutations": 39, "inference": "bootstrap"}
N_SUBJECTS, N_STIMULI = 5, 9
CEILING_TESTS = ["p_ceiling", "p_ceiling_fdr", "p_ceiling_bonferroni", "p_ceiling_max"]


@pytest.fixture
def names():
    return np.array([f"face{number}" for number in (4, 9, 1, 12, 7, 3, 8, 10, 2)])


@pytest.fixture
def guesses(rng, names):
    table = pd.DataFrame({"model": ["shape", "pixels", "name"], "seed": [3, 4, 3]})
    return RDMSet(rng.uniform(0, 1, (3, 36)), names, table)


@pytest.fixture
def data(rng, names, guesses):
    """Two regions: the first of five subjects, with shape in it, the second of four, without."""
    noise = rng.normal(0, 0.2, (N_SUBJECTS + 4, 36))
    values = noise + np.vstack([guesses.dissimilarities[[0] * N_SUBJECTS], np.full((4, 36), 0.5)])
    table = pd.DataFrame(
        {"roi": ["FFA"] * N_SUBJECTS + ["EVC"] * 4, "subject": ["s3", "s1", "s5", "s2", "s4", *"cabd"]}
    )
    return RDMSet(values, names, table, distance="crossnobis")


@pytest.fixture
def region(data):
    return data.select(roi="FFA")


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_estimates_are_mean_comparisons_and_subjects_those_of_each(guesses, region, comparison):
    result = infer_rsa(guesses, region, comparison=comparison, **FEW)
    expected = compare_rdms(region, guesses, comparison).values
    np.testing.assert_allclose(result.estimates["estimate"], expected.mean(axis=0), atol=1e-12)
    wide = result.subjects.pivot_table(index="subject", columns="model", values="value")
    wide = wide.loc[region.table["subject"], guesses.names]
    np.testing.assert_allclose(wide, expected, atol=1e-12)
    rows = result.estimates
    assert (rows["noise_ceiling_lower"] < rows["noise_ceiling_upper"]).all()
    assert rows["low"].lt(rows["estimate"]).all()
    assert rows["high"].gt(rows["estimate"]).all()


def test_standard_errors_are_those_of_the_corrected_two_factor_bootstrap(guesses, region):
    result = infer_rsa(guesses, region, comparison="pearson", **FEW, seed=8)
    samples = draw_resamples(FEW["n_bootstraps"], N_SUBJECTS, N_STIMULI, seed=8)
    values = evaluate_samples(
        region.dissimilarities,
        guesses.dissimilarities,
        samples,
        "pearson",
        list_effect_sets(["subjects", "stimuli"]),
    )
    subjects, stimuli, both = (found.scores.var(axis=0, ddof=1) for found in values.values())
    corrections = N_SUBJECTS / (N_SUBJECTS - 1), N_STIMULI / (N_STIMULI - 1)
    expected = corrections[0] * subjects + corrections[1] * stimuli
    expected -= corrections[0] * corrections[1] * (both - subjects - stimuli)
    least = np.maximum(corrections[0] * subjects, corrections[1] * stimuli)
    expected = np.maximum(np.minimum(expected, both), least)
    np.testing.assert_allclose(result.estimates["standard_error"], np.sqrt(expected), rtol=1e-10)
    assert (result.estimates["dof"] == N_SUBJECTS - 1).all()
    t = result.estimates["estimate"] / np.sqrt(expected)
    np.testing.assert_allclose(result.estimates["p_value"], stats.t.sf(t, N_SUBJECTS - 1), rtol=1e-9)
    margin = np.sqrt(expected) * stats.t.ppf(0.975, N_SUBJECTS - 1)
    np.testing.assert_allclose(result.estimates["high"] - result.estimates["estimate"], margin, rtol=1e-9)


@pytest.mark.parametrize(
    ("target", "dof"), [("both", N_SUBJECTS - 1), ("subjects", N_SUBJECTS - 1), ("stimuli", N_STIMULI - 1)]
)
def test_the_target_of_generalisation_decides_what_is_drawn_anew(guesses, region, target, dof):
    result = infer_rsa(guesses, region, comparison="pearson", generalise_to=target, **FEW, seed=8)
    assert (result.estimates["dof"] == dof).all()
    if target == "both":
        return
    samples = draw_resamples(FEW["n_bootstraps"], N_SUBJECTS, N_STIMULI, seed=8)
    factors = frozenset([target])
    sides = (region.dissimilarities, guesses.dissimilarities)
    scores = evaluate_samples(*sides, samples, "pearson", [factors])[factors].scores
    expected = np.sqrt(scores.var(axis=0, ddof=1) * (dof + 1) / dof)
    np.testing.assert_allclose(result.estimates["standard_error"], expected, rtol=1e-10)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_both_engines_give_one_result(guesses, region, comparison):
    few = {"n_bootstraps": 12, "n_permutations": 19, "seed": 5, "comparison": comparison}
    few |= {"inference": "bootstrap"}
    own, other = (infer_rsa(guesses, region, engine=engine, **few) for engine in ("own", "rsatoolbox"))
    assert own.settings["engine"] != other.settings["engine"]
    for name in ("estimates", "pairwise", "subjects", "ceilings"):
        one, two = getattr(own, name), getattr(other, name)
        assert one.select_dtypes(object).equals(two.select_dtypes(object))
        left, right = one.select_dtypes("number"), two.select_dtypes("number")
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-8)
        assert len(left.columns) >= 1


def test_a_column_called_index_does_not_mislead_rsatoolbox(guesses, region):
    numbered = RDMSet(region.dissimilarities, region.stimulus_ids, region.table.assign(index=[7, 7, 2, 0, 1]))
    few = {"n_bootstraps": 10, "n_permutations": 0, "comparison": "cosine", "inference": "bootstrap"}
    own, other = (infer_rsa(guesses, numbered, engine=engine, **few) for engine in ("own", "rsatoolbox"))
    ceilings = own.ceilings.drop(columns="roi")
    np.testing.assert_allclose(ceilings, other.ceilings.drop(columns="roi"), rtol=0, atol=1e-10)


def test_every_region_is_judged_by_its_own_subjects(guesses, data):
    result = infer_rsa(guesses, data, **FEW)
    assert result.rois == ["FFA", "EVC"]
    assert result.estimates["n_subjects"].tolist() == [5, 5, 5, 4, 4, 4]
    assert result.estimates["dof"].tolist() == [4, 4, 4, 3, 3, 3]
    assert result.settings["n_subjects"] == {"FFA": 5, "EVC": 4}
    assert (len(result.pairwise), len(result.subjects), len(result.ceilings)) == (6, 27, 2)
    alone = infer_rsa(guesses, data.select(roi="EVC"), **FEW)
    assert result.select_roi("EVC").equals(alone.estimates)


def test_corrections_are_over_the_models_of_a_region_and_in_order(guesses, data):
    result = infer_rsa(guesses, data, n_bootstraps=200, n_permutations=0)
    for frame in (result.estimates, result.pairwise):
        for _, rows in frame.groupby("roi"):
            p = rows["p_value"].to_numpy()
            np.testing.assert_allclose(rows["p_bonferroni"], np.minimum(3 * p, 1))
            np.testing.assert_allclose(rows["p_fdr"], stats.false_discovery_control(p))
            assert (rows["p_max"] >= p).all()
            assert (rows["p_max"] <= rows["p_bonferroni"] + 0.02).all()
    assert result.estimates["p_permutation"].isna().all()


def test_the_corrected_p_value_of_equal_models_is_that_of_one(guesses, region):
    same = RDMSet(guesses.dissimilarities[[1, 1, 1]], guesses.stimulus_ids)
    result = infer_rsa(same, region, n_bootstraps=200, n_permutations=0)
    assert np.abs(result.estimates["p_max"] - result.estimates["p_value"]).max() < 0.02
    assert (result.pairwise["difference"] == 0).all()
    assert (result.pairwise["p_value"] == 1).all()


def test_sessions_of_a_subject_are_averaged_first(guesses, region):
    first, second = (
        RDMSet(
            region.dissimilarities + sign * 0.3 * np.arange(36) ** 0.5,
            region.stimulus_ids,
            region.table.assign(session=session),
            distance=region.distance,
        )
        for session, sign in (("1", 1), ("2", -1))
    )
    together = infer_rsa(guesses, concat_rdms([first, second]), **FEW)
    once = infer_rsa(guesses, region, **FEW)
    assert together.estimates["n_subjects"].tolist() == [5, 5, 5]
    np.testing.assert_allclose(together.estimates["estimate"], once.estimates["estimate"], atol=1e-12)


@pytest.mark.parametrize("comparison", ["rho_a", "whitened_cosine"])
def test_the_order_of_subjects_and_of_models_changes_no_estimate(guesses, region, comparison):
    moved = infer_rsa(guesses.take([2, 0, 1]), region.take([4, 2, 0, 1, 3]), comparison=comparison, **FEW)
    result = infer_rsa(guesses, region, comparison=comparison, **FEW)
    for name in ("estimate", "noise_ceiling_lower", "noise_ceiling_upper", "p_permutation"):
        left = moved.estimates.set_index("model")[name].loc[guesses.names]
        np.testing.assert_allclose(left, result.estimates[name], atol=1e-12)


def test_the_same_seed_gives_the_same_result_with_any_number_of_threads(guesses, data, tmp_path):
    result = infer_rsa(guesses, data, **FEW, seed=4)
    again = infer_rsa(guesses, data, **FEW, seed=4, n_jobs=2)
    assert again == result
    assert infer_rsa(guesses, data, **FEW, seed=5) != result
    assert RSAResult.load(result.save(tmp_path)) == result


def test_columns_of_the_models_go_into_the_estimates(guesses, region):
    table = guesses.table.assign(layer=["", "conv1", "fc"], roi=["V1", "V2", "V3"])
    result = infer_rsa(RDMSet(guesses.dissimilarities, guesses.stimulus_ids, table), region, **FEW)
    assert list(result.estimates)[:6] == ["roi", "model", "seed", "layer", "model_roi", "comparison"]
    assert result.estimates["layer"].tolist() == ["", "conv1", "fc"]
    assert result.estimates["roi"].tolist() == ["FFA"] * 3


def test_missing_pairs_are_left_out_one_by_one(guesses, region):
    values = region.dissimilarities.copy()
    values[1, [3, 8]], values[2, 20] = np.nan, np.nan
    gappy = RDMSet(values, region.stimulus_ids, region.table)
    result = infer_rsa(guesses, gappy, comparison="spearman", **FEW)
    expected = compare_rdms(gappy, guesses, "spearman").values.mean(axis=0)
    np.testing.assert_allclose(result.estimates["estimate"], expected, atol=1e-12)
    whole = infer_rsa(guesses, region, comparison="spearman", **FEW)
    assert np.abs(result.estimates["standard_error"] - whole.estimates["standard_error"]).max() < 0.05
    assert result.estimates.drop(columns=["roi", "model", "comparison"]).notna().all(axis=None)


def test_blocks_are_drawn_together_and_count_as_one_unit(rng):
    n_blocks, size = 6, 3
    labels = np.repeat([f"id{number}" for number in range(n_blocks)], size)
    left, right = np.triu_indices(n_blocks * size, 1)
    identity = (labels[left] != labels[right]).astype(float)
    names = [f"photo{number}" for number in range(n_blocks * size)]
    models = RDMSet(np.stack([identity, rng.random(len(left))]), names)
    values = identity + rng.normal(0, 0.3, (8, len(left)))
    brain = RDMSet(values, names, pd.DataFrame({"subject": list("abcdefgh")}))
    few = {"n_bootstraps": 200, "n_permutations": 99, "inference": "bootstrap"}
    result = infer_rsa(models, brain, blocks=labels, **few)
    assert (result.estimates["dof"] == n_blocks - 1).all()
    assert result.settings["n_blocks"] == n_blocks
    assert result.estimates["p_value"][0] < 0.05
    # Whole blocks change places, so a model that only tells blocks apart is the same under each permutation.
    assert np.isnan(result.estimates["p_permutation"][0])
    free = infer_rsa(models, brain, **few)
    assert (free.estimates["dof"] == 7).all()
    assert free.estimates["p_permutation"][0] == 0.01


def test_one_subject_allows_new_stimuli_alone(guesses, region):
    single = region.take([2])
    for target in ("both", "subjects"):
        with pytest.raises(ValueError, match=r"one subject only \('s5'\).*generalise_to='stimuli'"):
            infer_rsa(guesses, single, generalise_to=target)
    result = infer_rsa(guesses, single, generalise_to="stimuli", n_bootstraps=200, n_permutations=99)
    row = result.estimates.iloc[0]
    assert row["p_value"] < 0.05
    assert row["p_permutation"] < 0.05
    assert row[[*CEILING_TESTS, "noise_ceiling_lower", "noise_ceiling_upper"]].isna().all()
    assert result.ceilings.drop(columns="roi").isna().all(axis=None)
    assert result.settings["notes"] == ["FFA: one subject, so there are no noise ceilings."]


def test_two_subjects_have_ceilings_without_a_test(guesses, region):
    result = infer_rsa(guesses, region.take([0, 1]), **FEW)
    assert result.estimates["noise_ceiling_lower"].notna().all()
    assert result.estimates[CEILING_TESTS].isna().all(axis=None)
    assert result.ceilings[["lower_low", "lower_high", "p_value"]].isna().all(axis=None)
    assert result.estimates["p_value"].notna().all()
    assert "no interval and no test" in result.settings["notes"][0]
    stimuli = infer_rsa(guesses, region.take([0, 1]), generalise_to="stimuli", **FEW)
    assert stimuli.estimates[CEILING_TESTS].notna().all(axis=None)


def test_tests_against_the_ceiling_are_corrected_over_the_models_of_a_region(guesses, data):
    result = infer_rsa(guesses, data, comparison="pearson", n_bootstraps=100, n_permutations=0)
    for roi in result.rois:
        rows = result.select_roi(roi)
        plain = rows["p_ceiling"].to_numpy()
        for method, name in (("fdr_bh", "fdr"), ("bonferroni", "bonferroni")):
            expected = multipletests(plain, method=method)[1]
            np.testing.assert_allclose(rows[f"p_ceiling_{name}"], expected, atol=1e-12)
        assert (plain <= rows["p_ceiling_max"]).all()
        assert (rows["p_ceiling_max"] <= rows["p_ceiling_bonferroni"]).all()
        assert np.argmin(plain) == np.argmin(rows["p_ceiling_max"])
    one = infer_rsa(guesses.take([1]), data, comparison="pearson", n_bootstraps=100, n_permutations=0)
    for name in CEILING_TESTS[1:]:
        np.testing.assert_allclose(one.estimates[name], one.estimates["p_ceiling"], atol=0.01)


def test_cosines_of_distances_without_a_true_zero_carry_a_note(guesses, region):
    biased = RDMSet(region.dissimilarities, region.stimulus_ids, region.table, distance="correlation")
    for comparison, rdms, n_notes in (
        ("cosine", biased, 1),
        ("whitened_cosine", region, 0),
        ("pearson", biased, 0),
    ):
        notes = infer_rsa(guesses, rdms, comparison=comparison, **FEW).settings["notes"]
        assert len(notes) == n_notes
    assert "all be positive" in infer_rsa(guesses, biased, comparison="cosine", **FEW).settings["notes"][0]


def test_other_stimuli_or_another_order_are_refused(guesses, region):
    with pytest.raises(AlignmentError, match="differ first at row 0: 'face2' against 'face4'"):
        infer_rsa(guesses.align_to(guesses.stimulus_ids[::-1]), region)
    renamed = RDMSet(guesses.dissimilarities, [*guesses.stimulus_ids[:-1], "hand"], guesses.table)
    with pytest.raises(AlignmentError, match=r"the models are not in the brain RDMs \(first: 'hand'\)"):
        infer_rsa(renamed, region)


def test_too_few_stimuli_or_blocks_are_refused(guesses, region):
    few = guesses.stimulus_ids[:5]
    with pytest.raises(ValueError, match=r"5 stimuli in 5 blocks are too few .*6 stimuli and 4 blocks"):
        infer_rsa(guesses.align_to(few), region.align_to(few), inference="bootstrap")
    with pytest.raises(ValueError, match="9 stimuli in 3 blocks are too few"):
        infer_rsa(guesses, region, blocks=np.repeat([1, 2, 3], 3))
    subjects = infer_rsa(guesses.align_to(few), region.align_to(few), generalise_to="subjects", **FEW)
    assert (subjects.estimates["n_stimuli"] == 5).all()
    with pytest.raises(ValueError, match="one label per stimulus, 9; got 4"):
        infer_rsa(guesses, region, blocks=np.array(list("abcd")))


def test_what_cannot_be_compared_is_named(guesses, region):
    flat = RDMSet(
        np.where(np.arange(3)[:, None] == 1, 0.4, guesses.dissimilarities),
        guesses.stimulus_ids,
        guesses.table,
    )
    with pytest.raises(ValueError, match="RDM 'pixels' are the same, so pearson is not defined"):
        infer_rsa(flat, region, comparison="pearson")
    with pytest.raises(ValueError, match="need a column 'subject'; they have: roi"):
        infer_rsa(guesses, RDMSet(region.dissimilarities, region.stimulus_ids, region.table[["roi"]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"comparison": "tau-a"}, "comparison='tau-a' is not known"),
        ({"generalise_to": "stimulus"}, "generalise_to='stimulus' is not known.*Did you mean 'stimuli'"),
        ({"engine": "rsa"}, "engine='rsa' is not known"),
        ({"n_bootstraps": 9}, "n_bootstraps must be >= 10; got 9"),
        ({"n_permutations": -1}, "n_permutations must be >= 0"),
        ({"n_jobs": 0}, "n_jobs must be >= 1"),
        ({"level": 1.0}, "level must lie between 0 and 1; got 1.0"),
    ],
)
def test_unknown_options_are_refused(guesses, region, options, message):
    with pytest.raises(ValueError, match=message):
        infer_rsa(guesses, region, **options)


def test_rsatoolbox_cannot_compare_over_different_gaps(guesses, region):
    values = region.dissimilarities.copy()
    values[1, 3] = np.nan
    gappy = RDMSet(values, region.stimulus_ids, region.table)
    with pytest.raises(ValueError, match="different nan positions"):
        infer_rsa(guesses, gappy, engine="rsatoolbox", **FEW)


def test_pairs_are_the_first_model_less_the_second(guesses, region):
    result = infer_rsa(guesses, region, **FEW)
    estimates = result.estimates.set_index("model")["estimate"]
    rows = list(result.pairwise[["model_1", "model_2", "difference"]].itertuples(index=False))
    assert [row[:2] for row in rows] == list(itertools.combinations(guesses.names, 2))
    for one, other, difference in rows:
        assert difference == pytest.approx(estimates[one] - estimates[other], abs=1e-12)


def test_cosines_of_positive_distances_prefer_flat_models_as_their_note_says(rng):
    """Neither model has a part in the brains; the flat one is closer to all of them."""
    people = rng.permutation(np.repeat([0, 1], 7))
    left, right = np.triu_indices(14, 1)
    patterns = rng.normal(size=(15, 14, 30))
    flat, *subjects = (1 - np.corrcoef(item)[left, right] for item in patterns)
    ids = np.array([f"face{row:02d}" for row in range(14)])
    models = RDMSet(np.stack([(people[left] != people[right]).astype(float), flat]), ids)
    table = pd.DataFrame({"subject": [f"{row:02d}" for row in range(14)]})
    brain = RDMSet(np.stack(subjects), ids, table, distance="correlation")
    options = {"n_bootstraps": 200, "n_permutations": 99}
    found = infer_rsa(models, brain, comparison="cosine", **options)
    assert found.pairwise["p_value"][0] < 0.01
    assert found.estimates["p_value"].max() < 0.01
    assert found.estimates["p_permutation"].min() > 0.05
    assert "flat RDMs are close to all others" in found.settings["notes"][0]
    assert infer_rsa(models, brain, comparison="pearson", **options).pairwise["p_value"][0] > 0.05
