"""The data sets that can be imported, by name.

What belongs here: the `DATASETS` registry; each layout has a file of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fernet_neuro.stimuli.datasets.affectnet import read_affectnet
from fernet_neuro.stimuli.datasets.celeba import read_celeba
from fernet_neuro.stimuli.datasets.fedro import read_fedro
from fernet_neuro.stimuli.datasets.folder import read_folder
from fernet_neuro.stimuli.datasets.kdef import read_kdef
from fernet_neuro.stimuli.datasets.lfw import read_lfw
from fernet_neuro.stimuli.datasets.rafdb import read_rafdb
from fernet_neuro.stimuli.datasets.report import ImportReport
from fernet_neuro.stimuli.datasets.vggface2 import read_vggface2


@dataclass(frozen=True)
class Dataset:
    """One importable data set.

    Parameters
    ----------
    title : str
        What it is, in one line.
    read : callable
        ``read(src, *, verify, n_jobs, verbose) -> ImportReport``.
    verify : bool
        Whether pictures are decoded by default; too slow for the largest sets.
    options : tuple of str
        Further keyword arguments of `read`.
    """

    title: str
    read: Callable[..., ImportReport]
    verify: bool
    options: tuple[str, ...] = ()


DATASETS: dict[str, Dataset] = {
    "folder": Dataset(
        "Any folder: class folders, labels in file names, or a CSV",
        read_folder,
        True,
        ("pattern", "csv", "columns", "folders_are"),
    ),
    "kdef": Dataset("Karolinska Directed Emotional Faces", read_kdef, True),
    "lfw": Dataset("Labeled Faces in the Wild", read_lfw, True),
    "vggface2": Dataset("VGGFace2", read_vggface2, False),
    "celeba": Dataset("CelebA, aligned and cropped", read_celeba, False),
    "rafdb": Dataset("RAF-DB, basic expressions", read_rafdb, True, ("images",)),
    "affectnet": Dataset("AffectNet, manually annotated, old or new", read_affectnet, False, ("classes",)),
    "fedro": Dataset("FED-RO, real occlusions", read_fedro, True, ("list_file", "codes")),
}
