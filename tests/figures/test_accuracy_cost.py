"""Accuracy against cost: what is drawn is what the grid measured, and only where it measured costs."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.accuracy_cost import draw_costs, has_costs, read_costs
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.viz.style import style

ARMS = {
    "lfnsb": (2_676_147, 386_405_124, 21.5),
    "tiny": (101_000, 9_000_000, 4.25),
    "resnet": (11e6, 1.8e9, 48.0),
}
COSTS = ("params", "macs", "milliseconds")


@pytest.fixture
def results(tmp_path):
    rng = np.random.default_rng(3)
    rows = [
        {"arm": arm, "label": arm.upper(), "test": test, "test_label": f"{test} faces", "epoch": epoch,
         "metric": "accuracy", "headline": epoch == "last", "value": value, "low": value - 0.05,
         "high": value + 0.04, "interval": "training seeds", "n_seeds": 3, "chance_level": 0.25}
        for test in ("new", "hard") for arm in ARMS for epoch in ("last", "best")
        for value in rng.uniform(0.4, 0.9, 1)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "summary.csv", index=False)
    costs = (
        pd.DataFrame.from_dict(ARMS, orient="index", columns=list(COSTS)).rename_axis("name").reset_index()
    )
    beside = {"name": "beside", "group": "network", "size": 224} | dict.fromkeys(COSTS, 1)
    costs = pd.concat([costs.assign(group="arm", size=112), pd.DataFrame([beside])])
    costs.to_csv(tmp_path / "cost.csv", index=False)
    return tmp_path


def test_each_mark_is_at_its_cost_and_accuracy(results):
    summary = pd.read_csv(results / "summary.csv").query("epoch == 'last'").set_index(["test_label", "arm"])
    with style():
        figure = draw_costs(read_costs(results))
    assert [ax.get_title(loc="left")[-9:] for ax in figure.axes] == ["new faces"] * 3 + ["ard faces"] * 3
    for place, ax in enumerate(figure.axes):
        marks = {line.get_gid(): line.get_xydata()[0] for line in ax.get_lines() if line.get_gid()}
        test = ("new faces", "hard faces")[place // 3]
        for arm, cost in ARMS.items():
            expected = (cost[place % 3], 100 * summary.loc[(test, arm), "value"])
            np.testing.assert_allclose(marks[f"arm:{arm}"], expected)
        assert marks["chance"][1] == 25
        assert ax.get_xscale() == "log"


def test_the_command_writes_it_with_its_data(results):
    files = build_figure("accuracy-cost", results, results / "figures", formats=())
    written = pd.read_csv(files[0])
    assert len(written) == 6
    assert set(written["arm"]) == set(ARMS)
    caption = files[1].read_text()
    assert "3 networks" in caption
    assert "95 % interval over training seeds; training runs: 3" in caption


def test_it_is_made_only_where_costs_of_arms_were_measured(results):
    assert has_costs(results)
    costs = pd.read_csv(results / "cost.csv")
    costs[costs["group"] == "network"].to_csv(results / "cost.csv", index=False)
    assert not has_costs(results)
    with pytest.raises(StoreError, match="no arm with an accuracy and a cost"):
        read_costs(results)
    (results / "cost.csv").unlink()
    assert not has_costs(results)
    with pytest.raises(StoreError, match=r"cost\.csv does not exist; make it with"):
        read_costs(results)
