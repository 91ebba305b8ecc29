"""The ``fernet-neuro`` command: which commands there are, and what their errors become.

What belongs here: the list of all commands, one function each; and exit codes, with one line per mistake.
"""

import os
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from functools import cache
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from fernet_neuro import __version__
from fernet_neuro.cli._wording import say_as_typed, say_plainly
from fernet_neuro.cli.audit import audit_accuracy
from fernet_neuro.cli.brain.decode import decode
from fernet_neuro.cli.brain.fetch import fetch
from fernet_neuro.cli.brain.patterns import patterns
from fernet_neuro.cli.brain.searchlight import searchlight
from fernet_neuro.cli.brain.shares import shares
from fernet_neuro.cli.brain.simulate import simulate
from fernet_neuro.cli.calibrate import calibrate
from fernet_neuro.cli.cluster import SubmitCommand, jobs, merge, submit, work
from fernet_neuro.cli.concepts import make_concepts
from fernet_neuro.cli.cost import show_cost
from fernet_neuro.cli.embed import embed
from fernet_neuro.cli.evaluate import evaluate
from fernet_neuro.cli.export import export, latency
from fernet_neuro.cli.extract import extract, show_store
from fernet_neuro.cli.figures import build, list_figures
from fernet_neuro.cli.info import info
from fernet_neuro.cli.models import fetch_model, list_models, show_model
from fernet_neuro.cli.predict import predict
from fernet_neuro.cli.probe import probe
from fernet_neuro.cli.rdm import rdm
from fernet_neuro.cli.rsa import rsa
from fernet_neuro.cli.run import crossval, run
from fernet_neuro.cli.stimuli.align import align, landmarks
from fernet_neuro.cli.stimuli.datasets import import_stimuli, join
from fernet_neuro.cli.stimuli.render import clips, convert_ict, render
from fernet_neuro.cli.stimuli.tables import check, sheet, show_table, split
from fernet_neuro.cli.stimuli.videos import frames, select_frames
from fernet_neuro.cli.text import export_texts, match_neutral_faces, show_texts
from fernet_neuro.cli.train import train, verify
from fernet_neuro.exceptions import FernetError, FernetWarning

#: What Typer raises of a command line that it cannot read; the class itself has moved between releases.
_USAGE_ERROR: Any = typer.BadParameter.__base__

#: All commands, in the panels of the help; a group has its help, and its commands below it.
COMMANDS: dict[str, dict[str, Callable[..., None] | tuple[str, dict[str, Callable[..., None]]]]] = {
    "Start here": {"run": run, "info": info},
    "Stimuli": {
        "stimuli": (
            "Import, look at, check, split and render face images.",
            {
                "import": import_stimuli, "show": show_table, "check": check, "sheet": sheet, "split": split,
                "join": join, "render": render, "clips": clips, "convert-ict": convert_ict, "frames": frames,
                "select-frames": select_frames, "landmarks": landmarks, "align": align,
            },
        ),
    },
    "Networks": {
        "models": (
            "List the networks, show the layers of one, or get published weights.",
            {"list": list_models, "show": show_model, "fetch": fetch_model},
        ),
        "text": (
            "Tables of embedded prompts, for networks whose classes are texts.",
            {"export": export_texts, "show": show_texts, "match": match_neutral_faces},
        ),
        "cost": show_cost, "latency": latency, "train": train, "crossval": crossval,
        "concepts": make_concepts, "evaluate": evaluate, "verify": verify, "predict": predict,
        "export": export,
    },
    "Layers": {
        "extract": extract, "store": ("Look at activation stores.", {"show": show_store}), "probe": probe,
        "embed": embed,
    },
    "Brains and representational similarity": {
        "rdm": rdm, "rsa": rsa, "calibrate": calibrate,
        "brain": (
            "Patterns of brain activity, searchlights, simulated participants.",
            {
                "patterns": patterns, "decode": decode, "searchlight": searchlight, "simulate": simulate,
                "shares": shares, "fetch": fetch,
            },
        ),
    },
    "Results": {
        "figures": (
            "List the figures, and build them from a folder of results.",
            {"list": list_figures, "build": build},
        ),
        "audit-accuracy": audit_accuracy,
    },
    "Clusters": {"submit": submit, "jobs": jobs, "merge": merge, "work": work},
}  # fmt: skip


