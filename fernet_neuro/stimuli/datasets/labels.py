"""How data sets of labelled pictures say their labels: lists of two columns, and class folders.

What belongs here: reading such lists and folders, and comparing what was taken with what was published.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.report import ImportReport, LeftOut, list_files, sort_out
from fernet_neuro.stimuli.expressions import find_expression


@dataclass(frozen=True)
class LabelList:
    """A list file of two columns.

    `path`: the file. `labels`: label by file name, in the order of the list. `lines`: the line that names a
    file first, from 1. `repeats`: lines that say again what an earlier line says.
    """

    path: Path
    labels: dict[str, str]
    lines: dict[str, int]
    repeats: list[LeftOut]

    def fail(self, name: str, message: str) -> StimulusError:
        """Return the error that the line of `name` is wrong."""
        return StimulusError(f"{self.path}, line {self.lines[name]}: {message}")


def read_label_list(path: Path, *, label: str = r"\d+", expected: str = "a number") -> LabelList:
    r"""Read lines of a file name and a label, separated by a tab, a comma or spaces.

    Parameters
    ----------
    path : Path
        The file; empty lines do not count.
    label : str
        Regular expression that every label must match.
    expected : str
        What a label is, for messages.

    Raises
    ------
    StimulusError
        If the file is not text, a line has another form, or a file name gets two labels; the line is named.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise StimulusError(f"{path} is not a text file ({error}).") from error
    found = LabelList(path, {}, {}, [])
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        separator = next((mark for mark in "\t," if mark in line), None)
        fields = [field.strip() for field in line.strip().split(separator)]
        if len(fields) != 2 or not fields[0] or not re.fullmatch(label, fields[1]):
            raise StimulusError(f"{path}, line {number}: expected a file name and {expected}; got {line!r}.")
        name = Path(fields[0].replace("\\", "/")).as_posix()
        if found.labels.setdefault(name, fields[1]) != fields[1]:
            raise StimulusError(
                f"{path}, line {number}: {name!r} has two values, {found.labels[name]!r} in line "
                f"{found.lines[name]} and {fields[1]!r}."
            )
        if found.lines.setdefault(name, number) != number:
            found.repeats.append((name, f"listed twice: line {number} repeats line {found.lines[name]}"))
    if not found.labels:
        raise StimulusError(f"{path} names no picture; expected lines of a file name and {expected}.")
    return found


def find_missing(source: Path, listed: Sequence[str], present: Iterable[str], folder: Path) -> list[LeftOut]:
    """Return the names in `listed` that are not `present` in `folder`.

    `source`: the list, for messages. `listed`, `present`: file names in the list's and in the folder's order.
    `folder`: where the pictures lie, for messages. Raises StimulusError if more than half are missing: then
    the folder is the wrong one or was not unpacked in full.
    """
    there = set(present)
    missing = [name for name in listed if name not in there]
    if 2 * len(missing) > len(listed):
        raise StimulusError(
            f"{len(missing)} of the {len(listed)} pictures that {source} names are not in {folder} (first: "
            f"{missing[0]}); unpack the pictures in full, or cut the list to those that you have."
        )
    return [(name, "missing: in the list but not on disk") for name in missing]


def find_label(word: str, codes: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return our name for a label that is a code or a word, or None where it is neither.

    `word`: a label, or the name of a class folder. `codes`: our names by code. `names`: our names that the
    data set has. Raises StimulusError if it is a number that is not a code: then all the other numbers may
    mean something else, too.
    """
    if word in codes:
        return codes[word]
    if word.isdigit():
        known = ", ".join(f"{code} {name}" for code, name in codes.items()) or "none"
        raise StimulusError(f"label {word} is none of the codes ({known})")
    name = find_expression(word)
    return name if name in names else None


def label_by_folder(
    root: Path, pictures: Iterable[str], codes: Mapping[str, str], names: Sequence[str], advice: str
) -> tuple[list[tuple[str, str]], list[LeftOut]]:
    """Return (path, expression) of pictures in class folders of `root`, and what lies elsewhere.

    `root`: folder that holds the class folders. `pictures`: paths from `root`. `codes`, `names`: as in
    `find_label`. `advice`: what to do about a folder whose name is a number but not a code. Raises
    StimulusError if there is such a folder.
    """
    labelled, left_out = [], []
    for picture in pictures:
        *folders, _ = picture.split("/")
        if len(folders) != 1:
            left_out.append((picture, "not in a class folder: expected <class>/<picture>"))
            continue
        try:
            label = find_label(folders[0], codes, names)
        except StimulusError as error:
            raise StimulusError(f"class folder {root / folders[0]}: {error}; {advice}") from error
        if label is None:
            hint = suggest(folders[0].casefold(), names)
            left_out.append(
                (picture, f"unknown class: {folders[0]!r} is none of {format_options(names)}.{hint}")
            )
        else:
            labelled.append((picture, label))
    return labelled, left_out


def label_by_part(
    source: Path, parts: Iterable[str], codes: Mapping[str, str], advice: str
) -> tuple[list[tuple[str, str, str]], list[LeftOut]]:
    """Return (part, path from `source`, expression) of pictures in ``<part>/<class>/``, and what is left out.

    Parts without a folder are passed over. Other parameters and errors as in `label_by_folder`.
    """
    found: list[tuple[str, str, str]] = []
    left_out: list[LeftOut] = []
    for part in parts:
        root = source / part
        names, strangers = sort_out(root, list_files(root))
        labelled, others = label_by_folder(root, names, codes, list(codes.values()), advice)
        left_out += [(f"{part}/{name}", reason) for name, reason in (*strangers, *others)]
        found += [(part, f"{part}/{name}", expression) for name, expression in labelled]
    return found, left_out


def compare_counts(report: ImportReport, published: Mapping[str, int | Mapping[str, int]]) -> ImportReport:
    """Return `report` with a note per part: how many stimuli were taken, and how many were published.

    The part ``"all"`` is the whole set. A subset is allowed, so this never raises.
    """
    frame = report.table.frame
    notes = []
    for part, wanted in published.items():
        rows = frame if part == "all" else frame[frame["split"] == part]
        taken = rows["expression"].value_counts()
        total = wanted if isinstance(wanted, int) else sum(wanted.values())
        counts = {} if isinstance(wanted, int) else wanted
        differing = [
            f"{name} {taken.get(name, 0):,} of {count:,}"
            for name, count in sorted(counts.items())
            if taken.get(name, 0) != count
        ]
        if taken.sum() == 0:
            notes.append(f"{part}: no stimuli; published: {total:,}")
        elif taken.sum() == total and not differing:
            notes.append(f"{part}: {total:,} stimuli, as published{' in every class' if counts else ''}")
        else:
            each = f" ({', '.join(differing)})" if differing else ""
            notes.append(f"{part}: {taken.sum():,} stimuli; published: {total:,}{each}")
    return replace(report, notes=(*report.notes, *notes))
