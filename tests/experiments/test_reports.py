"""The report that commands leave beside their results."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fernet_neuro as fn
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.embedding.pipeline import compute_embedding
from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments.report_texts import describe_embedding, describe_probe, describe_searchlight
from fernet_neuro.experiments.reports import save_with_report
from fernet_neuro.figures.registry import build_all
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.stimuli.table import StimulusTable
from tests.experiments.page_widths import find_broad

COMMAND = ["fernet-neuro", "probe", "'my store'"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(3)
    rows = [(f"{i}{e}", i, e) for i in "abcdef" for e in ("anger", "fear", "neutral")]
    frame = pd.DataFrame(rows, columns=["stimulus_id", "identity", "expression"])
    values = rng.normal(size=(18, 9))
    folder = tmp_path_factory.mktemp("stores")
    frame["path"] = [str(folder / f"{name}.png") for name in frame["stimulus_id"]]
    for path in frame["path"]:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    table = StimulusTable.from_frame(frame.assign(valence=values[:, 0]))
    told = 3 * np.eye(9)[np.tile(np.arange(3), 6)]
    layers = [Activations(values + told, table.stimulus_ids, name) for name in ("layer1", "avgpool", "fc")]
    return write_store(folder / "store", table, layers)


class Watched:
    """A result that notes what lay in the folder when it was written there."""

    def __init__(self, result):
        self.result, self.seen = result, []

    def save(self, out):
        self.seen.append({path.name for path in out.iterdir()})
        return self.result.save(out)


@pytest.fixture(scope="module")
def probe(store):
    """A probe of expressions."""
    return run_probe(store, n_folds=3, n_permutations=19, controls=())


@pytest.fixture(scope="module")
def reported(probe, tmp_path_factory):
    """The folder and the page that the probe writes by itself."""
    out = tmp_path_factory.mktemp("reported") / "python"
    return out, probe.report(out)


def save_watched(report, folder):
    """Write a probe as commands do; return what was seen in the folder."""
    watched = Watched(report)
    assert save_with_report(watched, folder, describe_probe(report), COMMAND) == []
    return watched.seen


@pytest.fixture(scope="module")
def saved(probe, tmp_path_factory):
    """The folder of the probe as commands write it, and what was seen there."""
    folder = tmp_path_factory.mktemp("saved")
    return folder, save_watched(probe, folder)


def test_p_values_in_tables_have_three_decimals(store):
    report = run_probe(store, target="expression", n_folds=3, n_permutations=19, controls=("untrained",),
                       untrained_stores=[store])  # fmt: skip
    text = describe_probe(report)
    table = next(frame for frame in text.tables.values() if "p (max)" in frame)
    told = pd.concat([table[name] for name in table if str(name).startswith("p")])
    assert told.str.fullmatch(r"< \.001|\.\d{3}|1\.000|–").all()
    assert set(table["p"][:3]) == {f"{value:.3f}".lstrip("0") for value in report.frame["p_value"][:3]}


@pytest.mark.parametrize("target", ["expression", "valence"])
def test_a_probe_says_its_answer_and_its_marker_is_written_last(store, probe, saved, tmp_path, target):
    report, (folder, seen) = probe, saved
    if target == "valence":
        report = run_probe(store, target=target, n_folds=3, n_permutations=19, controls=())
        folder, seen = tmp_path, save_watched(report, tmp_path)
    assert seen[-1] == {"index.html", "figures"}
    page = (folder / "index.html").read_text()
    row = report.frame.set_index("layer").loc["avgpool"]
    score = f"{row['r2']:.2f}" if target == "valence" else f"{100 * row['balanced_accuracy']:.1f} %"
    assert "From average pool, a linear read-out (ridge)" in page
    is_known = row["p_value_max"] <= 0.05 and row.get("r2", 1) > 0
    assert ("does not reliably" in page) != is_known
    assert score in page.split('class="lead">')[1].split("</p>")[0]
    assert "fernet-neuro probe &#39;my store&#39;" in page
    assert "Phipson" in page
    assert "numpy" in page
    shown = {path.stem for path in (folder / "figures").glob("*.png")}
    assert shown == {"probe-layers", "probe-confusion" if target == "expression" else "probe-predictions"}
    before = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    built, left_out = build_all(folder, tmp_path / "again")
    assert (set(built), left_out) == (shown, {})
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == before


def test_maps_are_drawn_and_judged(store, tmp_path):
    options = {"factors": ["expression"], "n_permutations": 19, "perplexities": [4]}
    result = compute_embedding(store, ["avgpool"], **options)
    save_with_report(result, tmp_path, describe_embedding(result), COMMAND)
    assert (tmp_path / "figures" / "embedding-maps.png").is_file()
    lead = (tmp_path / "index.html").read_text().split('class="lead">')[1].split("</p>")[0]
    assert lead.startswith("Neighbours share expression most in average pool: ")


def test_results_report_themselves_as_their_commands_do(probe, reported, saved):
    (out, page), folder = reported, saved[0]
    assert page == out / "index.html"
    names = {path.relative_to(page.parent) for path in page.parent.rglob("*")}
    assert names == {path.relative_to(folder) for path in folder.rglob("*")}
    text = page.read_text()
    assert "# in Python: ProbeReport.report(" in text
    lead = text.split('class="lead">')[1].split("</p>")[0]
    assert lead in (folder / "index.html").read_text()
    assert find_broad(text) == []
    assert len(re.findall("<table|<img|<pre", text)) > 3
    with pytest.raises(StoreError, match="is a file; name a folder"):
        probe.report(page)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('<div class="scroll"><table', '<div><table', "<table class=''> does not scroll"),
        ("overflow-x: auto; margin-bottom", "margin-bottom", "<table class=''> does not scroll"),
        ("overflow-x: auto; font-size", "font-size", "<pre class=''> does not scroll"),
        ("<main>", '<main style="min-width: 50rem">', "<main class=''> has a width"),
        ("</main>", '<div style="width:900px"></div></main>', "<div class=''> has a width"),
        (".soft {", ".soft { width: 620px;", "<p class='soft'> has a width"),
        ("figure img { display: block; width: 100%;", "figure img {", "<img class=''> does not shrink"),
    ],
)  # fmt: skip
def test_a_page_that_is_broader_than_a_telephone_is_found(reported, old, new, found):
    page = reported[1].read_text()
    assert find_broad(page) == []
    assert old in page
    assert found in find_broad(page.replace(old, new))


def test_an_rsa_reports_with_the_rdms_that_it_kept(store, tmp_path):
    table, rng = store.stimuli, np.random.default_rng(0)
    who = fn.compute_rdms(table, factors=["identity"])
    people = pd.DataFrame({"subject": list("abcde"), "roi": "FFA"})
    brain = fn.RDMSet(
        who.dissimilarities + rng.normal(size=(5, who.dissimilarities.shape[1])), table.stimulus_ids, people
    )
    settings = {"n_bootstraps": 30, "n_permutations": 19}
    found = fn.rsa(who, brain, out=tmp_path / "kept", **settings)
    found.report(tmp_path / "kept")
    found.report(tmp_path / "alone")
    drawn = [
        {path.stem for path in (tmp_path / name / "figures").glob("*.png")} for name in ("kept", "alone")
    ]
    assert drawn[0] - drawn[1] == {"rdm-gallery", "mds"}
    assert fn.RSAResult.load(tmp_path / "alone") == found


def test_a_figure_that_fails_is_named_and_the_results_are_kept(probe, tmp_path):
    confusion = probe.confusion.assign(layer="elsewhere")
    lame = type(probe)(probe.results, confusion, probe.null_scores, probe.layers, probe.settings)
    left_out = save_with_report(lame, tmp_path, describe_probe(probe), COMMAND)
    assert [item.split(" (")[0] for item in left_out] == ["probe-confusion"]
    assert "Left out: probe-confusion" in (tmp_path / "index.html").read_text()
    assert (tmp_path / "summary.json").is_file()
    shutil.rmtree(tmp_path / "figures")
    (tmp_path / "figures").touch()  # no folder can be made here
    with pytest.raises(OSError, match="figures"):
        save_with_report(probe, tmp_path, describe_probe(probe), COMMAND)
    assert type(probe).load(tmp_path) == probe


def test_searchlights_say_where_or_why_not():
    report = {
        "group": {"reason": "two subjects are too few"}, "subjects": {"01": {}}, "distance": "crossnobis",
        "noise": "none", "comparison": "spearman",
    }  # fmt: skip
    assert "No group test: two subjects are too few." in describe_searchlight(report, None).answer
    peaks = pd.DataFrame(
        {"model": ["avgpool"], "x_mm": [42.0], "y_mm": [-54.0], "z_mm": [-18.0], "t": [7.25],
         "p_value": [0.004], "is_significant": [True]}
    )  # fmt: skip
    report["group"] = {"correction": "max_t"}
    report["models"] = [{"name": "avgpool", "label": "avgpool", "layer": "avgpool"}]
    assert (
        "of average pool at (42, -54, -18) mm, t = 7.25, p = .004"
        in describe_searchlight(report, peaks).answer
    )
    dull = peaks.assign(is_significant=False)
    assert "No model has a place" in describe_searchlight(report, dull).answer
