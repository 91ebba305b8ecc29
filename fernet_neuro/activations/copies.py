"""Stimuli whose answers are the same, told where their pictures are not there to be compared.

What belongs here: copies by activations; by pictures they are found in `stimuli.copies`.
"""

import warnings

import numpy as np

from fernet_neuro._utils.likeness import Seen
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.exceptions import FernetWarning
from fernet_neuro.stimuli.table import StimulusTable

#: Layers with fewer units may answer alike to different pictures.
_FEWEST_UNITS = 32


def warn_of_equal_answers(store: ActivationStore, table: StimulusTable) -> None:
    """Warn if stimuli without a picture have the same activations, which count as independent of each other.

    Of different pictures no two have, while equal features that were made of labels may be meant.

    Parameters
    ----------
    store : ActivationStore
        The narrowest layer of 32 units or more is read.
    table : StimulusTable
        Where the pictures of its stimuli are.

    Warns
    -----
    FernetWarning
        Naming the first two.
    """
    notes = table.factor("digest", complete=False) if "digest" in table else np.full(len(table), "")
    unknown = [
        name
        for name, path, note in zip(table.stimulus_ids.tolist(), table.paths(), notes, strict=True)
        if not note and not path.is_file()
    ]
    widths = {row["layer"]: row["n_units"] for row in store.frame.to_dict("records")}
    wide = [layer for layer, n_units in widths.items() if n_units >= _FEWEST_UNITS]
    if not unknown or not wide:
        return
    activations = store.load(min(wide, key=widths.__getitem__))
    row_of = {name: row for row, name in enumerate(activations.stimulus_ids.tolist())}
    seen = Seen(_FEWEST_UNITS)
    found = [
        (other, name)
        for name in unknown
        if name in row_of
        and (other := seen.find(np.asarray(activations.values[row_of[name]]), name)) is not None
    ]
    if found:
        warnings.warn(
            f"{len(found)} of {len(table)} stimuli have the same activations as another one (first: "
            f"{found[0][0]!r} and {found[0][1]!r}), and their pictures are not there to be compared; copies "
            f"count as independent of each other. Leave them out.",
            FernetWarning,
            stacklevel=3,
        )
