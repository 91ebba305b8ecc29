import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import COMPARISONS, compare_rdms
from fernet_neuro.rsa.files.toolbox import COMPARISON_NAMES, import_rsatoolbox, to_rsatoolbox
from fernet_neuro.rsa.inference.bootstrap import compare_samples
from fernet_neuro.rsa.inference.fitted import infer_flexible, score_once
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.folds import (
    Design,
    Splits,
    choose_n_stimulus_folds,
    choose_n_subject_folds,
    count_blocks_needed,
    cross_validate,
    draw_folds,
)
from fernet_neuro.rsa.inference.random_effects import (
    combine_effects,
    combine_variances,
    compute_t,
    list_effect_sets,
)
from fernet_neuro.rsa.inference.regions import split_regions
from fernet_neuro.rsa.inference.resample import Compared, draw_counts
from fernet_neuro.rsa.inference.settings import InferenceSettings
from fernet_neuro.rsa.models.flexible import MODEL_KINDS, FlexibleModel, fit_model
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stats.calibration import false_positive_rate

pytestmark = pytest.mark.usefixtures("few_maxima")

N_STIMULI, N_SUBJECTS = 13, 5
#: As many that each fit has half of them.
HALVED = {"n_stimuli": 18, "n_subjects": 8}


@pytest.fixture
def names():
    return np.array([f"face{row:02d}" for row in range(N_STIMULI)])


@pytest.fixture
def parts(rng, names):
    return RDMSet(rng.uniform(0.1, 3, (3, 78)), names)


@pytest.fixture
def design(parts, rng):
    data = parts.dissimilarities[1] + rng.normal(size=(N_SUBJECTS, 78))
    models = [parts.dissimilarities[:1], *[parts.dissimilarities] * 3]
    return Design(models, list(MODEL_KINDS), data, np.ones(78, dtype=bool), "pearson")


@pytest.fixture
def splits(rng):
    subjects = rng.multinomial(N_SUBJECTS, np.full(N_SUBJECTS, 1 / N_SUBJECTS), 4).astype(float)
    stimuli = draw_counts(4, np.arange(N_STIMULI), rng, fewest=8)
    return _split(subjects, stimuli, rng)


def _split(subjects, stimuli, rng):
    folds = [draw_folds(counts, np.arange(counts.shape[1]), 2, rng) for counts in (subjects, stimuli)]
    return Splits(subjects, stimuli, *folds, 2, 2)


