"""The ``fernet-neuro`` command: registers one file per verb.

What belongs here: the options before any verb, and what errors become: one line and exit code 2.
"""

import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

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

#: What Typer raises of a command line that it cannot read; the class itself has moved between releases.
_USAGE_ERROR: Any = typer.BadParameter.__base__


class _Verbs(TyperGroup):
    """All verbs; an interruption of any is said in one line."""

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the verb that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(
                "Interrupted; what was finished is kept. Run the same command again to go on "
                "(train and run: with --resume).",
                err=True,
            )
            raise typer.Exit(130) from None


app = typer.Typer(
    name="fernet-neuro",
    cls=_Verbs,
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

    Exit codes: 0 done, 1 a rate that is not what it should be (``calibrate``), 2 a mistake in what was asked
    for or found (one line on standard error), 130 interrupted.
    """
    try:
        code = app(prog_name="fernet-neuro", standalone_mode=False)
    except _USAGE_ERROR as error:
        _fail(_explain_usage(error))
    except (FernetError, ValueError, OSError) as error:
        if os.environ.get("FERNET_NEURO_TRACEBACK"):
            raise
        _fail(str(error))
    sys.exit(code if isinstance(code, int) else 0)


def _explain_usage(error: Any) -> str:
    """Return what is wrong with a command line, and where its help is; "" where the help was shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return ""
    message = error.format_message()
    stop = "" if message.endswith((".", "?")) else "."
    return message + stop + (f" See: {error.ctx.command_path} --help" if error.ctx else "")


def _fail(message: str) -> NoReturn:
    if message:
        sys.stderr.write(f"Error: {' '.join(message.split())}\n")
    sys.exit(2)
