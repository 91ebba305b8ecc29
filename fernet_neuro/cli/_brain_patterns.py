"""``fernet-neuro brain patterns``: labelled patterns of regions, from volumes, BOLD or a BIDS data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from fernet_neuro.brain.bids import RunFiles
    from fernet_neuro.brain.pipeline import PatternSettings, SubjectPatterns

_LABELLED, _RUNS, _BIDS = "labelled volumes", "BOLD with --events", "a BIDS data set"


def register(group: typer.Typer) -> None:
    """Add the command to `group`."""
    group.command("patterns")(patterns)


def patterns(
    source: list[str] = typer.Argument(
        ...,
        metavar="SOURCE",
        help="A BIDS data set; or 4-D images with --labels, or with --events for each; surface data as "
        "LEFT.gii,RIGHT.gii with --mesh.",
    ),
    out: Path = typer.Option(..., help="Folder for the patterns, as BIDS derivatives."),
    roi: list[str] = typer.Option(
        [],
        metavar="SPEC",
        help="A region: NAME=x,y,z,radius (mm), NAME=MASK, NAME=ATLAS:LABEL, a mask, or a folder of masks; "
        "{subject} and {session} are filled in; repeat for more.  [default: the data set's derivatives/rois]",
    ),
    labels: Path | None = typer.Option(
        None, help="Table with the stimulus and the run of each volume, for betas, t-maps or volumes."
    ),
    events: list[str] = typer.Option([], help="events.tsv of a BOLD image; repeat, in their order."),
    confounds_file: list[str] = typer.Option([], help="Confounds of a BOLD image; repeat, in their order."),
    derivatives: Path | None = typer.Option(
        None, help="Preprocessed images of a BIDS data set.  [default: derivatives/fmriprep]"
    ),
    raw: bool = typer.Option(
        False,
        "--raw",
        help="Take the images of the data set itself, which lie in the regions' space already.",
    ),
    subject: list[str] = typer.Option(
        [], help="Participant; repeat for more.  [default: all of a data set, else 01]"
    ),
    session: list[str] = typer.Option([], help="Session; repeat for more.  [default: all]"),
    task: str | None = typer.Option(None, help="Task.  [default: the only one, else main]"),
    run: list[str] = typer.Option([], help="Run; repeat for more.  [default: all]"),
    space: str | None = typer.Option(None, help="Space of the preprocessed images, where there are several."),
    estimate: str | None = typer.Option(
        None,
        help="condition (one pattern per stimulus and run), lsa or lss (one per presentation).  "
        "[default: condition]",
    ),
    hrf: str | None = typer.Option(None, help="spm or glover.  [default: spm]"),
    drift: str | None = typer.Option(None, help="cosine, polynomial or none.  [default: cosine]"),
    high_pass: float | None = typer.Option(None, help="Cut-off of cosine drifts, Hz.  [default: 0.01]"),
    noise_model: str | None = typer.Option(None, help="In time: ar1 or ols.  [default: ar1]"),
    statistic: str | None = typer.Option(None, help="beta or t.  [default: beta]"),
    confound: list[str] = typer.Option(
        [],
        help="Column of the confounds, or a pattern such as 'trans_*'; repeat for more.  [default: the six "
        "of head motion, where there is a table]",
    ),
    no_confounds: bool = typer.Option(False, "--no-confounds", help="Use no confounds."),
    t_r: float | None = typer.Option(
        None, help="Repetition time in seconds.  [default: of the sidecar or the header]"
    ),
    duration: float | None = typer.Option(
        None, help="Seconds that every event lasts.  [default: of the events]"
    ),
    detrend: bool = typer.Option(
        False, "--detrend", help="Take a line off each voxel in each run of labelled volumes."
    ),
    zscore: bool = typer.Option(
        False, "--zscore", help="Then z-score each voxel in each run of labelled volumes."
    ),
    baseline: str = typer.Option(
        "", help="A stimulus, such as rest, by whose volumes z-scores go.  [default: all volumes]"
    ),
    average: bool = typer.Option(
        False, "--average", help="Average labelled volumes of one stimulus in one run."
    ),
    unit: str = typer.Option("", help="Unit of labelled volumes, such as beta or t."),
    stimulus_column: str | None = typer.Option(
        None, help="Column with the stimuli.  [default: stimulus_id, else trial_type, else labels]"
    ),
    run_column: str | None = typer.Option(
        None, help="Column of --labels with the runs.  [default: run, else chunks]"
    ),
    leave_out: list[str] = typer.Option(
        [], help="A stimulus without patterns, such as rest; repeat for more."
    ),
    noise: str = typer.Option(
        "shrinkage_eye", help="Noise covariance: shrinkage_eye, shrinkage_diag, diag, full or none."
    ),
    noise_by_run: bool = typer.Option(False, "--noise-by-run", help="One noise covariance for each run."),
    allow_missing: bool = typer.Option(
        False, "--allow-missing", help="Accept runs that lack some of the stimuli."
    ),
    mask: str = typer.Option(
        "", help="Write patterns of all voxels of this mask as an image; brain for that of the images."
    ),
    mesh: str = typer.Option("", metavar="LEFT,RIGHT", help="Meshes of surface data."),
    atlas_table: str = typer.Option("", help="Table with the names of an atlas's labels."),
    no_images: bool = typer.Option(False, "--no-images", help="Write no image of the patterns."),
    jobs: int = typer.Option(1, help="Participants at a time; -1 for one per core."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Compute participants that are there again."),
    as_json: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Write the patterns of regions, with stimulus and run of each, and the noise covariance of their voxels.

    Participants that are there already are not computed again. Voxels that are NaN or constant are left out
    and counted.

    Examples
    --------
        fernet-neuro brain patterns bids --space MNI152NLin2009cAsym --roi masks --roi OFA=40,-80,-8,8
        --out patterns

        fernet-neuro brain patterns betas.nii.gz --labels betas.tsv --roi FFA=ffa.nii.gz --out patterns

        fernet-neuro brain patterns run1.nii.gz run2.nii.gz --events run1.tsv --events run2.tsv
        --estimate lss --roi V1=atlas.nii.gz:1+2 --out patterns
    """
    import json

    from fernet_neuro._utils.validation import check_jobs
    from fernet_neuro.brain.derivatives import read_reports, start_derivatives

    check_jobs("--jobs", jobs)
    kind = _find_kind(source, labels, events)
    glm = {
        "estimate": estimate, "hrf_model": hrf, "drift_model": drift, "high_pass": high_pass,
        "noise_model": noise_model, "statistic": statistic,
    }  # fmt: skip
    _refuse(
        kind,
        {
            "--estimate, --hrf, --drift, --high-pass, --noise-model and --statistic": _given(glm),
            "--confound, --no-confounds, --t-r and --duration": bool(
                confound or no_confounds or t_r or duration
            ),
        },
        (_RUNS, _BIDS),
    )
    _refuse(kind, {"--confounds-file": bool(confounds_file)}, (_RUNS,))
    _refuse(kind, {"--derivatives, --raw and --space": bool(derivatives or raw or space)}, (_BIDS,))
    _refuse(
        kind,
        {
            "--detrend, --zscore, --baseline, --average, --unit and --run-column": bool(
                detrend or zscore or baseline or average or unit or run_column
            )
        },
        (_LABELLED,),
    )
    if confound and no_confounds:
        raise ValueError("--confound and --no-confounds exclude each other.")
    settings = _build_settings(
        kind, source, roi, glm,
        atlas_table=atlas_table, mask=mask, mesh=mesh, leave_out=tuple(leave_out),
        stimulus_column=stimulus_column, run_column=run_column, noise=noise, noise_by_run=noise_by_run,
        allow_missing=allow_missing, detrend=detrend, zscore=zscore, baseline=baseline, average=average,
        unit=unit, confounds=() if no_confounds else tuple(confound) or None, t_r=t_r, duration=duration,
    )  # fmt: skip
    plan = _Plan(settings, source, labels)
    if kind == _BIDS:
        from fernet_neuro.brain.bids import find_runs

        plan.use(
            find_runs(
                source[0], derivatives=derivatives, raw=raw, subjects=subject, sessions=session, task=task,
                runs=run, space=space,
            )
        )  # fmt: skip
    else:
        plan.use_files(kind, subject, session, task, events, confounds_file, run)
    asked = {
        "source": source, "labels": None if labels is None else str(labels), "events": events,
        "confounds_file": confounds_file, "derivatives": None if derivatives is None else str(derivatives),
        "raw": raw, "session": session, "task": plan.task, "run": run, "space": space,
    }  # fmt: skip
    start_derivatives(
        out, {**asked, **settings.describe()}, overwrite=overwrite, subjects=list(plan.subjects)
    )
    written, there = plan.write(
        out, images=not no_images, overwrite=overwrite, n_jobs=jobs, verbose=not as_json
    )
    reports = read_reports(out, subjects=list(plan.subjects))
    if as_json:
        summary = {"out": str(out), "written": written, "already_there": there, "patterns": reports}
        typer.echo(json.dumps(summary))
    else:
        typer.echo("\n".join(_describe(reports, out, there)))


