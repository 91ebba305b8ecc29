import json

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.exceptions import AlignmentError, LayerNotFoundError, StimulusError, StoreError
from fernet_neuro.probes.evaluate import evaluate_probe, run_probe
from fernet_neuro.probes.result import CONFUSION_COLUMNS, RESULT_COLUMNS, ProbeReport, summarise_seeds
from fernet_neuro.stats.multiple import compute_p_values
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable

LAYERS = ("stem", "layer1", "fc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faces")


@pytest.fixture(scope="module")
def pictures(table_of, folder):
    table = table_of(n_people=5, n_expressions=3)
    rng = np.random.default_rng(0)
    for name in table.frame["path"]:
        Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(folder / name)
    return StimulusTable.from_frame(table.frame, root=folder)


@pytest.fixture(scope="module")
def make_store(pictures, simulated, folder):
    def make(name, table=pictures, layers=LAYERS, **sizes):
        rng = np.random.default_rng(len(name))
        parts = [simulated(table, rng, identity=1.0, **sizes) for _ in layers]
        values = [
            Activations(part.values, table.stimulus_ids, layer)
            for part, layer in zip(parts, layers, strict=True)
        ]
        return write_store(folder / "stores" / name, table, values, overwrite=True)

    return make


@pytest.fixture(scope="module")
def report(make_store):
    return run_probe(
        make_store("trained", expression=1.0),
        untrained_stores=[make_store("untrained")],
        n_permutations=29,
        n_folds=5,
        readouts=("ridge", "sgd"),
    )


def test_results_are_tidy_with_one_row_per_source_layer_read_out_and_fold(report):
    assert list(report.results) == list(RESULT_COLUMNS)
    keys = ["source", "layer", "readout", "fold"]
    assert not report.results.duplicated(keys).any()
    counts = report.results.groupby("source")["layer"].count().to_dict()
    # Five folds by identity, two by session for the control task; two read-outs.
    assert counts == {"network": 30, "untrained": 30, "pixels": 10, "control-task": 12}
    order = report.results[report.results["source"] == "network"]["layer"].drop_duplicates().tolist()
    assert order == list(LAYERS)


def test_summary_says_what_was_done(report):
    rows = {(row["source"], row["layer"], row["readout"]): row for row in report.layers}
    row = rows["network", "layer1", "ridge"]
    means = report.results.groupby(["source", "layer", "readout"])["balanced_accuracy"].mean()
    assert row["balanced_accuracy"] == pytest.approx(means["network", "layer1", "ridge"])
    assert row["balanced_accuracy_low"] <= row["balanced_accuracy"] <= row["balanced_accuracy_high"]
    assert row["interval"] == "identities"
    assert row["chance_level"] == pytest.approx(1 / 3)
    assert row["n_permutations"] == 29
    assert set(row["per_class_accuracy"]) == {"anger", "fear", "happiness"}
    assert row["selectivity_holdout"] == "session"
    assert rows["network", "layer1", "sgd"]["p_value"] is None
    assert rows["network", "layer1", "sgd"]["n_permutations"] == 0
    assert rows["control-task", "layer1", "ridge"]["n_draws"] == 20
    for source, layer in (("untrained", "layer1"), ("pixels", "pixels")):
        name, other = f"difference_{source}", rows[source, layer, "ridge"]
        assert row[name] == pytest.approx(row["balanced_accuracy"] - other["balanced_accuracy"])
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        assert name not in other
    settings = report.settings
    assert settings["n_permutations"] == {"ridge": 29, "sgd": 0}
    assert settings["exchangeable_units"] == "identity x expression"
    assert set(settings["stores"]) == {"network", "untrained"}
    assert settings["controls"] == ["pixels", "untrained", "random-labels"]
    assert "scikit-learn" in settings["versions"]


def test_maximum_statistic_is_taken_over_the_layers_of_a_source_and_read_out(report):
    rows = [row for row in report.layers if row["source"] == "network" and row["readout"] == "ridge"]
    nulls = np.column_stack([report.null_scores["network", layer, "ridge"] for layer in LAYERS])
    p, p_max = compute_p_values([row["balanced_accuracy"] for row in rows], nulls)
    assert [row["p_value"] for row in rows] == p.tolist()
    assert [row["p_value_max"] for row in rows] == p_max.tolist()
    assert [row["null_mean"] for row in rows] == pytest.approx(nulls.mean(axis=0).tolist())
    pixels = next(row for row in report.layers if row["source"] == "pixels" and row["readout"] == "ridge")
    assert pixels["p_value"] == pixels["p_value_max"]


