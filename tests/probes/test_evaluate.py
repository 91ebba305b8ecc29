import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.exceptions import AlignmentError, StimulusError
from fernet_neuro.probes.design import plan_design
from fernet_neuro.probes.evaluate import count_jobs, evaluate_probe, run_probe
from fernet_neuro.probes.linear import LogisticProbe, RidgeProbe, SgdProbe
from fernet_neuro.probes.penalties import RELATIVE_PENALTIES
from fernet_neuro.probes.readout import inner_groups
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stimuli.splits import Fold, make_folds
from fernet_neuro.stimuli.table import StimulusTable


def oracle_predictions(model, X, y, folds, groups=None):
    guesses = []
    for number, fold in enumerate(folds):
        extra = {} if groups is None else {"groups": groups(number)}
        guesses += model.fit(X[fold.train], y[fold.train], **extra).predict(X[fold.test]).tolist()
    return guesses


@pytest.fixture
def faces(table_of, simulated, rng):
    table = table_of(n_views=2)
    sizes = {"expression": 0.35, "identity": 1.5, "identity_expression": 0.8, "view": 1.0}
    return table, simulated(table, rng, noise=0.5, **sizes)


@pytest.mark.parametrize("holdout", ["identity", "view", "session", "random"])
def test_ridge_predicts_as_ridge_classifier_in_every_fold(faces, holdout):
    table, activations = faces
    folds = make_folds(table, holdout, n_folds=3)
    result = evaluate_probe(
        activations, table, target="expression", folds=folds, holdout=holdout, penalty=2.5, n_permutations=0
    )
    y = table.factor("expression")
    guesses = oracle_predictions(RidgeClassifier(alpha=2.5), activations.values, y, folds)
    assert result.predictions["predicted"].tolist() == guesses
    assert (result.folds["penalty"] == 2.5).all()
    assert result.p_value is None


def test_nested_choice_is_that_of_the_estimator_over_the_other_folds(faces):
    table, activations = faces
    folds = make_folds(table, "identity", n_folds=5)
    result = evaluate_probe(
        activations, table, target="expression", folds=folds, holdout="identity", n_permutations=0
    )
    y = table.factor("expression")

    def groups(number):
        owners = np.full(len(table), -1)
        for other, fold in enumerate(folds):
            owners[fold.test] = other
        return np.unique(owners[folds[number].train], return_inverse=True)[1] % 3

    model = RidgeProbe(penalties=RELATIVE_PENALTIES)
    assert result.predictions["predicted"].tolist() == oracle_predictions(
        model, activations.values, y, folds, groups
    )


def test_null_scores_are_those_of_the_whole_procedure_on_exchanged_labels(faces):
    table, activations = faces
    folds = make_folds(table, "identity", n_folds=4)
    options = {"target": "expression", "folds": folds, "holdout": "identity", "seed": 5}
    result = evaluate_probe(activations, table, n_permutations=6, **options)
    design = plan_design(table, "expression", "identity", folds, "auto", 5, 6)
    labels = design.labels(6)
    for draw in range(6):
        y = np.unique(table.factor("expression"))[labels.draws[draw][labels.unit_of]]
        relabelled = type(table).from_frame(table.frame.assign(expression=y))
        again = evaluate_probe(activations, relabelled, n_permutations=0, **options)
        assert result.null_scores[draw] == pytest.approx(again.balanced_accuracy, abs=1e-12)


def test_logistic_predicts_as_logistic_regression(faces):
    table, activations = faces
    folds = make_folds(table, "identity", n_folds=2)
    options = {"target": "expression", "folds": folds, "holdout": "identity", "n_permutations": 0}
    result = evaluate_probe(activations, table, readout="logistic", penalty=20.0, **options)
    oracle = LogisticRegression(C=1 / 20.0, tol=1e-8, max_iter=20000)
    y = table.factor("expression")
    assert result.predictions["predicted"].tolist() == oracle_predictions(
        oracle, activations.values - 3, y, folds
    )


@pytest.mark.parametrize(("readout", "model"), [("sgd", SgdProbe()), ("logistic", None)])
def test_iterative_read_outs_predict_as_their_estimators_on_the_features_themselves(faces, readout, model):
    table, activations = faces
    folds = make_folds(table, "view")
    result = evaluate_probe(
        activations,
        table,
        target="expression",
        folds=folds,
        holdout="view",
        readout=readout,
        penalty=None if model else 5.0,
        n_permutations=3,
    )
    model = model or LogisticProbe(5.0)
    assert result.predictions["predicted"].tolist() == oracle_predictions(
        model, activations.values, table.factor("expression"), folds
    )
    assert len(result.null_scores) == 3


def test_scores_are_invariant_to_rotation_and_scale_of_the_features(faces, rng):
    table, activations = faces
    n_units = activations.values.shape[1]
    turn = np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]
    turned = Activations(7.0 * activations.values @ turn + 2, activations.stimulus_ids, "layer4")
    options = {"target": "expression", "folds": make_folds(table, "identity", n_folds=4), "n_permutations": 9}
    first, second = (evaluate_probe(item, table, **options) for item in (activations, turned))
    assert first.predictions.equals(second.predictions)
    np.testing.assert_allclose(first.null_scores, second.null_scores, atol=0.02)


