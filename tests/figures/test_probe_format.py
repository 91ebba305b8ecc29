"""The figures read what the probes write: a real, tiny probe, not made-up files."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.figures.registry import FIGURES, build_figure
from fernet_neuro.figures.results import read_confusion, read_folds, read_summary
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.probes.result import ProbeReport
from fernet_neuro.viz.style import style

HOLDOUTS = {"expression": "identity", "identity": "expression"}


@pytest.fixture
def probed(noise_table, rng, tmp_path):
    """Both read-outs of three layers of noise, with pixels and the control task, as the probes save them."""
    layers = [
        Activations(
            values=rng.normal(size=(len(noise_table), 9)).astype(np.float32),
            stimulus_ids=noise_table.stimulus_ids,
            layer=layer,
            unit_shape=(9,),
        )
        for layer in ("layer1", "avgpool", "fc")
    ]
    store = write_store(tmp_path / "store", noise_table, layers)
    for target, holdout in HOLDOUTS.items():
        report = run_probe(store, target=target, holdout=holdout, n_permutations=7, n_folds=4)
        report.save(tmp_path / "demo" / "probes" / "identity" / target)
    return tmp_path / "demo"


def test_figures_read_and_draw_a_real_probe(probed, tmp_path):
    for target in HOLDOUTS:
        report = ProbeReport.load(probed / "probes" / "identity" / target)
        summary = read_summary(probed, "identity", target)
        assert summary["balanced_accuracy"].tolist() == [row["balanced_accuracy"] for row in report.layers]
        folds = read_folds(probed, "identity", target)
        np.testing.assert_allclose(folds["balanced_accuracy"], report.results["balanced_accuracy"])
        counts = read_confusion(probed, "identity", target)
        assert counts["true"].tolist() == report.confusion["true"].tolist()
        assert counts["count"].tolist() == report.confusion["count"].tolist()
    for name in ("transfer-bars", "layer-profile", "confusion"):
        source = pd.read_csv(build_figure(name, probed, tmp_path / "out", formats=())[0])
        assert "avgpool" in set(source["layer"])


@pytest.mark.parametrize(
    ("n_twins", "drawn", "legend", "said"),
    [
        (1, "a band", "95 % interval of the twin", "; grey band: that of the one untrained network."),
        (2, "dots", "Each twin", "; grey dots: each of 2 untrained networks, too few to tell how"),
        (3, "dots", "Each twin", "; grey dots: each of 3 untrained networks, too few to tell how"),
        (4, "a band", "95 % of twins", "; grey band: 95 % of untrained networks, known from 4 ("),
    ],
)
def test_few_twins_are_dots_and_no_band(noise_table, rng, tmp_path, n_twins, drawn, legend, said):
    def make(name, seed):
        layers = [
            Activations(
                np.random.default_rng(seed + at).normal(size=(24, 5)), noise_table.stimulus_ids, layer
            )
            for at, layer in enumerate(("layer1", "fc"))
        ]
        return write_store(tmp_path / name, noise_table, layers)

    own, twins = make("own", 0), [make(f"twin{number}", 10 * number + 10) for number in range(n_twins)]
    options = {"n_folds": 4, "n_permutations": 9, "controls": ("untrained",)}
    report = run_probe(own, untrained_stores=twins, **options)
    report.save(tmp_path / "probe")
    spec = FIGURES["probe-layers"]
    source = spec.read(tmp_path / "probe")
    with style():
        (ax,) = spec.draw(source, tmp_path / "probe").axes
    dots = {line.get_gid(): line.get_ydata() for line in ax.lines if str(line.get_gid()).startswith("twin_")}
    has_band = any(isinstance(item, PolyCollection) and len(item.get_paths()) for item in ax.collections)
    assert (bool(dots), has_band) == (drawn == "dots", drawn == "a band")
    for twin, values in zip(twins if dots else (), dots.values(), strict=True):
        alone = run_probe(own, untrained_stores=[twin], **options).frame
        wanted = alone.query("source == 'untrained'")["balanced_accuracy"]
        np.testing.assert_allclose(values, 100 * wanted)
    assert legend in [text.get_text() for text in ax.get_legend().get_texts()]
    assert said in spec.caption(source)
