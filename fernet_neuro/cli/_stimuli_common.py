"""What the commands of ``fernet-neuro stimuli`` share.

What belongs here: refusing to overwrite, and the line that sums up a table.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fernet_neuro.stimuli.table import StimulusTable


def check_outputs(outputs: list[Path], inputs: list[Path], overwrite: bool) -> None:
    """Raise if writing would destroy what is read, or, without `overwrite`, anything at all.

    Raises
    ------
    StoreError
        Naming the file.
    """
    from fernet_neuro.exceptions import StoreError

    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise StoreError(
                f"{path} is read by this command and would be overwritten; choose another --out."
            )
        if path.exists() and not overwrite:
            raise StoreError(f"{path} exists already; choose another name, or replace it with --overwrite.")


def describe_table(table: StimulusTable) -> str:
    """Return such as ``"12 stimuli, 3 identities, 2 expressions"``."""
    parts = [f"{len(table)} stimuli"]
    words = {"identity": "identities", "expression": "expressions", "view": "views", "session": "sessions"}
    for name, plural in words.items():
        values = set(table.factor(name, complete=False).tolist()) - {""}
        if values:
            parts.append(f"{len(values)} {plural if len(values) > 1 else name}")
    return ", ".join(parts)
