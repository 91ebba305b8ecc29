"""AffectNet, manually annotated, in the old distribution (CSV files) and the new one (``.npy`` files).

What belongs here: both AffectNet layouts, the codes of its labels, and its published counts.

References
----------
.. [1] Mollahosseini, A., Hasani, B., & Mahoor, M. H. (2019). AffectNet: A database for facial expression,
   valence, and arousal computing in the wild. IEEE Transactions on Affective Computing, 10(1), 18-31.
"""

from pathlib import Path
from typing import NamedTuple

from fernet_neuro._utils.validation import check_range
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets._affectnet_files import (
    BOX_COLUMNS,
    UNDEFINED,
    Annotation,
    read_annotated_rows,
    read_annotations,
)
from fernet_neuro.stimuli.datasets.folder import strip_suffix
from fernet_neuro.stimuli.datasets.labels import find_missing
from fernet_neuro.stimuli.datasets.report import LeftOut, Listing, find_one, list_files, sort_out

#: The owners' codes and our names.
EXPRESSIONS = {
    0: "neutral",
    1: "happiness",
    2: "sadness",
    3: "surprise",
    4: "fear",
    5: "disgust",
    6: "anger",
    7: "contempt",
}
#: Codes that stand for no expression.
OTHERS = {8: "none", 9: "uncertain", 10: "no face"}
#: Our parts, their folder in the new distribution and their file in the old one.
PARTS = {"train": ("train_set", "training.csv"), "val": ("val_set", "validation.csv")}
#: Published numbers of pictures, in the order of the codes. The present release has one less for validation.
PUBLISHED = {
    "train": dict(
        zip(EXPRESSIONS.values(), (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750), strict=True)
    ),
    "val": dict.fromkeys(EXPRESSIONS.values(), 500),
}
LICENCE = "AffectNet: non-commercial research on request; not redistributable"

_COLUMNS = (
    "stimulus_id", "path", "expression", "split", "native_code", "valence", "arousal", "dataset", "licence",
)  # fmt: skip
_IMAGES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
_LISTS = (".", "Manually_Annotated_file_lists", "Manually_Annotated", "Manually_Annotated_Images")


class Found(NamedTuple):
    """One annotated picture: its path from the root, its stimulus id, its part, and what is said about it."""

    path: str
    stimulus_id: str
    part: str
    annotation: Annotation


def list_affectnet(src: Path, *, classes: int = 8, n_jobs: int = 1, verbose: bool = False) -> Listing:
    """List either distribution, told apart by their folders.

    The old one is ``Manually_Annotated_Images/<number>/<hash>.jpg`` with ``training.csv`` and
    ``validation.csv``; the new one ``train_set/images/<id>.jpg`` with ``train_set/annotations/<id>_exp.npy``
    (and ``_val``, ``_aro``), and ``val_set`` alike. No file is ever unpickled.

    Left out and reported: codes 8 to 10 (none, uncertain, no face), contempt with ``classes=7``, listed
    pictures that are missing, pictures without annotation, repeated rows, annotations that cannot be read,
    and valence or arousal outside -1 to 1.

    Parameters
    ----------
    src : path
        The folder that holds the pictures' folder and the CSV files, or ``train_set`` and ``val_set``.
    classes : int
        8, or 7 without contempt.
    n_jobs : int
        Number of threads.
    verbose : bool
        Whether to show a progress bar.

    Returns
    -------
    Listing
        Stimulus ids are paths without suffix (old) or such as ``train/17`` (new); further columns ``split``
        (``train``, ``val``), ``native_code``, ``valence`` and ``arousal`` (-1 to 1; empty where undefined),
        ``dataset``, ``licence``, and in the old distribution the face's box, ``face_x`` to ``face_height``
        (px). Notes compare with the published counts.

    Raises
    ------
    StimulusError
        If neither or both distributions are there, a CSV lacks a column or has a label outside 0 to 10, more
        than half of the annotated pictures are missing, or nothing is usable.
    ValueError
        If `classes` is neither 7 nor 8.
    """
    check_range("classes", classes, 7, 8)
    old = any((src / name).is_dir() for name in _IMAGES)
    new = any((src / folder).is_dir() for folder, _ in PARTS.values())
    if old == new:
        wanted = "Manually_Annotated_Images (old distribution) or train_set and val_set (new distribution)"
        raise StimulusError(f"{src} holds {'both' if old else 'neither'}: {wanted}; give a folder of one.")
    if old:
        root = find_one(src, _IMAGES, "folder Manually_Annotated_Images")
        found, left_out = _read_old(src, root, classes)
    else:
        root = src
        found, left_out = _read_new(src, classes, n_jobs, verbose)
    rows = [_make_row(item) for item in found]
    columns = [*_COLUMNS, *(BOX_COLUMNS if found and found[0].annotation.box else ())]
    names = [name for code, name in EXPRESSIONS.items() if code < classes]
    published = {part: {name: counts[name] for name in names} for part, counts in PUBLISHED.items()}
    return Listing(root, columns, rows, left_out, published=published)


