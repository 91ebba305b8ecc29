"""``fernet-neuro models``."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
