"""``fernet-neuro stimuli render``, ``clips`` and ``convert-ict``: faces with known factors.

What belongs here: options and messages; the designs are in `stimuli.rendering`.
"""

import typer


def register_render(group: typer.Typer) -> None:
    """Add the rendering commands to the group ``stimuli``."""
