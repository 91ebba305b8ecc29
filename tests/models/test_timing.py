import numpy as np
import pytest

from fernet_neuro.models.registry import build_model
from fernet_neuro.models.timing import measure_run_times


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