class _Plan:
    """Who is to be computed, and from what."""

    def __init__(self, settings: "PatternSettings", source: list[str], labels: Path | None) -> None:
        self.settings, self.source, self.labels = settings, source, labels
        self.subjects: dict[str, dict[str, list[RunFiles]]] = {}
        self.task = ""

    def use(self, files: "list[RunFiles]") -> None:
        """Take the runs of a data set."""
        from fernet_neuro.brain.pipeline import list_sessions

        self.subjects, self.task = list_sessions(files), files[0].task

    def use_files(
        self,
        kind: str,
        subject: list[str],
        session: list[str],
        task: str | None,
        events: list[str],
        confounds: list[str],
        runs: list[str],
    ) -> None:
        """Take files of one participant that were named one by one."""
        from fernet_neuro._utils.validation import check_label
        from fernet_neuro.brain.pipeline import pair_runs

        if len(subject) > 1 or len(session) > 1:
            raise ValueError("images that are named one by one are of one --subject and one --session.")
        name, visit = (*subject, "01")[0], (*session, "")[0]
        for option, value in (("--subject", name), ("--session", visit), ("--task", task or "main")):
            check_label(option, value, may_be_empty=True)
        self.task = task or "main"
        files = []
        if kind == _RUNS:
            files = pair_runs(
                self.source, events, confounds, subject=name, session=visit, task=self.task, runs=runs
            )
        elif runs:
            raise ValueError("--run names runs of BOLD; those of labelled volumes are in the table.")
        self.subjects = {name: {visit: files}}

    def write(self, out: Path, **options: Any) -> tuple[list[str], list[str]]:
        """Compute and write everybody; return who was written and who was there."""
        from fernet_neuro.brain.derivatives import write_missing_subjects

        return write_missing_subjects(out, self.subjects, self._compute, task=self.task, **options)

    def _compute(self, subject: str) -> "list[SubjectPatterns]":
        from fernet_neuro.brain.pipeline import compute_labelled_patterns, compute_run_patterns

        sessions = self.subjects[subject]
        if self.labels is None:
            return [compute_run_patterns(files, self.settings) for files in sessions.values()]
        labels = str(self.labels)
        return [
            compute_labelled_patterns(self.source, labels, self.settings, subject=subject, session=session)
            for session in sessions
        ]


