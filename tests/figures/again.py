"""All figures as another process builds them: python -m tests.figures.again RESULTS OUT."""

import sys
from pathlib import Path

import pytest

from fernet_neuro.figures.registry import FIGURES, build_figure
from tests.conftest import cheapen_fonts

#: PNGs of images, maps, dots and cells, and an SVG, take as long as the rest and stand for all.
MORE = {
    "confusion": ("png", "svg"),
    **dict.fromkeys(("embedding-maps", "rdm-gallery", "searchlight-map", "stimulus-sheet"), ("png",)),
}


def main(results: str, out: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        cheapen_fonts(patch)
        for name in FIGURES:
            build_figure(name, Path(results), Path(out), formats=("pdf", *MORE.get(name, ())))


if __name__ == "__main__":
    main(*sys.argv[1:])
