"""The data sets that can be imported, by name.

What belongs here: the `DATASETS` registry; each layout has a file of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fernet_neuro._utils.validation import check_range
from fernet_neuro.stimuli.datasets import affectnet, ckplus, fer2013, ferplus, kdef, rafdb
from fernet_neuro.stimuli.datasets.celeba import list_celeba
from fernet_neuro.stimuli.datasets.fedro import list_fedro
from fernet_neuro.stimuli.datasets.folder import list_folder
from fernet_neuro.stimuli.datasets.labels import compare_counts
from fernet_neuro.stimuli.datasets.lfw import list_lfw
from fernet_neuro.stimuli.datasets.report import ImportReport, Listing, check_source, make_report
from fernet_neuro.stimuli.datasets.vggface2 import list_vggface2
from fernet_neuro.typing import PathLike


@dataclass(frozen=True)
class Dataset:
    """One importable data set.

    Parameters
    ----------
    title : str
        What it is, in one line.
    list_pictures : callable
        ``list_pictures(src, **options) -> Listing``.
    verify : bool
        Whether pictures are decoded by default: too slow for the largest sets, which hold 200,000 to 3.3
        million; ``fernet-neuro stimuli check`` does it later.
    options : tuple of str
        Further keyword arguments of `list_pictures`.
    lists_in_threads : bool
        Whether listing takes ``n_jobs`` and ``verbose``, too.
    codes : mapping
        Our names of expressions by the owners' codes, where they have codes.
    """

    title: str
    list_pictures: Callable[..., Listing]
    verify: bool
    options: tuple[str, ...] = ()
    lists_in_threads: bool = False
    codes: Mapping[Any, str] = field(default_factory=dict)

    def read(
        self,
        src: PathLike,
        *,
        verify: bool | None = None,
        n_jobs: int = 1,
        verbose: bool = False,
        **options: Any,
    ) -> ImportReport:
        """Return the stimuli below `src` as a table, and what was left out.

        Parameters
        ----------
        src : path
            The data set's folder, as its `list_pictures` says.
        verify : bool, optional
            Whether to decode every picture and leave those out that are damaged or not as they should be; by
            default as `verify` of the data set.
        n_jobs : int
            Number of threads.
        verbose : bool
            Whether to show a progress bar.
        **options
            Those of `list_pictures`.

        Raises
        ------
        StimulusError
            If the folder does not exist or is not the data set's, or holds no usable picture.
        """
        check_range("n_jobs", n_jobs, 1)
        threads = {"n_jobs": n_jobs, "verbose": verbose} if self.lists_in_threads else {}
        listing = self.list_pictures(check_source(src), **options, **threads)
        verify = self.verify if verify is None else verify
        report = make_report(listing, verify=verify, n_jobs=n_jobs, verbose=verbose)
        return compare_counts(report, listing.published)


DATASETS: dict[str, Dataset] = {
    "folder": Dataset(
        "Any folder: class folders, labels in file names, or a CSV",
        list_folder,
        True,
        ("pattern", "csv", "columns", "folders_are"),
    ),
    "kdef": Dataset("Karolinska Directed Emotional Faces", kdef.list_kdef, True, codes=kdef.EXPRESSIONS),
    "lfw": Dataset("Labeled Faces in the Wild", list_lfw, True),
    "vggface2": Dataset("VGGFace2", list_vggface2, False),
    "celeba": Dataset("CelebA, aligned and cropped", list_celeba, False),
    "rafdb": Dataset(
        "RAF-DB, basic expressions", rafdb.list_rafdb, True, ("images",), codes=rafdb.EXPRESSIONS
    ),
    "affectnet": Dataset(
        "AffectNet, manually annotated, old or new",
        affectnet.list_affectnet,
        False,
        ("classes",),
        True,
        affectnet.EXPRESSIONS,
    ),
    "fer2013": Dataset(
        "FER2013, as CSV or class folders",
        fer2013.list_fer2013,
        True,
        ("pictures",),
        True,
        fer2013.EXPRESSIONS,
    ),
    "ferplus": Dataset(
        "FERPlus, FER2013 with ten votes a picture",
        ferplus.list_ferplus,
        True,
        ("rule", "labels", "pictures"),
        True,
        ferplus.EXPRESSIONS,
    ),
    "ckplus": Dataset(
        "CK+, sequences or CK+48",
        ckplus.list_ckplus,
        True,
        ("frames", "neutral"),
        codes=ckplus.EXPRESSIONS,
    ),
    "fedro": Dataset("FED-RO, real occlusions", list_fedro, True, ("list_file", "codes")),
}
