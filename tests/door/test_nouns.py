"""Nouns say what they hold in one bounded line, show a small table, and results draw themselves."""

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import fernet_neuro as fn
from fernet_neuro._utils.shown import PLOTS, Plotted, Shown
from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.faces.landmarks import LandmarkTable
from fernet_neuro.probes.evaluate import evaluate_probe
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.systems.crpn.concept_bank import ConceptBank

N_LONG = 5000


@pytest.fixture(scope="module")
def faces():
    return fn.render_faces(identities=4, views=1, sessions=1, size=16)


@pytest.fixture(scope="module")
def nouns(faces):
    """Every noun, small, by the name of its class."""
    rng = np.random.default_rng(7)
    model = fn.load_model("resnet10-slim", size=16)
    store = fn.extract(model, faces, ["layer4", "fc"])
    report = fn.probe(store, controls=("pixels",), n_folds=4, n_permutations=9)
    folds = make_folds(faces, "identity", target="expression", n_folds=4)
    probe = evaluate_probe(store["fc"], faces, target="expression", folds=folds, n_permutations=9)
    embedding = fn.embed(store, layers=["fc"], n_permutations=9, perplexities=[5])
    labels, classes = faces["expression"].to_numpy(), tuple(sorted(set(faces["expression"])))
    scores = evaluate_predictions(rng.normal(size=(28, 7)), labels, classes, n_boot=9)
    rdms = fn.RDMSet(rng.random((3, 10)), np.array(list("abcde")), pd.DataFrame({"name": ["x", "y", "z"]}))
    patterns = fn.BrainPatterns(rng.random((6, 7)), list("abcabc"), list("111222"), "FFA", "01")
    everything = [
        faces, model, store, store["fc"], report, probe, embedding, scores,
        EvaluationReport.from_results({("last", "0"): scores}), rdms, patterns,
    ]  # fmt: skip
    return {type(noun).__name__: noun for noun in everything}


class Reader(HTMLParser):
    """Counts rows, and fails on nothing."""

    def __init__(self):
        super().__init__()
        self.n_rows = 0

    def handle_starttag(self, tag, attrs):
        self.n_rows += tag == "tr"


def test_every_noun_is_one_short_line_and_a_small_table(nouns):
    for name, noun in nouns.items():
        assert isinstance(noun, Shown)
        line = repr(noun)
        assert line.startswith(f"{name}: ")
        assert len(line) <= 240
        assert "\n" not in line
        page = noun._repr_html_()
        reader = Reader()
        reader.feed(page)
        assert reader.n_rows <= 12, name
        assert len(page) < 20_000, name


def test_lines_stay_short_however_much_a_noun_holds(noise_table, rng):
    table = fn.StimulusTable.from_frame(pd.concat([noise_table.frame] * 20).assign(
        stimulus_id=[f"s{row}" for row in range(480)], note="<b>" + "x" * N_LONG
    ))  # fmt: skip
    ids = np.array([f"s{row}" for row in range(40)])
    rdms = fn.RDMSet(rng.random((30, 780)), ids, pd.DataFrame({"name": ["y" * N_LONG] * 30}))
    wide = fn.Activations(np.zeros((40, N_LONG)), ids, "layer" * 300)
    fold = make_folds(table, "identity", target="expression", n_folds=4)[0]
    n = len(table)
    bank = ConceptBank(
        table.stimulus_ids, ("a", "b"), np.arange(n) % 2, np.eye(n), np.full(n, 0.5), np.zeros((n, 2))
    )
    points = LandmarkTable(table.stimulus_ids, np.zeros((n, 5, 2)), pd.DataFrame())
    for noun in (table, rdms, wide, fold, bank, points):
        assert len(repr(noun)) <= 240
        assert len(noun._repr_html_()) < 20_000
    assert "<b>x" not in table._repr_html_()


def test_all_nouns_of_the_front_door_are_shown():
    classes = [value for value in (getattr(fn, name) for name in dir(fn)) if isinstance(value, type)]
    assert len(classes) >= 8
    for kind in classes:
        assert issubclass(kind, Shown), kind
        assert "describe" in vars(kind), kind
        assert dataclasses.is_dataclass(kind)


