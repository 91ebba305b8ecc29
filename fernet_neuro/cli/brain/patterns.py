"""``fernet-neuro brain patterns``: labelled patterns of regions, from volumes, BOLD or a BIDS data set."""

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_table, show

if TYPE_CHECKING:
    from fernet_neuro.brain.pipeline import PatternSettings

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
    res: Annotated[
        str | None, opt.text("Resolution of the images, as in res-2, where there are several.", _DATA_SET)
    ] = None,
    direction: Annotated[
        str | None,
        opt.text("Phase encoding of the images, as in dir-AP, where there are several.", _DATA_SET, "--dir"),
    ] = None,
    estimate: Annotated[
        str | None,
        opt.text(
            "One pattern per stimulus and run: condition (default); per presentation: lsa or lss.", _GLM
        ),
    ] = None,
    hrf: Annotated[
        str | None, opt.text("Haemodynamic response: spm or glover.  [default: spm]", _GLM)
    ] = None,
    drift: Annotated[
        str | None, opt.text("Drifts: cosine, polynomial or none.  [default: cosine]", _GLM)
    ] = None,
    high_pass: Annotated[
        float | None, opt.measure("Cut-off of cosine drifts in Hz.  [default: 0.01]", _GLM)
    ] = None,
    noise_model: Annotated[str | None, opt.text("Noise over time: ar1 or ols.  [default: ar1]", _GLM)] = None,
    statistic: Annotated[
        str | None, opt.text("What patterns hold: beta or t.  [default: beta]", _GLM)
    ] = None,
    confounds_file: Annotated[
        list[str], opt.table("Confounds of a BOLD image; repeat, in their order.", _GLM)
    ] = [],
    confounds: Annotated[
        str,
        opt.text(
            "Confounds by name: motion (the six parameters), or nilearn's simple, scrubbing, compcor or "
            "ica_aroma for tables of fMRIPrep.  [default: motion]",
            _GLM,
        ),
    ] = "",
    confound: Annotated[
        list[str],
        opt.text("Column of confounds, or a pattern such as 'motion_outlier*'; repeat for more.", _GLM),
    ] = [],
    no_confounds: Annotated[bool, opt.flag("--no-confounds", "Use no confounds.", _GLM)] = False,
    t_r: Annotated[
        float | None, opt.positive("Repetition time in seconds.  [default: from the sidecar or header]", _GLM)
    ] = None,
    start_time: Annotated[
        float | None,
        opt.real(
            "Seconds from a volume's start to the moment it stands for.  [default: from the sidecar]",
            _GLM,
            low=-inf,
            high=inf,
        ),
    ] = None,
    skip_unlabelled: Annotated[
        bool,
        opt.flag(
            "--skip-unlabelled",
            "Leave events without a stimulus, such as button presses, out of the model.",
            _GLM,
        ),
    ] = False,
    duration: Annotated[
        float | None, opt.measure("Duration of every event in seconds.  [default: from the events]", _GLM)
    ] = None,
    run_column: Annotated[
        str | None, opt.text("Column of --labels with the runs.  [default: run]", _VOLUMES)
    ] = None,
    detrend: Annotated[
        bool, opt.flag("--detrend", "Remove a linear trend from each voxel in each run.", _VOLUMES)
    ] = False,
    zscore: Annotated[bool, opt.flag("--zscore", "Then z-score each voxel in each run.", _VOLUMES)] = False,
    baseline: Annotated[
        str,
        opt.text("Stimulus, such as rest, whose volumes define z-scores.  [default: all volumes]", _VOLUMES),
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
        str,
        opt.file("Also write patterns of all voxels of this mask; brain: the mask of the images.", _VOXELS),
    ] = "",
    mesh: Annotated[str, opt.text("Meshes of surface data.", _VOXELS, metavar="LEFT,RIGHT")] = "",
    atlas_table: Annotated[str, opt.table("Table with the names of an atlas's labels.", _VOXELS)] = "",
    no_images: Annotated[
        bool, opt.flag("--no-images", "Write no image of the patterns.", opt.OUTPUT)
    ] = False,
    jobs: opt.Jobs = 1,
    _backend: opt.Backend = None,
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
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.brain.confounds import STRATEGIES
    from fernet_neuro.brain.plan import BOLD, DATA_SET, LABELLED, find_kind, plan_patterns

    kind = find_kind(source, labels, events)
    glm = {
        "estimate": estimate, "hrf_model": hrf, "drift_model": drift, "high_pass": high_pass,
        "noise_model": noise_model, "statistic": statistic,
    }  # fmt: skip
    times = "--estimate, --hrf, --drift, --high-pass, --noise-model and --statistic"
    _refuse(times, any(value is not None for value in glm.values()), kind, BOLD, DATA_SET)
    timed = confounds or confound or no_confounds or t_r or duration or start_time or skip_unlabelled
    options = "--confounds, --confound, --no-confounds, --t-r, --start-time, --duration and --skip-unlabelled"
    _refuse(options, timed, kind, BOLD, DATA_SET)
    _refuse("--confounds-file", confounds_file, kind, BOLD)
    of_set = derivatives or raw or space or res or direction
    _refuse("--derivatives, --raw, --space, --res and --dir", of_set, kind, DATA_SET)
    volumes = "--detrend, --zscore, --baseline, --average, --unit and --run-column"
    _refuse(volumes, detrend or zscore or baseline or average or unit or run_column, kind, LABELLED)
    if bool(confound) + no_confounds + bool(confounds) > 1:
        raise ValueError("--confounds, --confound and --no-confounds exclude each other.")
    if confounds:
        check_option("confounds", confounds, STRATEGIES)
    settings = _build_settings(
        kind, source, roi, glm,
        atlas_table=atlas_table, mask=mask, mesh=mesh, leave_out=tuple(leave_out),
        stimulus_column=stimulus_column, run_column=run_column, noise=noise, noise_by_run=noise_by_run,
        allow_missing=allow_missing, detrend=detrend, zscore=zscore, baseline=baseline, average=average,
        unit=unit, confounds=() if no_confounds else tuple(confound) or None, strategy=confounds,
        t_r=t_r, start_time=start_time, skip_unlabelled=skip_unlabelled, duration=duration,
    )  # fmt: skip
    plan = plan_patterns(
        settings, source, labels=labels, events=events, confounds=confounds_file, subjects=subject,
        sessions=session, task=task, runs=run, derivatives=derivatives, raw=raw, space=space,
        res=res, direction=direction,
    )  # fmt: skip
    summary = plan.write(
        out, images=not no_images, overwrite=overwrite, n_jobs=jobs, verbose=not (quiet or as_json)
    )
    show(_describe(summary), as_json=as_json, values=summary)