def test_confusion_counts_every_test_stimulus_once(report):
    assert list(report.confusion) == list(CONFUSION_COLUMNS)
    totals = report.confusion.groupby(["source", "layer", "readout", "true"])["count"].sum()
    assert (totals == 10).all()


def test_confusion_is_that_of_a_cross_table(pictures, simulated, rng):
    folds = make_folds(pictures, "identity", n_folds=5)
    activations = simulated(pictures, rng, expression=0.5)
    result = evaluate_probe(activations, pictures, target="expression", folds=folds, n_permutations=0)
    counts = result.count_confusions().set_index(["true", "predicted"])["count"]
    for pair, rows in result.predictions.groupby(["true", "predicted"]):
        assert counts[pair] == len(rows)
    assert counts.sum() == len(pictures)
    right = {name: counts[name, name] / 10 for name in result.classes}
    assert result.per_class_accuracy == pytest.approx(right)


def test_exchanges_are_common_to_layers_sources_and_runs(make_store):
    store = make_store("trained")
    first = run_probe(store, n_permutations=9, n_folds=5, controls=())
    alone = run_probe(store, n_permutations=9, n_folds=5, controls=(), layers=["fc"])
    key = ("network", "fc", "ridge")
    np.testing.assert_array_equal(first.null_scores[key], alone.null_scores[key])


def test_controls_that_cannot_be_made_are_named_with_the_reason(make_store):
    report = run_probe(make_store("trained"), n_permutations=0, n_folds=5)
    assert report.settings["controls"] == ["pixels", "random-labels"]
    assert "untrained" in report.settings["controls_left_out"]


def test_labels_of_another_table_can_be_read_out(make_store, pictures):
    store = make_store("trained")
    table = StimulusTable.from_frame(pictures.frame.assign(mood=pictures.factor("expression")), pictures.root)
    options = {"n_permutations": 9, "n_folds": 5, "controls": ()}
    mood = run_probe(store, table=table, target="mood", **options)
    expression = run_probe(store, **options)
    assert mood.layers[0]["balanced_accuracy"] == expression.layers[0]["balanced_accuracy"]
    with pytest.raises(AlignmentError, match="the stimulus table has 6 stimuli and the store 30"):
        run_probe(store, table=pictures.select(identity="id00"), **options)


