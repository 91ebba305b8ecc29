"""RDMs of brain regions: from patterns of activity, or from files of RDMs that say whose each is.

What belongs here: the way from `BrainPatterns` and from what lies on disk to one labelled `RDMSet`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.likeness import Seen
from fernet_neuro._utils.validation import check_option, format_options, suggest
from fernet_neuro.brain.copies import check_patterns_differ
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.distances import DISTANCES, compute_rdms
from fernet_neuro.rsa.files.io import read_rdms
from fernet_neuro.rsa.files.whose import check_copies, check_whose
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli, concat_rdms
from fernet_neuro.typing import PathLike

#: How pattern derivatives are called, in any folder below the one that is read.
PATTERN_FILES = "*_patterns.npz"


def compute_brain_rdms(
    patterns: Iterable[BrainPatterns],
    distance: str = "crossnobis",
    *,
    stimulus_ids: Iterable[str] | None = None,
) -> RDMSet:
    """Return the RDM of each set of patterns: one per region, subject and session.

    Crossnobis is over runs and, as mahalanobis, with the inverse of the patterns' own noise covariance;
    without one it is the cross-validated squared Euclidean distance. Other distances average all observations
    of a stimulus. Observations come in the order of an experiment, different for everyone, so the order of
    the RDMs' stimuli is `stimulus_ids`.

    Parameters
    ----------
    patterns : iterable of BrainPatterns
        Read one after the other, so that a generator never holds more than one in memory.
    distance : str, default="crossnobis"
        A name in ``distances.DISTANCES``.
    stimulus_ids : iterable of str or None
        Order of the stimuli; those not named are left out. By default the order in which stimuli occur first
        in the first patterns, and all patterns must then be of the same stimuli.

    Returns
    -------
    RDMSet
        Its table has the columns ``subject``, ``session`` (where any patterns have one), ``roi`` and
        ``n_voxels``, with one row per patterns, in their order.

    Raises
    ------
    AlignmentError
        If a stimulus is missing in some patterns, or (without `stimulus_ids`) is only in some of them.
    ValueError
        If there are no patterns, two are of the same region, subject and session, the distance is not known,
        or patterns do not allow it; the message names region and subject.
    StimulusError
        If two runs of a region hold the same values, of whatever sessions and subjects.

    Examples
    --------
    >>> values = np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    >>> one = BrainPatterns(values, ["a", "b", "a", "b"], ["1", "1", "2", "2"], "FFA", "01")
    >>> rdms = compute_brain_rdms([one])
    >>> rdms.dissimilarities, rdms.table.to_dict("records")
    (array([[1.]]), [{'subject': '01', 'roi': 'FFA', 'n_voxels': 2}])
    """
    check_option("distance", distance, DISTANCES)
    wanted = None if stimulus_ids is None else [str(name) for name in stimulus_ids]
    found: list[RDMSet] = []
    known: set[tuple[str, str, str]] = set()
    seen = Seen()
    for item in patterns:
        _check_new(item, known)
        check_patterns_differ(item, seen)
        order = wanted or (found[0].stimulus_ids.tolist() if found else item.stimuli)
        found.append(_compute_one(item, distance, order, is_all=wanted is None))
    if not found:
        raise ValueError("compute_brain_rdms needs patterns of one region at least; got none.")
    units = {rdms.unit for rdms in found}
    if len(units) > 1:
        raise ValueError(
            f"patterns have different units ({format_options(sorted(units))}): some have a noise covariance "
            f"and some have not. Give all of them one, or none."
        )
    rdms = concat_rdms(found)
    if "session" in rdms.table and not rdms.table["session"].astype(str).any():
        rdms = replace(rdms, table=rdms.table.drop(columns="session"))
    return rdms


def read_brain(
    path: PathLike,
    *,
    distance: str = "crossnobis",
    stimulus_ids: Iterable[str] | None = None,
    subject_column: str = "subject",
    rois: Sequence[str] = (),
    variable: str | None = None,
) -> RDMSet:
    """Read the RDMs of brain regions: a file of RDMs, or a folder of patterns.

    Parameters
    ----------
    path : path
        An RDM file in any format of ``io.read_rdms``, or a folder with pattern derivatives
        (``sub-*/.../*_patterns.npz``), as ``fernet-neuro brain patterns`` writes it.
    distance : str, default="crossnobis"
        Of patterns; the RDMs of a file are taken as they are.
    stimulus_ids : iterable of str or None
        Of a folder: the order of stimuli, as in `compute_brain_rdms`. Of a file: the names of its stimuli, as
        in ``io.read_rdms``.
    subject_column : str, default="subject"
        Column that says whose RDM each is; the result calls it ``subject``.
    rois : sequence of str, default=()
        Regions to read; by default all.
    variable : str or None
        As in ``io.read_rdms``.

    Returns
    -------
    RDMSet
        With a column ``subject`` and, where known, ``roi`` and ``session``.

    Raises
    ------
    StoreError
        If the file cannot be read, or the folder holds no patterns.
    ValueError
        If there is no column `subject_column` or no such region; or as in `compute_brain_rdms`.
    """
    source = Path(path)
    if source.is_dir():
        rdms = compute_brain_rdms(
            _read_patterns(source, [str(roi) for roi in rois]), distance, stimulus_ids=stimulus_ids
        )
    else:
        rdms = read_rdms(source, stimulus_ids=stimulus_ids, variable=variable)
        if rois:
            rdms = rdms.select(roi=list(rois))
    if rois:  # in the order in which they are asked for
        rank = {str(roi): place for place, roi in reversed(list(enumerate(rois)))}
        rdms = rdms.take(np.argsort([rank[str(roi)] for roi in rdms.table["roi"]], kind="stable"))
    return _name_subjects(rdms, subject_column, source)


def _compute_one(item: BrainPatterns, distance: str, order: list[str], *, is_all: bool) -> RDMSet:
    kind = DISTANCES[distance]
    options: dict[str, Any] = {}
    try:
        if kind.takes_precision:
            options["precision"] = item.compute_precision()
        chosen = item.align_to(order)
        if kind.needs_runs:
            options["runs"] = chosen.runs
        made = compute_rdms(chosen.values, distance=distance, stimulus_ids=chosen.stimulus_ids, **options)
    except ValueError as error:
        raise type(error)(f"{_describe(item)}: {error}") from error
    if is_all and len(item.stimuli) != len(order):
        names = np.array(item.stimuli)
        whole = RDMSet(np.zeros((1, len(names) * (len(names) - 1) // 2)), names)
        check_same_stimuli(whole, made, (_describe(item), "the patterns before"))
    labels = {"subject": item.subject, "session": item.session, "roi": item.roi, "n_voxels": item.n_voxels}
    return replace(made, table=pd.DataFrame([labels]), n_channels=item.n_voxels)


def _describe(item: BrainPatterns) -> str:
    session = f", session {item.session}" if item.session else ""
    return f"{item.roi} of subject {item.subject}{session}"


def _check_new(item: BrainPatterns, known: set[tuple[str, str, str]]) -> None:
    """Refuse a second set of patterns under the labels of one before, and add those to the known ones."""
    labels = (item.roi, item.subject, item.session)
    if labels in known:
        raise ValueError(
            f"two sets of patterns are of {_describe(item)}; name sessions that are repeated measures, and "
            f"keep different tasks in different folders."
        )
    known.add(labels)


def _read_patterns(folder: Path, rois: list[str]) -> Iterator[BrainPatterns]:
    files = sorted(folder.rglob(PATTERN_FILES))
    if not files:
        raise StoreError(
            f"folder {folder} holds no patterns ({PATTERN_FILES}); make them with: "
            f"fernet-neuro brain patterns."
        )
    seen: list[str] = []
    for file in files:
        item = BrainPatterns.load(file)
        seen.append(item.roi)
        if not rois or item.roi in rois:
            yield item
    absent = [roi for roi in rois if roi not in seen]
    if absent:
        have = list(dict.fromkeys(seen))
        raise ValueError(
            f"no patterns in {folder} are of ROI {absent[0]!r}; there are: {format_options(have)}."
            f"{suggest(absent[0], have)}"
        )


def _name_subjects(rdms: RDMSet, column: str, source: Path) -> RDMSet:
    if column not in rdms.table:
        have = [str(name) for name in rdms.table]
        raise ValueError(
            f"the RDMs of {source} have no column {column!r} that says whose each is; they have: "
            f"{format_options(have) or 'none'}. Name it with subject_column (--subject-column)."
            f"{suggest(column, have)}"
        )
    if column != "subject":
        kept = rdms.table.drop(columns=["subject"], errors="ignore")
        rdms = replace(rdms, table=kept.rename(columns={column: "subject"}))
    check_whose(rdms, str(source))
    check_copies(rdms, str(source))
    return rdms