def _refuse(options: str, given: Any, kind: str, *kinds: str) -> None:
    if given and kind not in kinds:
        raise ValueError(f"{options} go with {' or '.join(kinds)}; SOURCE is {kind}.")


def _build_settings(
    kind: str, source: list[str], roi: list[str], glm: dict[str, Any], **options: Any
) -> "PatternSettings":
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.brain.glm import GlmSettings
    from fernet_neuro.brain.observations import NOISE_CHOICES
    from fernet_neuro.brain.pipeline import BRAIN, PatternSettings
    from fernet_neuro.brain.plan import DATA_SET
    from fernet_neuro.brain.rois import parse_roi

    check_option("noise", options["noise"], NOISE_CHOICES)
    if options["mask"] == BRAIN and kind != DATA_SET:
        raise ValueError(f"--mask {BRAIN} is for a BIDS data set; name the file.")
    usual = Path(source[0]) / "derivatives" / "rois"
    texts = roi or ([str(usual)] if kind == DATA_SET and usual.is_dir() else [])
    if not texts:
        raise ValueError(
            "name a region with --roi: NAME=x,y,z,radius, a mask, NAME=ATLAS:LABEL, or a folder."
        )
    specs = tuple(spec for text in texts for spec in parse_roi(text))
    chosen = {key: value for key, value in glm.items() if value is not None}
    return PatternSettings(specs, glm=GlmSettings(**chosen), **options)


def _describe(summary: dict[str, Any]) -> list[str]:
    """Return what was written as lines of text."""
    columns = {
        "subject": "{subject} {session}", "region": "{roi}", "voxels": "{n_voxels:d}",
        "left out": lambda row: str(sum(row["n_voxels_left_out"].values())),
        "patterns": "{n_observations:d}", "stimuli": "{n_stimuli:d}",
        "runs": lambda row: str(len(row["runs"])), "unit": "{unit}",
    }  # fmt: skip
    lines = format_table(summary["patterns"], columns)
    if there := summary["already_there"]:
        lines += ["", f"There already, not computed again: {', '.join(there)} (--overwrite does)."]
    return [*lines, "", f"Written to {summary['out']}"]
