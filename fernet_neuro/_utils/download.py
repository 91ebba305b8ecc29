"""Pinned files from public servers: checked, resumed, each complete or absent.

What belongs here: what pooch does not do by itself (to go on with a broken download, to refuse unsafe
redirects); which files there are is the business of others.
"""

import os
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.progress import make_progress
from fernet_neuro.exceptions import StoreError

#: How often one file is tried anew where it got further each time.
_N_ATTEMPTS = 5
#: Hosts for which plain http is allowed: nobody sits between.
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class RemoteFile:
    """One pinned file.

    `path`: after the address of all files; its last part is its name on disk. `size`: bytes. `sha256`:
    hexadecimal.
    """

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Its name on disk."""
        return self.path.rsplit("/", maxsplit=1)[-1]


def is_there(path: Path, file: RemoteFile) -> bool:
    """Return whether a file is there; raise StoreError if another one of its name is."""
    if not path.exists():
        return False
    if path.is_file() and path.stat().st_size == file.size and hash_file(path) == file.sha256:
        return True
    raise StoreError(
        f"{path} is there and is not the file of the data set (another size or SHA-256); move it away, or "
        f"name another place."
    )


def download_all(files: list[RemoteFile], root: str, folder: Path, timeout: float, verbose: bool) -> None:
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
                check_url(urllib.parse.urljoin(answer.url, answer.headers["Location"]))
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


def check_url(url: str) -> None:
    found = urllib.parse.urlsplit(url)
    is_local = found.scheme == "http" and found.hostname in _LOCAL_HOSTS
    if not found.hostname or not (found.scheme == "https" or is_local):
        raise ValueError(
            f"base_url must be an https address, such as https://example.org/files; got {url!r}."
        )
