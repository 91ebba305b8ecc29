"""One layer's activations in memory, labelled by stimulus: the `Activations` noun.

What belongs here: the labelled array and its reordering; files are in `store`, reductions in `reduce`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fernet_neuro._utils.shown import Compared, Shown
from fernet_neuro.exceptions import AlignmentError


@dataclass(frozen=True, eq=False, repr=False)
class Activations(Compared, Shown):
    """What the units of one layer answer to each stimulus.

    Parameters
    ----------
    values : ndarray of shape (n_stimuli, n_units)
        Unitless; may be a read-only memory map.
    stimulus_ids : ndarray of str of shape (n_stimuli,)
        Unique, in row order.
    layer : str
        Path as in ``named_modules()``, or ``"pixels"``.
    unit_shape : tuple of int, default=(n_units,)
        Shape of one stimulus's answer before flattening, such as (n_channels, height, width).

    Raises
    ------
    ValueError
        If the shapes do not fit together or an id occurs twice.

    Examples
    --------
    >>> Activations(np.zeros((3, 20)), np.array(["a", "b", "c"]), "conv", (5, 2, 2))
    Activations: layer conv, 3 stimuli, 20 units (5 x 2 x 2)
    """

    values: np.ndarray
    stimulus_ids: np.ndarray
    layer: str
    unit_shape: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        ids = np.asarray(self.stimulus_ids, dtype=str)
        shape = tuple(int(side) for side in self.unit_shape) or self.values.shape[1:]
        if self.values.ndim != 2 or ids.shape != self.values.shape[:1]:
            raise ValueError(
                f"values must be (n_stimuli, n_units) with one stimulus id per row; "
                f"got {self.values.shape} and {ids.shape}. Use Activations.from_maps for unflattened answers."
            )
        if math.prod(shape) != self.values.shape[1]:
            raise ValueError(
                f"unit_shape {shape} holds {math.prod(shape)} units; values have {self.values.shape[1]}."
            )
        if len(np.unique(ids)) != len(ids):
            raise ValueError("stimulus_ids must be unique.")
        object.__setattr__(self, "stimulus_ids", ids)
        object.__setattr__(self, "unit_shape", shape)

    @classmethod
    def from_maps(cls, maps: np.ndarray, stimulus_ids: Iterable[str], layer: str) -> "Activations":
        """Return the activations of `maps` of shape (n_stimuli, ...), flattened in C order."""
        return cls(
            maps.reshape(len(maps), -1), np.array(list(stimulus_ids), dtype=str), layer, maps.shape[1:]
        )

    def describe(self) -> str:
        """Return layer and shape."""
        shape = " x ".join(map(str, self.unit_shape))
        return f"layer {self.layer}, {self.n_stimuli} stimuli, {self.n_units} units ({shape})"

    @property
    def n_stimuli(self) -> int:
        """Number of rows."""
        return self.values.shape[0]

    @property
    def n_units(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    @property
    def maps(self) -> np.ndarray:
        """The values as the layer gave them, of shape (n_stimuli, *unit_shape)."""
        return self.values.reshape(self.n_stimuli, *self.unit_shape)

    def select(self, rows: Sequence[bool] | Sequence[int] | np.ndarray) -> "Activations":
        """Return the rows of a mask or of indices, in their order.

        Examples
        --------
        >>> faces = Activations(np.eye(3), np.array(["a", "b", "c"]), "fc")
        >>> faces.select([2, 0]).stimulus_ids.tolist()
        ['c', 'a']
        """
        index = np.arange(self.n_stimuli)[np.asarray(rows)]
        return Activations(self.values[index], self.stimulus_ids[index], self.layer, self.unit_shape)

    def align_to(self, stimulus_ids: Iterable[str]) -> "Activations":
        """Return the rows of `stimulus_ids`, in that order: the one explicit way to reorder.

        Raises
        ------
        AlignmentError
            If there are no activations for an id.
        """
        position = {name: row for row, name in enumerate(self.stimulus_ids.tolist())}
        wanted = [str(name) for name in stimulus_ids]
        absent = [name for name in wanted if name not in position]
        if absent:
            raise AlignmentError(
                f"layer {self.layer!r} has no activations for {len(absent)} stimulus ids "
                f"(first: {absent[0]!r})."
            )
        return self.select(np.array([position[name] for name in wanted], dtype=int))
