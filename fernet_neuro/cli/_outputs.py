"""Whether a command may write where it was told to: nothing is replaced unless asked for.

What belongs here: the check of ``--out`` before anything is computed; files are written by the packages.
"""

import shlex
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fernet_neuro._utils.atomic import clear_interrupted, clear_leftovers
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError

if TYPE_CHECKING:
    from fernet_neuro.experiments.report_texts import ReportText


def check_out_folder(out: Path, reports: Collection[str], *, overwrite: bool) -> None:
    """Raise if the folder `out` is a file, or holds one of `reports` that is not to be replaced.

    The first of `reports` is the one that is written last: where it is missing, and a command was killed
    while it gave files their names, those are removed.

    Raises
    ------
    StoreError
        Naming the file.
    """
    clear_leftovers(out.parent)
    if reports:
        last, *others = reports
        clear_interrupted(out, last, others)
    clear_leftovers(out)
    if out.exists() and not out.is_dir():
        raise StoreError(f"--out {out} is a file; name a folder.")
    found = [name for name in reports if (out / name).exists()]
    if found and not overwrite:
        raise StoreError(f"--out {out} already holds {found[0]}; add --overwrite, or name another folder.")


def list_command() -> list[str]:
    """Return the command line as a shell takes it."""
    return ["fernet-neuro", *map(shlex.quote, sys.argv[1:])]


def save_result(
    result: Any, out: Path, describe: "Callable[[], ReportText]", *, no_report: bool
) -> list[str]:
    """Write a result, with its figures and page unless `no_report`; return lines on what was written.

    `describe`: gives what the page says, from `experiments.report_texts`.
    """
    if no_report:
        result.save(out)
        return [f"Written to {out}"]
    from fernet_neuro.experiments.reports import save_with_report

    left_out = save_with_report(result, out, describe(), list_command())
    return [
        f"Written to {out}",
        f"Report: {out / 'index.html'}",
        *(f"Left out: {item}." for item in left_out),
    ]


def check_own_folder(out: Path, kind: str, is_own: Callable[[Path], bool], *, overwrite: bool) -> None:
    """Raise if the folder `out`, which is replaced as a whole, is a file or holds what must be kept.

    `kind` says in words what the command writes, and `is_own` whether a folder holds that.

    Raises
    ------
    StoreError
        If it is a file; holds anything and `overwrite` is off; or holds something else.
    """
    check_out_folder(out, [], overwrite=overwrite)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not is_own(out):
        raise StoreError(f"--out {out} does not hold {kind}; name another folder.")
    if not overwrite:
        raise StoreError(f"--out {out} already holds {kind}; add --overwrite, or name another folder.")


def check_out_file(out: Path, suffixes: Collection[str], *, overwrite: bool) -> None:
    """Raise if the file `out` ends otherwise than in `suffixes`, is a folder, or must not be replaced.

    Raises
    ------
    ValueError
        If it ends otherwise.
    StoreError
        If something is there.
    """
    if suffixes and out.suffix.lower() not in suffixes:
        wanted = f"{'one of: ' * (len(suffixes) > 1)}{format_options(suffixes)}"
        raise ValueError(f"--out {out} must end in {wanted}.")
    if out.is_dir():
        raise StoreError(f"--out {out} is a folder; name a file.")
    if out.exists() and not overwrite:
        raise StoreError(f"--out {out} is already there; add --overwrite, or name another file.")


def check_out_files(outputs: Iterable[Path], inputs: Iterable[Path | None], *, overwrite: bool) -> None:
    """Raise if writing `outputs` would destroy what is read, or, without `overwrite`, anything at all.

    Raises
    ------
    StoreError
        Naming the file.
    """
    read = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path.resolve() in read:
            raise StoreError(
                f"{path} is read by this command and would be overwritten; choose another --out."
            )
        if path.exists() and not overwrite:
            raise StoreError(f"{path} exists already; choose another name, or replace it with --overwrite.")
