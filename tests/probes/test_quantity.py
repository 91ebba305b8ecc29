from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from sklearn.linear_model import Ridge

import fernet_neuro as fn
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.figures.registry import FIGURES, find_buildable
from fernet_neuro.probes._dual import arrange
from fernet_neuro.probes.evaluate import evaluate_probe, run_probe
from fernet_neuro.probes.exchange import plan_number_exchange
from fernet_neuro.probes.quantity import choose_scale
from fernet_neuro.probes.readout import inner_groups
from fernet_neuro.probes.result import ProbeReport, summarise_seeds
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.viz.style import style

GRID = (1e-3, 1e-1, 1.0)


def add(table, **columns):
    return StimulusTable.from_frame(table.frame.assign(**columns))


def valence_of(rng, activations, share):
    units = activations.values - activations.values.mean(axis=0)
    signal = units @ rng.standard_normal(units.shape[1])
    return share * signal / signal.std() + rng.standard_normal(len(units))


def fold_of(table, n_folds=3):
    return make_folds(table, "identity", target=None, n_folds=n_folds)


def predict_with_sklearn(X, y, folds, strata):
    """Ridge with the penalty chosen by squared error over the inner folds, as scikit-learn does it."""
    found = []
    for number, fold in enumerate(folds):
        inner = inner_groups(folds, number, strata, 3)
        errors = []
        for relative in GRID:
            error = 0.0
            for group in np.unique(inner):
                fit, check = fold.train[inner != group], fold.train[inner == group]
                scale = np.square(X[fit] - X[fit].mean(axis=0)).sum() / len(fit)
                guess = Ridge(alpha=relative * scale).fit(X[fit], y[fit]).predict(X[check])
                error += np.square(guess - y[check]).sum()
            errors.append(error)
        X_train = X[fold.train]
        scale = np.square(X_train - X_train.mean(axis=0)).sum() / len(X_train)
        model = Ridge(alpha=GRID[int(np.argmin(errors))] * scale).fit(X_train, y[fold.train])
        found.append(model.predict(X[fold.test]))
    return np.concatenate(found)


@pytest.mark.parametrize("n_units", [83, 7])
def test_predictions_and_scores_are_those_of_scikit_learn(table_of, simulated, n_units):
    rng = np.random.default_rng(3)
    full = simulated(table_of(), rng, identity=1.0)
    activations = Activations(full.values[:, :n_units], full.stimulus_ids, "layer4")
    table = add(table_of(), valence=valence_of(rng, activations, 2.0))
    folds = fold_of(table)
    found = evaluate_probe(
        activations, table, target="valence", folds=folds, holdout="identity", penalties=GRID,
        n_permutations=0,
    )  # fmt: skip
    y = table["valence"].to_numpy()
    people = pd.factorize(table["identity"])[0]
    guesses = predict_with_sklearn(activations.values, y, folds, people)
    assert found.predictions["predicted"].to_numpy() == pytest.approx(guesses, abs=1e-8)
    shown = np.concatenate([y[fold.test] for fold in folds])
    means = np.concatenate([np.full(len(fold.test), y[fold.train].mean()) for fold in folds])
    assert found.score == pytest.approx(1 - ((shown - guesses) ** 2).sum() / ((shown - means) ** 2).sum())
    at = np.cumsum([0, *(len(fold.test) for fold in folds)])
    ranks = [stats.spearmanr(shown[start:stop], guesses[start:stop])[0] for start, stop in pairwise(at)]
    assert found.summarise()["rank_correlation"] == pytest.approx(np.mean(ranks))
    low, high, over = found.interval
    assert over == "identities"
    assert low < found.score < high


