"""Which stimuli are nearly one photograph, and so belong on one side of every split.

What belongs here: the one rule for it, read from the stimulus table; who keeps them together is elsewhere.
"""

import numpy as np
import pandas as pd

from fernet_neuro.stimuli.table import StimulusTable


def find_near_copies(table: StimulusTable) -> np.ndarray:
    """Return a number per row, equal where one person shows one expression in one view, or in one clip.

    Photographs of one identity, expression and view are near-copies, whether or not a column ``session``
    counts them. A row without an identity stands alone, and so does one of which nothing but the identity is
    known (neither expression nor view nor session): such photographs may differ in anything. Frames of one
    clip (see `find_clips`) never stand alone.

    Parameters
    ----------
    table : StimulusTable
        The stimuli.

    Returns
    -------
    ndarray of int, shape (n_stimuli,)
        Numbers from 0 in the sorted order of identity, expression and view, or of the ids of rows that stand
        alone.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("a1", "ann", "fear"), ("a2", "ann", "fear"), ("a3", "ann", ""), ("x", "", "fear")]
    >>> frame = pd.DataFrame(rows, columns=["stimulus_id", "identity", "expression"]).assign(path="a.png")
    >>> find_near_copies(StimulusTable.from_frame(frame)).tolist()
    [1, 1, 0, 2]
    """
    is_named = table.combine("identity") != ""
    is_labelled = np.any([table.combine(name) != "" for name in ("expression", "view", "session")], axis=0)
    poses = table.combine("identity", "expression", "view")
    return np.unique(np.where(is_named & is_labelled, poses, _name_clips(table)), return_inverse=True)[1]


def find_clips(table: StimulusTable) -> np.ndarray:
    """Return a number per row, from 0 in the order of the rows, equal where they are frames of one clip.

    Those agree in the columns ``clip``, ``identity``, ``expression`` and ``view``. A row without a clip
    stands alone.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"stimulus_id": ["a", "b", "c", "d"], "clip": ["1", "2", "1", ""]})
    >>> find_clips(StimulusTable.from_frame(frame.assign(path="a.png"))).tolist()
    [0, 1, 0, 2]
    """
    return pd.factorize(_name_clips(table))[0]


def _name_clips(table: StimulusTable) -> np.ndarray:
    if "clip" not in table:
        return table.stimulus_ids
    clips = table.combine("clip", "identity", "expression", "view")
    is_none = table.frame["clip"].isna() | (table.frame["clip"].astype(str) == "")
    return np.where(is_none, table.stimulus_ids, clips)
