"""Whose each RDM is: every one of somebody, nobody twice by mistake, and no copy under another name.

What belongs here: checks of the table of RDMs, before anything is averaged by it.
"""

from collections.abc import Iterable

import numpy as np

from fernet_neuro._utils.likeness import Seen
from fernet_neuro._utils.tables import to_text
from fernet_neuro.rsa.rdms import RDMSet

#: What people write where they know no name.
_MISSING = frozenset(("", "n/a", "nan", "NaN", "None", "NA"))
#: RDMs with fewer different values may be equal by chance.
_FEWEST_VALUES = 10


def check_whose(rdms: RDMSet, name: str = "the brain RDMs") -> None:
    """Raise unless each RDM has a subject, and a subject several of a region as sessions alone.

    Raises
    ------
    ValueError
        Naming the first RDM without, or that subject.
    """
    subjects = to_text(rdms.table["subject"])
    unknown = np.flatnonzero(subjects.isin(_MISSING))
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} of {rdms.n_rdms} RDMs of {name} have no subject (first: row {unknown[0]}); they "
            f"would count as one person. Name each, or leave them out."
        )
    keys = [column for column in ("roi", "subject", "session") if column in rdms.table]
    again = np.flatnonzero(rdms.table[keys].duplicated())
    if len(again):
        row = rdms.table.iloc[again[0]]
        what = ", ".join(f"{column} {row[column]}" for column in keys)
        raise ValueError(
            f"{name} have {len(again) + 1} or more RDMs where each should differ (first twice: {what}); "
            f"number repeated measures in a column session, or leave all but one out."
        )


def check_copies(rdms: RDMSet, name: str = "the brain RDMs") -> None:
    """Raise if two subjects, or two sessions of one, have the same RDM of a region.

    Raises
    ------
    ValueError
        Naming both.
    """
    table = rdms.table
    regions = table["roi"].astype(str) if "roi" in table else [""] * rdms.n_rdms
    owners = table["subject"].astype(str)
    if "session" in table and (table["session"].astype(str) != "").any():
        owners = owners + " (session " + table["session"].astype(str) + ")"
    found = find_copy(rdms.dissimilarities, owners, regions)
    if found:
        raise ValueError(
            f"{name}: subjects {found[0]} and {found[1]} have the same RDM, but for offset and scale "
            f"at most; copies are not independent. Leave one of them out."
        )


def find_copy(
    dissimilarities: np.ndarray, owners: Iterable[str], groups: Iterable[str]
) -> tuple[str, str] | None:
    """Return the owners of the first two RDMs of one group that are the same but for scale, or None.

    RDMs of few different values, such as those of categories, may be equal by chance and do not count.
    """
    seen = Seen(_FEWEST_VALUES)
    for vector, owner, group in zip(dissimilarities, owners, groups, strict=True):
        if len(np.unique(vector[np.isfinite(vector)])) < _FEWEST_VALUES:
            continue
        other = seen.find(vector, owner, group)
        if other is not None:
            return other, owner
    return None
