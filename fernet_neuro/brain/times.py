"""When the volumes of a run were taken: one rule for images of a data set and images named one by one.

What belongs here: repetition time and start time from a sidecar, a header or the user, and what is doubtful.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fernet_neuro.brain.images import load_image
from fernet_neuro.brain.surfaces import is_surface

#: Seconds of one unit of the fourth dimension, by NIfTI's names.
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
#: Seconds between volumes that nobody measures: shorter and longer ones are of another unit.
_SHORTEST, _LONGEST = 0.02, 60.0
#: Seconds by which a header may differ from a sidecar: headers hold float32.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Times:
    """What a sidecar says about when volumes were taken.

    Parameters
    ----------
    t_r : float or None
        Seconds between volumes; None where it does not say.
    start_time : float or None
        Seconds from the start of a volume to the moment that it stands for; None where it does not say.
    is_corrected : bool
        Whether slices were shifted to one moment.
    """

    t_r: float | None = None
    start_time: float | None = None
    is_corrected: bool = False


def read_times(sidecar: Mapping[str, Any], image: str) -> Times:
    """Return what the sidecar of an image says.

    Raises
    ------
    ValueError
        If it says no number, or that volumes are not equally far apart.
    """
    t_r = _number(sidecar, "RepetitionTime", image)
    if sidecar.get("VolumeTiming"):
        steps = np.diff(np.asarray(sidecar["VolumeTiming"], dtype=float))
        if not len(steps) or np.ptp(steps) > _TOLERANCE:
            raise ValueError(
                f"the volumes of {image} are not equally far apart (VolumeTiming of its sidecar); such runs "
                f"cannot be modelled here."
            )
        t_r = float(steps.mean())
    start = _number(sidecar, "StartTime", image)
    return Times(t_r, start, sidecar.get("SliceTimingCorrected") is True)


def find_t_r(bold: str, from_sidecar: float | None, wanted: float | None) -> float:
    """Return the repetition time in seconds: the one wanted, the sidecar's, or the header's.

    Raises
    ------
    ValueError
        If there is none, sidecar and header disagree and none is wanted, or it is none that scanners have.
    """
    t_r = next((item for item in (wanted, from_sidecar) if item is not None), None)
    t_r = _read_header(bold) if t_r is None else t_r
    if t_r is None or not t_r > 0:
        raise ValueError(
            f"{bold} does not say its repetition time in seconds (got {t_r}); give it with --t-r SECONDS."
        )
    if not _SHORTEST <= t_r <= _LONGEST:
        raise ValueError(
            f"the repetition time of {bold} is {t_r:g} seconds; if those are milliseconds or the like, give "
            f"it in seconds with --t-r {t_r / 1000:g}."
        )
    header = _read_header(bold) if wanted is None else None
    if header and abs(header - t_r) > _TOLERANCE:
        raise ValueError(
            f"the sidecar of {bold} says {t_r:g} s between volumes, its header {header:g} s; say which is "
            f"true with --t-r {t_r:g} or --t-r {header:g}."
        )
    return float(t_r)


def list_doubts(bold: str, times: Times, start_time: float | None) -> list[str]:
    """Return what only the user can know about the times of a run, each a sentence.

    Parameters
    ----------
    bold : str
    times : Times
        Of its sidecar.
    start_time : float or None
        What the user said, about which there is no doubt.
    """
    doubts = []
    if times.is_corrected and times.start_time is None and start_time is None:
        doubts.append(
            f"the slices of {bold} were shifted to one moment, and its sidecar does not say which "
            f"(StartTime); the start of each volume is taken. Say it with --start-time SECONDS: half the "
            f"repetition time for fMRIPrep."
        )
    return doubts


def first_of_each(sentences: Iterable[tuple[str, str]]) -> list[str]:
    """Return the sentences about the first image of each kind, and how many more images they hold for.

    Parameters
    ----------
    sentences : iterable of (str, str)
        The image's name, and what is said about it.
    """
    kinds: dict[str, list[str]] = {}
    for name, text in sentences:
        kinds.setdefault(text.replace(name, ""), []).append(text)
    return [
        texts[0] + (f" (And so for {len(texts) - 1} more.)" if len(texts) > 1 else "")
        for texts in kinds.values()
    ]


def _read_header(bold: str) -> float | None:
    if is_surface(bold):
        return None
    header = load_image(bold).header
    unit, zooms = header.get_xyzt_units()[1], header.get_zooms()
    return float(zooms[3]) * _SECONDS[unit] if unit in _SECONDS and len(zooms) > 3 else None


def _number(sidecar: Mapping[str, Any], key: str, image: str) -> float | None:
    value = sidecar.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"the sidecar of {image} says {key} {value!r}, which is no number of seconds.")
    return float(value)
