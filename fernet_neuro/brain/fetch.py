"""Public data sets from where their keepers put them: pinned files, checked, resumed, complete or absent.

What belongs here: addresses, sizes, checksums, licences; the download itself is in `_utils.download`, and
reading the files is the business of others.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.download import RemoteFile, check_url, download_all, is_there
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: Where GitHub serves the raw files of a repository: BASE/owner/repository/commit/path.
BASE_URL = "https://raw.githubusercontent.com"
#: The file that says where all others come from; written last, so that where it lies the data are whole.
SOURCE = "SOURCE.txt"


@dataclass(frozen=True)
class DataSet:
    """Files of one commit of a repository, what may be done with them, and whom to cite.

    Parameters
    ----------
    title : str
    repository : str
        ``owner/name`` on GitHub.
    commit : str
        Files of a commit never change.
    files : tuple of RemoteFile
    licence, citation : str
    """

    title: str
    repository: str
    commit: str
    files: tuple[RemoteFile, ...]
    licence: str
    citation: str

    def describe(self) -> str:
        """Return what `SOURCE` says."""
        listed = "\n".join(f"  {file.name}  {file.size} bytes  SHA-256 {file.sha256}" for file in self.files)
        return (
            f"{self.title}\n\nFrom:     https://github.com/{self.repository}, commit {self.commit}\n"
            f"Licence:  {self.licence}\nCite:     {self.citation}\nFiles:\n{listed}\n"
        )


#: Data sets by name.
DATA_SETS: dict[str, DataSet] = {
    name: DataSet(**{**found, "files": tuple(RemoteFile(**file) for file in found["files"])})
    for name, found in yaml.safe_load(
        Path(__file__).with_name("data_sets.yaml").read_text(encoding="utf-8")
    ).items()
}


def fetch_data_set(
    name: str, out: PathLike, *, base_url: str = BASE_URL, timeout: float = 30.0, verbose: bool = False
) -> list[Path]:
    """Download a data set into the folder `out`, and return its files.

    Files that are there and right are left alone. A broken download goes on where it ended, also at the
    next call; until a file is whole and its checksum right, it is called ``.NAME.part``. ``SOURCE.txt`` with
    origin, licence and citation is written last.

    Parameters
    ----------
    name : str
        In `DATA_SETS`.
    out : path
    base_url : str, default=`BASE_URL`
        Of a mirror with the same paths; https, or http on this machine.
    timeout : float, default=30
        Seconds without a byte after which a connection counts as broken.
    verbose : bool, default=False
        Show progress.

    Raises
    ------
    ValueError
        If there is no such data set, or the address is not https.
    StoreError
        If the server cannot be reached, lacks a file or sends another one, or `out` holds another file of
        that name; the message says what to do.
    """
    data = DATA_SETS[check_option("name", name, DATA_SETS)]
    check_range("timeout", timeout, minimum=0.1)
    check_url(base_url)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; name a folder to download into.")
    missing = [file for file in data.files if not is_there(folder / file.name, file)]
    root = f"{base_url.rstrip('/')}/{data.repository}/{data.commit}"
    download_all(missing, root, folder, timeout, verbose)
    if missing or not (folder / SOURCE).exists():
        write_text(folder / SOURCE, data.describe())
    return [folder / file.name for file in data.files] + [folder / SOURCE]