def test_scores_travel_with_the_labels_when_stimuli_are_reordered(faces, rng):
    table, activations = faces
    folds = make_folds(table, "identity", n_folds=4)
    order = rng.permutation(len(table))
    place = np.argsort(order)
    moved = [Fold(fold.name, place[fold.train], place[fold.test]) for fold in folds]
    other = Activations(activations.values[order], activations.stimulus_ids[order], "layer4")
    options = {"target": "expression", "holdout": "identity", "n_permutations": 19}
    first = evaluate_probe(activations, table, folds=folds, **options)
    second = evaluate_probe(other, table.select(order), folds=moved, **options)
    columns = ["stimulus_id", "fold", "predicted"]
    assert first.predictions[columns].equals(second.predictions[columns])
    np.testing.assert_allclose(first.null_scores, second.null_scores, atol=1e-12)
    assert first.p_value == second.p_value


def test_repeated_runs_and_threads_give_equal_numbers(faces):
    table, activations = faces
    options = {
        "target": "expression",
        "folds": make_folds(table, "identity", n_folds=3),
        "n_permutations": 30,
    }
    one, two = (evaluate_probe(activations, table, n_jobs=jobs, **options) for jobs in (1, 3))
    np.testing.assert_array_equal(one.null_scores, two.null_scores)
    assert one.interval == two.interval
    other = evaluate_probe(activations, table, seed=1, **options)
    assert not np.array_equal(one.null_scores, other.null_scores)


def test_near_duplicates_leak_through_sessions_but_not_through_people(table_of, simulated, rng):
    table = table_of(n_people=12, n_expressions=5)
    twins = simulated(table, rng, noise=0.2, identity=2.0, identity_expression=1.0)
    scores = {}
    for holdout in ("session", "identity"):
        folds = make_folds(table, holdout, n_folds=6)
        scores[holdout] = evaluate_probe(twins, table, target="expression", folds=folds, holdout=holdout)
    assert scores["session"].balanced_accuracy > 0.8
    assert abs(scores["identity"].balanced_accuracy - 0.2) < 0.12
    # The leak raises the null as well, so that neither is taken for a common signal.
    assert scores["session"].p_value > 0.05
    assert scores["identity"].p_value > 0.05


def rate_of_small_p_values(table_of, simulated, n_datasets, holdout, effect, **options):
    table = table_of(n_people=6, n_expressions=5)
    folds = make_folds(table, holdout, n_folds=3)
    p_values = []
    for dataset in range(n_datasets):
        data = simulated(
            table,
            np.random.default_rng([3, dataset]),
            noise=0.3,
            identity=2.0,
            identity_expression=1.0,
            expression=effect,
        )
        result = evaluate_probe(
            data, table, target="expression", folds=folds, holdout=holdout, seed=dataset, **options
        )
        p_values.append(result.p_value)
    return false_positive_rate(np.array(p_values))


def test_near_duplicates_without_a_common_signal_are_no_discovery(table_of, simulated):
    rate = rate_of_small_p_values(
        table_of, simulated, 60, "session", 0.0, n_permutations=99, penalties=(0.01, 1.0)
    )
    assert rate.is_calibrated


@pytest.mark.slow
@pytest.mark.parametrize("holdout", ["identity", "session", "random"])
def test_false_positives_of_the_whole_procedure_over_200_data_sets(table_of, simulated, holdout):
    assert rate_of_small_p_values(table_of, simulated, 200, holdout, 0.0, n_permutations=199).is_calibrated


def test_a_planted_expression_is_found(table_of, simulated):
    rate = rate_of_small_p_values(
        table_of, simulated, 8, "identity", 0.9, n_permutations=99, penalties=(0.01, 1.0)
    )
    assert rate.rate == 1.0


def test_a_planted_identity_is_found_across_expressions(table_of, simulated, rng):
    table = table_of()
    folds = make_folds(table, "expression", target="identity")
    options = {"target": "identity", "folds": folds, "holdout": "expression", "n_permutations": 99}
    planted = simulated(table, rng, identity=1.0, expression=2.0, identity_expression=0.7)
    assert evaluate_probe(planted, table, **options).p_value == pytest.approx(0.01)
    absent = simulated(table, rng, expression=2.0, identity_expression=0.7)
    assert evaluate_probe(absent, table, **options).p_value > 0.05


def test_interval_is_over_people_and_contains_the_accuracy(faces):
    table, activations = faces
    folds = make_folds(table, "identity", n_folds=7)
    result = evaluate_probe(activations, table, target="expression", folds=folds, n_permutations=0)
    low, high, over = result.interval
    assert over == "identities"
    assert 0 <= low < result.balanced_accuracy < high <= 1
    nameless = type(table).from_frame(table.frame.assign(identity=""))
    folds = make_folds(nameless, "random", n_folds=3)
    result = evaluate_probe(activations, nameless, target="expression", folds=folds, n_permutations=0)
    assert result.interval[2] == "stimuli"


