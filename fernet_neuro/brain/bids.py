"""Which files of a BIDS data set belong together: images, events, confounds and masks of each run.

What belongs here: finding and naming files; nothing is read but sidecars.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.validation import check_label, format_options, suggest
from fernet_neuro.brain.times import Times, read_times
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: Entities whose labels are numbers.
_INDICES = frozenset(("run", "echo"))
#: Entities that say how an image was made, not of which run it is.
_PROCESSING = frozenset(("space", "res", "den", "desc", "hemi", "label", "suffix"))
_VOLUMES = ("_bold.nii.gz", "_bold.nii")
_LEFT = "_hemi-L"
#: Where masks of raw images lie: a raw data set has none beside its images.
_MASKS = Path("derivatives", "rois")


@dataclass(frozen=True)
class RunFiles:
    """The files of one run.

    Parameters
    ----------
    subject, session, task, run : str
        Session is empty where there is none; a run without a number is ``"01"``.
    bold : str
        The image, or the GIFTI files ``LEFT,RIGHT``.
    events : str
    confounds : str
        Empty where there are none.
    mask : str
        The brain mask of the image: beside it or, of a raw image, in ``derivatives/rois`` of the data set;
        empty where there is none.
    times : Times
        What the sidecar says.
    """

    subject: str
    session: str
    task: str
    run: str
    bold: str
    events: str
    confounds: str = ""
    mask: str = ""
    times: Times = field(default_factory=Times)


def parse_entities(name: str) -> dict[str, str]:
    """Return the entities of a file's name, and its suffix.

    Examples
    --------
    >>> parse_entities("sub-01_task-faces_run-2_bold.nii.gz")
    {'sub': '01', 'task': 'faces', 'run': '2', 'suffix': 'bold'}
    """
    parts = strip_suffix(name).split("_")
    pairs = [part.partition("-") for part in parts]
    entities = {key: value for key, dash, value in pairs if dash}
    return {**entities, "suffix": parts[-1]} if not pairs[-1][1] else entities


def strip_suffix(name: str) -> str:
    """Return the name of a file without its suffix; other dots stay.

    Examples
    --------
    >>> strip_suffix("sub-01_desc-fwhm2.5_bold.nii.gz"), strip_suffix("left.func.gii")
    ('sub-01_desc-fwhm2.5_bold', 'left')
    """
    return re.sub(r"(\.(func|shape|surf|label|time|dtseries))?\.[A-Za-z]\w*(\.gz)?$", "", name)


def read_sidecar_of(image: str) -> dict[str, Any]:
    """Return what the sidecar of the same name beside an image says; nothing where there is none."""
    file = Path(image.split(",")[0])
    return read_sidecar(file.with_name(strip_suffix(file.name) + ".json"))


def find_runs(
    dataset: PathLike,
    *,
    derivatives: PathLike | None = None,
    raw: bool = False,
    subjects: Sequence[str] = (),
    sessions: Sequence[str] = (),
    task: str | None = None,
    runs: Sequence[str] = (),
    space: str | None = None,
    res: str | None = None,
    direction: str | None = None,
) -> list[RunFiles]:
    """Return the files of each run, in the order of subject, session and run.

    Parameters
    ----------
    dataset : path
        The data set with the events.
    derivatives : path or None
        Preprocessed images, as fMRIPrep names them; None is ``derivatives/fmriprep`` of the data set.
    raw : bool, default=False
        Take the images of the data set itself: right only where they already lie in the space of the regions.
    subjects, sessions, runs : sequence of str
        With or without ``sub-`` and the like; empty for all.
    task : str or None
        Needed where there are several.
    space : str or None
        Such as ``MNI152NLin2009cAsym`` or ``fsaverage5``, or ``none`` for images whose names have none (those
        in the space of the scanner); needed where the images are in several.
    res, direction : str or None
        Resolution (``res-2``) and direction of phase encoding (``dir-AP``); needed where there are several.

    Raises
    ------
    StoreError
        If a folder or file is missing.
    ValueError
        If there is none of what was asked for, or it is not said which of several.
    """
    root = Path(dataset)
    if not root.is_dir():
        raise StoreError(f"data set {root} does not exist.")
    folder = root if raw else _find_derivatives(root, derivatives)
    images = _list_images(folder, raw)
    if not images:
        what = "_bold.nii.gz" if raw else "_desc-preproc_bold.nii.gz"
        raise StoreError(f"{folder} has no images (sub-*/func/*{what}).")
    for key, wanted, name in (
        ("sub", subjects, "subject"), ("ses", sessions, "session"), ("run", runs, "run"),
    ):  # fmt: skip
        images = _keep(images, key, wanted, name, folder)
    images = _keep(images, "task", [task] if task else [], "task", folder)
    choices = {"space": space, "res": res, "dir": direction}
    for key, value in choices.items():
        images = _keep(images, key, [value] if value else [], key, folder)
    for key, name in (("task", "task"), ("space", "space")):
        have = sorted({entities.get(key, "") or "none" for _, entities in images})
        if len(have) > 1:
            raise ValueError(
                f"images of {folder} are of several {name}s: {format_options(have)}; name one with --{name}."
            )
    found = [_gather(path, entities, root, folder) for path, entities in images]
    _check_unique(found)
    return sorted(found, key=lambda item: (item.subject, item.session, _natural(item.run)))


def _check_unique(found: list[RunFiles]) -> None:
    known: dict[tuple[str, str, str], RunFiles] = {}
    for item in found:
        other = known.setdefault((item.subject, item.session, _plain("run", item.run)), item)
        if other is not item:
            names = [Path(file.bold.split(",")[0]).name for file in (item, other)]
            one, two = map(parse_entities, names)
            option = next((key for key in ("res", "dir") if one.get(key) != two.get(key)), None)
            raise ValueError(
                f"{names[0]} and {names[1]} are both run {item.run} of subject {item.subject}; "
                f"{f'name one with --{option}' if option else 'give a folder with one of them'}."
            )


def _find_derivatives(root: Path, derivatives: PathLike | None) -> Path:
    folder = root / "derivatives" / "fmriprep" if derivatives is None else Path(derivatives)
    if folder.is_dir():
        return folder
    if derivatives is not None:
        raise StoreError(f"derivatives folder {folder} does not exist.")
    raise StoreError(
        f"{root} has no derivatives/fmriprep; name the preprocessed images with --derivatives DIR, or, only "
        f"where the images of the data set already lie in the space of the regions, take those with --raw."
    )


def _list_images(folder: Path, raw: bool) -> list[tuple[Path, dict[str, str]]]:
    """Return images with their entities; of surfaces, the left one."""
    files = [*folder.glob("sub-*/func/*_bold.*"), *folder.glob("sub-*/ses-*/func/*_bold.*")]
    volumes = [path for path in files if path.name.endswith(_VOLUMES)]
    if not raw:
        volumes = [path for path in volumes if "_desc-preproc_" in path.name]
        volumes += [path for path in files if path.name.endswith(".gii") and f"{_LEFT}_" in path.name]
    return [
        (path, parse_entities(path.name)) for path in sorted(volumes, key=lambda path: _natural(str(path)))
    ]


def _keep(
    images: list[tuple[Path, dict[str, str]]], key: str, wanted: Sequence[str], name: str, folder: Path
) -> list[tuple[Path, dict[str, str]]]:
    names = [_plain(key, item.removeprefix(f"{key}-")) for item in wanted]
    have = sorted({entities.get(key, "") for _, entities in images})
    for item in names:
        if item not in [_plain(key, value) for value in have]:
            there = [value for value in have if value]
            raise ValueError(
                f"{folder} has no images of {name} {item!r}; there are: {format_options(there) or 'none'}."
                f"{suggest(item, there)}"
            )
    return [image for image in images if not names or _plain(key, image[1].get(key, "")) in names]


def _plain(key: str, value: str) -> str:
    """Return a label as others write it too: the number of a run may have zeros in front."""
    if key in _INDICES:
        return to_index(value)
    return value or ("none" if key in ("space", "res", "dir") else "")


def to_index(label: str) -> str:
    """Return the number of a run as all write it: others put zeros in front, or a point and zeros behind.

    Examples
    --------
    >>> to_index("01"), to_index("1.0"), to_index("1b")
    ('1', '1', '1b')
    """
    found = re.fullmatch(r"(\d+)(\.0*)?", label)
    return str(int(found[1])) if found else label


def _plain_all(entities: dict[str, str]) -> dict[str, str]:
    return {key: _plain(key, value) for key, value in entities.items()}


def _gather(path: Path, entities: dict[str, str], root: Path, folder: Path) -> RunFiles:
    own = {key: value for key, value in entities.items() if key not in _PROCESSING}
    folders = _folders_above(path, folder) if folder == root else [
        *_folders_above(path, folder), *_folders_above(root / path.relative_to(folder), root)
    ]  # fmt: skip
    if "sub" not in entities:
        raise StoreError(f"the name of {path} does not say whose it is; it must begin with sub-NAME_.")
    for key in ("sub", "ses", "task"):
        check_label(f"{path}: {key}", entities.get(key, ""), may_be_empty=key != "sub")
    events = _find_nearest(folders, own, "events", ".tsv")
    if events is None:
        label = "_".join(f"{key}-{value}" for key, value in own.items())
        raise StoreError(f"{root} has no events of {path.name}; it needs {label}_events.tsv.")
    return RunFiles(
        subject=entities["sub"],
        session=entities.get("ses", ""),
        task=entities.get("task", ""),
        run=entities.get("run", "01"),
        bold=_name_bold(path),
        events=str(events),
        confounds=_find_beside(path, own, {"desc": "confounds"}, ("timeseries", "regressors"), ".tsv"),
        mask=_find_mask(path, {**own, **_space_of(entities)}, root if folder == root else None),
        times=read_times(_read_sidecars(folders, own, entities), str(path)),
    )


def _space_of(entities: dict[str, str]) -> dict[str, str]:
    return {key: entities[key] for key in ("space", "res") if key in entities}


def _name_bold(path: Path) -> str:
    if path.suffix != ".gii":
        return str(path)
    right = path.with_name(path.name.replace(f"{_LEFT}_", "_hemi-R_"))
    if not right.is_file():
        raise StoreError(f"surface image {path} has no right hemisphere beside it ({right.name}).")
    return f"{path},{right}"


def _folders_above(path: Path, root: Path) -> list[Path]:
    """Return the folders of a file from its own up to `root`: BIDS inherits along them."""
    return [folder for folder in path.parents if folder == root or root in folder.parents]


def _find_nearest(folders: Iterable[Path], entities: dict[str, str], suffix: str, ending: str) -> Path | None:
    """Return the nearest file all of whose entities are those of the run, with the most of them."""
    wanted = _plain_all(entities)
    for folder in folders:
        found = []
        for path in folder.glob(f"*{suffix}{ending}"):
            theirs = parse_entities(path.name)
            kind = theirs.pop("suffix", "")
            if kind == suffix and _plain_all(theirs).items() <= wanted.items():
                found.append((len(theirs), path))
        if found:
            return max(found)[1]
    return None


def _read_sidecars(folders: Sequence[Path], own: dict[str, str], entities: dict[str, str]) -> dict[str, Any]:
    """Return what sidecars say of an image, the nearest winning."""
    known: dict[str, Any] = {}
    for folder in reversed(folders):
        path = _find_nearest([folder], {**own, **entities}, "bold", ".json")
        known |= {} if path is None else read_sidecar(path)
    return known


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what a sidecar says; nothing where there is none.

    Raises StoreError if it is no JSON.
    """
    if not path.is_file():
        return {}
    try:
        return dict(read_json(path))
    except (ValueError, TypeError, OSError) as error:
        raise StoreError(f"sidecar {path} is no JSON: {error}") from error


def _find_beside(
    path: Path, own: dict[str, str], extra: dict[str, str], suffixes: Sequence[str], ending: str
) -> str:
    wanted = _plain_all({**own, **extra})
    for other in sorted(path.parent.glob(f"*{ending}")):
        theirs = parse_entities(other.name)
        if theirs.pop("suffix", "") in suffixes and _plain_all(theirs) == wanted:
            return str(other)
    return ""


def _find_mask(path: Path, own: dict[str, str], raw: Path | None) -> str:
    """Return the mask beside an image; of a raw one, that of its run or person in the derivatives."""
    extra, kind, ending = {"desc": "brain"}, ("mask",), ".nii.gz"
    found = _find_beside(path, own, extra, kind, ending)
    if found or raw is None:
        return found
    there = raw / _MASKS / path.relative_to(raw)
    of_all_runs = {key: value for key, value in own.items() if key != "run"}
    return _find_beside(there, own, extra, kind, ending) or _find_beside(
        there, of_all_runs, extra, kind, ending
    )


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", text)]
