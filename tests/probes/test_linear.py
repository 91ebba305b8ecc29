import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from fernet_neuro.probes.linear import LogisticProbe, RidgeProbe, SgdProbe


@parametrize_with_checks(
    [RidgeProbe(), RidgeProbe(penalties=(0.01, 1.0)), LogisticProbe(), SgdProbe(epochs=60)]
)
def test_estimators_follow_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture
def faces(rng):
    y = np.repeat(["anger", "happiness", "neutral"], 11)
    X = rng.standard_normal((33, 53)) + 5
    X[y == "happiness", 3] += 1.5
    X[y == "anger", 7] -= 1.5
    return X, y


@pytest.mark.parametrize("penalty", [0.3, 40.0])
@pytest.mark.parametrize("n_features", [5, 53])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_ridge_probe_decides_as_ridge_classifier(faces, penalty, n_features, n_classes):
    X, y = faces[0][: 11 * n_classes, :n_features], faces[1][: 11 * n_classes]
    probe, oracle = RidgeProbe(penalty).fit(X, y), RidgeClassifier(alpha=penalty).fit(X, y)
    np.testing.assert_allclose(probe.decision_function(X), oracle.decision_function(X), atol=1e-10)
    assert (probe.predict(X) == oracle.predict(X)).all()
    assert probe.penalty_ == penalty


def test_logistic_probe_decides_as_logistic_regression(faces):
    X, y = faces
    probe = LogisticProbe(3.0, tol=1e-9).fit(X, y)
    oracle = LogisticRegression(C=1 / 3.0, tol=1e-9, max_iter=50000).fit(X - 5, y)
    np.testing.assert_allclose(probe.decision_function(X), oracle.decision_function(X - 5), atol=1e-4)


@pytest.mark.parametrize(
    "probe", [RidgeProbe(2.0), RidgeProbe(penalties=(0.1, 1)), LogisticProbe(2.0), SgdProbe()]
)
def test_read_outs_are_invariant_to_rotation(faces, rng, probe):
    X, y = faces
    turn = np.linalg.qr(rng.standard_normal((53, 53)))[0]
    before = probe.fit(X, y).decision_function(X)
    after = probe.fit(X @ turn, y).decision_function(X @ turn)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())


@pytest.mark.parametrize(
    ("kind", "oracle"),
    [
        (RidgeProbe, lambda penalty: RidgeClassifier(alpha=penalty)),
        (LogisticProbe, lambda penalty: LogisticRegression(C=1 / penalty, tol=1e-6, max_iter=10000)),
    ],
)
@pytest.mark.parametrize("grouped", [True, False])
def test_penalty_is_the_best_of_a_plain_inner_cross_validation(rng, grouped, kind, oracle):
    groups = np.repeat(np.arange(13), 5)
    smiles = groups // 4 % 2
    y = np.array(["neutral", "smile"])[smiles]
    X = rng.standard_normal((65, 31)) + 1.5 * rng.standard_normal((13, 31))[groups]
    X[:, 0] += smiles * 2.0
    grid = (1e-3, 0.3, 3.0, 300.0)
    splits = GroupKFold(4).split(X, y, groups) if grouped else StratifiedKFold(4).split(X, y)
    scores = [
        [
            balanced_accuracy_score(
                y[test],
                oracle(_absolute(r, X[train])).fit(X[train], y[train]).predict(X[test]),
            )
            for r in grid
        ]
        for train, test in splits
    ]
    means = np.mean(scores, axis=0)
    best = max(r for r, mean in zip(grid, means, strict=True) if mean > means.max() - 1e-9)
    probe = kind(penalties=grid, n_inner_folds=4).fit(X, y, groups=groups if grouped else None)
    assert probe.penalty_ == pytest.approx(best * X.var(axis=0).sum())
    assert len(set(np.round(means, 9))) > 1


def _absolute(relative, X):
    return relative * X.var(axis=0).sum()


def test_relative_penalties_follow_the_unit_of_the_features(faces):
    X, y = faces
    small, large = (RidgeProbe(penalties=(0.01, 0.1)).fit(scale * X, y) for scale in (1, 100))
    assert large.penalty_ == pytest.approx(1e4 * small.penalty_)
    assert (small.predict(X) == large.predict(100 * X)).all()


def test_sgd_probe_takes_the_steps_of_torch(faces):
    torch = pytest.importorskip("torch")
    X, y = faces
    codes = np.unique(y, return_inverse=True)[1]
    probe = SgdProbe(epochs=3, batch_size=8, lr=0.01, weight_decay=0.1, random_state=4).fit(X, y)
    layer = torch.nn.Linear(53, 3).double()
    torch.nn.init.zeros_(layer.weight), torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
    order = np.random.default_rng(4)
    for _ in range(3):
        for rows in np.split(order.permutation(33), range(8, 33, 8)):
            optimiser.zero_grad()
            outputs = layer(torch.from_numpy(X[rows]))
            torch.nn.functional.cross_entropy(outputs, torch.from_numpy(codes[rows])).backward()
            optimiser.step()
    np.testing.assert_allclose(probe.coef_, layer.weight.detach().numpy(), atol=1e-10)
    np.testing.assert_allclose(probe.intercept_, layer.bias.detach().numpy(), atol=1e-10)


@pytest.mark.parametrize("probe", [RidgeProbe(), LogisticProbe(), SgdProbe()])
def test_one_class_is_refused(rng, probe):
    with pytest.raises(ValueError, match="at least two classes; y holds 1 class"):
        probe.fit(rng.standard_normal((5, 3)), ["neutral"] * 5)


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (RidgeProbe(0.0), "penalty must be a finite number above 0"),
        (RidgeProbe(penalties=()), "penalties must name at least one"),
        (RidgeProbe(penalties=(1.0, -1.0)), "penalties must be a finite number above 0; got -1.0"),
        (LogisticProbe(float("nan")), "penalty must be a finite number above 0"),
        (LogisticProbe(penalties=[0]), "penalties must be a finite number above 0"),
        (SgdProbe(lr=-1), "lr must be a finite number above 0"),
        (SgdProbe(epochs=0), "epochs must be >= 1"),
        (SgdProbe(batch_size=0), "batch_size must be >= 1"),
    ],
)
def test_settings_out_of_range_are_refused(faces, probe, message):
    with pytest.raises(ValueError, match=message):
        probe.fit(*faces)


def test_nested_choice_needs_two_groups_or_two_rows_per_class(faces):
    X, y = faces
    with pytest.raises(ValueError, match="at least two groups"):
        RidgeProbe(penalties=(0.1, 1)).fit(X, y, groups=np.zeros(33))
    with pytest.raises(ValueError, match="at least two rows of each class"):
        RidgeProbe(penalties=(0.1, 1)).fit(X[:12], y[:12])


def test_sgd_reports_divergence(faces):
    X, y = faces
    with pytest.raises(ValueError, match="diverged"), np.errstate(all="ignore"):
        SgdProbe(weight_decay=1e3, epochs=200).fit(X, y)
