"""``fernet-neuro brain fetch``: public data sets to try everything on."""

from pathlib import Path
from typing import Annotated

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import show


def fetch(
    name: Annotated[str, opt.argument("kriegeskorte92 or haxby2001.", "NAME")],
    out: Annotated[Path, opt.folder("Folder to download into.")],
    base_url: Annotated[
        str | None,
        opt.text("Address of a mirror with the same paths.  [default: GitHub's raw files]", metavar="URL"),
    ] = None,
    timeout: Annotated[float, opt.positive("Seconds without data after which a connection ends.")] = 30.0,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Download a public data set, and print its licence and whom to cite.

    kriegeskorte92: RDMs of 92 pictures (1.5 MB). haxby2001: one slice of the BOLD of one subject (1.3 MB).
    Each file is checked against a pinned SHA-256. A broken download goes on where it ended. Notebooks find
    the folders kriegeskorte92 and haxby2001_slice in the folder that FERNET_NEURO_DATA names.

    Examples
    --------
        fernet-neuro brain fetch kriegeskorte92 --out data/kriegeskorte92
        fernet-neuro brain fetch haxby2001 --out data/haxby2001_slice
    """
    from fernet_neuro.brain.fetch import BASE_URL, DATA_SETS, fetch_data_set

    verbose = not (quiet or as_json)
    files = list(
        map(str, fetch_data_set(name, out, base_url=base_url or BASE_URL, timeout=timeout, verbose=verbose))
    )
    data = DATA_SETS[name]
    values = {"name": name, "licence": data.licence, "citation": data.citation, "files": files}
    show([*files, "", f"Licence: {data.licence}", f"Cite: {data.citation}"], as_json=as_json, values=values)
