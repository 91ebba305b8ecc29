"""The one form that labels have here, whatever program wrote them, and what makes two of them doubtful.

What belongs here: text of single labels; tables of them are read in `foreign`.
"""

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable

from fernet_neuro.exceptions import FernetWarning

#: How BIDS and spreadsheets write that there is no value; nobody is called so.
GAPS = frozenset(("n/a", "N/A", "#N/A"))
#: How programs write a missing value; it may be a name too.
PERHAPS_GAPS = ("NA", "NaN", "nan", "NULL", "null", "None", "<NA>")
# Soft hyphen, spaces of no width, marks of direction and of byte order: nobody sees them.
_UNSEEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_ODD_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def to_label(text: str) -> str:
    r"""Return a label as it is known here: one Unicode form, plain spaces, none at its ends, nothing unseen.

    macOS writes names in another Unicode form; spreadsheets and web pages leave spaces that do not break
    lines, spaces of no width and marks of direction.

    Examples
    --------
    >>> to_label("Zoe\u0308 ") == to_label("\u200bZo\u00eb\u00a0") == "Zo\u00eb"
    True
    """
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", _ODD_SPACE.sub(" ", _UNSEEN.sub("", text))).strip()


def to_key(text: str) -> str:
    """Return what labels have in common that differ in case, white space and signs between words only.

    Examples
    --------
    >>> to_key("Stimulus ID") == to_key("stimulus_id")
    True
    """
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", text).casefold())


def find_alike(names: Iterable[str]) -> list[list[str]]:
    """Return groups of different names that differ only in case or white space, in order of appearance.

    Examples
    --------
    >>> find_alike(["P0", "p1", "p0", "p 0", "P0"])
    [['P0', 'p0', 'p 0']]
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        key = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        groups.setdefault(key, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def note_alike(names: Iterable[str], what: str) -> None:
    """Say which names differ only in case or white space, for they count as different ones."""
    found = find_alike(names)
    if found:
        examples = " and ".join(map(repr, found[0]))
        more = f" ({len(found)} such groups)" if len(found) > 1 else ""
        warnings.warn(
            f"{what}: {examples} differ only in case or white space and count as different{more}; write them "
            f"alike if they are one.",
            FernetWarning,
            stacklevel=3,
        )


def note_gaps(names: Iterable[str], what: str) -> None:
    """Say which names may be missing values, for they count as names; `what` they are names of."""
    counts = Counter(name for name in names if name in PERHAPS_GAPS)
    for name, count in counts.items():
        warnings.warn(
            f"{count} {what} {name!r}, which is taken for a name; leave those cells empty if it is a missing "
            f"value.",
            FernetWarning,
            stacklevel=3,
        )
