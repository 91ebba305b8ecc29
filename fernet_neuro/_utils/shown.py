"""What nouns share: equality by content, one line that shows them, a table in a notebook and a plot.

What belongs here: the forms that nouns share. Results never import plots or reports: they are named here, and
loaded when they are made.
"""

from collections.abc import Mapping
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro.catalogue import load
from fernet_neuro.typing import PathLike

#: Most signs of one line; rows and columns of a table, which cuts long cells too.
_MOST_SIGNS = 240
_SMALL = ("display.max_rows", 8, "display.min_rows", 8, "display.max_columns", 12)
#: The plot of each result, as "module:function"; each takes the result and axes.
PLOTS = {
    "EmbeddingResult": "fernet_neuro.viz.results:plot_embedding",
    "EvaluationReport": "fernet_neuro.viz.results:plot_evaluation",
    "EvaluationResult": "fernet_neuro.viz.results:plot_evaluation",
    "ProbeReport": "fernet_neuro.viz.results:plot_probe",
    "ProbeResult": "fernet_neuro.viz.results:plot_probe_confusion",
    "RDMSet": "fernet_neuro.viz.results:plot_rdms",
    "RSAResult": "fernet_neuro.viz.results:plot_rsa",
    "SearchlightMap": "fernet_neuro.viz.results:plot_searchlight",
}

#: What writes the report of each result.
REPORT = "fernet_neuro.experiments.reports:report_result"


class Shown:
    """A noun that says in one line what it holds."""

    def describe(self) -> str:
        """Return what it holds, in one line."""
        raise NotImplementedError

    def preview(self) -> pd.DataFrame | None:
        """Return the table that a notebook shows, or None."""
        return getattr(self, "frame", None)

    def __repr__(self) -> str:
        line = f"{type(self).__name__}: {' '.join(self.describe().split())}"
        return line if len(line) <= _MOST_SIGNS else f"{line[: _MOST_SIGNS - 4]} ..."

    def _repr_html_(self) -> str:
        head, table = f"<p>{escape(repr(self))}</p>", self.preview()
        if table is None:
            return head
        with pd.option_context(*_SMALL):
            return head + table._repr_html_()  # type: ignore[operator]  # cuts long cells, as to_html does not


class Compared:
    """A dataclass that equals another of its type and content: tables, arrays (NaN too), numbers and names.

    It holds what can change, and has no hash.
    """

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_is_same(getattr(self, item.name), getattr(other, item.name)) for item in fields(self))  # type: ignore[arg-type]  # a dataclass


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if not isinstance(one, pd.DataFrame | np.ndarray) and not isinstance(other, pd.DataFrame | np.ndarray):
        return bool(one == other)
    if isinstance(one, pd.DataFrame) or isinstance(other, pd.DataFrame):
        return isinstance(one, pd.DataFrame) and one.equals(other)
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return False
    # The room that texts take is not a part of what they say.
    is_text = one.dtype.kind == other.dtype.kind == "U"
    return (is_text or one.dtype == other.dtype) and np.array_equal(
        one, other, equal_nan=one.dtype.kind == "f"
    )


class Plotted(Shown):
    """A result that can be drawn."""

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the result into `ax`, or a new figure, and return the axes; options are those of its plot."""
        return load(PLOTS[type(self).__name__])(self, ax, **options)


class Reported(Plotted):
    """A result that writes its own report."""

    def report(self, out: PathLike) -> Path:
        """Write the result into the folder `out`, with its figures and a page, as its command does.

        Files of an earlier result there are replaced.

        Returns
        -------
        Path
            ``index.html``: the answer in a sentence, figures, tables and methods.

        Examples
        --------
        >>> import tempfile
        >>> import fernet_neuro as fn
        >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
        >>> maps = fn.embed("resnet10-slim", faces, layers=["layer1"], size=32, n_permutations=19)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = maps.report(folder)
        ...     sorted(path.name for path in page.parent.glob("figures/*"))
        ['embedding-maps.csv', 'embedding-maps.pdf', 'embedding-maps.png', 'embedding-maps.txt']
        """
        return load(REPORT)(self, out)


def name_some(names: Any, most: int = 4) -> str:
    """Return names with commas; of more than `most`, the first few and the last.

    Examples
    --------
    >>> name_some(["stem", "layer1", "layer2", "layer3", "layer4", "fc"], 3)
    'stem, layer1 ... fc'
    """
    listed = [str(name) for name in names]
    return ", ".join(listed) if len(listed) <= most else f"{', '.join(listed[: most - 1])} ... {listed[-1]}"
