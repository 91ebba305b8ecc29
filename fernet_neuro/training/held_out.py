"""Which stimuli train and which validate: parts of tables, held-out people, and random shares.

What belongs here: everything that draws the line between the two, and that says in the record where it is.
"""

from typing import Any

import numpy as np

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.near_copies import find_near_copies
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings


def select_tables(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None
) -> tuple[StimulusTable, StimulusTable | None]:
    """Return the parts of the tables that the recipe's `select` and `val_select` name.

    Raises StimulusError if a factor or value is not there, or both parts of one table share a stimulus.
    """
    train = _select_part(table, settings.select, "select")
    if not settings.val_select:
        return train, val_table
    val = _select_part(table if val_table is None else val_table, settings.val_select, "val_select")
    shared = np.intersect1d(train.stimulus_ids, val.stimulus_ids if val_table is None else [])
    if len(shared):
        raise StimulusError(
            f"select and val_select share {len(shared)} stimuli (first: {str(shared[0])!r}), which would be "
            f"trained and validated on; give other values."
        )
    return train, val


def split_validation(
    settings: TrainSettings,
    table: StimulusTable,
    val_table: StimulusTable | None,
    default: str,
    least: int = 1,
    classes: str = "identity",
) -> tuple[StimulusTable, StimulusTable | None]:
    """Return training and validation tables as the recipe wants them.

    `default`: what "auto" means. `least`: the smallest number of groups to hold out. `classes`: the factor
    that the task's classes are values of, for a table that names nobody. Raises StimulusError if the factor
    to hold out by is not labelled or has one value, or nothing would be held out.
    """
    by = name_held_out(settings, table, val_table, default)
    if by in ("val_stimuli", "none"):
        return table, val_table
    if by == "random":
        train, val = hold_out_within_identity(table, settings.val_share, settings.seed)
    elif by == "random within class":
        train, val = hold_out_within_classes(table, classes, settings.val_share, settings.seed)
    else:
        train, val = hold_out_groups(table, by, settings.val_share, settings.seed, least)
    if len(val) == 0:
        kept = "pictures of one identity, expression and view stay on one side; " if by == "random" else ""
        raise StimulusError(
            f"val_share={settings.val_share} by {by!r} holds out none of {len(table)} stimuli; {kept}"
            f"raise it, or set it to 0."
        )
    return table.select(train), table.select(val)


def name_held_out(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None, default: str
) -> str:
    """Return what `split_validation` holds out, as the record tells it.

    Returns "none"; "val_stimuli", a table or part of its own; the factor of which whole values are held out,
    such as "identity"; "random", some pictures of each identity; or "random within class" where the table
    names nobody and the recipe does not ask for a factor by name.
    """
    if val_table is not None:
        return "val_stimuli"
    if settings.val_share == 0:
        return "none"
    by = default if settings.val_by == "auto" else settings.val_by
    is_named = settings.val_by not in ("auto", "random")
    return by if is_named or names_people(table) else "random within class"


def names_people(table: StimulusTable) -> bool:
    """Return whether any stimulus has an identity."""
    return bool((table.factor("identity", complete=False) != "").any())


def check_people_apart(train: StimulusTable, val: StimulusTable) -> None:
    """Raise if somebody is in both tables.

    Raises StimulusError naming the first such identity.
    """
    both = sorted(set(train.factor("identity")) & set(val.factor("identity")))
    if both:
        raise StimulusError(
            f"{len(both)} identities are in both training and validation stimuli (first: {both[0]!r}); leave "
            f"them out of one, or set val_by: random to validate on known people."
        )


def hold_out_groups(
    table: StimulusTable, by: str, share: float, seed: int, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return training and held-out row numbers; each value of the factor `by` lies on one side only.

    Raises StimulusError if the factor has fewer than two values.
    """
    values = table.factor(by)
    names = np.unique(values)
    if len(names) < 2:
        raise StimulusError(
            f"a validation share held out by {by!r} needs two or more values; the table has {len(names)}. "
            f"Set val_by or val_share: 0."
        )
    n_held = min(max(least, round(share * len(names))), len(names) - 1)
    chosen = make_rng(seed, "hold out", by).permutation(names)[:n_held]
    test = np.isin(values, chosen)
    return np.flatnonzero(~test), np.flatnonzero(test)


def hold_out_within_identity(table: StimulusTable, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return training and held-out row numbers, the latter about `share` of each identity's pictures.

    Pictures of one identity, expression and view are near copies of each other, so they stay on one side (see
    `find_near_copies`). An identity with a single such group stays in training.
    """
    return _hold_out_within(
        table.factor("identity"), find_near_copies(table), share, make_rng(seed, "hold out")
    )


def hold_out_within_classes(
    table: StimulusTable, factor: str, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return training and held-out row numbers, the latter about `share` of each class's pictures, at random.

    For tables that name nobody, where near copies cannot be told. A class of one picture stays in training.
    """
    rng = make_rng(seed, "hold out within", factor)
    return _hold_out_within(table.factor(factor), np.arange(len(table)), share, rng)


def _select_part(table: StimulusTable, wanted: dict[str, Any], key: str) -> StimulusTable:
    part = table.select(**wanted)
    if len(part) == 0:
        values = {name: format_options(np.unique(table.factor(name, complete=False))) for name in wanted}
        raise StimulusError(f"{key}={wanted} leaves none of {len(table)} stimuli; the table has {values}.")
    return part


def _hold_out_within(
    values: np.ndarray, groups: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out about `share` of the groups of rows that have each value, and leave it at least one."""
    held: list[np.ndarray] = []
    for value in np.unique(values):
        rows = np.flatnonzero(values == value)
        names = np.unique(groups[rows])
        # The fraction left over is held out by chance, so that the share is right on average.
        n_held = min(int(share * len(names) + rng.random()), len(names) - 1)
        chosen = rng.permutation(names)[:n_held]
        held.append(rows[np.isin(groups[rows], chosen)])
    test = np.sort(np.concatenate(held)) if held else np.array([], dtype=int)
    return np.setdiff1d(np.arange(len(values)), test), test
