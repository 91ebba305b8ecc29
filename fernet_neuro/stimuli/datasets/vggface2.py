"""VGGFace2 as its owners distributed it: a training and a test tree, lists, and a table of identities.

What belongs here: the VGGFace2 layout and the class numbers of the released weights.

References
----------
.. [1] Cao, Q., Shen, L., Xie, W., Parkhi, O. M., & Zisserman, A. (2018). VGGFace2: A dataset for recognising
   faces across pose and age. IEEE FG 2018, 67-74.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.report import LeftOut, Listing, list_files, sort_out
from fernet_neuro.stimuli.datasets.rows import read_rows

LICENCE = "VGGFace2: CC BY-NC-SA 4.0 for the list; photographs remain their owners'"
#: Header of identity_meta.csv; a space follows each comma and names are quoted.
META_COLUMNS = ("Class_ID", "Name", "Sample_Num", "Flag", "Gender")
PARTS = ("train", "test")
GENDERS = {"f": "female", "m": "male"}

_COLUMNS = ("stimulus_id", "path", "identity", "split", "name", "gender", "class_index", "licence")
_CLASS = re.compile(r"n\d{6}")
_FILE = re.compile(r"\d+_\d+")


@dataclass(frozen=True)
class Person:
    """One row of identity_meta.csv; `class_index` is the released weights' output unit, else ""."""

    name: str
    n_samples: int
    part: str
    gender: str
    class_index: int | str


def list_vggface2(src: Path) -> Listing:
    """List ``train/n000002/0001_01.jpg``, ``test/...``, the lists and ``identity_meta.csv`` where present.

    Left out: files that are not ``<image>_<face>.jpg`` in a folder ``n000000``, files absent from their
    part's list, and people whom identity_meta does not name or puts in the other part. Listed as missing:
    files of the lists that are not on disk; without a list, people with fewer files than identity_meta says.

    `src`: folder that holds ``train`` or ``test`` or both, directly or under ``data``. Returns a Listing:
    stimulus ids such as ``n000002/0001_01``; further columns ``split``, ``name``, ``gender`` and
    ``class_index`` (place among the training identities of identity_meta, from 0). Raises StimulusError if
    `src` holds neither part, a list or identity_meta is malformed, or nothing is usable.
    """
    root = src if _has_parts(src) else src / "data"
    if not _has_parts(root):
        raise StimulusError(f"{src} holds no VGGFace2 folder; looked for train, test and the same in data.")
    meta_file = _find_beside(src, root, "identity_meta.csv")
    people = _read_meta(meta_file) if meta_file else None
    rows: list[tuple] = []
    left_out: list[LeftOut] = []
    for part in PARTS:
        if (root / part).is_dir():
            listed = _find_beside(src, root, f"{part}_list.txt")
            part_rows, part_left_out = _read_part(root, part, listed, people)
            rows += part_rows
            left_out += part_left_out
    return Listing(root, _COLUMNS, rows, left_out)


def _has_parts(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in PARTS)


def _find_beside(source: Path, root: Path, name: str) -> Path | None:
    places = (source / name, root / name, source / "meta" / name, root / "meta" / name)
    return next((place for place in places if place.is_file()), None)


def _read_meta(path: Path) -> dict[str, Person]:
    people: dict[str, Person] = {}
    n_train = 0
    for line, row in read_rows(path, META_COLUMNS):
        identity, name, samples, flag, gender = (row[column].strip() for column in META_COLUMNS)
        if not samples.isdigit() or flag not in ("0", "1"):
            raise StimulusError(
                f"{path}, line {line}: Sample_Num must be a number, Flag 0 or 1; got {samples!r}, {flag!r}."
            )
        train = flag == "1"
        people[identity] = Person(
            name, int(samples), "train" if train else "test", GENDERS.get(gender, gender),
            n_train if train else "",
        )  # fmt: skip
        n_train += train
    return people


def _read_part(
    root: Path, part: str, listed: Path | None, people: dict[str, Person] | None
) -> tuple[list[tuple], list[LeftOut]]:
    names, left_out = sort_out(root / part, list_files(root / part))
    left_out = [(f"{part}/{name}", reason) for name, reason in left_out]
    wanted = _read_list(listed) if listed else None
    rows = []
    for name in names:
        reason = _find_fault(name, part, wanted, people)
        if reason:
            left_out.append((f"{part}/{name}", reason))
            continue
        identity = name.partition("/")[0]
        person = people[identity] if people else Person("", 0, part, "", "")
        stimulus_id = str(Path(name).with_suffix(""))
        facts = (part, person.name, person.gender, person.class_index)
        rows.append((stimulus_id, f"{part}/{name}", identity, *facts, LICENCE))
    if wanted is not None:
        absent = sorted(wanted.difference(names))
        left_out += [(f"{part}/{name}", "missing: in the list but not on disk") for name in absent]
    elif people is not None:
        left_out += _count_missing(part, names, people)
    return rows, left_out


def _find_fault(name: str, part: str, wanted: set[str] | None, people: dict[str, Person] | None) -> str:
    *folders, file = name.split("/")
    if len(folders) != 1 or not _CLASS.fullmatch(folders[0]) or not _FILE.fullmatch(Path(file).stem):
        return "misnamed: expected n000000/0000_00.jpg"
    if people is not None and folders[0] not in people:
        return "unknown person: not in identity_meta.csv"
    if people is not None and people[folders[0]].part != part:
        return f"wrong part: identity_meta.csv puts the person in {people[folders[0]].part}"
    if wanted is not None and name not in wanted:
        return "not in the list"
    return ""


def _read_list(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    names = {line.strip() for line in lines if line.strip()}
    wrong = next((name for name in sorted(names) if name.count("/") != 1 or ".." in name), None)
    if wrong is not None:
        raise StimulusError(f"{path}: expected lines such as n000002/0001_01.jpg; got {wrong!r}.")
    return names


def _count_missing(part: str, names: Sequence[str], people: dict[str, Person]) -> list[LeftOut]:
    counts = Counter(name.partition("/")[0] for name in names)
    return [
        (f"{part}/{identity}", f"missing: {counts[identity]} files of {person.n_samples}")
        for identity, person in people.items()
        if person.part == part and counts[identity] < person.n_samples
    ]
