"""How often which class was taken for which: counts of all pairs of a true and a predicted class."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd


def count_confusions(true: Iterable[str], predicted: Iterable[str], classes: Sequence[str]) -> np.ndarray:
    """Return counts by true (rows) and predicted class, shape (n_classes, n_classes); others do not count.

    Examples
    --------
    >>> count_confusions(["joy", "joy", "fear"], ["joy", "fear", "fear"], ("fear", "joy")).tolist()
    [[1, 0], [1, 1]]
    """
    names, n_classes = pd.Index(classes), len(classes)
    rows, columns = names.get_indexer(pd.Index(true)), names.get_indexer(pd.Index(predicted))
    cells = (rows * n_classes + columns)[(rows >= 0) & (columns >= 0)]
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def list_confusions(counts: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return what `count_confusions` counted in long form: ``true, predicted, count``."""
    n_classes = len(classes)
    return pd.DataFrame(
        {
            "true": np.repeat(classes, n_classes),
            "predicted": np.tile(classes, n_classes),
            "count": counts.ravel(),
        }
    )