def _simulate(seed, effect, n_stimuli=28, n_subjects=10):
    """Patterns of three features, two of them in the brain with their own weights, shared by all subjects."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(3, n_stimuli, 8))
    base = rng.normal(size=(n_stimuli, 30))
    base += effect * features[0] @ rng.normal(size=(8, 30)) / np.sqrt(8)
    base += effect * features[1] @ rng.normal(size=(8, 30)) / np.sqrt(8)
    ids = np.array([f"face{row:02d}" for row in range(n_stimuli)])
    noisy = base + rng.normal(size=(n_subjects, n_stimuli, 30))
    table = pd.DataFrame({"subject": [f"{row:02d}" for row in range(n_subjects)]})
    return (
        RDMSet(np.stack([pdist(item, "sqeuclidean") for item in features]), ids),
        RDMSet(np.stack([pdist(item, "sqeuclidean") for item in noisy]), ids, table),
    )


def _copies(vectors, order):
    """Return RDMs of stimuli written out as often as they are drawn, without pairs of copies."""
    names = np.array([f"s{row:02d}" for row in range(N_STIMULI)])
    squares = RDMSet(vectors, names).to_squares()[:, order][:, :, order]
    squares[:, order[:, None] == order] = np.nan
    rows, columns = np.triu_indices(len(order), 1)
    return RDMSet(squares[:, rows, columns], np.array([f"copy{row:02d}" for row in range(len(order))]))


def _slowly(design, splits, sample, comparison):
    """The obvious way: one sample, its copies written out, a fit and a comparison for each fold."""
    scores = np.zeros((len(design.models), N_SUBJECTS))
    counts = splits.stimuli[sample].astype(int)
    for fold in range(splits.n_stimulus_folds):
        is_test = splits.stimulus_folds[sample] == fold
        test = np.repeat(np.flatnonzero(is_test), counts[is_test])
        train = np.repeat(np.flatnonzero(~is_test), counts[~is_test])
        for subject in range(N_SUBJECTS):
            outside = splits.subject_folds[sample] != splits.subject_folds[sample, subject]
            others = np.repeat(np.flatnonzero(outside), splits.subjects[sample, outside].astype(int))
            seen, unseen = _copies(design.data[others], train), _copies(design.data[[subject]], test)
            for row, (rdms, kind) in enumerate(zip(design.models, design.kinds, strict=True)):
                weights = fit_model(FlexibleModel(_copies(rdms, train), kind), seen, comparison)
                prediction = RDMSet(
                    (weights @ _copies(rdms, test).dissimilarities)[None], unseen.stimulus_ids
                )
                found = compare_rdms(prediction, unseen, comparison).values[0, 0]
                scores[row, subject] += found / splits.n_stimulus_folds
    return scores


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_scores_are_those_of_folds_written_out(design, splits, comparison):
    named = Design(design.models, design.kinds, design.data, design.present, comparison)
    found = cross_validate(named, splits).values
    for sample in range(2):
        expected = _slowly(design, splits, sample, comparison)
        assert np.abs(found[sample] - expected).max() < 1e-9


@pytest.mark.parametrize("comparison", ["pearson", "cosine"])
def test_scores_in_the_same_folds_are_those_of_rsatoolbox(design, rng, comparison):
    import_rsatoolbox()
    from rsatoolbox.inference import crossval
    from rsatoolbox.model import ModelFixed, ModelSelect, ModelWeighted
    from rsatoolbox.model.fitter import fit_mock, fit_regress_nn, fit_select

    splits = _split(np.ones((1, N_SUBJECTS)), np.ones((1, N_STIMULI)), rng)
    parts = _copies(design.models[2], np.arange(N_STIMULI))
    data = to_rsatoolbox(RDMSet(design.data, parts.stimulus_ids, pd.DataFrame({"subject": np.arange(5)})))
    ids = parts.stimulus_ids
    sets: dict[bool, list] = {True: [], False: []}
    for fold, group in itertools.product(range(2), range(2)):
        for is_test, chosen in sets.items():
            stimuli = ids[(splits.stimulus_folds[0] == fold) == is_test].tolist()
            subjects = [str(at) for at in np.flatnonzero((splits.subject_folds[0] == group) == is_test)]
            cut = data.subset("subject", subjects).subset_pattern("stimulus_id", stimuli)
            chosen.append([cut, stimuli])
    theirs = crossval(
        [
            ModelFixed("fixed", to_rsatoolbox(parts.take([0]))),
            ModelSelect("selected", to_rsatoolbox(parts)),
            ModelWeighted("weighted", to_rsatoolbox(parts)),
        ],
        data,
        sets[False],
        sets[True],
        method=COMPARISON_NAMES[comparison],
        fitter=[fit_mock, fit_select, fit_regress_nn],
        pattern_descriptor="stimulus_id",
        calc_noise_ceil=False,
    ).evaluations[0]
    named = Design(design.models[:3], design.kinds[:3], design.data, design.present, comparison)
    ours = cross_validate(named, splits).values[0]
    for group in range(2):
        expected = theirs[:, group::2].mean(axis=1)
        assert np.abs(ours[:, splits.subject_folds[0] == group].mean(axis=1) - expected).max() < 1e-8


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_fixed_models_in_folds_of_blocks_weigh_pairs_as_samples_of_blocks_do(design, rng, comparison):
    blocks = np.array([0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    stimuli = draw_counts(6, blocks, rng, fewest=4)
    folds = draw_folds(stimuli, blocks, 2, rng)
    subjects = np.ones((6, N_SUBJECTS))
    named = Design(design.models[:1], design.kinds[:1], design.data, design.present, comparison)
    splits = Splits(subjects, stimuli, np.zeros((6, N_SUBJECTS), dtype=int), folds, 1, 2, blocks)
    found = cross_validate(named, splits).values[:, 0]
    once = cross_validate(named, replace(splits, blocks=None)).values[:, 0]
    for sample in range(6):
        counts = splits.count_stimuli(is_test=True)[sample].astype(int)
        nobody = np.empty((2, 0, N_SUBJECTS), dtype=int)
        asked = Compared(design.data, design.models[0], counts, nobody, comparison, blocks)
        scores = compare_samples(asked)[0]
        assert np.abs(found[sample] - scores[:, :, 0].mean(axis=0)).max() < 1e-9
    assert np.abs(found - once).max() > 0.01


@pytest.mark.parametrize(
    ("comparison", "sizes"),
    [
        ("pearson", [4] * 7),
        ("pearson", [2] * 10 + [8]),
        ("whitened_pearson", [4] * 7),
        ("cosine", [4] * 7),
        ("rho_a", [4] * 7),
    ],
)
def test_a_model_of_the_blocks_scores_in_folds_what_it_scores_in_all_the_data(comparison, sizes):
    """Folds of whole people have more pairs of one person, on which such a model would do too well."""
    people = np.repeat(np.arange(len(sizes)), sizes)
    left, right = np.triu_indices(28, 1)
    identity = (people[left] != people[right]).astype(float)
    ids = np.array([f"photo{row:02d}" for row in range(28)])
    model = FlexibleModel(RDMSet(identity[None], ids))
    settings = InferenceSettings(comparison, n_assignments=10)
    noise = np.stack([np.random.default_rng(seed).normal(size=(6, len(left))) for seed in range(20)])
    table = pd.DataFrame({"subject": [*"abcdef"] * 20, "roi": np.repeat(np.arange(20), 6)})
    brains = RDMSet(identity + 0.8 * noise.reshape(120, -1), ids, table)  # each a region of its own
    found = infer_rsa(model.rdms, brains, comparison=comparison, n_bootstraps=10, n_permutations=0)
    plain = np.transpose([found.estimates["estimate"], found.ceilings["upper"]])
    nested = []
    for seed, region in enumerate(split_regions(brains)):
        scores = score_once([model], region, people, settings, np.random.default_rng(seed))
        nested.append([scores.values.mean(), scores.upper.mean()])
    difference = np.mean(nested, axis=0) - np.mean(plain, axis=0)
    assert np.abs(difference).max() < 0.02, (np.mean(plain, axis=0), np.mean(nested, axis=0))


def test_cosines_of_positive_distances_carry_the_note_that_fixed_models_carry():
    models, brain = _simulate(1, 1.0, n_stimuli=20, n_subjects=5)
    options = {"comparison": "cosine", "n_bootstraps": 10, "n_permutations": 0}
    named = {"first": FlexibleModel(models.take([0])), "sum": FlexibleModel(models, "weighted")}
    notes = infer_flexible(named, brain, n_assignments=2, **options).settings["notes"]
    assert notes[:1] == infer_rsa(models, brain, **options).settings["notes"]
    assert notes[1:] == [
        "variance components of fitted models have no closed form: intervals and tests are by the bootstrap."
    ]


@pytest.mark.parametrize("comparison", ["rho_a", "whitened_cosine"])
def test_ceilings_are_means_of_other_subjects_and_of_all(design, rng, comparison):
    subjects, stimuli = np.ones((1, N_SUBJECTS)), np.ones((1, N_STIMULI))
    splits = _split(subjects, stimuli, rng)
    named = Design(design.models, design.kinds, design.data, design.present, comparison)
    found = cross_validate(named, splits)
    lower, upper = np.zeros(N_SUBJECTS), np.zeros(N_SUBJECTS)
    for fold in range(2):
        order = np.flatnonzero(splits.stimulus_folds[0] == fold)
        rdms = _copies(design.data, order)
        vectors = rdms.dissimilarities
        if comparison == "rho_a":
            vectors = pd.DataFrame(vectors).rank(axis=1).to_numpy()
        else:
            from fernet_neuro.rsa.compare import whiten

            present = np.ones(vectors.shape[1], dtype=bool)
            vectors = vectors / np.sqrt((vectors * whiten(vectors, present)).sum(axis=1, keepdims=True))
        for subject in range(N_SUBJECTS):
            outside = splits.subject_folds[0] != splits.subject_folds[0, subject]
            for values, chosen in ((lower, outside), (upper, np.ones(N_SUBJECTS, dtype=bool))):
                pool = RDMSet(vectors[chosen].mean(axis=0, keepdims=True), rdms.stimulus_ids)
                values[subject] += compare_rdms(pool, rdms.take([subject]), comparison).values[0, 0] / 2
    assert np.abs(found.lower[0] - lower).max() < 1e-9
    assert np.abs(found.upper[0] - upper).max() < 1e-9


@pytest.mark.parametrize("comparison", ["pearson", "rho_a"])
def test_fits_see_neither_test_stimuli_nor_test_subjects(design, splits, comparison, rng):
    first = Design(design.models, design.kinds, design.data, design.present, comparison)
    weights = cross_validate(first, splits.take(slice(0, 1))).weights
    data = design.data.copy()
    pairs = np.array(np.triu_indices(N_STIMULI, 1))
    is_tested = (splits.stimulus_folds[0][pairs] == 0).any(axis=0)
    data[:, is_tested] = rng.normal(size=(N_SUBJECTS, is_tested.sum()))
    data[splits.subject_folds[0] == 1] = rng.normal(size=((splits.subject_folds[0] == 1).sum(), 78))
    changed = Design(design.models, design.kinds, data, design.present, comparison)
    moved = cross_validate(changed, splits.take(slice(0, 1))).weights
    for one, other in zip(weights, moved, strict=True):
        # The fold that tests these stimuli and subjects is fitted as before; its mirror image is not.
        assert np.allclose(one[0, 0, 1], other[0, 0, 1], atol=1e-12)
    assert not np.allclose(weights[2][0, 1, 0], moved[2][0, 1, 0])


def test_scores_do_not_depend_on_how_many_samples_are_done_at_once(design, splits):
    together = cross_validate(design, splits)
    for sample in range(len(splits)):
        alone = cross_validate(design, splits.take(slice(sample, sample + 1)))
        assert np.allclose(alone.values[0], together.values[sample], atol=1e-12)


def test_a_prediction_that_is_constant_in_a_fold_scores_nothing(design, splits):
    flat = [np.full((1, 78), 0.1), *design.models[1:]]
    for comparison in ("pearson", "spearman", "kendall_tau_a"):
        found = cross_validate(Design(flat, design.kinds, design.data, design.present, comparison), splits)
        assert np.isfinite(found.values).all()
        assert not found.values[:, 0].any()


def test_folds_are_even_random_and_keep_blocks_together(rng):
    blocks = np.repeat(np.arange(9), 3)
    counts = draw_counts(200, blocks, rng, fewest=4)
    folds = draw_folds(counts, blocks, 4, rng)
    assert (folds.reshape(200, 9, 3) == folds[:, ::3, None]).all()
    assert (counts.reshape(200, 9, 3) == counts[:, ::3, None]).all()
    used = counts[:, ::3] > 0
    sizes = np.stack([((folds[:, ::3] == fold) & used).sum(axis=1) for fold in range(4)])
    assert (np.ptp(sizes, axis=0) <= 1).all()
    assert sizes.min() >= 1
    together = (folds[:, 0] == folds[:, 3])[used[:, 0] & used[:, 1]].mean()
    assert 0.05 < together < 0.4


def test_numbers_of_folds_leave_three_stimuli_in_each():
    assert [choose_n_subject_folds(n) for n in (4, 9, 10, 19, 32)] == [2, 2, 3, 4, 5]
    assert [choose_n_stimulus_folds(np.arange(n)) for n in (10, 18, 19, 38, 70)] == [2, 2, 3, 4, 5]
    # Four photographs of one identity would be stimuli enough for a fold, but only one kind of pair.
    blocks = np.repeat(np.arange(7), 4)
    assert choose_n_stimulus_folds(blocks) == 2
    assert choose_n_stimulus_folds(np.repeat(np.arange(10), 4)) == 3
    assert count_blocks_needed(blocks, 3) == 6
    assert count_blocks_needed(np.repeat(np.arange(7), 2), 3) == 6
    assert count_blocks_needed(np.arange(28), 3) == 9
    # One photograph of one person, four of the others: any two people have three.
    assert count_blocks_needed(np.repeat(np.arange(7), [4, 4, 1, 4, 4, 4, 4]), 2) == 4
    assert count_blocks_needed(np.repeat(np.arange(7), [4, 4, 1, 4, 4, 1, 4]), 2) == 6


def test_components_that_vary_with_several_factors_count_once():
    rng = np.random.default_rng(3)
    sizes = {"a": 4, "b": 6, "c": 3}
    spread = {"a": 1.0, "b": 0.5, "c": 2.0, "ab": 1.5, "ac": 0.7, "bc": 1.1, "abc": 2.5}
    truth = sum(value**2 / np.prod([sizes[letter] for letter in name]) for name, value in spread.items())
    found = []
    for _ in range(1500):
        values = np.zeros((4, 6, 3))
        for name, value in spread.items():
            shape = [sizes[letter] if letter in name else 1 for letter in "abc"]
            values = values + value * rng.normal(size=shape)
        moments = {}
        for chosen in list_effect_sets("abc"):
            # The exact variance of the mean over bootstrap samples of these factors: of all products of
            # differences between units, those of the factors that are resampled.
            moments[chosen] = _bootstrap_variance(values, ["abc".index(letter) for letter in chosen])
        found.append(combine_effects(moments, sizes))
    assert np.mean(found) == pytest.approx(truth, rel=0.1)


def _bootstrap_variance(values, axes):
    """Return the exact bootstrap variance of the mean, axes resampled independently."""
    means = values.mean(axis=tuple(axis for axis in range(3) if axis not in axes))
    # E[m_i m_j] / n^2 of multinomial counts: 1 / n^2 everywhere but a share of the diagonal.
    square = means
    for axis, n in enumerate(means.shape):
        kernel = np.full((n, n), (1 - 1 / n) / n**2 * 1.0)
        kernel[np.diag_indices(n)] += 1 / n**2
        square = np.moveaxis(np.tensordot(kernel, square, axes=(1, axis)), 0, axis)
    return float((means * square).sum() - means.mean() ** 2)


def test_variances_keep_within_their_limits():
    one, other, both = frozenset(["a"]), frozenset(["b"]), frozenset(["a", "b"])
    sizes = {"a": 5, "b": 9}
    assert combine_variances({one: 0.2, other: 0.1, both: 0.9}, sizes) == pytest.approx(0.25)
    assert combine_variances({one: 0.2, other: 0.1, both: 0.22}, sizes) == pytest.approx(0.25)
    assert combine_variances({one: -0.2, other: -0.1, both: 0.0}, sizes) == 0
    assert compute_t(np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.0, 2.0]))[[0, 2]].tolist() == [0, 1.5]
    assert np.isnan(compute_t(np.array([1.0]), np.array([0.0]))[0])


def _infer(seed, effect, sizes=None, **options):
    parts, brain = _simulate(seed, effect, **(sizes or {}))
    models = {
        "fixed": FlexibleModel(parts.take([0])),
        "selected": FlexibleModel(parts, "selected"),
        "weighted": FlexibleModel(parts, "weighted"),
    }
    chosen = {"comparison": "pearson", "n_bootstraps": 40, "n_permutations": 0, "n_assignments": 8, **options}
    return infer_flexible(models, brain, seed=seed, **chosen)


@pytest.mark.slow
def test_tests_of_unrelated_models_are_calibrated_and_related_ones_are_found():
    null = [_infer(seed, 0.0, HALVED) for seed in range(40)]
    rates = pd.concat([result.estimates for result in null]).groupby("model")
    for _, rows in rates:
        assert false_positive_rate(rows["p_value"].to_numpy()).is_calibrated
        covers = (rows["low"] <= 0) & (rows["high"] >= 0)
        assert false_positive_rate(np.where(covers, 1.0, 0.0)).is_calibrated
        # A fit has no advantage from its parameters.
        assert abs(rows["estimate"].mean()) < 3 * rows["estimate"].std() / np.sqrt(len(rows))
    assert false_positive_rate([r.estimates["p_max"].min() for r in null]).is_calibrated
    assert false_positive_rate(np.concatenate([r.pairwise["p_value"] for r in null])).is_calibrated
    planted = pd.concat([_infer(seed, 1.0).estimates for seed in range(6)])
    assert (planted["p_value"] < 0.05).mean() > 0.9


def test_reweighting_is_found_better_than_a_part_where_the_brain_mixes_parts():
    gains = [
        _infer(seed, 1.5, n_bootstraps=150).pairwise.set_index(["model_1", "model_2"]) for seed in range(3)
    ]
    for frame in gains:
        assert frame.loc[("fixed", "weighted"), "difference"] < 0
    assert np.median([frame.loc[("fixed", "weighted"), "p_value"] for frame in gains]) < 0.05


@pytest.mark.slow
def test_standard_errors_are_those_of_new_data_and_lack_the_variance_of_folds():
    results = [_infer(seed, 0.6, HALVED).estimates for seed in range(100, 125)]
    frame = pd.concat(results).groupby("model")
    spread = frame["estimate"].std()
    errors = frame["standard_error"].agg(lambda values: np.sqrt((values**2).mean()))
    assert ((errors / spread).between(0.7, 1.5)).all()


def test_the_result_is_an_rsa_result_like_any_other(tmp_path):
    parts, brain = _simulate(2, 1.0)
    twice = RDMSet(
        np.vstack([brain.dissimilarities, 2 * brain.dissimilarities]),
        brain.stimulus_ids,
        pd.DataFrame({"subject": [*brain.table["subject"]] * 2, "roi": np.repeat(["FFA", "OFA"], 10)}),
    )
    models = {"first": FlexibleModel(parts.take([0])), "sum": FlexibleModel(parts, "weighted")}
    result = infer_flexible(models, twice, n_bootstraps=40, n_permutations=19, n_assignments=5)
    assert result.rois == ["FFA", "OFA"]
    assert result.models == ["first", "sum"]
    assert result.estimates["kind"].tolist() == ["fixed", "weighted"] * 2
    assert result.estimates["dof"].unique().tolist() == [9]
    assert (result.estimates["p_permutation"] == 0.05).all()
    assert len(result.subjects) == 2 * 2 * 10
    assert (result.estimates["noise_ceiling_upper"] > result.estimates["noise_ceiling_lower"]).all()
    means = result.subjects.groupby(["roi", "model"])["value"].mean()
    for row in result.estimates.itertuples():
        assert row.estimate == pytest.approx(means[(row.roi, row.model)])
    assert result.settings["weights"]["FFA"]["first"] == {"RDM 0": 1.0}
    # Ranks see no scale.
    frames = [result.select_roi(roi)["estimate"] for roi in result.rois]
    assert np.allclose(*frames, atol=0.05)
    result.save(tmp_path)
    assert RSAResult.load(tmp_path) == result


def test_the_same_seed_gives_the_same_numbers():
    parts, brain = _simulate(5, 0.5, n_stimuli=14, n_subjects=4)
    options = {"comparison": "whitened_pearson", "n_bootstraps": 20, "n_permutations": 9, "n_assignments": 2}
    models = {"w": FlexibleModel(parts, "weighted")}
    first, again = (infer_flexible(models, brain, **options) for _ in range(2))
    assert first == again
    other = infer_flexible(models, brain, **{**options, "seed": 1})
    assert other.estimates["standard_error"][0] != first.estimates["standard_error"][0]


def test_labels_are_exchanged_with_their_blocks():
    """A model that tells people apart does so under every exchange of whole people."""
    people = np.repeat(np.arange(7), 4)
    left, right = np.triu_indices(28, 1)
    identity = (people[left] != people[right]).astype(float)
    ids = np.array([f"photo{row:02d}" for row in range(28)])
    noise = np.random.default_rng(0).normal(size=(6, len(left)))
    brain = RDMSet(identity + noise, ids, pd.DataFrame({"subject": list("abcdef")}))
    models = {"identity": FlexibleModel(RDMSet(identity[None], ids))}
    options = {"comparison": "pearson", "n_bootstraps": 10, "n_permutations": 99, "n_assignments": 2}
    p_values = [
        infer_flexible(models, brain, blocks=blocks, **options).estimates["p_permutation"].iloc[0]
        for blocks in (None, people)
    ]
    assert p_values[0] == 0.01
    assert p_values[1] > 0.1


@pytest.mark.slow
def test_permuted_labels_are_no_better_than_chance_without_an_effect():
    options = {"generalise_to": "subjects", "n_bootstraps": 10, "n_permutations": 19, "n_assignments": 2}
    found = [_infer(seed, 0.0, **options).estimates for seed in range(300, 325)]
    frame = pd.concat(found)
    for _, rows in frame.groupby("model"):
        assert false_positive_rate(rows["p_permutation"].to_numpy()).is_calibrated


def test_sessions_are_averaged_and_regions_kept_apart(brain):
    regions = split_regions(brain)
    assert [region.roi for region in regions] == ["FFA"]
    assert regions[0].subjects == ["01", "02", "03"]
    assert np.allclose(regions[0].rdms.dissimilarities[1], brain.dissimilarities[2:4].mean(axis=0))


def test_one_subject_can_be_generalised_to_new_stimuli_alone():
    parts, brain = _simulate(4, 1.5, n_stimuli=20, n_subjects=3)
    models = {"w": FlexibleModel(parts, "weighted")}
    with pytest.raises(ValueError, match=r"has 3 subjects; .* needs 4\. What remains is"):
        infer_flexible(models, brain)
    options = {"generalise_to": "stimuli", "n_bootstraps": 30, "n_permutations": 0}
    three = infer_flexible(models, brain, **options)
    assert np.isfinite(three.ceilings["lower"]).all()
    one = infer_flexible(models, brain.take([0]), **options)
    assert np.isnan(one.ceilings["lower"]).all()
    assert one.estimates["estimate"][0] > 0.2
    assert one.estimates["dof"].tolist() == [19]


def test_missing_pairs_are_left_out_of_all():
    parts, brain = _simulate(6, 1.0, n_stimuli=14, n_subjects=4)
    options = {"comparison": "pearson", "n_bootstraps": 20, "n_permutations": 9, "n_assignments": 3}
    vectors = brain.dissimilarities.copy()
    vectors[1, 7] = np.nan
    changed = brain.dissimilarities.copy()
    changed[:, 7] = np.nan
    models = {"w": FlexibleModel(parts, "weighted")}
    some, everywhere = (
        infer_flexible(models, RDMSet(item, brain.stimulus_ids, brain.table), **options)
        for item in (vectors, changed)
    )
    assert np.allclose(some.estimates["estimate"], everywhere.estimates["estimate"])
    assert np.isfinite(some.estimates["p_permutation"]).all()


def test_what_cannot_be_inferred_is_refused():
    parts, brain = _simulate(1, 0.0, n_stimuli=14, n_subjects=4)
    models = {"w": FlexibleModel(parts, "weighted")}
    with pytest.raises(ValueError, match="at least one model; got none"):
        infer_flexible({}, brain)
    with pytest.raises(ValueError, match="generalise_to='subject' is not known"):
        infer_flexible(models, brain, generalise_to="subject")
    with pytest.raises(ValueError, match="comparison='rho' is not known"):
        infer_flexible(models, brain, comparison="rho")
    with pytest.raises(ValueError, match="n_bootstraps must be >= 10"):
        infer_flexible(models, brain, n_bootstraps=3)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        infer_flexible(models, brain, level=95)
    with pytest.raises(AlignmentError, match="model 'w' and the brain RDMs differ first"):
        infer_flexible(models, brain.align_to(brain.stimulus_ids[::-1]))
    with pytest.raises(ValueError, match="need a column 'subject'; they have: none"):
        infer_flexible(models, RDMSet(brain.dissimilarities, brain.stimulus_ids))
    with pytest.raises(ValueError, match=r"14 stimuli in 3 blocks are too few .* 7 blocks are needed"):
        infer_flexible(models, brain, blocks=np.repeat(["a", "b", "c"], [5, 5, 4]))
    with pytest.raises(ValueError, match="blocks must hold one label per stimulus, 14; got 3"):
        infer_flexible(models, brain, blocks=np.arange(3))
    with pytest.raises(ValueError, match="hardly ever have 4 different ones"):
        draw_counts(5, np.arange(3), np.random.default_rng(0), fewest=4)
