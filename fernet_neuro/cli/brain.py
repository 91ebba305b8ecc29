"""``fernet-neuro brain``: from the scanner's files to patterns, maps, and simulated participants.

What belongs here: the group; each of its commands is in a file of its own beside this one.
"""

from types import ModuleType

import typer

from fernet_neuro.cli import (
    _brain_decode,
    _brain_fetch,
    _brain_patterns,
    _brain_searchlight,
    _brain_shares,
    _brain_simulate,
)

#: Modules with a command each, in the order of the help.
_COMMANDS: tuple[ModuleType, ...] = (
    _brain_patterns,
    _brain_decode,
    _brain_searchlight,
    _brain_simulate,
    _brain_shares,
    _brain_fetch,
)


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    group = typer.Typer(
        no_args_is_help=True, help="Patterns of brain activity, searchlights, simulated participants."
    )
    for module in _COMMANDS:
        module.register(group)
    app.add_typer(group, name="brain")
