"""Tables of a page about networks beside one another."""

import pandas as pd

from fernet_neuro.experiments import page_beside
from fernet_neuro.experiments.page_beside import named_table


def test_each_network_has_scores_of_its_own_by_epoch(monkeypatch, tmp_path):
    shares = {"one": {"last": 0.25, "best": 0.5}, "two": {"last": 0.75}}
    read = []

    def read_metrics(_folder, name):
        read.append(name)
        return pd.DataFrame(
            {"metric": metric, "class": "", "epoch": epoch, "seed": "0", "value": share + more, "low": 0.0,
             "high": 1.0, "chance_level": 0.125, "interval": "identities", "n": 8}
            for epoch, share in shares[name].items()
            for metric, more in (("accuracy", 0.0), ("mean_class_accuracy", 0.125), ("nll", 0.0))
        )  # fmt: skip

    monkeypatch.setattr(page_beside, "_read_metrics", read_metrics)
    table = named_table(tmp_path, ["one", "two"])
    scores = table[["Accuracy", "Mean class accuracy"]].map(lambda text: text[:4])
    found = set(zip(table["Network"], scores["Accuracy"], scores["Mean class accuracy"], strict=True))
    assert found == {("one", "25.0", "37.5"), ("one", "50.0", "62.5"), ("two", "75.0", "87.5")}
    assert read == ["one", "two"], "each file is read once"