def test_each_null_score_repeats_the_choice_of_the_penalty(table_of, simulated):
    rng = np.random.default_rng(4)
    activations = simulated(table_of(), rng, identity=1.0)
    table = add(table_of(), valence=valence_of(rng, activations, 2.0))
    folds = fold_of(table)
    options = {"target": "valence", "folds": folds, "holdout": "identity", "penalties": GRID}
    null = evaluate_probe(activations, table, n_permutations=4, seed=5, **options).null_scores
    shown = []
    values, codes = np.unique(table["valence"], return_inverse=True)
    exchange = plan_number_exchange(table, codes)
    assert exchange.within == "identity"
    for draw in exchange.draw(4, make_rng(5, "probe", "permutations")):
        again = add(table, valence=values[draw[exchange.unit_of]])
        assert sorted(again["valence"][:8]) == sorted(table["valence"][:8])
        shown.append(evaluate_probe(activations, again, n_permutations=0, **options).score)
    assert null == pytest.approx(shown, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["of each picture", "of each person"])
def test_quantities_are_read_out_with_nominal_rate_and_power(table_of, simulated, kind):
    table = table_of(n_people=9, n_expressions=3, n_sessions=1)
    people = pd.factorize(table["identity"])[0]
    rates = {}
    for effect in (0.0, 0.5):
        p_values, ranks = [], []
        for dataset in range(150 if effect == 0 else 30):
            rng = np.random.default_rng([7, dataset])
            values = rng.standard_normal(len(table))
            if kind == "of each person":
                values = values[people]
            units = simulated(table, rng, identity=0.5)
            planted = effect * np.outer(values, rng.standard_normal(units.values.shape[1]))
            activations = Activations(units.values + planted, units.stimulus_ids, "layer4")
            found = evaluate_probe(
                activations, add(table, valence=values), target="valence", folds=fold_of(table),
                holdout="identity", n_permutations=59, penalties=(0.1, 1.0), seed=dataset,
            )  # fmt: skip
            p_values.append(found.p_value)
            ranks.append(found.control["rank_correlation_p"])
        rates[effect] = [false_positive_rate(np.array(values)) for values in (p_values, ranks)]
    assert all(rate.is_calibrated for rate in rates[0.0])
    assert rates[0.5][0].rate > 0.5


def test_report_holds_twins_pixels_and_survives_the_disk(rendered, tmp_path):
    reports = [
        run_probe(
            rendered[seed],
            target="yaw",
            untrained_stores=rendered[1:],
            n_folds=3,
            n_permutations=19,
            layers=["layer1"],
        )
        for seed in (0, 1)
    ]
    report = reports[0]
    assert report.settings["scale"] == "numbers"
    assert "keeps all photographs of an item" in report.settings["controls_left_out"]["random-labels"]
    rows = report.frame.set_index("source")
    assert rows.index.tolist() == ["network", "untrained", "pixels"]
    assert (rows["r2_low"] <= rows["r2"]).all()
    assert (rows["r2"] <= rows["r2_high"]).all()
    assert rows.loc["untrained", "n_twins"] == 2
    difference = rows.loc["network", "r2"] - rows.loc["untrained", "r2"]
    assert rows.loc["network", "difference_untrained"] == pytest.approx(difference)
    assert 0 < rows.loc["network", "difference_untrained_p"] <= 1
    assert "r2" in repr(report.results.columns.tolist())
    assert ProbeReport.load(report.save(tmp_path / "probe")) == report
    both = summarise_seeds(reports).frame.set_index("source")
    mean = np.mean([item.frame.set_index("source").loc["network", "r2"] for item in reports])
    assert both.loc["network", "r2"] == pytest.approx(mean)
    assert both.loc["network", "interval"] == "training seeds"
    assert summarise_seeds(reports).predictions["seed"].value_counts().to_dict() == {0: 168, 1: 168}


