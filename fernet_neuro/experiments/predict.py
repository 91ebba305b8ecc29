"""`predict`: what a trained classifier says about pictures, one row each.

What belongs here: which pictures may be shown to it, and the table of its answers; logits are computed in
`predictions`.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from fernet_neuro._utils.atomic import scratch_folder
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.shown import Shown
from fernet_neuro._utils.tables import write_csv
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.predictions import compute_logits, read_classes
from fernet_neuro.models.card import ModelCard
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.stimuli.datasets.report import ENDINGS, list_files, sort_out
from fernet_neuro.stimuli.images import BLACK_BELOW, IMAGE_SUFFIXES, measure_image, say_format
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.training.folder import find_run
from fernet_neuro.typing import PathLike

#: The network that answers where none is named: of those that come with the package, right the most often.
DEFAULT = "lfnsb-tiny-rendered"
#: Shorter side in pixels, and ratio of the sides, of what may be the crop of a face.
SMALLEST, LONGEST = 32, 2.0
_LEFT_OUT = ("stimulus_id", "path", "reason")
_CROP = (
    f"a crop shows one face, from forehead to chin, is at least {SMALLEST} pixels wide and high, and at most "
    f"{LONGEST:g} times as long as wide; `fernet-neuro stimuli align` cuts faces out of photographs"
)


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Shown):
    """What a network says about pictures.

    Parameters
    ----------
    frame : DataFrame
        One row per picture: ``stimulus_id``, ``path``, the most probable class in a column called as what the
        classes are of, such as ``expression``, its probability as ``confidence``, and the probability of each
        class as ``p_CLASS``.
    left_out : DataFrame
        Files that were not shown to the network, with the columns ``stimulus_id``, ``path``, ``reason``.
    classes : tuple of str
        In the order of the network's outputs.
    factor : str
        What the classes are of.
    card : ModelCard
        Of the network: what it learnt from, and how well it does.
    """

    frame: pd.DataFrame
    left_out: pd.DataFrame
    classes: tuple[str, ...]
    factor: str
    card: ModelCard

    def describe(self) -> str:
        """Return how many pictures were shown to what."""
        return (
            f"{self.factor} of {len(self.frame)} pictures by {self.card.name}, {len(self.left_out)} left out"
        )

    def save(self, path: PathLike) -> None:
        """Write the answers as CSV, and the pictures that were left out, if any, beside it."""
        place = Path(path)
        write_csv(self.frame, place)
        if len(self.left_out):
            write_csv(self.left_out, place.with_name(f"{place.stem}_left_out.csv"))


def predict(
    images: StimulusTable | pd.DataFrame | PathLike,
    model: str = DEFAULT,
    *,
    n_jobs: int = 0,
    verbose: bool = False,
    device: str = "auto",
    batch_size: int = 64,
) -> Predictions:
    """Return the probability of each class for pictures of faces, such as of each expression.

    A network answers whatever it sees; nothing here looks for a face. Pictures that cannot be the crop of a
    face, or cannot be read, are left out and listed.

    Parameters
    ----------
    images : StimulusTable, DataFrame or path
        A picture, a folder of pictures (folders in it too), or a stimulus table.
    model : str
        A run of a task that names classes, or a trained network of the package.
    n_jobs, verbose, device, batch_size
        As in `extract`.

    Raises
    ------
    StimulusError
        If there is no picture, or none of them can be shown to the network.
    ValueError
        If `model` is neither, or its network names no classes.

    Notes
    -----
    The confidence is what the network computes for its most probable class. How often it is right at a given
    confidence depends on the pictures; `evaluate` measures that where the truth is known.

    Examples
    --------
    >>> import tempfile
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> recipe = {"task": "expression", "model": "resnet10-slim", "model_options": {"size": 32}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = fn.train(recipe, f"{folder}/run", table=faces, epochs=1, batch_size=7, val_share=0)
    ...     answers = fn.predict(faces, f"{folder}/run")
    >>> answers.frame.columns.tolist()[:5]
    ['stimulus_id', 'path', 'expression', 'confidence', 'p_anger']
    >>> len(answers.frame), len(answers.left_out)
    (14, 0)
    """
    factor = _find_factor(model)
    classes = read_classes(model, factor)
    table, others = _list_pictures(images)
    reasons = _inspect(table, max(n_jobs, 1), verbose)
    fit = np.array([reason == "" for reason in reasons])
    if not fit.any():
        more = f" (and so with all {len(table)} pictures)" if len(table) > 1 else ""
        raise StimulusError(f"{table.paths()[0]} {reasons[0]}{more}.")
    network, shown = resolve_model(model), table.select(fit)
    with scratch_folder() as folder:
        logits = compute_logits(
            network, classes, shown, folder / "store", source=model, n_jobs=n_jobs, verbose=verbose,
            device=device, batch_size=batch_size,
        )  # fmt: skip
    unfit = _name_rows(table.select(~fit), reason=[reason for reason in reasons if reason])
    left_out = pd.concat([unfit, others], ignore_index=True)
    return Predictions(_tabulate(shown, logits, classes, factor), left_out, classes, factor, network.card)


def _find_factor(model: str) -> str:
    run = find_run(model)
    return "expression" if run is None else str(run.read_record().get("task", {}).get("factor", "expression"))


def _list_pictures(images: StimulusTable | pd.DataFrame | PathLike) -> tuple[StimulusTable, pd.DataFrame]:
    """Return a table of what is to be shown, and what else a folder holds; pictures go by their names."""
    nothing = pd.DataFrame(columns=list(_LEFT_OUT), dtype=object)
    if isinstance(images, StimulusTable | pd.DataFrame):
        return _check_any(read_stimuli(images), "the table"), nothing
    path = Path(os.fspath(images))
    if path.is_dir() and not (path / "table.csv").is_file():
        return _list_folder(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        rows = pd.DataFrame({"stimulus_id": [path.name], "path": [str(path.absolute())]})
        return StimulusTable.from_frame(rows), nothing
    if path.is_file() and path.suffix.lower() not in (".csv", ".parquet"):
        kind = say_format(path).replace(
            "not a picture", f"neither a picture ({ENDINGS}) nor a stimulus table"
        )
        raise StimulusError(f"{path} is {kind}.")
    return _check_any(read_stimuli(images), str(images)), nothing


def _list_folder(path: Path) -> tuple[StimulusTable, pd.DataFrame]:
    names, others = sort_out(path, list_files(path))
    if not names:
        first = f"; {others[0][0]} is {others[0][1]}" if others else ""
        raise StimulusError(f"folder {path} holds no pictures ({ENDINGS}){first}.")
    kinds = f"not a picture that can be read ({ENDINGS})"
    left_out = [
        (name, str(path / name), "is " + reason.replace("not a picture", kinds)) for name, reason in others
    ]
    rows = pd.DataFrame({"stimulus_id": names, "path": names}, dtype=object)
    return StimulusTable.from_frame(rows, root=path), pd.DataFrame(left_out, columns=list(_LEFT_OUT))


def _check_any(table: StimulusTable, name: str) -> StimulusTable:
    if len(table) == 0:
        raise StimulusError(f"{name} has no rows, so there is nothing to predict.")
    return table


def _inspect(table: StimulusTable, n_threads: int, verbose: bool) -> list[str]:
    """Return for each picture why it is not shown to a network; empty where it is."""
    paths = table.paths()
    with ThreadPoolExecutor(n_threads) as pool:
        return list(track(pool.map(_find_fault, paths), "checking", total=len(paths), verbose=verbose))


def _find_fault(path: Path) -> str:
    try:
        (width, height), luminance = measure_image(path)
    except StimulusError as error:
        return str(error).removeprefix(f"image {path} ").split(";")[0]
    if min(width, height) < SMALLEST or max(width, height) > LONGEST * min(width, height):
        return f"is {width} x {height} pixels, which cannot be the crop of a face: {_CROP}"
    if luminance < BLACK_BELOW:
        return f"is almost black (mean luminance {luminance:.1f} of 255)"
    return ""


def _name_rows(table: StimulusTable, **columns: Any) -> pd.DataFrame:
    paths = [str(path) for path in table.paths()]
    return pd.DataFrame({"stimulus_id": table.stimulus_ids, "path": paths, **columns})


def _tabulate(
    table: StimulusTable, logits: np.ndarray, classes: tuple[str, ...], factor: str
) -> pd.DataFrame:
    probabilities = softmax(logits, axis=1)
    answers = np.array(classes)[probabilities.argmax(axis=1)]
    columns = {f"p_{name}": probabilities[:, place] for place, name in enumerate(classes)}
    return _name_rows(table, **{factor: answers, "confidence": probabilities.max(axis=1)}, **columns)
