"""Public data sets from where their keepers put them: pinned files, checked, resumed, complete or absent.

What belongs here: addresses, sizes, checksums, licences, and the download; reading the files is the business
of others.
"""

import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.progress import make_progress
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Where GitHub serves the raw files of a repository: BASE/owner/repository/commit/path.
BASE_URL = "https://raw.githubusercontent.com"
#: The file that says where all others come from; written last, so that where it lies the data are whole.
SOURCE = "SOURCE.txt"
#: How often one file is tried anew where it got further each time, and bytes in a piece.
_N_ATTEMPTS, _PIECE = 5, 1 << 16
#: Hosts for which plain http is allowed: nobody sits between.
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
#: What breaks a connection; any other error of the system is about the file that is written.
_NETWORK_ERRORS = (urllib.error.URLError, ConnectionError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Parameters
    ----------
    path : str
        In the repository; its last part is its name on disk.
    size : int
        Bytes.
    sha256 : str
        Hexadecimal.
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
    "kriegeskorte92": DataSet(
        title="RDMs of 92 pictures: human IT (4 subjects, 2 sessions), judgements of 16 people, 8 models",
        repository="rsagroup/rsatoolbox",
        commit="f1f83cadb7243492a1aae7460466e0f0140b20ac",
        files=(
            RemoteFile(
                "demos/92imageData/92_brainRDMs.mat",
                224663,
                "1743f90a15e895798a94318649e80e1123a7e5943a1703fa1dd7c31ea5780b7c",
            ),
            RemoteFile(
                "demos/92imageData/92_behavRDMs.mat",
                982719,
                "7a8e118c144c3840adeeeef6ea0706a0be2b3e80df719af15fbb56fc62562f5f",
            ),
            RemoteFile(
                "demos/92imageData/92_modelRDMs.mat",
                333004,
                "e1d2b58bb2f9508bc13da4c81b94d1ab07823b25ed30b9563bd9d6d730c2a00a",
            ),
            RemoteFile("LICENSE", 1075, "e9c94775a8cdb2823e538ac9bec67098490927395d5fad4375ecd4d4c877f32d"),
        ),
        licence=(
            "MIT, Copyright (c) 2019 rsatoolbox authors (file LICENSE); the repository states no licence of "
            "the data apart from it."
        ),
        citation=(
            "Kriegeskorte et al. (2008), Matching categorical object representations in inferior temporal "
            "cortex of man and monkey, Neuron 60:1126-1141; for the judgements: Mur et al. (2013), Human "
            "object-similarity judgments reflect and transcend the primate-IT object representation, "
            "Frontiers in Psychology 4:128."
        ),
    ),
    "haxby2001": DataSet(
        title="Subject 1 of Haxby et al. (2001), posterior half of one axial slice: 1452 volumes, 12 runs",
        repository="PyMVPA/PyMVPA",
        commit="20f0335f98bbb59a0e11bc0b7a469edf8681a9a1",
        files=(
            RemoteFile(
                "mvpa2/data/bold.nii.gz",
                1311329,
                "cbbd4d07803caaa9f77381af24e790cf77058664a128bd514a4c1668eefb92d7",
            ),
            RemoteFile(
                "mvpa2/data/mask.nii.gz",
                197,
                "8d879d35aaeee3afddfb69a7e1b8dd2b3be446671452d7e841dc6588845f2877",
            ),
            RemoteFile(
                "mvpa2/data/attributes_literal.txt",
                12026,
                "7769f235e93d3157ef7bd1102abfaf3bc058ad9ca28e89dc60b8e47f473207c3",
            ),
            RemoteFile(
                "mvpa2/data/README",
                287,
                "514692b2bba6d1b184c5b91bc95f80d3239126a3b802814135277f86f44461b7",
            ),
        ),
        licence=(
            "the raw data are CC0 (OpenNeuro ds000105); PyMVPA's page on this excerpt says CC BY-SA 3.0: "
            "attribute, and share what you make of it alike."
        ),
        citation=(
            "Haxby et al. (2001), Distributed and overlapping representations of faces and objects in "
            "ventral temporal cortex, Science 293:2425-2430; Hanke et al. (2009), PyMVPA: a Python toolbox "
            "for multivariate pattern analysis of fMRI data, Neuroinformatics 7:37-53."
        ),
    ),
}


