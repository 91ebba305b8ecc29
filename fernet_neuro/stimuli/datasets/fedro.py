"""FED-RO, photographs of expressions with real occlusions, for testing only.

What belongs here: the two forms in which FED-RO circulates; its owners document no layout and no codes.

References
----------
.. [1] Li, Y., Zeng, J., Shan, S., & Chen, X. (2019). Occlusion aware facial expression recognition using CNN
   with attention mechanism. IEEE Transactions on Image Processing, 28(5), 2439-2450.
"""

from collections.abc import Mapping
from pathlib import Path

from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.folder import find_path_fault, strip_suffix
from fernet_neuro.stimuli.datasets.labels import find_label, find_missing, label_by_folder, read_label_list
from fernet_neuro.stimuli.datasets.report import LeftOut, Listing, list_files, sort_out
from fernet_neuro.stimuli.expressions import EXPRESSION_NAMES
from fernet_neuro.typing import PathLike

#: The seven classes; contempt is not among them.
EXPRESSIONS = tuple(name for name in EXPRESSION_NAMES if name != "contempt")
#: The number of pictures that the paper states; it has no counts by class.
PUBLISHED = {"test": 400}
LICENCE = "FED-RO: research on request to its authors; not redistributable"

_COLUMNS = ("stimulus_id", "path", "expression", "split", "dataset", "licence")
_ADVICE = "the owners document no codes, so say what each number means, such as --code 0=neutral"


def list_fedro(
    src: Path, *, list_file: PathLike | None = None, codes: Mapping[str, str] | None = None
) -> Listing:
    """List class folders (``happy/001.jpg``), or pictures that a list of two columns labels.

    Left out and reported: files in a folder that is not a class, pictures that the list does not name, names
    without a file, lines that repeat another, and with `verify` damaged pictures.

    Parameters
    ----------
    src : path
        Folder of the pictures.
    list_file : path, optional
        Lines of a path from `src` and a label, separated by a tab, a comma or spaces.
    codes : mapping of str to str, optional
        Names of numeric labels, such as ``{"0": "neutral"}``; without it, numbers are refused.

    Returns
    -------
    Listing
        Stimulus ids are paths without suffix; further columns ``split`` (always ``test``), ``dataset`` and
        ``licence``.

    Raises
    ------
    StimulusError
        If a label is not an expression or a number without a code, the list is missing or malformed, more
        than half of its pictures are missing, or nothing is usable.
    ValueError
        If `codes` names anything but one of the seven expressions.
    """
    known = {code: check_option("codes", name, EXPRESSIONS) for code, name in (codes or {}).items()}
    names, left_out = sort_out(src, list_files(src))
    if list_file is None:
        labelled, others = label_by_folder(src, names, known, EXPRESSIONS, _ADVICE)
    else:
        labelled, others = _label_by_list(src, names, Path(list_file), known)
        left_out = [item for item in left_out if (src / item[0]).resolve() != Path(list_file).resolve()]
    rows = [(strip_suffix(name), name, label, "test", "fedro", LICENCE) for name, label in labelled]
    return Listing(src, _COLUMNS, rows, left_out + others, published=PUBLISHED)


def _label_by_list(
    root: Path, names: list[str], path: Path, codes: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[LeftOut]]:
    if not path.is_file():
        raise StimulusError(f"list {path} does not exist.")
    listed = read_label_list(path, label=r"[^\s,]+", expected="a label")
    expressions = {}
    for name, label in listed.labels.items():
        try:
            expression = find_label(label, codes, EXPRESSIONS)
        except StimulusError as error:
            raise listed.fail(name, f"{error}; {_ADVICE}.") from error
        if expression is None:
            raise listed.fail(name, f"label {label!r} is none of {', '.join(EXPRESSIONS)}.")
        expressions[name] = expression
    outside = [name for name in expressions if find_path_fault(root, name).startswith("outside")]
    if outside:
        raise listed.fail(outside[0], f"{outside[0]!r}: {find_path_fault(root, outside[0])}.")
    known = [name for name in names if name in expressions]
    left_out = [(name, "not in the list") for name in names if name not in expressions]
    left_out += find_missing(path, list(expressions), names, root) + listed.repeats
    return [(name, expressions[name]) for name in known], left_out
