"""RDMs in files of several formats, told apart by suffix and content; nothing is ever unpickled.

What belongs here: which reader and writer a file gets; the formats are in `arrays`, `mat`, `meadows`
and, for rsatoolbox's HDF5, `toolbox`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fernet_neuro._utils.labels import to_label
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.files import arrays, mat, meadows, toolbox
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.typing import PathLike

#: What `read_rdms` reads by suffix: the file, the variable to take, the number of stimuli, or None.
READERS: dict[str, Callable[[Path, str | None, int | None], RDMSet]] = {
    ".npz": arrays.read_npz,
    ".npy": arrays.read_npy,
    ".csv": arrays.read_csv,
    ".mat": mat.read_mat,
    ".json": meadows.read_json,
    ".h5": toolbox.read_hdf5,
    ".hdf5": toolbox.read_hdf5,
}
#: What `write_rdms` writes by suffix.
WRITERS: dict[str, Callable[[RDMSet, Path], None]] = {
    ".npz": RDMSet.save,
    ".csv": arrays.write_csv,
    ".mat": mat.write_mat,
    ".json": meadows.write_json,
    ".h5": toolbox.write_hdf5,
    ".hdf5": toolbox.write_hdf5,
}
_PICKLES = (".pkl", ".pickle", ".p")


def read_rdms(
    path: PathLike, *, stimulus_ids: Iterable[str] | None = None, variable: str | None = None
) -> RDMSet:
    """Read RDMs.

    Read are files that `write_rdms` and `RDMSet.save` write; rsatoolbox's HDF5 (``.h5``, ``.hdf5``); MATLAB's
    ``.mat`` (structures with a field ``RDM``, as the 92-image set and the RSA toolbox for MATLAB have them,
    or plain arrays); ``.npz`` and ``.npy`` arrays; files of the Meadows platform (``.mat``, ``.json``); and a
    square ``.csv`` with a heading. Arrays may be (n_stimuli, n_stimuli), (n_rdms, n_stimuli, n_stimuli),
    (n_pairs,) or (..., n_pairs), pairs in the order of ``np.triu_indices(n_stimuli, 1)``, which is that of
    MATLAB's ``squareform``; further leading axes are numbered in the table. Arrays ``subject``, ``roi`` and
    ``session`` beside them in ``.npz`` and ``.mat`` become columns. MATLAB's (n_pairs, n_rdms) is read where
    the shape or the number of stimuli allows no other reading.

    Parameters
    ----------
    path : path
    stimulus_ids : iterable of str or None
        Names of the stimuli, in the file's order; needed where a file does not name them and it matters.
        Without, those of a file that names none are ``stimulus001`` and so on.
    variable : str or None
        Which array, variable or (HDF5) descriptor of stimulus ids, where a file has several.

    Raises
    ------
    StoreError
        If the file is missing, damaged, of an unknown kind, or a pickle.
    ValueError
        If its arrays are no RDMs, it has several and `variable` is not given, or `stimulus_ids` are of
        another number.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> rdms = RDMSet(np.array([[0.1, 0.2, 0.3]]), np.array(["a", "b", "c"]))
    >>> with TemporaryDirectory() as folder:
    ...     read_rdms(write_rdms(rdms, Path(folder) / "rdms.npz")) == rdms
    True
    """
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix in _PICKLES:
        raise StoreError(
            f"RDM file {source} is a pickle, which could run any program when opened; save it as .h5 with "
            f"rsatoolbox (file_type='hdf5')."
        )
    if suffix not in READERS:
        raise StoreError(f"RDM file {source} must end in one of: {format_options(READERS)}.")
    if not source.is_file():
        raise StoreError(f"RDM file {source} does not exist.")
    names = None if stimulus_ids is None else [to_label(str(name)) for name in stimulus_ids]
    rdms = READERS[suffix](source, variable, None if names is None else len(names))
    if names is None:
        return replace(rdms, stimulus_ids=np.array([to_label(name) for name in rdms.stimulus_ids], dtype=str))
    if len(names) != rdms.n_stimuli:
        raise ValueError(f"RDM file {source} is of {rdms.n_stimuli} stimuli; got {len(names)} stimulus ids.")
    return replace(rdms, stimulus_ids=np.array(names, dtype=str))


def write_rdms(rdms: RDMSet, path: PathLike) -> Path:
    """Write RDMs in the format that the suffix names, complete or not at all, and return the path.

    ``.npz`` keeps everything. ``.h5`` is rsatoolbox's; ``.mat`` an array of structures with ``RDM`` (square),
    ``name`` and the table's columns; ``.json`` a Meadows file; ``.csv`` one square RDM with a heading.

    Raises
    ------
    StoreError
        If the suffix is not one that can be written.
    ValueError
        If the format cannot hold what there is to write.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in WRITERS:
        raise StoreError(f"RDM file {target} must end in one of: {format_options(WRITERS)}.")
    WRITERS[suffix](rdms, target)
    return target