#: How commands are made that hand on options which are not theirs.
_OPEN: dict[str, Any] = {
    "submit": {"cls": SubmitCommand, "context_settings": {"ignore_unknown_options": True}}
}


class _Verbs(TyperGroup):
    """All verbs, in our order; an interruption of any is said in one line."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names in the order of `COMMANDS`; Typer's own puts groups last."""
        return [name for commands in COMMANDS.values() for name in commands if name in self.commands]

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(
                "Interrupted; what was finished is kept. Run the same command again to go on "
                "(train, run and crossval: with --resume).",
                err=True,
            )
            raise typer.Exit(130) from None


def _build() -> typer.Typer:
    """Return the command with all that `COMMANDS` lists."""
    root = typer.Typer(
        name="fernet-neuro",
        cls=_Verbs,
        help="How do face networks, and brains, keep who a face is and what it feels apart?",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    for panel, commands in COMMANDS.items():
        for name, command in commands.items():
            if callable(command):
                root.command(name, rich_help_panel=panel, **_OPEN.get(name, {}))(command)
                continue
            group = typer.Typer(no_args_is_help=True, help=command[0])
            for inner, function in command[1].items():
                group.command(inner)(function)
            root.add_typer(group, name=name, rich_help_panel=panel)
    return root


#: What ends a command from outside, and what helps.
_ENDS: dict[type[BaseException], str] = {
    MemoryError: "there is not enough memory for this; use fewer --jobs, smaller batches or fewer voxels.",
    RecursionError: "a file is nested too deeply to be read; it is damaged.",
    BrokenExecutor: "a worker process was ended from outside, often for want of memory; use fewer --jobs.",
}

app = _build()
_show_warning = warnings.showwarning


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fernet-neuro {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version and leave.",
            metavar="",
        ),
    ] = False,
) -> None:
    """Hold the options that stand before any verb."""


@cache
def _find_command(root: typer.Typer) -> Any:
    """Return all commands with their options, which take a while to be read from the signatures."""
    return typer.main.get_command(root)


def main() -> None:
    """Run the command line; set ``FERNET_NEURO_TRACEBACK=1`` to see where an error came from.

    Exit codes: 0 done, 1 a rate that is not what it should be (``calibrate``) or a figure that
    failed (``figures build all``), 2 a mistake in what was asked
    for or found (one line on standard error), 130 interrupted.
    """
    warnings.showwarning = _note
    try:
        code = _find_command(app)(prog_name="fernet-neuro", standalone_mode=False)
    except _USAGE_ERROR as error:
        _fail(_explain_usage(error))
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not say so again when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(2)
    except (MemoryError, RecursionError, BrokenExecutor) as error:
        if os.environ.get("FERNET_NEURO_TRACEBACK"):
            raise
        _fail(next(text for kind, text in _ENDS.items() if isinstance(error, kind)))
    except (FernetError, ValueError, OSError) as error:
        if os.environ.get("FERNET_NEURO_TRACEBACK"):
            raise
        _fail(_say(say_plainly(error)))
    sys.exit(code if isinstance(code, int) else 0)


def _note(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
    """Write a warning of ours as one line."""
    if issubclass(category, FernetWarning):
        sys.stderr.write(f"Note: {' '.join(_say(message).split())}\n")
    else:
        _show_warning(message, category, *place, **options)


def _say(message: object) -> str:
    """Return a message of the package with the options of the command that was given."""
    return say_as_typed(str(message), _find_command(app), sys.argv[1:])


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