def test_every_result_has_a_plot_and_a_tidy_frame(nouns):
    drawn = set()
    for name, noun in nouns.items():
        if not isinstance(noun, Plotted):
            continue
        frame = noun.frame
        assert isinstance(frame, pd.DataFrame)
        assert len(frame), name
        assert not any(
            frame[column].map(lambda item: isinstance(item, list | dict)).any() for column in frame
        )
        ax = noun.plot()
        assert isinstance(ax, Axes)
        assert ax.has_data(), name
        ax.figure.canvas.draw()
        given = plt.figure().add_subplot()
        assert noun.plot(given) is given
        plt.close("all")
        drawn.add(name)
    assert drawn == set(PLOTS) - {"RSAResult", "SearchlightMap"}  # drawn in tests/rsa


def test_a_report_has_a_row_per_source_and_layer(nouns):
    report = nouns["ProbeReport"]
    frame = report.frame.set_index(["source", "layer"])
    assert frame.loc[("network", "fc"), "balanced_accuracy"] == report.layers[1]["balanced_accuracy"]
    line = report.plot().get_lines()
    drawn = next(item for item in line if item.get_gid() == "random weights")
    assert drawn.get_ydata() == pytest.approx(100 * frame.loc["network", "balanced_accuracy"].to_numpy())
    plt.close("all")


def test_a_table_does_what_a_data_frame_does(noise_table):
    assert noise_table["expression"].tolist() == noise_table.frame["expression"].tolist()
    assert noise_table.head(3).equals(noise_table.frame.head(3))
    assert list(noise_table) == list(noise_table.frame)
    assert "identity" in noise_table
    assert "age" not in noise_table
    assert len(noise_table.select(noise_table["session"] == "A")) == 12
    with pytest.raises(StimulusError, match="Did you mean 'expression'"):
        noise_table["expresion"]


def test_sets_and_stores_are_asked_by_name(nouns):
    rdms, store = nouns["RDMSet"], nouns["ActivationStore"]
    assert (len(rdms), list(rdms), "y" in rdms) == (3, ["x", "y", "z"], True)
    assert np.array_equal(rdms["y"].dissimilarities, rdms.dissimilarities[1:2])
    frame = rdms.frame
    pair = frame.query("name == 'z' and stimulus_1 == 'b' and stimulus_2 == 'd'")
    assert pair["dissimilarity"].tolist() == [rdms.to_squares()[2, 1, 3]]
    with pytest.raises(ValueError, match="RDM='w' is not known"):
        rdms["w"]
    assert (len(store), list(store), "fc" in store, "conv" in store) == (2, ["layer4", "fc"], True, False)
    assert store["fc"] == store.load("fc")
    assert store.frame["n_units"].tolist() == [store[layer].n_units for layer in store]


def test_an_rsa_draws_each_model_of_a_region_and_its_frame_is_the_estimates(faces):
    rng = np.random.default_rng(3)
    models = fn.compute_rdms(faces, factors=["identity", "expression"])
    values = models.dissimilarities.repeat(4, axis=0) + rng.normal(size=(8, models.n_pairs))
    people = pd.DataFrame({"subject": list("abcd") * 2, "roi": ["FFA"] * 4 + ["STS"] * 4})
    brain = fn.RDMSet(values, faces.stimulus_ids, people)
    result = fn.rsa(models, brain, n_bootstraps=40, n_permutations=40)
    assert result.frame.equals(result.estimates)
    assert len(repr(result)) <= 240
    ax = result.plot(roi="STS")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["identity", "expression"]
    drawn = next(line for line in ax.get_lines() if line.get_gid() == "model:expression")
    assert drawn.get_xdata() == pytest.approx(result.select_roi("STS")["estimate"].iloc[[1]])
    plt.close("all")


def test_a_searchlight_draws_one_outline_per_model():
    values = np.random.default_rng(5).normal(size=(2, 60))
    centres, sizes = np.arange(60), np.full(60, 7)
    found = fn.SearchlightMap(values, ["who", "what"], centres, sizes, 70, "correlation", "spearman")
    assert len(found.frame) == 120
    assert len(found.plot().patches) == 2
    plt.close("all")
