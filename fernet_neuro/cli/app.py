"""The ``fernet-neuro`` command: registers one file per verb.

What belongs here: the options before any verb, and what errors become: one line and exit code 2.
"""

import os
import sys

import typer

from fernet_neuro import __version__
from fernet_neuro.cli import (
    audit,
    brain,
    calibrate,
    concepts,
    cost,
    embed,
    evaluate,
    extract,
    figures,
    models,
    probe,
    rdm,
    rsa,
    run,
    stimuli,
    train,
)
from fernet_neuro.exceptions import FernetError

app = typer.Typer(
    name="fernet-neuro",
    help="How do face networks, and brains, keep who a face is and what it feels apart?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for module in (
    stimuli,
    models,
    cost,
    train,
    concepts,
    extract,
    probe,
    evaluate,
    audit,
    embed,
    brain,
    rdm,
    rsa,
    calibrate,
    figures,
    run,
):
    module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fernet-neuro {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Hold the options that stand before any verb."""


def main() -> None:
    """Run the command line; set ``FERNET_NEURO_TRACEBACK=1`` to see where an error came from.

    Exit codes: 0 done, 2 a mistake in what was asked for or found (one line on standard error), 130
    interrupted.
    """
    try:
        app()
    except (FernetError, ValueError, OSError) as error:
        if os.environ.get("FERNET_NEURO_TRACEBACK"):
            raise
        sys.stderr.write(f"Error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write(
            "Interrupted; what was finished is kept. Run the same command again to go on "
            "(train and run: with --resume).\n"
        )
        sys.exit(130)
