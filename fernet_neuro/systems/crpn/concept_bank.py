"""The concept bank: what a trained conceptual pathway makes of every training image, and how sure it is.

What belongs here: making, keeping and checking a bank, and its thresholds; drawing concepts from it is in
`concept_draws`, what a student learns from them in `guidance`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_folder
from fernet_neuro._utils.hashing import hash_array, hash_json
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.record import describe_surroundings
from fernet_neuro._utils.shown import Shown, name_some
from fernet_neuro._utils.tables import to_csv
from fernet_neuro._utils.validation import check_between
from fernet_neuro.exceptions import AlignmentError, StoreError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.teacher import Teacher
from fernet_neuro.typing import PathLike

FORMAT = "fernet-neuro concept bank"
FORMAT_VERSION = 1
_MANIFEST = "manifest.json"
_ARRAYS = ("stimulus_ids", "targets", "emotion", "confidence", "logits")
_AGAIN = "make it again with `fernet-neuro concepts RUN --stimuli TABLE --out BANK`"


@dataclass(frozen=True, eq=False, repr=False)
class ConceptBank(Shown):
    """Emotion features, confidences and logits of labelled images, and which of them a student may trust.

    Parameters
    ----------
    stimulus_ids : ndarray of str of shape (n,)
    classes : tuple of str
        Names in the order of `targets` and of the columns of `logits`.
    targets : ndarray of int of shape (n,)
        The label of each image.
    emotion : ndarray of float of shape (n, p)
        Rows of length 1.
    confidence : ndarray of float of shape (n,)
        Alpha, 0-1.
    logits : ndarray of float of shape (n, c)
        Weighted by the confidence.
    percentile : float
        Where the threshold of a class lies unless a method is told otherwise, in (0, 100).
    teacher_digest, stimuli_digest : str
        SHA-256 of the network's weights, and of the table.

    Raises
    ------
    ValueError
        If shapes do not fit each other, a value is not finite, or `percentile` is out of range.
    """

    stimulus_ids: np.ndarray
    classes: tuple[str, ...]
    targets: np.ndarray
    emotion: np.ndarray
    confidence: np.ndarray
    logits: np.ndarray
    percentile: float = 20.0
    teacher_digest: str = ""
    stimuli_digest: str = ""

    def describe(self) -> str:
        """Return how many images of which classes it holds."""
        return f"{len(self.stimulus_ids)} images, {len(self.classes)} classes ({name_some(self.classes)})"

    def preview(self) -> pd.DataFrame:
        """Return how sure the pathway is of each class."""
        return self.summarise()

    def __post_init__(self) -> None:
        check_between("percentile", self.percentile, high=100)
        n, c = len(self.stimulus_ids), len(self.classes)
        wanted = {
            "targets": (n,),
            "confidence": (n,),
            "logits": (n, c),
            "emotion": (n, *self.emotion.shape[1:2]),
        }
        for name, shape in wanted.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise ValueError(
                    f"a bank of {n} images and {c} classes needs {name} {shape}; got {values.shape}."
                )
            if not np.isfinite(values).all():
                raise ValueError(f"{name} of a bank must be finite; the network gives values that are not.")
        if n == 0 or self.targets.min() < 0 or self.targets.max() >= c:
            raise ValueError(f"a bank needs images, with targets from 0 to {c - 1}.")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.stimulus_ids)

    def compute_thresholds(self, percentile: float | None = None) -> np.ndarray:
        """Return each class's threshold of confidence, shape (c,); NaN for a class without images.

        It is the value at index ``int(percentile / 100 * n_c)`` of the class's n_c confidences in ascending
        order, which is one of them and not interpolated between two.
        """
        percentile = self._choose(percentile)
        thresholds = np.full(len(self.classes), np.nan, dtype=self.confidence.dtype)
        for number in np.unique(self.targets):
            alpha = np.sort(self.confidence[self.targets == number])
            # Multiplied first: then whole percentiles lose nothing to rounding.
            thresholds[number] = alpha[int(percentile * len(alpha) / 100)]
        return thresholds

    def find_confident(self, percentile: float | None = None) -> np.ndarray:
        """Return which images reach the threshold of their class, bool of shape (n,)."""
        return self.confidence >= self.compute_thresholds(percentile)[self.targets]

    def summarise(self, percentile: float | None = None) -> pd.DataFrame:
        """Return one row per class: ``expression, n, threshold, n_confident``."""
        confident, n = self.find_confident(percentile), len(self.classes)
        return pd.DataFrame(
            {
                "expression": self.classes,
                "n": np.bincount(self.targets, minlength=n),
                "threshold": self.compute_thresholds(percentile),
                "n_confident": np.bincount(self.targets[confident], minlength=n),
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per image: ``stimulus_id, expression, confidence, threshold, is_confident``."""
        return pd.DataFrame(
            {
                "stimulus_id": self.stimulus_ids,
                "expression": np.array(self.classes)[self.targets],
                "confidence": self.confidence,
                "threshold": self.compute_thresholds()[self.targets],
                "is_confident": self.find_confident(),
            }
        )

    def select(self, stimulus_ids: Iterable[str]) -> "ConceptBank":
        """Return the bank of some of its images, in the order given; thresholds are then only theirs.

        Raises
        ------
        AlignmentError
            If an image is not in the bank.
        """
        places = {str(name): row for row, name in enumerate(self.stimulus_ids)}
        wanted = [str(name) for name in stimulus_ids]
        absent = [name for name in wanted if name not in places]
        if absent:
            raise AlignmentError(
                f"{len(absent)} stimuli are not in the bank (first: {absent[0]!r}); {_AGAIN}."
            )
        rows = np.array([places[name] for name in wanted], dtype=int)
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def digest(self) -> str:
        """Return the SHA-256 of all that a student could learn from; the percentile is not part of it."""
        arrays = {name: hash_array(getattr(self, name)) for name in _ARRAYS}
        return hash_json({**self._describe(), "arrays": arrays})

    def save(self, folder: PathLike) -> Path:
        """Write the bank, complete or not at all.

        Values are in ``*.npy``; ``scores.csv`` and ``thresholds.csv`` are there to be read by people, and
        ``manifest.json`` ties the bank to its network and table.

        Raises
        ------
        StoreError
            If something else lies there, or it cannot be written.
        """
        place = Path(folder)
        if place.exists() and not (place.is_dir() and _is_bank(place)):
            raise StoreError(
                f"{place} exists and is not a concept bank; nothing was changed. Choose another name."
            )
        try:
            with atomic_folder(place) as temporary:
                self._write(temporary)
        except OSError as error:
            raise StoreError(
                f"concept bank {place} could not be written: {error.strerror or error}."
            ) from error
        return place

    @classmethod
    def load(
        cls,
        folder: PathLike,
        *,
        teacher_digest: str | None = None,
        stimuli_digests: Collection[str] | None = None,
    ) -> "ConceptBank":
        """Read what `save` wrote.

        Parameters
        ----------
        folder : path
        teacher_digest : str or None
            Weight digest of the network that the bank must be of.
        stimuli_digests : collection of str or None
            Digests of the tables that it may be of.

        Raises
        ------
        StoreError
            If there is no bank, or it is damaged.
        ValueError
            If it is of another network, or (AlignmentError) of another table.
        """
        place = Path(folder)
        manifest = _read_manifest(place)
        if teacher_digest is not None and manifest["teacher_digest"] != teacher_digest:
            raise ValueError(
                f"concept bank {place} is of another network (weights {manifest['teacher_digest'][:12]}, "
                f"wanted {teacher_digest[:12]}); {_AGAIN} from the network that is to teach."
            )
        if stimuli_digests is not None and manifest["stimuli_digest"] not in stimuli_digests:
            wanted = " or ".join(digest[:12] for digest in stimuli_digests)
            raise AlignmentError(
                f"concept bank {place} is of other stimuli, or labels or images have changed (table "
                f"{manifest['stimuli_digest'][:12]}, wanted {wanted}); {_AGAIN} over the training table."
            )
        names = ("percentile", "teacher_digest", "stimuli_digest")
        values: dict[str, Any] = {name: manifest[name] for name in names}
        values |= {name: _read_array(place, name, manifest["arrays"][name]) for name in _ARRAYS}
        return cls(classes=tuple(manifest["classes"]), **values)

    def _choose(self, percentile: float | None) -> float:
        return check_between("percentile", self.percentile if percentile is None else percentile, high=100)

    def _describe(self) -> dict[str, Any]:
        names = ("teacher_digest", "stimuli_digest")
        return {"classes": list(self.classes), **{name: getattr(self, name) for name in names}}

    def _write(self, folder: Path) -> None:
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        to_csv(self.to_frame(), folder / "scores.csv")
        to_csv(self.summarise(), folder / "thresholds.csv")
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "n_stimuli": len(self),
            "percentile": self.percentile,
            **self._describe(),
            "arrays": {name: hash_array(getattr(self, name)) for name in _ARRAYS},
            **describe_surroundings(),
        }
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def build_concept_bank(
    model: LayeredModel,
    table: StimulusTable,
    *,
    classes: Sequence[str] | None = None,
    percentile: float = 20.0,
    batch_size: int = 64,
    n_jobs: int = 0,
    verbose: bool = False,
    device: str = "auto",
) -> ConceptBank:
    """Return the bank of `model`, a conceptual pathway, over the images of `table`, each as it is.

    Parameters
    ----------
    model : LayeredModel
        Left in evaluation mode, on the device used.
    table : StimulusTable
        With an expression for each image.
    classes : sequence of str or None
        Names of the network's outputs in order, as in its run's record; None takes the table's expressions,
        sorted, which must then be as many.
    percentile : float
        In (0, 100).
    batch_size : int
        Images at a time.
    n_jobs : int
        Worker processes that decode.
    verbose : bool
        Show a progress bar.
    device : str
        "auto", "cpu" or an accelerator's name such as "cuda".

    Raises
    ------
    ValueError
        If the network is not a conceptual pathway, its classes are not those of the table, or an argument is
        out of range.
    StimulusError
        If an image or a label is missing, or a label is none of the network's classes.

    Notes
    -----
    Differs from the authors' release, which scores images as randomly changed for training.
    """
    check_between("percentile", percentile, high=100)
    names = np.unique(table.factor("expression")) if classes is None else classes
    teacher = Teacher(model, tuple(str(name) for name in names))
    targets = teacher.find_targets(table)
    concepts = teacher.encode_table(
        table, batch_size=batch_size, n_jobs=n_jobs, verbose=verbose, device=device
    )
    return ConceptBank(
        stimulus_ids=table.stimulus_ids,
        classes=teacher.classes,
        targets=targets,
        **concepts._asdict(),
        percentile=percentile,
        teacher_digest=model.weight_digest(),
        stimuli_digest=table.digest(),
    )


def _is_bank(place: Path) -> bool:
    try:
        _read_manifest(place)
    except StoreError:
        return False
    return True


def _read_manifest(place: Path) -> dict[str, Any]:
    path = place / _MANIFEST
    if not path.is_file():
        raise StoreError(f"{place} holds no concept bank ({_MANIFEST} is missing); {_AGAIN}.")
    try:
        manifest = read_json(path)
    except ValueError:
        raise StoreError(f"{path} is damaged (no valid JSON); {_AGAIN}.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise StoreError(f"{path} does not describe a concept bank; {_AGAIN}.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise StoreError(
            f"{place} has format {manifest.get('format_version')!r}, not {FORMAT_VERSION}; {_AGAIN}."
        )
    return manifest


def _read_array(place: Path, name: str, digest: str) -> np.ndarray:
    path = place / f"{name}.npy"
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"{path} is missing or damaged ({type(error).__name__}); {_AGAIN}.") from None
    if hash_array(values) != digest:
        raise StoreError(f"{path} was changed after it was written (digest differs); {_AGAIN}.")
    return values