def keep(folder, table, values):
    """A store of a table whose pictures are single pixels."""
    (folder.parent / "pictures").mkdir(exist_ok=True)
    paths = [folder.parent / "pictures" / f"{name}.png" for name in table.stimulus_ids]
    for number, path in enumerate(paths):
        Image.new("RGB", (2, 2), (number % 256, number // 256, 0)).save(path)
    table = add(table, path=list(map(str, paths)))
    return write_store(folder, table, [Activations(values, table.stimulus_ids, "layer1")])


def test_arbitrary_numbers_are_not_read_out_where_true_ones_share_a_signal(table_of, tmp_path):
    """Photographs of two sessions: a unit that knows the number, or noise that each item keeps."""
    table, rng = table_of(n_people=9), np.random.default_rng(0)
    number = pd.factorize(table["expression"])[0].astype(float)
    table = add(table, valence=number)
    items = pd.factorize(table["identity"].astype(str) + table["expression"].astype(str))[0]
    noise = rng.standard_normal((len(table), 40))
    shared = noise.copy()
    shared[:, 0] += 6 * number
    options = {"target": "valence", "n_folds": 3, "n_permutations": 0, "controls": ["random-labels"]}
    found = {}
    for name, values in {"shared": shared, "kept": noise[items] + 0.01 * noise}.items():
        report = run_probe(keep(tmp_path / name, table, values), **options)
        found[name] = report.layers[0]
        assert [row["source"] for row in report.layers] == ["network"]
        assert ProbeReport.load(report.save(tmp_path / f"{name}-probe")) == report
        parts = found[name]["selectivity_task_r2"] - found[name]["selectivity_control_r2"]
        assert (found[name]["selectivity"], found[name]["selectivity_holdout"]) == (parts, "session")
    assert found["shared"]["selectivity"] > 0.8
    assert abs(found["kept"]["selectivity"]) < 0.2


def test_predictions_are_kept_and_drawn(table_of, simulated, tmp_path):
    table, layer = table_of(), simulated(table_of(), np.random.default_rng(1), identity_expression=1.0)
    table = add(table, valence=valence_of(np.random.default_rng(0), layer, 2.0))
    store = keep(tmp_path / "store", table, layer.values)
    report = run_probe(store, target="valence", n_folds=3, n_permutations=9, controls=())
    report.save(tmp_path / "probe")
    rows = pd.read_csv(tmp_path / "probe" / "predictions.csv")
    assert sorted(rows["stimulus_id"]) == sorted(table.stimulus_ids)
    truth = dict(zip(table.stimulus_ids, table["valence"].astype(float), strict=True))
    np.testing.assert_allclose(rows["true"], [truth[name] for name in rows["stimulus_id"]])
    ranks = [stats.spearmanr(fold["true"], fold["predicted"])[0] for _, fold in rows.groupby("fold")]
    assert report.layers[0]["rank_correlation"] == pytest.approx(np.mean(ranks))
    spec = FIGURES["probe-predictions"]
    source = spec.read(tmp_path / "probe")
    with style():
        (ax,) = spec.draw(source, tmp_path / "probe").axes
    dots = next(line for line in ax.lines if line.get_gid() == "predictions")
    np.testing.assert_allclose(dots.get_xydata(), rows[["true", "predicted"]])
    assert ax.get_title(loc="left") == (
        f"R2 {report.layers[0]['r2']:.2f}, rank correlation {np.mean(ranks):.2f}"
    )
    assert "probe-predictions" in find_buildable(tmp_path / "probe")
    of_classes = run_probe(store, n_folds=3, n_permutations=9, controls=())
    of_classes.save(tmp_path / "probe")
    assert not (tmp_path / "probe" / "predictions.csv").exists()
    assert (tmp_path / "probe" / "confusion.csv").is_file()
    assert ProbeReport.load(report.save(tmp_path / "probe")) == report
    names = {path.name for path in (tmp_path / "probe").iterdir()}
    assert names == {"results.csv", "null.npz", "summary.json", "predictions.csv"}
    of_classes.save(tmp_path / "probe")
    assert "probe-predictions" not in find_buildable(tmp_path / "probe")


def test_a_report_is_drawn_where_every_test_fold_has_one_value(table_of, simulated, tmp_path):
    """Age with one person in each fold: there are no ranks to correlate."""
    table = add(table_of(n_people=4), age=20.0 + 5 * pd.factorize(table_of(n_people=4)["identity"])[0])
    values = simulated(table_of(n_people=4), np.random.default_rng(1)).values
    report = run_probe(
        keep(tmp_path / "store", table, values), target="age", n_folds=4, n_permutations=9, controls=()
    )
    report.report(tmp_path / "probe")
    caption = (tmp_path / "probe" / "figures" / "probe-predictions.txt").read_text(encoding="utf-8")
    assert "nan" not in caption
    spec = FIGURES["probe-predictions"]
    (ax,) = spec.draw(spec.read(tmp_path / "probe"), tmp_path / "probe").axes
    assert "rank" not in ax.get_title(loc="left") + ax.get_title()


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    faces = fn.render_faces(identities=6, views=2, sessions=1, size=32)
    rng, stores = np.random.default_rng(0), []
    for number in range(3):
        values = rng.standard_normal((len(faces), 30))
        values[:, 0] += faces["yaw"] / faces["yaw"].std() * (3 if number < 1 else 1)
        layers = [Activations(values, faces.stimulus_ids, "layer1")]
        stores.append(write_store(tmp_path_factory.mktemp("stores") / str(number), faces, layers))
    return stores


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0.5, 1.0, "high", 2.0], "'valence' must hold numbers.*14 of 56 stimuli.*first: 'high' of"),
        ([1.0, 1.0, 1.0, 1.0], "'valence' is 1 for all 56 stimuli, so there is nothing to read out"),
        ([0.5, 1.0, None, 2.0], "14 of 56 stimuli have no 'valence'"),
        ([0.5, 1.0, "inf", 2.0], "must hold numbers.*'inf'"),
    ],
)  # fmt: skip
def test_targets_that_are_no_quantity_are_told(table_of, simulated, column, message):
    table = add(table_of(), valence=pd.Series(column * 14, dtype=object))
    activations = simulated(table_of(), np.random.default_rng(0))
    with pytest.raises(StimulusError, match=message):
        evaluate_probe(activations, table, target="valence", folds=fold_of(table))