def test_inner_folds_keep_apart_what_the_folds_keep_apart(table_of):
    table = table_of(n_people=7, n_views=3)
    strata = np.unique(table.factor("identity"), return_inverse=True)[1]
    folds = make_folds(table, "view")
    inner = inner_groups(folds, 0, strata, 3)
    views = table.factor("view")[folds[0].train]
    assert all(len(set(views[inner == group])) == 1 for group in np.unique(inner))
    # Two sessions leave one to train on, and random draws overlap: people are kept apart instead.
    for holdout in ("session", "random"):
        folds = make_folds(table, holdout, n_folds=4)
        inner = inner_groups(folds, 1, strata, 3)
        people = strata[folds[1].train]
        assert all(len(set(inner[people == person])) == 1 for person in set(people))
        assert len(set(inner)) == 3


def test_other_stimuli_are_refused(faces, table_of):
    table, activations = faces
    folds = make_folds(table, "identity", n_folds=3)
    with pytest.raises(AlignmentError, match="activations has 112 stimuli and the table 56"):
        evaluate_probe(activations, table_of(), target="expression", folds=folds)


def test_bad_labels_and_folds_are_refused(faces):
    table, activations = faces
    folds = make_folds(table, "identity", n_folds=3)
    first = folds[0]

    def probe(match, error=StimulusError, **options):
        with pytest.raises(error, match=match):
            evaluate_probe(activations, table, **{"target": "expression", "folds": folds, **options})

    probe(r"no factor 'expressions'.*Did you mean 'expression'", target="expressions")
    probe("folds must hold at least one fold", ValueError, folds=[])
    probe("is in both the training and the test part", folds=[Fold("x", first.train, first.train[:5])])
    probe(
        r"1 values of identity \(fold x\) are in both",
        holdout="identity",
        folds=[Fold("x", first.train[1:], np.append(first.test, first.train[0]))],
    )
    angry = np.flatnonzero(table.factor("expression") == "anger")
    calm = np.setdiff1d(np.arange(len(table)), angry)
    probe("no training stimulus of class 'anger'", folds=[Fold("x", calm, angry)])
    probe("no test stimulus", folds=[Fold("x", calm, angry[:0])])
    probe("readout='rigde' is not known.*Did you mean 'ridge'", ValueError, readout="rigde")
    probe("n_permutations must be >= 0", ValueError, n_permutations=-1)
    probe("permute_within='identities' is not known", ValueError, permute_within="identities")
    probe("penalty must be a finite number above 0", ValueError, penalty=-1.0)
    probe("n_jobs must be >= 1", ValueError, n_jobs=0)
    one_class = table.select(expression="anger")
    chosen = Activations(activations.values[angry], one_class.stimulus_ids, "layer4")
    with pytest.raises(StimulusError, match="at least two classes; the table has only 'anger'"):
        evaluate_probe(chosen, one_class, target="expression", folds=folds)


def test_values_that_are_not_finite_name_the_layer(faces):
    table, activations = faces
    values = activations.values.copy()
    values[3, 2] = np.inf
    broken = Activations(values, activations.stimulus_ids, "layer4")
    folds = make_folds(table, "identity", n_folds=3)
    with pytest.raises(ValueError, match=r"layer 'layer4': .*not finite \(first in row 3\)"):
        evaluate_probe(broken, table, target="expression", folds=folds)


def test_minus_one_job_is_one_per_core():
    assert count_jobs(-1) >= 1
    assert count_jobs(3) == 3


def test_rows_without_a_label_that_the_test_goes_by_are_left_out_by_request(
    noise_table, simulated, rng, tmp_path
):
    activations = simulated(noise_table, rng, expression=1.0)
    frame = noise_table.frame.copy()
    frame.loc[[0, 5], "identity"] = ""
    partial = StimulusTable.from_frame(frame, root=noise_table.root)
    store = write_store(tmp_path / "all", noise_table, [activations])
    options = {"n_folds": 2, "n_permutations": 19, "controls": ()}
    with pytest.raises(StimulusError, match="2 of 24 stimuli have no 'identity'"):
        run_probe(store, table=partial, **options)
    report = run_probe(store, table=partial, labelled_only=True, **options)
    assert report.settings["left_out"] == 2
    kept = np.setdiff1d(np.arange(24), [0, 5])
    alone = run_probe(
        write_store(tmp_path / "kept", noise_table.select(kept), [activations.select(kept)]), **options
    )
    assert report.layers[0]["balanced_accuracy"] == alone.layers[0]["balanced_accuracy"]
    np.testing.assert_array_equal(
        report.null_scores["network", "layer4", "ridge"], alone.null_scores["network", "layer4", "ridge"]
    )
