"""Public data sets from where their keepers put them: pinned files, checked, resumed, complete or absent.

What belongs here: addresses, sizes, checksums, licences, and what pooch does not do by itself (to go on with
a broken download, to refuse unsafe redirects); reading the files is the business of others.
"""

import os
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.progress import make_progress
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: Where GitHub serves the raw files of a repository: BASE/owner/repository/commit/path.
BASE_URL = "https://raw.githubusercontent.com"
#: The file that says where all others come from; written last, so that where it lies the data are whole.
SOURCE = "SOURCE.txt"
#: How often one file is tried anew where it got further each time.
_N_ATTEMPTS = 5
#: Hosts for which plain http is allowed: nobody sits between.
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    `path`: in the repository; its last part is its name on disk. `size`: bytes. `sha256`: hexadecimal.
    """

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Its name on disk."""
        return self.path.rsplit("/", maxsplit=1)[-1]


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
    _check_url(base_url)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; name a folder to download into.")
    missing = [file for file in data.files if not _is_there(folder / file.name, file)]
    root = f"{base_url.rstrip('/')}/{data.repository}/{data.commit}"
    _download_all(missing, root, folder, timeout, verbose)
    if missing or not (folder / SOURCE).exists():
        write_text(folder / SOURCE, data.describe())
    return [folder / file.name for file in data.files] + [folder / SOURCE]


def _is_there(path: Path, file: RemoteFile) -> bool:
    if not path.exists():
        return False
    if path.is_file() and path.stat().st_size == file.size and hash_file(path) == file.sha256:
        return True
    raise StoreError(
        f"{path} is there and is not the file of the data set (another size or SHA-256); move it away, or "
        f"name another folder."
    )


def _download_all(files: list[RemoteFile], root: str, folder: Path, timeout: float, verbose: bool) -> None:
    """Download files into a folder, with a bar of KiB if `verbose`."""
    with ExitStack() as stack:
        progress = stack.enter_context(make_progress()) if verbose and files else None
        for file in files:
            show: Callable[[int], object] = int
            if progress is not None:
                bar = progress.add_task(f"{file.name} (KiB)", total=-(-file.size // 1024))
                show = partial(_show_bytes, partial(progress.update, bar))
            _download(f"{root}/{file.path}", _Resumed(file, folder / f".{file.name}.part", timeout, show))


def _show_bytes(update: Callable[..., object], n_bytes: int) -> None:
    update(completed=-(-n_bytes // 1024))


def _download(url: str, resumed: "_Resumed") -> None:
    """Download one file; what arrived before is kept and gone on from."""
    import pooch
    import requests

    file, part = resumed.file, resumed.part
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, f"sha256:{file.sha256}", file.name, part.parent, downloader=resumed)
    except requests.RequestException as error:
        if part.exists() and not part.stat().st_size:
            part.unlink()
        raise StoreError(_explain(url, error, part, file)) from None
    except OSError as error:
        raise StoreError(f"{part} cannot be written: {error.strerror or error}.") from None
    except ValueError:
        part.unlink(missing_ok=True)
        raise StoreError(
            f"{url} is not the pinned file (another size or SHA-256); nothing of it was kept. Try again, and "
            f"if it stays so, do not trust that server."
        ) from None


@dataclass
class _Resumed:
    """A downloader for pooch that goes on with `part`, and the bar that pooch's own downloader reports to."""

    file: RemoteFile
    part: Path
    timeout: float
    show: Callable[[int], object]
    total: int = 0

    def __call__(self, url: str, output: str, _pooch: object) -> None:
        """Complete the part, trying anew as long as that gets further, and hand it to pooch as `output`."""
        import requests

        for attempt in range(_N_ATTEMPTS):
            before = self._n_bytes()
            try:
                if before < self.file.size:
                    self._ask_for_rest(url, before)
                break
            except requests.RequestException:
                if self._n_bytes() <= before or attempt == _N_ATTEMPTS - 1:
                    raise
        self.part.replace(output)

    def _n_bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _ask_for_rest(self, url: str, have: int) -> None:
        import pooch

        # Compressed on the way, a part could not be gone on from.
        headers = {"User-Agent": "fernet-neuro", "Accept-Encoding": "identity"}
        headers |= {"Range": f"bytes={have}-"} if have else {}
        with self.part.open("ab") as handle, ExitStack() as answers:
            hooks = {"response": partial(self._check_answer, answers, have)}
            ask = pooch.HTTPDownloader(progressbar=self, timeout=self.timeout, headers=headers, hooks=hooks)
            ask(url, handle, None)

    def _check_answer(self, answers: ExitStack, have: int, answer: Any, **_: object) -> None:
        """Refuse an unsafe redirect; start anew where the server does not send the rest."""
        import requests

        answers.callback(answer.close)
        if answer.is_redirect:
            try:
                _check_url(urllib.parse.urljoin(answer.url, answer.headers["Location"]))
            except ValueError:
                raise requests.exceptions.InvalidURL("redirected to an address that is not https") from None
        goes_on = str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
        # 416: the server's file ends before the part does.
        if answer.status_code == 416 or (answer.ok and not goes_on):
            os.truncate(self.part, 0)

    def update(self, _: int) -> None:
        """Show how far the file has come; a longer file is a wrong one, and need not be loaded to its end."""
        self.show(self._n_bytes())
        if self._n_bytes() > self.file.size:
            raise ValueError("longer than the pinned file")

    def reset(self) -> None:
        """Do nothing: the file itself says how far it has come."""

    close = reset


def _explain(url: str, error: Any, part: Path, file: RemoteFile) -> str:
    """Return one line that says what happened and what to do."""
    answered = error.response is not None
    broken = getattr(next(iter(error.args), None), "reason", error)
    said = f"HTTP {error.response.status_code} {error.response.reason}" if answered else str(broken)
    kept = f"; {part.stat().st_size} of {file.size} bytes are kept" if part.exists() else ""
    return (
        f"{url} cannot be had ({' '.join(said.split())}){kept}. Run the command again when this machine "
        f"is online, give the address of a mirror with --base-url, or put the file into {part.parent}."
    )


def _check_url(url: str) -> None:
    found = urllib.parse.urlsplit(url)
    is_local = found.scheme == "http" and found.hostname in _LOCAL_HOSTS
    if not found.hostname or not (found.scheme == "https" or is_local):
        raise ValueError(f"base_url must be an https address, such as {BASE_URL}; got {url!r}.")