def test_report_is_equal_after_a_round_trip(report, tmp_path):
    report.save(tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    loaded = ProbeReport.load(tmp_path / "out")
    assert loaded == report
    loaded.layers[0]["balanced_accuracy"] = 0.0
    assert loaded != report
    assert loaded != "a report"
    report.save(tmp_path / "out")
    assert ProbeReport.load(tmp_path / "out") == report
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["confusion.csv", "mine.txt", "null.npz", "results.csv", "summary.json"]


def test_report_whose_writing_fails_leaves_the_old_one(report, tmp_path, monkeypatch):
    report.save(tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fill_disk(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fill_disk)
    with pytest.raises(OSError, match="No space left"):
        report.save(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_reports_that_are_missing_or_damaged_are_refused(report, tmp_path):
    with pytest.raises(StoreError, match=r"summary.json does not exist; make it with: fernet-neuro probe"):
        ProbeReport.load(tmp_path)
    folder = report.save(tmp_path / "out")
    null = (folder / "null.npz").read_bytes()
    for name, content in {
        "null.npz": null[: len(null) // 2],
        "results.csv": b"a,b\n1,2\n",
        "summary.json": json.dumps({"layers": []}).encode(),
    }.items():
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(StoreError, match="is damaged"):
            ProbeReport.load(folder)
        (folder / name).write_bytes(whole)
    assert ProbeReport.load(folder) == report
    (folder / "confusion.csv").unlink()
    with pytest.raises(StoreError, match=r"confusion.csv does not exist"):
        ProbeReport.load(folder)


def test_seeds_are_averaged_with_an_interval_over_them(make_store):
    options = {"n_permutations": 19, "n_folds": 5, "controls": ("pixels", "random-labels")}
    reports = [run_probe(make_store(name, expression=0.5), **options) for name in ("a", "bb", "ccc")]
    mean = summarise_seeds(reports, seeds=[4, 5, 8])
    row = mean.layers[0]
    scores = [report.layers[0]["balanced_accuracy"] for report in reports]
    assert row["balanced_accuracy"] == pytest.approx(np.mean(scores))
    assert row["interval"] == "training seeds"
    # Student's t with two degrees of freedom.
    half = 4.302653 * np.std(scores, ddof=1) / np.sqrt(3)
    assert row["balanced_accuracy_high"] == pytest.approx(min(np.mean(scores) + half, 1.0), rel=1e-5)
    key = ("network", "stem", "ridge")
    nulls = np.mean([report.null_scores[key] for report in reports], axis=0)
    assert row["p_value"] == pytest.approx((1 + (nulls >= np.mean(scores) - 1e-12).sum()) / 20)
    assert row["null_mean"] == pytest.approx(nulls.mean())
    assert mean.settings["training_seeds"] == [4, 5, 8]
    assert sorted(mean.results["seed"].unique()) == [4, 5, 8]
    assert len(mean.results) == 3 * len(reports[0].results)
    assert [item["interval"] for item in mean.layers if item["source"] == "pixels"] == ["identities"]
    differences = [report.layers[0]["difference_pixels"] for report in reports]
    assert row["difference_pixels"] == pytest.approx(np.mean(differences))
    assert row["difference_interval"] == "training seeds"
    oracle = None if np.ptp(differences) < 1e-9 else stats.ttest_1samp(differences, 0).pvalue
    assert row["difference_pixels_p"] == (None if oracle is None else pytest.approx(oracle))
    assert row["difference_pixels_low"] <= row["difference_pixels"] <= row["difference_pixels_high"]
    assert row["selectivity"] == pytest.approx(np.mean([item.layers[0]["selectivity"] for item in reports]))


def test_seeds_that_cannot_be_compared_are_refused(make_store, pictures):
    options = {"n_permutations": 0, "controls": ()}
    store = make_store("trained")
    report = run_probe(store, n_folds=5, **options)
    with pytest.raises(ValueError, match="at least one probe report"):
        summarise_seeds([])
    with pytest.raises(ValueError, match="seeds must name each of the 2 reports once"):
        summarise_seeds([report, report], seeds=[1, 1])
    with pytest.raises(AlignmentError, match="differ in 'n_folds'"):
        summarise_seeds([report, run_probe(store, n_folds=4, **options)])
    with pytest.raises(AlignmentError, match="differ in 'layers'"):
        summarise_seeds([report, run_probe(store, n_folds=5, layers=["fc"], **options)])
    with pytest.raises(AlignmentError, match="other sources"):
        summarise_seeds([report, run_probe(store, n_folds=5, n_permutations=0, controls=("pixels",))])
    fewer = make_store("fewer", table=pictures.select(session="A"))
    with pytest.raises(AlignmentError, match="are of other stimuli"):
        summarise_seeds([report, run_probe(fewer, n_folds=5, **options)])


def test_bad_arguments_of_run_probe_are_refused(make_store, pictures):
    store = make_store("trained")
    with pytest.raises(LayerNotFoundError, match=r"no layer 'layr1'.*Did you mean 'layer1'"):
        run_probe(store, layers=["layr1"], n_folds=5)
    with pytest.raises(LayerNotFoundError, match="no layer 'fc'"):
        run_probe(store, untrained_stores=[make_store("poor", layers=("stem", "layer1"))], n_folds=5)
    with pytest.raises(AlignmentError, match="an untrained twin's store has 15 stimuli"):
        run_probe(store, untrained_stores=[make_store("few", table=pictures.select(session="A"))], n_folds=5)
    twins = [make_store(name) for name in ("twins", "a twin", "again")]  # by its length a name gives values
    with pytest.raises(StoreError, match=r"again is of the same network as .*twins"):
        run_probe(store, untrained_stores=twins, n_folds=5)
    with pytest.raises(ValueError, match=r"controls='pixel' is not known.*Did you mean 'pixels'"):
        run_probe(store, controls=["pixel"])
    with pytest.raises(ValueError, match="n_permutations_iterative must be >= 0"):
        run_probe(store, readouts=["sgd"], n_permutations_iterative=-1)
    with pytest.raises(StimulusError, match="cannot be read out while it is held out"):
        run_probe(store, target="expression", holdout="expression")
