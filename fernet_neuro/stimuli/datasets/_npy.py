"""One number from a ``.npy`` file of any origin.

What belongs here: reading such a file without ever unpickling; the data set says what the number means.
"""

import io
import tokenize
from pathlib import Path

import numpy as np

from fernet_neuro.exceptions import StimulusError

#: A file of one number has about 130 bytes; a larger one holds something else.
_MOST_BYTES = 4096
# numpy parses the header as Python text, and passes that parser's errors on.
_FORMAT_ERRORS = (
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    MemoryError,
    OverflowError,
    tokenize.TokenError,
)


def read_scalar(path: Path) -> float:
    """Return the one number in a ``.npy`` file, which may be stored as text.

    Raises
    ------
    StimulusError
        If the file cannot be read without unpickling, or holds anything but one finite number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "a.npy"), np.array("-0.25"))
    ...     read_scalar(Path(folder, "a.npy"))
    -0.25
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
        # Unlike np.load, this reads neither archives nor pickles in any case.
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (OSError, *_FORMAT_ERRORS) as error:
        raise StimulusError(f"{path.name} is not a .npy file of one number") from error
    if values.size != 1 or values.dtype.kind not in "USiuf":
        raise StimulusError(f"{path.name} holds {values.dtype} {values.shape} instead of one number")
    try:
        number = float(values.item())
    except (ValueError, SystemError) as error:  # SystemError: numpy's answer to characters beyond Unicode
        raise StimulusError(f"{path.name} holds text that is not a number") from error
    if not np.isfinite(number):
        raise StimulusError(f"{path.name} holds {number} instead of a finite number")
    return number