def _find_kind(source: list[str], labels: Path | None, events: list[str]) -> str:
    """Return which of three kinds the source is."""
    if len(source) == 1 and Path(source[0]).is_dir():
        if labels or events:
            raise ValueError("--labels and --events go with images; a BIDS data set has its own events.")
        return _BIDS
    if labels is not None and events:
        raise ValueError(
            "give --labels (the stimulus of each volume) or --events (onsets in each run), not both."
        )
    if labels is None and not events:
        folders = [name for name in source if Path(name).is_dir()]
        if folders:
            raise ValueError(f"SOURCE {folders[0]!r} is a folder; give one BIDS data set alone.")
        raise ValueError(
            f"SOURCE {source[0]!r} is no folder: for images give --labels TABLE (the stimulus of each "
            f"volume) or --events FILE for each."
        )
    return _RUNS if labels is None else _LABELLED


def _refuse(kind: str, options: dict[str, bool], kinds: tuple[str, ...]) -> None:
    for name, given in options.items():
        if given and kind not in kinds:
            raise ValueError(f"{name} go with {' or '.join(kinds)}; SOURCE is {kind}.")


def _given(values: dict[str, Any]) -> bool:
    return any(value is not None for value in values.values())


def _build_settings(
    kind: str, source: list[str], roi: list[str], glm: dict[str, Any], **options: Any
) -> "PatternSettings":
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.brain.glm import GlmSettings
    from fernet_neuro.brain.observations import NOISE_CHOICES
    from fernet_neuro.brain.pipeline import BRAIN, PatternSettings
    from fernet_neuro.brain.rois import parse_roi

    check_option("noise", options["noise"], NOISE_CHOICES)
    if options["mask"] == BRAIN and kind != _BIDS:
        raise ValueError(f"--mask {BRAIN} is for a BIDS data set; name the file.")
    usual = Path(source[0]) / "derivatives" / "rois"
    texts = roi or ([str(usual)] if kind == _BIDS and usual.is_dir() else [])
    if not texts:
        raise ValueError(
            "name a region with --roi: NAME=x,y,z,radius, a mask, NAME=ATLAS:LABEL, or a folder."
        )
    specs = tuple(spec for text in texts for spec in parse_roi(text))
    chosen = {key: value for key, value in glm.items() if value is not None}
    return PatternSettings(specs, glm=GlmSettings(**chosen), **options)


def _describe(reports: list[dict[str, Any]], out: Path, there: list[str]) -> list[str]:
    """Return what was written as lines of text."""
    lines = [
        f"{'subject':<12}{'region':<16}{'voxels':>8}{'left out':>10}{'patterns':>10}{'stimuli':>9}"
        f"{'runs':>6}  unit"
    ]
    for item in reports:
        who = f"{item['subject']} {item['session']}".strip()
        lines.append(
            f"{who:<12}{item['roi']:<16}{item['n_voxels']:>8}{sum(item['n_voxels_left_out'].values()):>10}"
            f"{item['n_observations']:>10}{item['n_stimuli']:>9}{len(item['runs']):>6}  "
            f"{item['unit']}".rstrip()
        )
    if there:
        lines += ["", f"There already, not computed again: {', '.join(there)} (--overwrite does)."]
    return [*lines, "", f"Written to {out}"]
