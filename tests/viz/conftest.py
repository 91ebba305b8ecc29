import pytest


@pytest.fixture(scope="module", autouse=True)
def _cheap_pictures() -> None:
    """Figures are written as users get them."""
