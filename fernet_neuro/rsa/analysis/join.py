"""One RSA of several that took some regions each.

What belongs here: putting parts together; every region is inferred by itself, with the random numbers of its
own, so parts are what one analysis gives.
"""

from collections.abc import Sequence
from dataclasses import fields

import pandas as pd

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.analysis.run import RSAFolder
from fernet_neuro.rsa.rdms import concat_rdms
from fernet_neuro.rsa.result import RSAResult


def join_regions(parts: Sequence[RSAFolder]) -> RSAFolder:
    """Return one analysis of parts of other regions each, in their order.

    Raises
    ------
    ValueError
        If there is no part.
    AlignmentError
        If parts differ in their models or settings, or two hold one region.
    """
    if not parts:
        raise ValueError("parts must hold at least one analysis; got none.")
    first = parts[0]
    regions = [roi for part in parts for roi in part.result.rois]
    if len(set(regions)) != len(regions):
        raise AlignmentError("two parts of the analysis hold one region; each must be in one.")
    own = _list_own(parts)
    for part in parts[1:]:
        if part.models != first.models or _shared(part, own) != _shared(first, own):
            raise AlignmentError("parts of the analysis differ in models or settings; run them alike.")
    names = [item.name for item in fields(RSAResult) if item.name != "settings"]
    tables = {name: _stack([getattr(part.result, name) for part in parts]) for name in names}
    settings = dict(first.result.settings)
    for name in own:
        settings[name] = {roi: value for part in parts for roi, value in part.result.settings[name].items()}
    notes = dict.fromkeys(note for part in parts for note in part.result.settings.get("notes", []))
    settings["notes"] = list(notes)
    brain = concat_rdms([part.brain for part in parts])
    return RSAFolder(RSAResult(**tables, settings=settings), first.models, brain, first.stimuli)


def _list_own(parts: Sequence[RSAFolder]) -> list[str]:
    """Return the settings that hold a value for each region."""
    return [
        name
        for name, value in parts[0].result.settings.items()
        if isinstance(value, dict)
        and all(set(part.result.settings[name]) == set(part.result.rois) for part in parts)
    ]


def _shared(part: RSAFolder, own: Sequence[str]) -> dict[str, object]:
    return {name: value for name, value in part.result.settings.items() if name not in ("notes", *own)}


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]
