import numpy as np
import pandas as pd
import pytest
import torch

from fernet_neuro.models.registry import build_model
from fernet_neuro.models.timing import FORMS, measure_latency, measure_run_times


def test_a_network_that_does_far_more_takes_longer_in_every_turn():
    models = {
        "large": build_model("resnet18", size=112, n_classes=5),
        "small": build_model("resnet10-slim", size=24, n_classes=5),
    }
    models["large"].module.train()
    times = measure_run_times(models, n_repeats=4, n_passes=3)
    assert list(times) == ["large", "small"]
    assert times["large"].shape == (4,)
    assert (times["small"] > 0).all()
    assert np.median(times["large"] / times["small"]) > 2
    assert not models["large"].module.training


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="at least one network"):
        measure_run_times({})
    model = {"any": build_model("resnet10-slim", size=24)}
    with pytest.raises(ValueError, match="n_repeats must be >= 1"):
        measure_run_times(model, n_repeats=0)
    with pytest.raises(ValueError, match="n_passes must be >= 1"):
        measure_run_times(model, n_passes=0)


@pytest.mark.slow
def test_latency_has_a_row_per_network_form_and_batch():
    models = {
        "large": build_model("resnet10-slim", size=224, n_classes=9),
        "small": build_model("resnet10-slim", size=24, n_classes=5),
    }
    threads = torch.get_num_threads()
    table = measure_latency(models, batch_sizes=[1, 4], n_threads=1, onnx=True, n_repeats=4, n_passes=2)
    assert torch.get_num_threads() == threads
    assert len(table) == len(table.drop_duplicates(["network", "form", "batch_size"])) == 2 * 3 * 2
    assert tuple(dict.fromkeys(table["form"])) == FORMS
    assert set(table["threads"]) == {1}
    assert (table["low"] <= table["milliseconds"]).all()
    assert (table["milliseconds"] <= table["high"]).all()
    sizes = table.groupby("network")[["size", "params", "macs"]].first()
    assert sizes.loc["large", "size"] == 224
    assert sizes.loc["small", "params"] == sum(item.numel() for item in models["small"].module.parameters())
    medians = table.pivot_table(index=["form", "batch_size"], columns="network", values="milliseconds")
    assert (medians["large"] > medians["small"]).all()


def test_wrong_numbers_of_latency_are_told():
    model = {"any": build_model("resnet10-slim", size=24)}
    with pytest.raises(ValueError, match="at least one network"):
        measure_latency({})
    for wrong in ({"n_threads": 0}, {"batch_sizes": [1, 0]}):
        with pytest.raises(ValueError, match="batch sizes and threads must be >= 1"):
            measure_latency(model, **wrong)


def test_the_command_writes_the_table(run, tmp_path):
    asked = (
        "latency",
        "resnet10-slim",
        "--threads",
        1,
        "--batch",
        2,
        "--repeats",
        2,
        "--out",
        tmp_path / "t.csv",
    )
    code, said, err = run(*asked, "--quiet")
    assert (code, err) == (0, "")
    assert "1 threads, 2 turns" in said
    written = pd.read_csv(tmp_path / "t.csv")
    assert written["form"].tolist() == ["torch", "torch, fused"]
    assert written["batch_size"].tolist() == [2, 2]
    code, _, err = run(*asked)
    assert (code, "is already there; add --overwrite" in err) == (2, True)
    code, _, err = run("latency", "resnet10-slm")
    assert (code, "Did you mean 'resnet10-slim'?" in err) == (2, True)
