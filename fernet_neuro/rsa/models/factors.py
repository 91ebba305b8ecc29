"""RDMs of what stimuli are: labels and ratings, texts of labels, pixels and edges, where landmarks lie.

What belongs here: hypotheses made from a stimulus table; RDMs of networks and brains come from `distances`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.exceptions import AlignmentError, StimulusError
from fernet_neuro.faces.landmarks import LandmarkTable
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.models.gabor import compute_gabor_energy
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.stimuli.text_table import TextTable

#: How labels become dissimilarities; ``auto`` takes numbers as numeric and all else as categorical.
KINDS = ("auto", "categorical", "numeric")


def build_model_rdms(
    table: StimulusTable,
    factors: Sequence[str] = (),
    *,
    weights: Mapping[str, Sequence[str]] | None = None,
    pixels: bool = False,
    gabor: bool = False,
    landmarks: LandmarkTable | None = None,
    texts: TextTable | None = None,
    distance: str = "correlation",
) -> RDMSet:
    """Return one RDM per factor, list of weights, text and picture-based model asked for, in that order.

    Parameters
    ----------
    table : StimulusTable
        Two or more stimuli; their order is that of the result.
    factors : sequence of str, default=()
        Columns; see `build_factor_rdm`.
    weights : mapping from model to columns or None
        See `build_weights_rdm`.
    pixels, gabor : bool, default=False
        See `build_pixel_rdm` and `build_gabor_rdm`.
    landmarks : LandmarkTable or None
        See `build_landmark_rdm`.
    texts : TextTable or None
        See `build_text_rdm`.
    distance : str, default="correlation"
        Between pictures, of `pixels` and `gabor`.

    Returns
    -------
    RDMSet
        Its table has the columns ``model`` and ``distance``.

    Raises
    ------
    StimulusError
        If a column is missing, empty somewhere or the same for all stimuli, an expression has no text, or a
        picture cannot be read.
    AlignmentError
        If a stimulus has no landmarks.
    ValueError
        If nothing is asked for, or two models have one name.

    Examples
    --------
    >>> build_model_rdms(StimulusTable.read("builtin"), ["identity", "view"], pixels=True).names
    ['identity', 'view', 'pixels']
    """
    made = [build_factor_rdm(table, name) for name in factors]
    made += [build_weights_rdm(table, columns, name) for name, columns in (weights or {}).items()]
    if texts is not None:
        made.append(build_text_rdm(table, texts))
    if landmarks is not None:
        made.append(build_landmark_rdm(table, landmarks))
    if pixels:
        made.append(build_pixel_rdm(table, distance=distance))
    if gabor:
        made.append(build_gabor_rdm(table, distance=distance))
    if not made:
        raise ValueError("no model is asked for; name factors, weights, texts, landmarks, pixels or gabor.")
    names = [rdms.table["model"].iloc[0] for rdms in made]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two models are called {name!r}; each needs a name of its own.")
    return concat_rdms(made)


def build_factor_rdm(table: StimulusTable, factor: str, *, kind: str = "auto") -> RDMSet:
    """Return the RDM of one column of a stimulus table.

    `factor`: any column: ``identity``, ``expression``, ``view``, a rating. `kind`: one of "auto",
    "categorical", "numeric"; categorical: 0 for the same label, 1 for another. Numeric: the absolute
    difference. Raises StimulusError if there is no such column, a stimulus has no value in it, all have the
    same, or values of a numeric factor are not finite numbers.
    """
    check_option("kind", kind, KINDS)
    values = table.factor(factor)
    is_number = values.dtype.kind in "if"
    if kind == "numeric" and not is_number:
        raise StimulusError(f"factor {factor!r} holds labels, not numbers; it can only be categorical.")
    _check_varies(values, factor)
    if kind == "categorical" or not is_number:
        codes = np.unique(values, return_inverse=True)[1].astype(float)
        return _make_set(table, np.sign(pdist(codes[:, None], "cityblock")), factor, "categorical", "0 or 1")
    _check_finite(table, values[:, None], [factor])
    vector = pdist(values[:, None].astype(float), "cityblock")
    return _make_set(table, vector, factor, "absolute_difference", f"unit of {factor}")


def build_weights_rdm(table: StimulusTable, columns: Sequence[str], model: str) -> RDMSet:
    """Return the Euclidean distances between lists of numbers, such as activations of action units.

    `columns`: numeric columns, such as ``AU01``, ``AU02``. `model`: its name. Raises StimulusError if a
    column is missing, holds labels or gaps, or all stimuli have the same numbers; ValueError if no column is
    named.
    """
    if not columns:
        raise ValueError(f"model {model!r} needs one column or more; got none.")
    lists = [table.factor(name) for name in columns]
    for name, values in zip(columns, lists, strict=True):
        if values.dtype.kind not in "if":
            raise StimulusError(f"column {name!r} of model {model!r} holds labels, not numbers.")
    weights = np.stack(lists, axis=1).astype(float)
    _check_finite(table, weights, columns)
    _check_varies(weights, model)
    return _make_set(table, pdist(weights), model, "euclidean", "unit of the weights")


def build_text_rdm(table: StimulusTable, texts: TextTable) -> RDMSet:
    """Return what language by itself says: stimuli are as far apart as the texts of their expressions.

    Distances are one minus the cosine, as text-guided networks score; 0 within an expression. Raises
    StimulusError if expressions have no text, which are listed, or all stimuli have the same one.
    """
    labels = table.factor("expression").astype(str)
    _check_varies(labels, "expression")
    # Once between classes, then spread over stimuli, so that equal pairs are equal to the last bit.
    classes, codes = np.unique(labels, return_inverse=True)
    rows = Activations(texts.select(classes.tolist()).vectors.astype(float), classes, "text")
    square = squareform(compute_rdms(rows, distance="cosine").dissimilarities[0])
    vector = squareform(square[np.ix_(codes, codes)], checks=False)
    return _make_set(table, vector, f"texts ({texts.encoder})", "cosine", "")


def build_pixel_rdm(table: StimulusTable, *, distance: str = "correlation", size: int = 48) -> RDMSet:
    """Return the distances between pictures' grey levels, reduced to `size` x `size` pixels.

    Raises StimulusError if a picture is missing or cannot be decoded; ValueError if a picture is of one grey
    level, and `distance` is correlation.
    """
    return _from_layer(compute_pixels(table, size), distance)


def build_gabor_rdm(table: StimulusTable, *, distance: str = "correlation", size: int = 96) -> RDMSet:
    """Return the distances between pictures' Gabor energies, a model of early visual cortex.

    Pictures are reduced to `size` x `size` pixels; filters are those of `gabor.compute_gabor_energy`.

    Raises StimulusError if a picture is missing or cannot be decoded.
    """
    return _from_layer(compute_gabor_energy(compute_pixels(table, size)), distance)


def build_landmark_rdm(table: StimulusTable, landmarks: LandmarkTable, *, align: bool = True) -> RDMSet:
    """Return the distances between faces' landmark configurations.

    `landmarks`: with the points of every stimulus; others are ignored. `align`: take off where a face lies in
    its picture and how large it is (its centroid and its centroid size, the root of the summed squared
    distances from it); turns stay, since they carry view and head tilt. Raises AlignmentError if a stimulus
    has no landmarks; the message names the first; StimulusError if all faces have the same configuration.
    """
    position = {name: row for row, name in enumerate(landmarks.stimulus_ids.tolist())}
    absent = [name for name in table.stimulus_ids.tolist() if name not in position]
    if absent:
        raise AlignmentError(
            f"{len(absent)} of {len(table)} stimuli have no landmarks (first: {absent[0]!r}); leave them out."
        )
    points = landmarks.points[[position[name] for name in table.stimulus_ids.tolist()]]
    if align:
        points = points - points.mean(axis=1, keepdims=True)
        points = points / np.sqrt((points**2).sum(axis=(1, 2), keepdims=True))
    flat = points.reshape(len(points), -1)
    _check_varies(flat, "landmarks")
    unit = "unitless (centroid size 1)" if align else "pixels"
    return _make_set(table, pdist(flat), "landmarks", "euclidean", unit)


def _from_layer(layer: Activations, distance: str) -> RDMSet:
    rdms = compute_rdms(layer, distance=distance)
    return replace(rdms, table=pd.DataFrame({"model": [layer.layer], "distance": [distance]}))


def _make_set(table: StimulusTable, vector: np.ndarray, model: str, distance: str, unit: str) -> RDMSet:
    labels = pd.DataFrame({"model": [model], "distance": [distance]})
    return RDMSet(vector[None], table.stimulus_ids, labels, distance=distance, unit=unit)


def _check_varies(values: np.ndarray, name: str) -> None:
    check_range("number of stimuli", len(values), minimum=2)
    if (values == values[0]).all():
        raise StimulusError(
            f"all {len(values)} stimuli are the same in {name!r}, so its model RDM says nothing; leave it "
            f"out."
        )


def _check_finite(table: StimulusTable, values: np.ndarray, columns: Sequence[str]) -> None:
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise StimulusError(
            f"{columns[column]!r} of stimulus {str(table.stimulus_ids[row])!r} is {values[row, column]}; "
            f"numeric models need finite numbers."
        )