def fetch_data_set(
    name: str,
    out: PathLike,
    *,
    base_url: str = BASE_URL,
    timeout: float = 30.0,
    verbose: bool = False,
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
    opener = urllib.request.build_opener(_SafeRedirects)
    if not verbose or not files:
        for file in files:
            _download(opener, f"{root}/{file.path}", folder / file.name, file, timeout)
        return
    with make_progress() as progress:
        for file in files:
            bar = progress.add_task(f"{file.name} (KiB)", total=-(-file.size // 1024))
            show = partial(_show_bytes, progress, bar)
            _download(opener, f"{root}/{file.path}", folder / file.name, file, timeout, show)


def _show_bytes(progress: "Progress", bar: "TaskID", n_bytes: int) -> None:
    progress.update(bar, completed=-(-n_bytes // 1024))


def _download(
    opener: urllib.request.OpenerDirector,
    url: str,
    target: Path,
    file: RemoteFile,
    timeout: float,
    report: Callable[[int], object] = lambda _: None,
) -> None:
    """Download one file; what arrived before is kept and gone on from."""
    part = target.with_name(f".{target.name}.part")
    for _ in range(_N_ATTEMPTS):
        before = _size(part)
        if before > file.size:
            part.unlink()
            before = 0
        error = _try(opener, url, part, file, timeout, report) if before < file.size else None
        if _size(part) >= file.size:
            break
        if _size(part) <= before:
            raise StoreError(_explain(url, error, part, file))
    if _size(part) < file.size:
        raise StoreError(_explain(url, None, part, file))
    if _size(part) != file.size or hash_file(part) != file.sha256:
        part.unlink()
        raise StoreError(
            f"{url} is not the pinned file (another size or SHA-256); nothing of it was kept. Try again, and "
            f"if it stays so, do not trust that server."
        )
    part.replace(target)


def _try(
    opener: urllib.request.OpenerDirector,
    url: str,
    part: Path,
    file: RemoteFile,
    timeout: float,
    report: Callable[[int], object],
) -> Exception | None:
    """Ask for what is missing and append it; return what broke the connection, or None."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "fernet-neuro"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with opener.open(request, timeout=timeout) as answer:
            # A server may ignore the range and send all.
            goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(answer, have)
            part.parent.mkdir(parents=True, exist_ok=True)
            with part.open("ab" if goes_on else "wb") as handle:
                while piece := answer.read(_PIECE):
                    handle.write(piece)
                    report(handle.tell())
                    # A longer file is a wrong one; it need not be loaded to its end.
                    if handle.tell() > file.size:
                        break
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
        return error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        return error
    return None


def _starts_at(answer: Any, have: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _explain(url: str, error: Exception | None, part: Path, file: RemoteFile) -> str:
    """Return one line that says what happened and what to do."""
    if isinstance(error, urllib.error.HTTPError):
        return (
            f"{url} cannot be had: HTTP {error.code} {error.reason}. Give the address of a mirror with "
            f"--base-url, or put the file into {part.parent} yourself."
        )
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        host = urllib.parse.urlsplit(url).hostname
        return f"the certificate of {host} is not valid ({reason}); nothing was loaded."
    if isinstance(error, OSError) and not isinstance(error, _NETWORK_ERRORS):
        return f"{part} cannot be written: {error.strerror or error}."
    kept = f"; {_size(part)} of {file.size} bytes are kept" if _size(part) else ""
    said = f" ({' '.join(str(reason).split())})" if error is not None else ""
    broken = "ended early" if _size(part) else "cannot be reached"
    return (
        f"{url} {broken}{said}{kept}. Run the command again when this machine is online, or load the file "
        f"elsewhere and put it into {part.parent}."
    )


def _check_url(url: str) -> None:
    found = urllib.parse.urlsplit(url)
    is_local = found.scheme == "http" and found.hostname in _LOCAL_HOSTS
    if not found.hostname or not (found.scheme == "https" or is_local):
        raise ValueError(f"base_url must be an https address, such as {BASE_URL}; got {url!r}.")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https alone."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Refuse another address than `_check_url` would take."""
        try:
            _check_url(newurl)
        except ValueError:
            raise urllib.error.HTTPError(
                newurl, code, "redirected to an address that is not https", headers, fp
            ) from None
        return super().redirect_request(req, fp, code, msg, headers, newurl)
