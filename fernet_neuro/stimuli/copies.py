"""Which stimuli are one and the same picture under several names, whatever their labels say.

What belongs here: the search by content, and the refusal to test on a picture that was learnt from; pictures
that are only nearly the same are in `near_copies`.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fernet_neuro._utils.hashing import hash_file
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.splits import Fold
from fernet_neuro.stimuli.table import StimulusTable


def find_copies(table: StimulusTable) -> np.ndarray:
    """Return a number per row, equal where image files have the same content.

    A file that is no longer there counts by the column ``digest``; without it, it stands alone. The same
    picture saved anew, in another format or size, is another content.

    Parameters
    ----------
    table : StimulusTable
        The stimuli.

    Returns
    -------
    ndarray of int, shape (n_stimuli,)
        Numbers from 0.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"stimulus_id": ["a", "b", "c"], "path": "gone.png", "digest": ["1", "2", "1"]})
    >>> find_copies(StimulusTable.from_frame(frame)).tolist()
    [0, 1, 0]
    """
    recorded = table.factor("digest", complete=False) if "digest" in table else np.full(len(table), "")
    paths = table.paths()
    sizes = [path.stat().st_size if path.is_file() else None for path in paths]
    # Files of different sizes differ, so most need not be read.
    shared = {size for size, count in Counter(sizes).items() if count > 1}
    contents = [
        str(note or f"row {row}") if size is None else hash_file(path) if size in shared else f"row {row}"
        for row, (path, size, note) in enumerate(zip(paths, sizes, recorded, strict=True))
    ]
    first: dict[str, int] = {}
    return np.array([first.setdefault(content, len(first)) for content in contents], dtype=int)


def check_copies_apart(table: StimulusTable, folds: Sequence[Fold]) -> None:
    """Raise if a picture that a fold tests is in its training part under another name.

    Raises
    ------
    StimulusError
        Naming two stimuli that are one picture.
    """
    copies = find_copies(table)
    if copies.max(initial=-1) == len(table) - 1:
        return
    for fold in folds:
        both = np.intersect1d(copies[fold.train], copies[fold.test])
        if len(both):
            first, second = (
                str(table.stimulus_ids[rows[copies[rows] == both[0]][0]]) for rows in (fold.train, fold.test)
            )
            raise StimulusError(
                f"{first!r} and {second!r} are the same picture, and fold {fold.name!r} would train on one "
                f"and test on the other ({len(both)} such pictures); leave copies out "
                f"(fernet-neuro stimuli check lists them)."
            )
