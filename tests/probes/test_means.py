import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance, ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from fernet_neuro.probes._dual import arrange
from fernet_neuro.probes._null import balanced_accuracy
from fernet_neuro.probes.evaluate import evaluate_probe
from fernet_neuro.probes.exchange import plan_exchange
from fernet_neuro.probes.readout import Labels, ReadoutSettings, score_folds
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stimuli.splits import Fold, make_folds


class Pooled(EmpiricalCovariance):
    """What scikit-learn lacks: one Ledoit-Wolf estimate of the scatter inside all classes."""

    def __init__(self, residuals=None):
        super().__init__()
        self.residuals = residuals

    def fit(self, X, y=None):
        self.covariance_ = ledoit_wolf(self.residuals, assume_centered=True)[0]
        return self


def fit_lda(X, y):
    residuals = X - np.array([X[y == name].mean(axis=0) for name in range(y.max() + 1)])[y]
    priors = np.full(y.max() + 1, 1 / (y.max() + 1))
    estimator = Pooled(residuals)
    return LinearDiscriminantAnalysis("lsqr", covariance_estimator=estimator, priors=priors).fit(X, y)


FITS = {"lda": fit_lda, "nearest-mean": lambda X, y: NearestCentroid().fit(X, y)}


def make_data(n_units, n=60, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n) % n_classes)
    means = rng.standard_normal((n_classes, n_units))
    mixing = rng.standard_normal((n_units, n_units)) / np.sqrt(n_units)
    return 0.4 * means[codes] + rng.standard_normal((n, n_units)) @ mixing + 5, codes


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("n_units", [5, 25, 300])
def test_guesses_are_those_of_scikit_learn_also_under_other_labellings(name, n_units):
    X, codes = make_data(n_units)
    fold = Fold("one", np.arange(42), np.arange(42, 60))
    draws = np.array([np.random.default_rng(seed).permutation(codes) for seed in range(5)])
    labels = Labels(codes, 4, np.arange(60), draws)
    settings = ReadoutSettings(name)
    found = score_folds(arrange(X), labels, [fold], np.arange(60), settings)[0]
    guesses = FITS[name](X[:42], codes[:42]).predict(X[42:])
    assert found.predicted.tolist() == guesses.tolist()
    assert found.balanced_accuracy == balanced_accuracy(codes[42:], guesses, 4)
    again = [balanced_accuracy(draw[42:], FITS[name](X[:42], draw[:42]).predict(X[42:]), 4) for draw in draws]
    assert found.null_scores == pytest.approx(again)
    assert settings.describe() == {"penalty": None}


def test_without_noise_of_estimation_lda_is_that_of_scikit_learn():
    X, codes = make_data(5, n=4000, seed=2)
    fold = Fold("one", np.arange(2000), np.arange(2000, 4000))
    labels = Labels(codes, 4, np.arange(4000), np.empty((0, 4000), dtype=np.int16))
    found = score_folds(arrange(X), labels, [fold], np.arange(4000), ReadoutSettings("lda"))[0]
    guesses = LinearDiscriminantAnalysis().fit(X[:2000], codes[:2000]).predict(X[2000:])
    assert (found.predicted == guesses).mean() > 0.97


def test_lda_discounts_what_varies_inside_classes_and_nearest_mean_does_not():
    rng = np.random.default_rng(0)
    codes = np.arange(200) % 2
    noise = 5 * rng.standard_normal(200)
    X = np.column_stack([noise + codes, noise])
    fold = Fold("one", np.arange(100), np.arange(100, 200))
    labels = Labels(codes, 2, np.arange(200), np.empty((0, 200), dtype=np.int16))
    scores = {
        name: score_folds(arrange(X), labels, [fold], codes, ReadoutSettings(name))[0].balanced_accuracy
        for name in FITS
    }
    assert scores["lda"] > 0.85
    assert scores["nearest-mean"] < 0.7


@pytest.mark.parametrize("name", FITS)
def test_constant_features_give_chance_and_no_warning(name):
    codes = np.arange(20) % 2
    labels = Labels(codes, 2, np.arange(20), np.empty((0, 20), dtype=np.int16))
    fold = Fold("one", np.arange(10), np.arange(10, 20))
    found = score_folds(arrange(np.ones((20, 30))), labels, [fold], codes, ReadoutSettings(name))[0]
    assert found.balanced_accuracy == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", FITS)
def test_p_values_have_nominal_rate_and_power(table_of, simulated, name):
    table = table_of(n_people=6, n_expressions=3, n_sessions=2)
    folds = make_folds(table, "identity", n_folds=3)
    assert plan_exchange(table, "expression").within == "identity"
    rates = {}
    for effect in (0.0, 0.5):
        p_values = [
            evaluate_probe(
                simulated(
                    table, np.random.default_rng([3, dataset]), identity=1.0, identity_expression=1.0,
                    expression=effect,
                ),
                table, target="expression", folds=folds, readout=name, n_permutations=59, seed=dataset,
            ).p_value
            for dataset in range(100 if effect == 0 else 40)
        ]  # fmt: skip
        rates[effect] = false_positive_rate(np.array(p_values))
    assert rates[0.0].is_calibrated
    assert rates[0.5].rate > 0.2
