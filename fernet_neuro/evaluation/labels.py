"""Labels of a table and classes of a network are one by name, and by nothing else.

What belongs here: renaming, and refusing what no class is called; numbers are computed in `metrics`.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from fernet_neuro._utils.validation import check_option, format_options
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.expressions import find_expression


def match_labels(
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    mapping: Mapping[str, str] | None = None,
    only_known: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels as the network's classes are called, and which rows have such a label.

    Parameters
    ----------
    labels : ndarray of str of shape (n_stimuli,)
        As in the table.
    classes : sequence of str
        What the network was trained to name.
    mapping : mapping of str to str
        Names of labels to names of classes, such as ``{"happy": "happiness"}``.
    only_known : bool
        Let rows of other labels be left out; without it they are refused.

    Returns
    -------
    names : ndarray of str of shape (n_stimuli,)
    known : ndarray of bool of shape (n_stimuli,)

    Raises
    ------
    StimulusError
        If a label is not a class, or none is; the message suggests the nearest names.
    ValueError
        If `mapping` names a label that the table lacks or a class that the network lacks.
    """
    labels, mapping = np.asarray(labels, dtype=str), dict(mapping or {})
    present = [str(name) for name in np.unique(labels)]
    for label, name in mapping.items():
        check_option("label to map", label, present)
        check_option("class to map to", name, classes)
    names = np.array([mapping.get(label, label) for label in labels], dtype=str)
    known = np.isin(names, list(classes))
    unknown = [str(name) for name in np.unique(names[~known])]
    if unknown and not only_known:
        raise StimulusError(_explain(unknown, int((~known).sum()), len(labels), classes))
    if not known.any():
        raise StimulusError(
            f"no stimulus shows a class of the network ({format_options(classes)}); the table's labels are: "
            f"{format_options(present)}."
        )
    return names, known


def _explain(unknown: Sequence[str], count: int, total: int, classes: Sequence[str]) -> str:
    maps = " ".join(f"--map {label}={_find_nearest(label, classes)}" for label in unknown[:5] if label)
    return (
        f"{count} of {total} stimuli have labels that the network was not trained on: "
        f"{format_options([repr(label) for label in unknown])}; its classes are: {format_options(classes)}. "
        f"Say what they are called there with {maps}, or leave such rows out with --only-known."
    )


def _find_nearest(label: str, classes: Sequence[str]) -> str:
    """Return the class that `label` spells in another form, else the closest name, else "CLASS"."""
    known = find_expression(label)
    if known in classes:
        return str(known)
    close = get_close_matches(label, classes, n=1, cutoff=0.5)
    return close[0] if close else "CLASS"
