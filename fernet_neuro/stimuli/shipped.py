"""Sets of rendered faces that come with the package: ``--stimuli builtin``.

What belongs here: their names, and the way from a name or a path to the file of a stimulus table.
"""

from pathlib import Path

from fernet_neuro._utils.shipped import find_shipped
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.typing import PathLike

#: Tables of the shipped sets, by name.
SETS = {path.parent.name: path for path in sorted((Path(__file__).parent / "shipped").glob("*/table.csv"))}


def find_table(source: PathLike) -> Path:
    """Return the file of a table: a file, a file ``table.csv`` in a folder, or a shipped set by name.

    Raises
    ------
    StimulusError
        If it is none of them.

    Examples
    --------
    >>> find_table("builtin").relative_to(Path(__file__).parent).as_posix()
    'shipped/builtin/table.csv'
    """
    inside = Path(source) / "table.csv"
    if Path(source).is_dir() and not inside.is_file() and str(source) not in SETS:
        raise StimulusError(
            f"folder {source} holds no stimulus table (table.csv); `fernet-neuro stimuli align` makes one of "
            f"photographs of faces, `fernet-neuro stimuli import folder` of any pictures."
        )
    try:
        return inside if inside.is_file() else find_shipped(source, SETS, "stimulus table")
    except ValueError as error:
        raise StimulusError(str(error)) from None
