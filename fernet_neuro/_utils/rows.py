"""Rows of features."""

import numpy as np

#: Rows shorter than this have no direction.
_SHORTEST = 1e-12


def scale_rows(values: np.ndarray) -> np.ndarray:
    """Return rows (n_rows, n_units) of length 1, in double precision; rows of length 0 stay as they are.

    Squares of what is stored in half precision would pass its largest number, 65,504.

    Examples
    --------
    >>> import numpy as np
    >>> scale_rows(np.array([[300.0, 400.0], [0.0, 0.0]], dtype=np.float16)).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = np.asarray(values, dtype=float)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _SHORTEST)