def test_scale_is_chosen_by_content_and_name(table_of):
    table = add(table_of(), age=30, group="old", session=1, smiles=True, level="3")
    scales = {name: choose_scale(table, name) for name in ("age", "group", "session", "smiles", "level")}
    assert scales == {
        "age": "numbers", "group": "classes", "session": "classes", "smiles": "classes", "level": "numbers",
    }  # fmt: skip
    assert choose_scale(table, "age", "classes") == "classes"
    with pytest.raises(ValueError, match="scale"):
        choose_scale(table, "age", "number")


def test_read_outs_of_classes_refuse_quantities(table_of, simulated):
    table = add(table_of(), age=np.arange(56.0))
    activations = simulated(table_of(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="'age' is a quantity, and 'lda' reads out classes"):
        evaluate_probe(activations, table, target="age", folds=fold_of(table), readout="lda")


def test_a_training_part_with_one_value_is_told(table_of, simulated):
    table = add(table_of(), age=(table_of()["identity"] == "id00").astype(float))
    activations = simulated(table_of(), np.random.default_rng(0))
    folds = make_folds(table, "identity", target=None, n_folds=7)
    with pytest.raises(StimulusError, match="one value of 'age' to train on"):
        evaluate_probe(activations, table, target="age", folds=folds, holdout="identity")


def test_rows_and_inner_products_regress_alike():
    rng = np.random.default_rng(1)
    values, columns = rng.standard_normal((40, 6)), rng.standard_normal((30, 3))
    train, test = np.arange(30), np.arange(30, 40)
    wide = np.hstack([values, np.zeros((40, 60))])
    for one, other in zip(
        arrange(values).fold(train, test).regress([0.1, 2.0], columns),
        arrange(wide).fold(train, test).regress([0.1, 2.0], columns),
        strict=True,
    ):
        assert one == pytest.approx(other, abs=1e-9)
