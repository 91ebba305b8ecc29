"""One cache for all examples in docstrings, and none of it in the user's own."""

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _shared_cache() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERNET_NEURO_CACHE", folder)
        yield
