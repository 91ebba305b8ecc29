"""The figures read what the probes write: a real, tiny probe, not made-up files."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.figures.results import read_confusion, read_folds, read_summary
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.probes.result import ProbeReport

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
        source = pd.read_csv(build_figure(name, probed, tmp_path / "out")[2])
        assert "avgpool" in set(source["layer"])
