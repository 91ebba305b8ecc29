"""The Karolinska Directed Emotional Faces as their owners distribute them.

What belongs here: the KDEF file code and the known faults of the distribution.

References
----------
.. [1] Lundqvist, D., Flykt, A., & Öhman, A. (1998). The Karolinska Directed Emotional Faces - KDEF. CD ROM
   from Department of Clinical Neuroscience, Psychology section, Karolinska Institutet.
"""

import re
from itertools import product
from pathlib import Path

from fernet_neuro.stimuli.datasets.report import Demands, LeftOut, Listing, find_one, list_files, sort_out
from fernet_neuro.stimuli.images import BLACK_BELOW

#: Codes of the file names, in the owners' order, and our labels; mapped by name, never by number.
EXPRESSIONS = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
VIEWS = {"FL": "full_left", "HL": "half_left", "S": "straight", "HR": "half_right", "FR": "full_right"}
GENDERS = {"F": "female", "M": "male"}
#: Width and height in pixels of every sound photograph.
SIZE = (562, 762)
#: Side in pixels of the central square that the lab cut out before resizing.
CENTER_CROP = 388
LICENCE = "KDEF: non-commercial research on request to kdef.se; not redistributable"

_COLUMNS = (
    "stimulus_id", "path", "identity", "expression", "view", "session", "gender", "center_crop", "licence",
)  # fmt: skip
_FACE = r"(?P<session>[AB])(?P<gender>[FM])(?P<number>0[1-9]|[12]\d|3[0-5])"
_FOLDER = re.compile(_FACE)
_CODE = re.compile(rf"{_FACE}(?P<expression>{'|'.join(EXPRESSIONS)})(?P<view>{'|'.join(VIEWS)})")
# Averaged faces have neither session nor number: FAFFL is female, afraid, full left.
_AVERAGED = re.compile(rf"[FM]({'|'.join(EXPRESSIONS)})({'|'.join(VIEWS)})")


def parse_kdef_code(code: str) -> dict[str, str] | None:
    """Return the factors in a KDEF file name without its suffix, or None if it is not a KDEF code.

    The straight view has one letter and all others two, so codes have 7 or 8 characters.

    Examples
    --------
    >>> parse_kdef_code("BM07SUS")["expression"], parse_kdef_code("BM07SUHR")["view"]
    ('surprise', 'half_right')
    >>> parse_kdef_code("AF31V") is None
    True
    """
    match = _CODE.fullmatch(code)
    if match is None:
        return None
    return {
        # The same person sat twice: identity is gender and number, and the session is not part of it.
        "identity": match["gender"] + match["number"],
        "expression": EXPRESSIONS[match["expression"]],
        "view": VIEWS[match["view"]],
        "session": match["session"],
        "gender": GENDERS[match["gender"]],
    }


def list_kdef(src: Path, *, black_below: float = BLACK_BELOW) -> Listing:
    """List ``KDEF/AF01/AF01AFS.JPG`` and its 4,899 siblings.

    Left out, and never guessed: names that are not codes (the distribution has ``AF31V.JPG`` and
    ``AM31H.JPG``), files in another person's folder, the averaged faces (AKDEF), unreadable files, other
    sizes than 562 x 762, and almost black files. Codes and folders that a complete set has and this one has
    not are listed as missing.

    `src`: ``KDEF_and_AKDEF``, its subfolder ``KDEF``, or a folder that holds either. `black_below`: mean
    luminance (0-255) below which a photograph is left out. Returns a Listing: identities are ``F01`` to
    ``M35``; further columns ``gender``, ``center_crop`` and ``licence``. Raises StimulusError if there is no
    KDEF folder, or no usable photograph in it.
    """
    root = _find_root(src)
    names, left_out = sort_out(root, list_files(root))
    rows = []
    for name in names:
        reason = _find_fault(name)
        if reason:
            left_out.append((name, reason))
            continue
        code = Path(name).stem.upper()
        factors = parse_kdef_code(code) or {}
        rows.append((code, name, *factors.values(), CENTER_CROP, LICENCE))
    left_out += _list_missing(root, {str(row[0]) for row in rows})
    return Listing(root, _COLUMNS, rows, left_out, Demands(size=SIZE, black_below=black_below))


def _find_root(source: Path) -> Path:
    if any(_FOLDER.fullmatch(item.name.upper()) for item in source.iterdir() if item.is_dir()):
        return source
    return find_one(source, ("KDEF_and_AKDEF/KDEF", "KDEF"), "KDEF folder such as KDEF/AF01")


def _find_fault(name: str) -> str:
    *folders, file = name.split("/")
    code = Path(file).stem.upper()
    if _AVERAGED.fullmatch(code) or "AKDEF" in map(str.upper, folders):
        return "averaged face (AKDEF)"
    if _CODE.fullmatch(code) is None:
        return "misnamed: the name is not a KDEF code"
    if len(folders) != 1 or folders[0].upper() != code[:4]:
        return f"wrong folder: {code} belongs in {code[:4]}"
    return ""


def _list_missing(root: Path, found: set[str]) -> list[LeftOut]:
    folders = {item.name.upper() for item in root.iterdir() if item.is_dir()}
    missing = []
    for session, gender, number in product("AB", "FM", range(1, 36)):
        face = f"{session}{gender}{number:02d}"
        if face not in folders:
            missing.append((face, "missing folder"))
            continue
        codes = (face + expression + view for expression, view in product(EXPRESSIONS, VIEWS))
        missing += [(f"{face}/{code}.JPG", "missing: no such file") for code in codes if code not in found]
    return missing
