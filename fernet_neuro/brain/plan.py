"""Whose patterns are made, and from which files: a BIDS data set, runs of BOLD, or labelled volumes.

What belongs here: from what was named to participants, sessions and their files; the work is in `pipeline`,
the folder in `derivatives`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fernet_neuro._utils.validation import check_label
from fernet_neuro.brain.bids import RunFiles, find_runs
from fernet_neuro.brain.derivatives import read_reports, start_derivatives, write_missing_subjects
from fernet_neuro.brain.pipeline import (
    PatternSettings,
    SubjectPatterns,
    check_runs,
    compute_labelled_patterns,
    compute_run_patterns,
    list_sessions,
    pair_runs,
)
from fernet_neuro.typing import PathLike

#: Kinds of sources, in the words of messages.
LABELLED, BOLD, DATA_SET = "labelled volumes", "BOLD with --events", "a BIDS data set"


def find_kind(source: Sequence[str], labels: PathLike | None = None, events: Sequence[str] = ()) -> str:
    """Return which of the three kinds a source is: `LABELLED`, `BOLD` or `DATA_SET`.

    Raises ValueError if it is none of them, or more than one.
    """
    if len(source) == 1 and Path(source[0]).is_dir():
        if labels or events:
            raise ValueError("--labels and --events go with images; a BIDS data set has its own events.")
        return DATA_SET
    if labels is not None and events:
        raise ValueError(
            "give --labels (the stimulus of each volume) or --events (onsets in each run), not both."
        )
    if labels is None and not events:
        folders = [name for name in source if Path(name).is_dir()]
        if folders:
            raise ValueError(f"SOURCE {folders[0]!r} is a folder; give only one BIDS data set.")
        raise ValueError(
            f"SOURCE {source[0]!r} is not a folder: for images give --labels TABLE (the stimulus of each "
            f"volume) or --events FILE for each."
        )
    return BOLD if labels is None else LABELLED


@dataclass(frozen=True)
class PatternPlan:
    """Who is to be computed, and from what.

    `source`: a data set, or images. `labels`: table of labelled volumes. `subjects`: runs by participant and
    session; none of labelled volumes. `asked`: what was named, as plain values.
    """

    settings: PatternSettings
    source: list[str]
    labels: PathLike | None
    subjects: dict[str, dict[str, list[RunFiles]]]
    task: str
    asked: dict[str, Any]

    def write(self, out: PathLike, *, overwrite: bool = False, **options: Any) -> dict[str, Any]:
        """Compute and write whoever is not there yet, and return what is there, as plain values.

        `overwrite`: compute those that are there as well. `**options`: ``images, n_jobs, verbose`` of
        ``derivatives.write_missing_subjects``. Raises StoreError if the folder holds something else, or
        patterns that were made in another way.
        """
        names = list(self.subjects)
        asked = {**self.asked, **self.settings.describe()}
        check_runs(
            [run for visits in self.subjects.values() for runs in visits.values() for run in runs],
            self.settings,
        )
        start_derivatives(out, asked, overwrite=overwrite, subjects=names)
        written, there = write_missing_subjects(
            out, names, self._compute, task=self.task, overwrite=overwrite, **options
        )
        reports = read_reports(out, subjects=names)
        return {"out": str(out), "written": written, "already_there": there, "patterns": reports}

    def _compute(self, subject: str) -> list[SubjectPatterns]:
        sessions = self.subjects[subject]
        if self.labels is None:
            return [compute_run_patterns(files, self.settings) for files in sessions.values()]
        labels = str(self.labels)
        return [
            compute_labelled_patterns(self.source, labels, self.settings, subject=subject, session=session)
            for session in sessions
        ]


def plan_patterns(
    settings: PatternSettings,
    source: list[str],
    *,
    labels: PathLike | None = None,
    events: Sequence[str] = (),
    confounds: Sequence[str] = (),
    subjects: Sequence[str] = (),
    sessions: Sequence[str] = (),
    task: str | None = None,
    runs: Sequence[str] = (),
    derivatives: PathLike | None = None,
    raw: bool = False,
    space: str | None = None,
    res: str | None = None,
    direction: str | None = None,
) -> PatternPlan:
    """Return whose patterns are made from which files; nothing is read but names.

    `source`: a BIDS data set; or images, with `labels`, or with `events` for each. `events`, `confounds`: a
    table for each image of BOLD. `subjects`, `sessions`, `task`, `runs`, `derivatives`, `raw`, `space`,
    `res`, `direction`: as in ``bids.find_runs``; of files that are named one by one, at most one subject and
    session. Raises ValueError as in `find_kind` and ``bids.find_runs``, or if names do not go with the kind
    of source.
    """
    kind = find_kind(source, labels, events)
    if kind == DATA_SET:
        files = find_runs(
            source[0], derivatives=derivatives, raw=raw, subjects=subjects, sessions=sessions, task=task,
            runs=runs, space=space, res=res, direction=direction,
        )  # fmt: skip
        people, task = list_sessions(files), files[0].task
    else:
        task = task or "main"
        people = _plan_files(kind, source, events, confounds, subjects, sessions, task, runs)
    asked = {
        "source": source, "labels": None if labels is None else str(labels), "events": list(events),
        "confounds_file": list(confounds), "derivatives": None if derivatives is None else str(derivatives),
        "raw": raw, "session": list(sessions), "task": task, "run": list(runs), "space": space,
        "res": res, "direction": direction,
    }  # fmt: skip
    return PatternPlan(settings, source, labels, people, task, asked)


def _plan_files(
    kind: str, source: list[str], events: Sequence[str], confounds: Sequence[str],
    subjects: Sequence[str], sessions: Sequence[str], task: str, runs: Sequence[str],
) -> dict[str, dict[str, list[RunFiles]]]:  # fmt: skip
    """Return the files of one participant that were named one by one."""
    if len(subjects) > 1 or len(sessions) > 1:
        raise ValueError("images that are named one by one are of one --subject and one --session.")
    name, visit = (*subjects, "01")[0], (*sessions, "")[0]
    for option, value in (("--subject", name), ("--session", visit), ("--task", task)):
        check_label(option, value, may_be_empty=True)
    if kind == BOLD:
        files = pair_runs(source, events, confounds, subject=name, session=visit, task=task, runs=runs)
        return {name: {visit: files}}
    if runs:
        raise ValueError("--run names runs of BOLD; those of labelled volumes are in the table.")
    return {name: {visit: []}}
