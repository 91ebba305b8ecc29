"""``fernet-neuro brain fetch``: public data sets to try everything on."""

from pathlib import Path

import typer


def register(group: typer.Typer) -> None:
    """Add the command to `group`."""
    group.command("fetch")(fetch)


def fetch(
    name: str = typer.Argument(..., help="kriegeskorte92 or haxby2001."),
    out: Path = typer.Option(..., help="Folder to download into."),
    base_url: str | None = typer.Option(
        None, help="Address of a mirror with the same paths.  [default: GitHub's raw files]"
    ),
    timeout: float = typer.Option(30.0, min=0.1, help="Seconds of silence that end a connection."),
    as_json: bool = typer.Option(False, "--json", help="Print what is there as JSON."),
) -> None:
    """Download a public data set, and say its licence and whom to cite.

    kriegeskorte92: RDMs of 92 pictures (1.5 MB). haxby2001: one slice of the BOLD of one subject (1.3 MB).
    Each file is checked against a pinned SHA-256. A broken download goes on where it ended. Notebooks find
    the folders kriegeskorte92 and haxby2001_slice in the folder that FERNET_NEURO_DATA names.

    Examples
    --------
        fernet-neuro brain fetch kriegeskorte92 --out data/kriegeskorte92

        fernet-neuro brain fetch haxby2001 --out data/haxby2001_slice
    """
    import json

    from fernet_neuro.brain.fetch import BASE_URL, DATA_SETS, fetch_data_set

    written = fetch_data_set(name, out, base_url=base_url or BASE_URL, timeout=timeout, verbose=not as_json)
    data = DATA_SETS[name]
    if as_json:
        files = [str(path) for path in written]
        typer.echo(
            json.dumps({"name": name, "licence": data.licence, "citation": data.citation, "files": files})
        )
        return
    typer.echo("\n".join(str(path) for path in written))
    typer.echo(f"\nLicence: {data.licence}\nCite: {data.citation}")
