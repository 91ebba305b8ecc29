"""One rule says which device a name means, and what is not there is one line."""

import pytest
import torch

from fernet_neuro.models.devices import pick_device


@pytest.fixture
def has(monkeypatch):
    """Let torch find `count` accelerators of one kind."""

    def make(kind: str | None, count: int = 0):
        found = None if kind is None else torch.device(kind)
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: kind is not None)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: found)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)

    return make


@pytest.mark.parametrize(
    ("kind", "count", "auto"), [(None, 0, "cpu"), ("cuda", 2, "cuda"), ("mps", 1, "mps")]
)
def test_auto_is_the_accelerator_and_the_cpu_is_always_there(has, kind, count, auto):
    has(kind, count)
    assert pick_device("auto") == torch.device(auto)
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_a_device_that_is_there_is_taken_as_named(has, name):
    has("cuda", 2)
    assert pick_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("kind", "count", "name", "message"),
    [
        (
            None,
            0,
            "mps",
            r"device='mps' is not available here; torch finds no accelerator; use 'auto' or 'cpu'",
        ),
        (None, 0, "cuda", r"device='cuda' is not available here; torch finds no accelerator"),
        (None, 0, "meta", r"device='meta' is not available here"),
        ("mps", 1, "cuda", r"torch finds 'mps'; use"),
        ("cuda", 1, "cuda:1", r"device='cuda:1' is not available here; torch finds 'cuda'; use"),
        ("cuda", 2, "cuda:2", r"torch finds 'cuda:0' to 'cuda:1'; use"),
        ("cuda", 2, "gpu", r"device='gpu' is not known; use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'"),
    ],
)
def test_a_device_that_is_not_there_is_refused(has, kind, count, name, message):
    has(kind, count)
    with pytest.raises(ValueError, match=message):
        pick_device(name)
