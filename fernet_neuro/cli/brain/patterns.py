"""``fernet-neuro brain patterns``: labelled patterns of regions, from volumes, BOLD or a BIDS data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_table, show

if TYPE_CHECKING:
    from fernet_neuro.brain.bids import RunFiles
    from fernet_neuro.brain.pipeline import PatternSettings, SubjectPatterns

_LABELLED, _RUNS, _BIDS = "labelled volumes", "BOLD with --events", "a BIDS data set"
#: Panels of the help.
_DATA_SET, _GLM, _VOLUMES, _VOXELS = (
    "BIDS data set",
    "Model of BOLD in time",
    "Labelled volumes",
    "Voxels and noise",
)


def patterns(
    source: Annotated[
        list[str],
        opt.argument(
            "A BIDS data set; or 4-D images with --labels, or with --events for each; surface data as "
            "LEFT.gii,RIGHT.gii with --mesh.",
            "SOURCE...",
        ),
    ],
    out: Annotated[Path, opt.folder("Folder for the patterns, as BIDS derivatives.")],
    roi: Annotated[
        list[str],
        opt.text(
            "A region: NAME=x,y,z,radius (mm), NAME=MASK, NAME=ATLAS:LABEL, a mask, or a folder of masks; "
            "{subject} and {session} are filled in; repeat for more.  [default: the data set's "
            "derivatives/rois]",
            metavar="SPEC",
        ),
    ] = [],
    subject: Annotated[list[str], opt.text("Participant; repeat for more.  [default: all, else 01]")] = [],
    session: Annotated[list[str], opt.text("Session; repeat for more.  [default: all]")] = [],
    task: Annotated[str | None, opt.text("Task.  [default: the only one, else main]")] = None,
    run: Annotated[list[str], opt.text("Run; repeat for more.  [default: all]")] = [],
    labels: Annotated[Path | None, opt.table("Table with the stimulus and the run of each volume.")] = None,
    events: Annotated[list[str], opt.table("events.tsv of a BOLD image; repeat, in their order.")] = [],
    leave_out: opt.LeftOut = [],
    stimulus_column: Annotated[
        str | None, opt.text("Column of the stimuli.  [default: stimulus_id, else trial_type]")
    ] = None,
    derivatives: Annotated[
        Path | None, opt.folder("Preprocessed images.  [default: derivatives/fmriprep]", _DATA_SET)
    ] = None,
    raw: Annotated[bool, opt.flag("--raw", "Use the images of the data set itself.", _DATA_SET)] = False,
    space: Annotated[
        str | None, opt.text("Space of the preprocessed images, where there are several.", _DATA_SET)
    ] = None,
    estimate: Annotated[
        str | None,
        opt.text("condition (per stimulus and run; default), lsa or lss (per presentation).", _GLM),
    ] = None,
    hrf: Annotated[str | None, opt.text("spm or glover.  [default: spm]", _GLM)] = None,
    drift: Annotated[str | None, opt.text("cosine, polynomial or none.  [default: cosine]", _GLM)] = None,
    high_pass: Annotated[float | None, opt.number("Cut-off of cosine drifts.  [default: 0.01]", _GLM)] = None,
    noise_model: Annotated[str | None, opt.text("In time: ar1 or ols.  [default: ar1]", _GLM)] = None,
    statistic: Annotated[str | None, opt.text("beta or t.  [default: beta]", _GLM)] = None,
    confounds_file: Annotated[
        list[str], opt.table("Confounds of a BOLD image; repeat, in their order.", _GLM)
    ] = [],
    confound: Annotated[
        list[str],
        opt.text("A column, or a pattern such as 'trans_*'; repeat for more.  [default: head motion]", _GLM),
    ] = [],
    no_confounds: Annotated[bool, opt.flag("--no-confounds", "Use no confounds.", _GLM)] = False,
    t_r: Annotated[
        float | None, opt.number("Repetition time.  [default: of the sidecar or the header]", _GLM)
    ] = None,
    duration: Annotated[
        float | None, opt.number("How long every event lasts.  [default: of the events]", _GLM)
    ] = None,
    run_column: Annotated[
        str | None, opt.text("Column of --labels with the runs.  [default: run]", _VOLUMES)
    ] = None,
    detrend: Annotated[
        bool, opt.flag("--detrend", "Take a line off each voxel in each run.", _VOLUMES)
    ] = False,
    zscore: Annotated[bool, opt.flag("--zscore", "Then z-score each voxel in each run.", _VOLUMES)] = False,
    baseline: Annotated[
        str, opt.text("A stimulus, such as rest, to z-score by.  [default: all volumes]", _VOLUMES)
    ] = "",
    average: Annotated[
        bool, opt.flag("--average", "Average the volumes of one stimulus in one run.", _VOLUMES)
    ] = False,
    unit: Annotated[str, opt.text("Unit, such as beta or t.", _VOLUMES)] = "",
    noise: Annotated[
        str, opt.text("Noise covariance: shrinkage_eye, shrinkage_diag, diag, full or none.", _VOXELS)
    ] = "shrinkage_eye",
    noise_by_run: Annotated[
        bool, opt.flag("--noise-by-run", "One noise covariance for each run.", _VOXELS)
    ] = False,
    allow_missing: Annotated[
        bool, opt.flag("--allow-missing", "Accept runs that lack some of the stimuli.", _VOXELS)
    ] = False,
    mask: Annotated[
        str, opt.file("Also write images of all voxels of this mask; brain: the images' own.", _VOXELS)
    ] = "",
    mesh: Annotated[str, opt.text("Meshes of surface data.", _VOXELS, metavar="LEFT,RIGHT")] = "",
    atlas_table: Annotated[str, opt.table("Table with the names of an atlas's labels.", _VOXELS)] = "",
    no_images: Annotated[
        bool, opt.flag("--no-images", "Write no image of the patterns.", opt.OUTPUT)
    ] = False,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Write the patterns of regions, with their stimuli and runs, and the noise covariance of the voxels.

    Participants that are there already are not computed again. Voxels that are NaN or constant are left out
    and counted.

    Examples
    --------
        fernet-neuro brain patterns bids --space MNI152NLin2009cAsym \
            --roi masks --roi OFA=40,-80,-8,8 --out patterns

        fernet-neuro brain patterns betas.nii.gz --labels betas.tsv \
            --roi FFA=ffa.nii.gz --out patterns

        fernet-neuro brain patterns run1.nii.gz run2.nii.gz --events run1.tsv \
            --events run2.tsv --estimate lss --roi V1=atlas.nii.gz:1+2 \
            --out patterns
    """
    from fernet_neuro.brain.derivatives import read_reports, start_derivatives

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
        out, images=not no_images, overwrite=overwrite, n_jobs=jobs, verbose=not (quiet or as_json)
    )
    reports = read_reports(out, subjects=list(plan.subjects))
    summary = {"out": str(out), "written": written, "already_there": there, "patterns": reports}
    show(_describe(reports, out, there), as_json=as_json, values=summary)


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
        for name_of, value in (("--subject", name), ("--session", visit), ("--task", task or "main")):
            check_label(name_of, value, may_be_empty=True)
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
            raise ValueError(f"SOURCE {folders[0]!r} is a folder; give only one BIDS data set.")
        raise ValueError(
            f"SOURCE {source[0]!r} is not a folder: for images give --labels TABLE (the stimulus of each "
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
    columns = {
        "subject": "{subject} {session}", "region": "{roi}", "voxels": "{n_voxels:d}",
        "left out": lambda row: str(sum(row["n_voxels_left_out"].values())),
        "patterns": "{n_observations:d}", "stimuli": "{n_stimuli:d}",
        "runs": lambda row: str(len(row["runs"])), "unit": "{unit}",
    }  # fmt: skip
    lines = format_table(reports, columns)
    if there:
        lines += ["", f"There already, not computed again: {', '.join(there)} (--overwrite does)."]
    return [*lines, "", f"Written to {out}"]
