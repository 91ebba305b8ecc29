"""What language says of each expression: frozen embeddings of one prompt per class, the `TextTable` noun.

What belongs here: the table, its file and its controls; networks that learn from it and what embeds prompts
are in `systems.text_guided`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.archives import read_archive, read_header, write_archive
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.shown import Shown
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.typing import PathLike

#: The table that comes with the package, under the name that recipes and commands take.
BUILTIN = "builtin"
_FORMAT, _VERSION = "fernet-neuro text table", 1
_BUILTIN_FILE = Path(__file__).parent / "shipped" / "minilm_prompts.npz"


@dataclass(frozen=True, eq=False, repr=False)
class TextTable(Shown):
    """One embedded prompt per class, and where it comes from.

    Parameters
    ----------
    classes : tuple of str
        Names of expressions, each once.
    prompts : tuple of tuple of str
        The sentences of each class; where there are several, the row is the mean of their embeddings.
    vectors : ndarray of float32 of shape (n_classes, width)
        As the encoder gives them, not scaled to unit length.
    encoder, revision, licence : str
        What embedded them: its name, the SHA-256 of its weights or its version, and the weights' licence.

    Raises
    ------
    ValueError
        If shapes do not fit, a class is named twice, or a row is not finite, all zero or that of another
        class.

    Examples
    --------
    >>> table = read_text_table("builtin")
    >>> table
    TextTable: 8 classes (anger, contempt, disgust ... surprise), width 384, all-MiniLM-L6-v2 (not CLIP)
    >>> table.select(["neutral", "fear"]).vectors.shape
    (2, 384)
    """

    classes: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    vectors: np.ndarray
    encoder: str
    revision: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.classes), self.vectors.shape[-1] if self.vectors.ndim == 2 else 0)
        if self.vectors.shape != shape or len(self.prompts) != len(self.classes) or 0 in shape:
            raise ValueError(
                f"a text table needs one row and one prompt or more per class; got {len(self.classes)} "
                f"classes, {len(self.prompts)} prompts and vectors of shape {self.vectors.shape}."
            )
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"a class of the text table is named twice: {format_options(self.classes)}.")
        if not np.isfinite(self.vectors).all() or not np.abs(self.vectors).sum(1).all():
            raise ValueError("a row of the text table is not finite, or all zero; embed the prompts again.")
        first: dict[bytes, str] = {}
        for name, row in zip(self.classes, self.vectors, strict=True):
            other = first.setdefault(row.tobytes(), name)
            if other != name:
                raise ValueError(
                    f"classes {other!r} and {name!r} have the same vector, so that nothing tells them apart; "
                    f"give each prompts of its own, or leave one out."
                )

    @property
    def width(self) -> int:
        """Numbers per class."""
        return self.vectors.shape[1]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per class: its prompts, and the length of its vector."""
        return pd.DataFrame(
            {
                "class": self.classes,
                "prompt": [" | ".join(prompts) for prompts in self.prompts],
                "length": np.linalg.norm(self.vectors, axis=1),
                "encoder": self.encoder,
            }
        )

    def describe(self) -> str:
        """Return classes, width and encoder."""
        names = self.classes if len(self.classes) < 5 else (*self.classes[:3], "...", self.classes[-1])
        listed = ", ".join(names).replace(", ..., ", " ... ")
        known = self.encoder if "clip" in self.encoder.casefold() else f"{self.encoder} (not CLIP)"
        return f"{len(self.classes)} classes ({listed}), width {self.width}, {known}"

    def digest(self) -> str:
        """Return the SHA-256 of classes, prompts, encoder and vectors."""
        known = [
            self.classes,
            self.prompts,
            self.encoder,
            self.revision,
            self.vectors.astype("<f4").tobytes().hex(),
        ]
        return hash_json(known)

    def select(self, classes: Sequence[str]) -> "TextTable":
        """Return the rows of `classes`, in their order.

        Raises
        ------
        StimulusError
            If classes are not in the table; the message lists them, and names the closest to a single one.
        """
        missing = [name for name in classes if name not in self.classes]
        if missing:
            closest = suggest(missing[0], self.classes) if len(missing) == 1 else ""
            raise StimulusError(
                f"the text table has no class {', '.join(map(repr, missing))}.{closest} It has "
                f"{format_options(self.classes)}; make a table of all with `fernet-neuro text export`."
            )
        rows = [self.classes.index(name) for name in classes]
        return replace(
            self,
            classes=tuple(classes),
            prompts=tuple(self.prompts[row] for row in rows),
            vectors=self.vectors[rows],
        )

    def shuffle_classes(self, seed: int) -> "TextTable":
        """Return the same vectors, each under another class: a control that keeps their geometry.

        No class keeps its own vector.
        """
        rng = np.random.default_rng(seed)
        own = np.arange(len(self.classes))
        order = rng.permutation(own)
        while len(own) > 1 and (order == own).any():
            order = rng.permutation(own)
        return replace(
            self,
            prompts=tuple(self.prompts[row] for row in order),
            vectors=self.vectors[order],
            encoder=f"{self.encoder}, classes shuffled",
        )

    def save(self, path: PathLike) -> None:
        """Write the table as one ``.npz``: vectors, and a header with everything else and the digest."""
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "classes": self.classes,
            "prompts": self.prompts,
            "encoder": self.encoder,
            "revision": self.revision,
            "licence": self.licence,
            "digest": self.digest(),
        }
        write_archive(path, header, {"vectors": self.vectors.astype("<f4")})


def read_text_table(path: PathLike, *, digest: str | None = None) -> TextTable:
    """Return the table of a file that `TextTable.save` wrote, or ``"builtin"``, which comes with the package.

    The built-in table has all eight expressions, embedded by all-MiniLM-L6-v2, which is not CLIP.

    Parameters
    ----------
    path : path
    digest : str, optional
        What `TextTable.digest` must be.

    Raises
    ------
    StoreError
        If the file is missing, damaged, of another format, or its content does not match its digest or
        `digest`.

    Examples
    --------
    >>> read_text_table("builtin").width
    384
    """
    place = _BUILTIN_FILE if str(path) == BUILTIN else Path(path)
    arrays = read_archive(place, "text table")
    try:
        header = read_header(arrays, _FORMAT, _VERSION)
        table = TextTable(
            tuple(header["classes"]),
            tuple(map(tuple, header["prompts"])),
            np.asarray(arrays["vectors"], dtype=np.float32),
            *(str(header[key]) for key in ("encoder", "revision", "licence")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"text table file {place} cannot be read: {error}") from error
    if table.digest() != header.get("digest"):
        raise StoreError(f"text table file {place} does not hold what was saved (its digest differs).")
    if digest not in (None, table.digest()):
        raise StoreError(
            f"text table {path} is not the one that was asked for: its digest is {table.digest()[:12]}, and "
            f"{digest[:12]} is wanted."
        )
    return table


def make_random_table(classes: Sequence[str], width: int, *, seed: int = 0) -> TextTable:
    """Return random directions in place of texts: a control without any language.

    Examples
    --------
    >>> make_random_table(["fear", "neutral"], 5).encoder
    'random directions, seed 0'
    """
    vectors = np.random.default_rng(seed).standard_normal((len(classes), width)).astype(np.float32)
    return TextTable(
        tuple(classes), (("",),) * len(classes), vectors, f"random directions, seed {seed}", licence="none"
    )
