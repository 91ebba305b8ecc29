import numpy as np
import pandas as pd
import pytest

from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.evaluation import caption_evaluation, draw_evaluation, read_evaluation
from fernet_neuro.viz.style import style


@pytest.fixture(scope="module")
def source(results):
    return read_evaluation(results)


@pytest.fixture(scope="module")
def figure(source):
    with style():
        drawn = draw_evaluation(source)
        drawn.draw_without_rendering()
    return drawn


def test_matrices_hold_the_confusions_of_all_seeds(results, source, figure):
    counts = EvaluationReport.load(results / "evaluation").confusion
    last = counts[counts["epoch"] == "last"].groupby(["true", "predicted"])["count"].sum()
    last = last.to_numpy().reshape(7, 7)
    with np.errstate(invalid="ignore"):
        wanted = 100 * last / last.sum(axis=1, keepdims=True)
    drawn = np.ma.filled(figure.axes[0].collections[0].get_array(), np.nan)
    assert np.isnan(wanted[2]).all(), "no image shows fear"
    np.testing.assert_allclose(drawn, np.delete(wanted, 2, axis=0))
    rows = source[(source["panel"] == "confusion") & (source["true"] != "fear")]
    np.testing.assert_allclose(rows.groupby(["epoch", "true"])["percent"].sum(), 100)


def test_tick_labels_count_images_and_a_class_without_any_has_no_row(results, figure):
    predictions = EvaluationReport.load(results / "evaluation").predictions
    one = predictions[(predictions["epoch"] == "last") & (predictions["seed"] == "0")]
    counts = one["true"].value_counts()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[0] == f"anger ({counts['anger']})"
    assert len(labels) == 6
    assert not any(label.startswith("fear") for label in labels)
    assert "fear" in [text.get_text() for text in figure.axes[0].get_xticklabels()]


def test_lines_are_the_bins_of_each_seed(results, figure):
    bins = EvaluationReport.load(results / "evaluation").calibration
    for ax, epoch in ((figure.axes[1], "last"), (figure.axes[3], "best")):
        lines = {line.get_gid(): line for line in ax.lines if str(line.get_gid()).startswith("seed:")}
        assert set(lines) == {"seed:0", "seed:1"}
        rows = bins[(bins["epoch"] == epoch) & (bins["seed"] == "1")]
        np.testing.assert_allclose(lines["seed:1"].get_ydata(), 100 * rows["accuracy"])
        np.testing.assert_allclose(lines["seed:1"].get_xdata(), 100 * rows["confidence"])


def test_one_run_has_bars_and_a_caption_that_says_so(tmp_path, results):
    report = EvaluationReport.load(results / "evaluation")
    frames = [
        frame[(frame["epoch"] == "last") & (frame["seed"] == "0")]
        for frame in (report.metrics, report.confusion, report.calibration, report.predictions)
    ]
    EvaluationReport(*frames, report.settings, report.notes).save(tmp_path)
    single = read_evaluation(tmp_path)
    with style():
        drawn = draw_evaluation(single)
    assert len(drawn.axes[1].collections) == 1
    caption = caption_evaluation(single)
    assert "Bars: 95 % intervals over identities." in caption
    assert "seeds" not in caption


def test_caption_names_both_intervals_and_chance(results, source):
    caption = caption_evaluation(source)
    assert "summed over 2 training seeds" in caption
    metrics = EvaluationReport.load(results / "evaluation").metrics
    row = metrics[
        (metrics["epoch"] == "best") & (metrics["metric"] == "accuracy") & (metrics["seed"] == "mean")
    ].iloc[0]
    assert f"Best epoch: accuracy {100 * row['value']:.1f} % ([{100 * row['low']:.1f}" in caption
    assert "over identities, [" in caption
    assert "over training seeds, chance 16.7 %)" in caption  # six classes are shown


def test_source_data_survive_the_csv(source, tmp_path):
    source.to_csv(tmp_path / "source.csv", index=False)
    assert len(pd.read_csv(tmp_path / "source.csv")) == len(source)


def test_a_missing_evaluation_is_said_with_the_command(tmp_path):
    with pytest.raises(StoreError, match=r"summary.json does not exist; make it with: fernet-neuro evaluate"):
        read_evaluation(tmp_path)