def _make_row(item: Found) -> tuple:
    code, valence, arousal, box = item.annotation
    affect = ["" if value == UNDEFINED else value for value in (valence, arousal)]
    expression = EXPRESSIONS[int(code)]
    return (
        item.stimulus_id, item.path, expression, item.part, int(code), *affect, "affectnet", LICENCE, *box,
    )  # fmt: skip


def _find_fault(annotation: Annotation, classes: int) -> str:
    """Return why a picture so annotated is left out, or an empty string."""
    if annotation.code in OTHERS:
        return f"{OTHERS[int(annotation.code)]} (code {int(annotation.code)})"
    if annotation.code not in EXPRESSIONS:
        return f"label outside the codes: {annotation.code:g} is none of 0 to 10"
    if annotation.code >= classes:
        return f"{EXPRESSIONS[int(annotation.code)]} (classes={classes})"
    for name, value in (("valence", annotation.valence), ("arousal", annotation.arousal)):
        if value != UNDEFINED and not -1 <= value <= 1:
            return f"odd {name}: {value:g} is outside -1 to 1"
    return ""


def _read_old(source: Path, root: Path, classes: int) -> tuple[list[Found], list[LeftOut]]:
    files = _find_lists(source, root)
    names, left_out = sort_out(root, list_files(root))
    present = set(names)
    listed: set[str] = set()
    found = []
    for part, path in files.items():
        annotations, repeats = read_annotated_rows(path)
        listed.update(annotations, (name for name, _ in repeats))
        faults = {name: _find_fault(item, classes) for name, item in annotations.items()}
        usable = [name for name, fault in faults.items() if not fault]
        left_out += [(name, fault) for name, fault in faults.items() if fault]
        left_out += repeats + find_missing(path, usable, present, root)
        found += [
            Found(name, strip_suffix(name), part, annotations[name]) for name in usable if name in present
        ]
    unlisted = f"not in {' or '.join(path.name for path in files.values())}"
    return sorted(found), left_out + [(name, unlisted) for name in names if name not in listed]


def _find_lists(source: Path, root: Path) -> dict[str, Path]:
    """Return the CSV file of each part that is there."""
    folders = [folder / name for folder in (source, root.parent) for name in _LISTS]
    files = {}
    for part, (_, file) in PARTS.items():
        path = next((folder / file for folder in folders if (folder / file).is_file()), None)
        if path is not None:
            files[part] = path
    if not files:
        raise StimulusError(f"{source} holds neither training.csv nor validation.csv beside its pictures.")
    return files


def _read_new(source: Path, classes: int, n_jobs: int, verbose: bool) -> tuple[list[Found], list[LeftOut]]:
    found: list[Found] = []
    left_out: list[LeftOut] = []
    for part, (folder, _) in PARTS.items():
        if not (source / folder).is_dir():
            continue
        pictures, others = _list_part(source / folder)
        items = read_annotations(
            source / folder / "annotations", list(pictures), n_jobs=n_jobs, verbose=verbose
        )
        for (name, file), item in zip(pictures.items(), items, strict=True):
            fault = item if isinstance(item, str) else _find_fault(item, classes)
            if isinstance(item, str) or fault:
                others.append((file, fault))
            else:
                found.append(Found(f"{folder}/images/{file}", f"{part}/{name}", part, item))
        left_out += [(f"{folder}/images/{name}", reason) for name, reason in others]
    return found, left_out


def _list_part(folder: Path) -> tuple[dict[str, str], list[LeftOut]]:
    """Return the file names of annotated pictures by their id, and what is left out."""
    images = find_one(folder, ("images",), "folder images")
    annotations = find_one(folder, ("annotations",), "folder annotations")
    names, left_out = sort_out(images, list_files(images))
    labels = [name for name in list_files(annotations) if name.endswith("_exp.npy")]
    annotated = dict.fromkeys(name.removesuffix("_exp.npy") for name in labels)
    pictures = {strip_suffix(name): name for name in names}
    left_out += [(file, "no annotation") for name, file in pictures.items() if name not in annotated]
    missing = find_missing(annotations, list(annotated), pictures, images)
    left_out += [(f"{name}.jpg", reason) for name, reason in missing]
    return {name: file for name, file in pictures.items() if name in annotated}, left_out
