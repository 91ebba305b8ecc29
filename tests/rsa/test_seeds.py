import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.inference.bootstrap import evaluate_samples
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.regions import split_regions
from fernet_neuro.rsa.inference.resample import draw_resamples
from fernet_neuro.rsa.inference.seeds import _share_seeds, group_seeds, infer_seeds
from fernet_neuro.rsa.inference.settings import InferenceSettings
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stats.calibration import false_positive_rate

pytestmark = pytest.mark.usefixtures("few_maxima")

BY_BOOTSTRAP = {"inference": "bootstrap"}
N_SEEDS = 5


def _simulate(seed, effect=1.0, spread=1.0, n_stimuli=26, n_subjects=9, n_seeds=N_SEEDS):
    """Networks that learnt what the brain has to degrees that differ between training seeds."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n_stimuli, 12))
    learnt = effect + spread * rng.uniform(-1, 1, n_seeds)
    networks = learnt[:, None, None] * truth + rng.normal(size=(n_seeds, n_stimuli, 12))
    noisy = (
        truth + 0.5 * rng.normal(size=(n_stimuli, 12)) + 0.6 * rng.normal(size=(n_subjects, n_stimuli, 12))
    )
    ids = np.array([f"face{row:02d}" for row in range(n_stimuli)])
    table = pd.DataFrame({"model": "net", "seed": np.arange(n_seeds)})
    subjects = pd.DataFrame({"subject": [f"{row:02d}" for row in range(n_subjects)]})
    return (
        RDMSet(np.stack([pdist(item, "sqeuclidean") for item in networks]), ids, table),
        RDMSet(np.stack([pdist(item, "sqeuclidean") for item in noisy]), ids, subjects),
    )


def _join(models, others, name, seeds):
    table = pd.concat([models.table, pd.DataFrame({"model": name, "seed": seeds})], ignore_index=True)
    values = np.vstack([models.dissimilarities, others])
    return RDMSet(values, models.stimulus_ids, table)


def _infer(models, brain, **options):
    chosen = {"comparison": "pearson", "n_bootstraps": 100, "n_permutations": 0, **BY_BOOTSTRAP, **options}
    return infer_seeds(models, brain, **chosen)


def test_estimates_are_means_over_seeds_of_those_of_single_networks():
    models, brain = _simulate(1)
    several = _join(models, brain.dissimilarities[:1] ** 2, "pixels", [""])
    found = infer_seeds(several, brain, n_bootstraps=50, n_permutations=99, **BY_BOOTSTRAP)
    found = found.estimates.set_index("model")
    single = compare_rdms(brain, several, "rho_a").values.mean(axis=0)
    assert found.loc["net", "estimate"] == pytest.approx(single[:N_SEEDS].mean())
    assert found.loc["pixels", "estimate"] == pytest.approx(single[N_SEEDS])
    assert found["n_seeds"].tolist() == ["5", "0"]
    assert found["seeds"].tolist() == ["0 1 2 3 4", ""]
    assert found["dof"].tolist() == [4, 4]
    assert found["p_permutation"].tolist() == [0.01, 0.01]


@pytest.mark.parametrize("people", [None, np.repeat(np.arange(13), 2)], ids=["alone", "blocks"])
def test_networks_that_are_all_alike_have_the_errors_of_one(people):
    models, brain = _simulate(2)
    table = pd.DataFrame({"model": "net", "seed": ["a", "b", "c"]})
    alike = RDMSet(np.repeat(models.dissimilarities[:1], 3, axis=0), models.stimulus_ids, table)
    options = {
        "comparison": "pearson",
        "n_bootstraps": 100,
        "n_permutations": 0,
        "blocks": people,
        **BY_BOOTSTRAP,
    }
    found = infer_seeds(alike, brain, **options)
    one = infer_rsa(models.take([0]), brain, **options)
    columns = ["estimate", "standard_error", "noise_ceiling_lower"]
    assert np.allclose(found.estimates[columns], one.estimates[columns], atol=1e-12)
    assert (found.estimates["dof"].iloc[0], one.estimates["dof"].iloc[0]) == (2, 8)
    wide = _infer(models, brain, blocks=people)
    assert wide.estimates["standard_error"].iloc[0] > found.estimates["standard_error"].iloc[0]


def test_labels_of_networks_that_are_all_alike_are_exchanged_as_those_of_one():
    models, brain = _simulate(2, effect=0.0)
    people = np.repeat(np.arange(13), 2)
    between = people[:, None] != people
    between = between[np.triu_indices(26, 1)].astype(float)  # what no exchange inside blocks takes away
    values = models.dissimilarities[:1] + 60 * between
    alike = _join(models, np.repeat(values, 2, axis=0), "alike", ["a", "b"]).take([5, 6])
    brain = RDMSet(brain.dissimilarities + 60 * between, brain.stimulus_ids, brain.table)
    options = {"comparison": "pearson", "n_bootstraps": 20, "n_permutations": 99}
    found = {
        name: [
            infer(rdms, brain, blocks=blocks, **options).estimates["p_permutation"].iloc[0]
            for infer, rdms in ((infer_seeds, alike), (infer_rsa, alike.take([0])))
        ]
        for name, blocks in (("alone", None), ("blocks", people))
    }
    assert found["blocks"][0] == found["blocks"][1] > 0.02
    assert found["alone"][0] == found["alone"][1] == 0.01


def test_the_variance_over_seeds_is_that_of_seeds_drawn_with_replacement(rng):
    models, brain = _simulate(3)
    both = _join(
        models, models.dissimilarities + rng.normal(size=models.dissimilarities.shape), "late", range(5)
    )
    groups = group_seeds(both)
    region = split_regions(brain)[0]
    drawn = draw_resamples(40, region.n_subjects, brain.n_stimuli)
    wanted = InferenceSettings().effect_sets
    samples = evaluate_samples(region.rdms.dissimilarities, both.dissimilarities, drawn, "pearson", wanted)[
        frozenset(["subjects", "stimuli"])
    ].scores
    moments = samples.T @ samples / len(samples)
    found = (N_SEEDS - 1) / N_SEEDS * _share_seeds(groups, moments)[:2, :2]
    seeds = rng.integers(0, N_SEEDS, (4000, N_SEEDS))
    means = np.stack([samples[:, seeds].mean(axis=2), samples[:, N_SEEDS + seeds].mean(axis=2)])
    expected = np.mean([np.cov(means[:, sample]) for sample in range(40)], axis=0)
    assert np.allclose(found, expected, rtol=0.1, atol=0.02 * np.abs(expected).max())


def test_models_of_the_same_seeds_are_compared_seed_by_seed_and_others_are_not(rng):
    models, brain = _simulate(4, spread=2.0)
    later = models.dissimilarities + 2 * rng.normal(size=models.dissimilarities.shape)
    errors = {}
    for name, seeds in (("same", [3, 1, 0, 2, 4]), ("other", [13, 11, 10, 12, 14])):
        both = _join(models, later[[3, 1, 0, 2, 4]], "late", seeds)
        errors[name] = _infer(both, brain).pairwise["standard_error"].iloc[0]
    assert errors["same"] < 0.5 * errors["other"]


@pytest.mark.slow
def test_intervals_cover_what_further_networks_show_and_those_of_one_network_do_not():
    truth = np.mean(
        [
            compare_rdms(*_simulate(seed, n_seeds=40)[::-1], "pearson").values.mean()
            for seed in range(900, 930)
        ]
    )
    misses, narrow, found_errors, estimates = [], [], [], []
    for seed in range(40):
        models, brain = _simulate(seed)
        row = _infer(models, brain, seed=seed).estimates.iloc[0]
        misses.append(not row["low"] <= truth <= row["high"])
        one = infer_rsa(
            models.take([0]),
            brain,
            comparison="pearson",
            n_bootstraps=100,
            n_permutations=0,
            seed=seed,
            **BY_BOOTSTRAP,
        ).estimates.iloc[0]
        narrow.append(not one["low"] <= truth <= one["high"])
        estimates.append(row["estimate"])
        found_errors.append(row["standard_error"])
    assert false_positive_rate(np.where(misses, 0.0, 1.0)).is_calibrated
    assert not false_positive_rate(np.where(narrow, 0.0, 1.0)).is_calibrated
    assert np.mean(narrow) > 0.3
    assert 0.75 < np.sqrt(np.mean(np.square(found_errors))) / np.std(estimates) < 1.3


@pytest.mark.slow
def test_networks_that_learnt_nothing_are_found_rarely_and_others_often():
    null = [_infer(*_simulate(seed, effect=0.0, spread=0.0), seed=seed).estimates for seed in range(40)]
    assert false_positive_rate(pd.concat(null)["p_value"].to_numpy()).is_calibrated
    planted = [_infer(*_simulate(seed, spread=0.3), seed=seed).estimates for seed in range(10)]
    assert (pd.concat(planted)["p_value"] < 0.05).mean() > 0.8


@pytest.mark.parametrize("generalise_to", ["subjects", "stimuli"])
def test_seeds_stay_a_factor_whatever_else_is_generalised_to(generalise_to):
    models, brain = _simulate(5)
    found = _infer(models, brain, generalise_to=generalise_to).estimates.iloc[0]
    both = _infer(models, brain).estimates.iloc[0]
    assert found["standard_error"] < both["standard_error"] * 1.05
    assert found["dof"] == N_SEEDS - 1


def test_models_are_told_apart_by_all_columns_but_the_seed_or_by_those_named(tmp_path):
    models, brain = _simulate(6, n_seeds=6)
    table = pd.DataFrame(
        {
            "name": [f"net{seed}-{layer}" for seed in range(3) for layer in ("conv", "fc")],
            "layer": ["conv", "fc"] * 3,
            "seed": [0, 0, 1, 1, 2, 2],
        }
    )
    named = RDMSet(models.dissimilarities, models.stimulus_ids, table)
    with pytest.raises(ValueError, match=r"'net0-conv' has one seed \(0\), .* agree: name, layer. Choose"):
        infer_seeds(named, brain)
    result = _infer(named, brain, by=["layer"])
    assert result.models == ["conv", "fc"]
    assert result.estimates["layer"].tolist() == ["conv", "fc"]
    assert len(result.subjects) == 2 * 9
    expected = compare_rdms(brain, named, "pearson").values.mean(axis=0)[::2].mean()
    assert result.estimates["estimate"][0] == pytest.approx(expected)
    result.save(tmp_path)
    assert RSAResult.load(tmp_path) == result


def test_two_subjects_have_ceilings_without_a_test_or_an_interval():
    models, brain = _simulate(8)
    few = brain.take([0, 1])
    for target in ("both", "subjects"):
        found = _infer(models, few, generalise_to=target)
        tests = [name for name in found.estimates if name.startswith("p_ceiling")]
        assert len(tests) == 4
        assert found.estimates[tests].isna().all(axis=None)
        assert found.ceilings[["lower_low", "lower_high", "p_value"]].isna().all(axis=None)
        assert found.estimates[["p_value", "noise_ceiling_lower"]].notna().all(axis=None)
        assert found.settings["notes"] == [
            "the brain: two subjects, so noise ceilings have no interval and no test."
        ]
    stimuli = _infer(models, few, generalise_to="stimuli")
    assert stimuli.estimates[tests].notna().all(axis=None)
    assert stimuli.settings["notes"] == []


def test_cosines_of_positive_distances_carry_the_note_that_they_carry_without_seeds():
    models, brain = _simulate(8, n_stimuli=12)
    options = {"comparison": "cosine", "n_bootstraps": 20, "n_permutations": 0}
    notes = infer_seeds(models, brain, **options).settings["notes"]
    assert notes == infer_rsa(models, brain, **options).settings["notes"]
    assert len(notes) == 1


def test_what_has_no_seeds_is_refused():
    models, brain = _simulate(7, n_stimuli=12)
    with pytest.raises(ValueError, match="need a column 'seed'; they have: model"):
        infer_seeds(RDMSet(models.dissimilarities, models.stimulus_ids, models.table[["model"]]), brain)
    with pytest.raises(ValueError, match="need a column 'layer'; they have: model, seed"):
        infer_seeds(models, brain, by=["layer"])
    none = RDMSet(models.dissimilarities[:1], models.stimulus_ids, pd.DataFrame({"seed": [""]}))
    with pytest.raises(ValueError, match="no model has a training seed; use infer_rsa"):
        infer_seeds(none, brain)
    with pytest.raises(ValueError, match="has two RDMs of seed '0'"):
        infer_seeds(models.take([0, 1, 0]), brain)
    mixed = RDMSet(models.dissimilarities[:3], models.stimulus_ids, pd.DataFrame({"seed": ["a", "b", ""]}))
    with pytest.raises(ValueError, match="has 3 RDMs and 2 seeds"):
        infer_seeds(mixed, brain)
    with pytest.raises(ValueError, match=r"the brain has one subject only .* What remains is"):
        infer_seeds(models, brain.take([0]))
    with pytest.raises(ValueError, match="12 stimuli in 3 blocks are too few for generalise_to='both'"):
        infer_seeds(models, brain, blocks=np.repeat([1, 2, 3], 4))
    with pytest.raises(ValueError, match="comparison='rho' is not known"):
        infer_seeds(models, brain, comparison="rho")
    with pytest.raises(ValueError, match="n_bootstraps must be >= 10"):
        infer_seeds(models, brain, n_bootstraps=2)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        infer_seeds(models, brain, level=0)
    with pytest.raises(AlignmentError, match="the models and the brain RDMs differ first"):
        infer_seeds(models.align_to(models.stimulus_ids[::-1]), brain)
