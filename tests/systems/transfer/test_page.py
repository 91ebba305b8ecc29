import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from fernet_neuro.exceptions import StoreError
from fernet_neuro.systems.transfer.page import write_report

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags, and checks that every one of them is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def write_summary(folder: Path, network: str, target: str, accuracy: float) -> None:
    """Write made-up results of two layers and the two baselines."""
    layers = []
    sources = [("network", "stem"), ("network", "avgpool"), ("network", "fc"), ("pixels", "pixels")]
    sources += [("untrained", "stem"), ("untrained", "avgpool"), ("untrained", "fc")]
    for place, (source, layer) in enumerate(sources):
        value = accuracy + 0.01 * place if source == "network" else 0.2
        layers.append(
            {
                "source": source,
                "layer": layer,
                "layer_index": place % 4,
                "readout": "ridge",
                "target": target,
                "holdout": "identity" if target == "expression" else "expression",
                "n_classes": 5,
                "chance_level": 0.2,
                "balanced_accuracy": value,
                "balanced_accuracy_low": value - 0.05,
                "balanced_accuracy_high": value + 0.05,
                "interval": "11 test folds",
                "p_value": 0.003 if source == "network" else 0.6,
                "p_value_max": 0.004 if source == "network" else None,
            }
        )
    place = folder / "probes" / network / target
    place.mkdir(parents=True)
    (place / "summary.json").write_text(json.dumps({"settings": {}, "layers": layers}))


def write_figure(folder: Path, name: str, title: str, caption: str) -> None:
    folder.mkdir(exist_ok=True)
    note = PngImagePlugin.PngInfo()
    note.add_text("Title", title)
    Image.fromarray(np.full((9, 13, 3), 200, np.uint8)).save(folder / f"{name}.png", pnginfo=note)
    (folder / f"{name}.txt").write_text(caption)
    (folder / f"{name}.pdf").write_bytes(b"%PDF")
    (folder / f"{name}.csv").write_text("a\n1\n")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "demo"
    for network, accuracy in (("identity", 0.41), ("expression", 0.83)):
        for target in ("expression", "identity"):
            write_summary(place, network, target, accuracy)
    write_figure(place / "figures", "zebra", "Last", "A caption. More.")
    write_figure(place / "figures", "transfer-bars", "Bars <b>", "What 5 < 7 & 'means'. And more.")
    (place / "recipe.yaml").write_text("note: a < b & c\n")
    run = place / "runs" / "identity" / "seed0"
    run.mkdir(parents=True)
    rows = [
        (1, "train", 2.5, ""),
        (1, "val", 2.6, 0.25),
        (2, "batch", 9.0, ""),
        (2, "train", 1.25, ""),
        (2, "val", 1.5, 0.5),
    ]
    pd.DataFrame(rows, columns=["epoch", "split", "loss", "accuracy"]).to_csv(run / "log.csv", index=False)
    (place / "stimuli").mkdir()
    faces = [(f"s{k}", "x.png", f"id{k % 3}", "joy", "left", "A") for k in range(13)]
    columns = ["stimulus_id", "path", "identity", "expression", "view", "session"]
    pd.DataFrame(faces, columns=columns).to_csv(place / "stimuli" / "probe.csv", index=False)
    return place


@pytest.fixture
def page(folder):
    return Page(write_report(folder).read_text())


def test_page_is_well_formed_and_returned(folder, page):
    assert write_report(folder) == folder / "index.html"
    assert page.open == []
    assert page.tags[0] == ("html", {"lang": "en"})


def test_nothing_is_loaded_from_elsewhere(folder):
    text = write_report(folder).read_text()
    assert not re.findall(r"https?://|<script|<link|@import|url\(", text)


def test_headline_is_the_layer_fixed_beforehand(page):
    assert "From average pool of the identity network" in page.words
    assert "balanced accuracy of 42.0 % [37.0, 47.0]; chance is 20.0 %" in page.words
    assert "its untrained twin reaches 20.0 %, pixels reach 20.0 %" in page.words
    assert "p = .003" in page.words
    assert "11 test folds (expression), 11 test folds (identity)" in page.words


def test_figures_are_embedded_with_alt_text_and_links(folder, page):
    pictures = page.all("img")
    assert [picture["alt"] for picture in pictures] == [
        "Figure: Bars <b>. What 5 < 7 & 'means'",
        "Figure: Last. A caption",
    ]
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in pictures)
    assert (pictures[0]["width"], pictures[0]["height"]) == ("13", "9")
    assert "What 5 < 7 & 'means'. And more." in page.words


def test_every_link_leads_somewhere(folder, page):
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    targets = [link["href"] for link in page.all("a")]
    assert "figures/transfer-bars.pdf" in targets
    assert "probes/identity/expression/summary.json" in targets
    for target in targets:
        assert target[1:] in anchors if target.startswith("#") else (folder / target).is_file(), target


def test_tables_show_layers_training_and_stimuli(page):
    assert "43.0 [38.0, 48.0]*" in page.words
    assert "20.0 [15.0, 25.0]" in page.words
    assert "20.0 [15.0, 25.0]*" not in page.words
    rows = page.words
    assert "1.25" in rows
    assert "2.6" not in rows.split("Training, last epoch")[1].split("Settings")[0]
    assert "Identities" in rows
    assert "13" in rows.split("Stimuli and training")[-1]


def test_settings_are_quoted_as_text(folder):
    assert html.escape("note: a < b & c") in write_report(folder).read_text()


def test_words_of_the_folder_are_text_in_every_section(folder):
    path = folder / "stimuli" / "probe.csv"
    path.rename(path.with_name("<i>probe.csv"))
    strange = folder / "runs" / "<script>" / "seed0"
    (folder / "runs" / "identity" / "seed0").rename(strange.parent.with_name("seed0"))
    strange.parent.mkdir()
    (folder / "runs" / "seed0").rename(strange)
    text = write_report(folder, title="<h9>").read_text()
    for tag in ("<i>", "<script>", "<h9>", "<b>"):
        assert html.escape(tag) in text
    assert not re.findall("<(i|script|h9)>", text)


def test_same_results_same_page(folder):
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_page_needs_only_probes(tmp_path):
    write_summary(tmp_path, "identity", "expression", 0.4)
    page = Page(write_report(tmp_path, title="A <title>").read_text())
    assert page.all("img") == []
    assert "A <title>" in page.words
    assert "Stimuli and training" not in page.words


def test_page_without_probes_is_refused_and_the_old_one_stays(tmp_path):
    (tmp_path / "index.html").write_text("old")
    with pytest.raises(StoreError, match="does not exist; make it with: fernet-neuro probe"):
        write_report(tmp_path)
    assert (tmp_path / "index.html").read_text() == "old"


def test_report_loads_no_plotting_library():
    code = "import sys, fernet_neuro.experiments.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
