"""``fernet-neuro brain searchlight``: model RDMs against the voxels around every voxel, and over subjects."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_own_folder, list_command
from fernet_neuro.cli._tables import format_table, list_records, show

if TYPE_CHECKING:
    import pandas as pd

_VOXELS = "Voxels and distances"


def searchlight(
    sources: Annotated[
        list[Path],
        opt.argument(
            "A folder that `brain patterns` wrote; or 4-D images, one pattern per volume, named sub-...; "
            "or pattern files (.npz).",
            "PATTERNS...",
        ),
    ],
    models: Annotated[list[Path], opt.file("File of model RDMs of the same stimuli; repeat for more.")],
    out: Annotated[Path, opt.folder("Folder for the maps, peaks.csv, settings.json and the figure.")],
    radius: Annotated[float | None, opt.measure("Radius in mm.  [default: 10]")] = None,
    nearest: Annotated[int | None, opt.count("Number of voxels, in place of a radius.")] = None,
    mask: Annotated[
        str | None, opt.file("Image of the voxels; {subject} and {session} are filled in.")
    ] = None,
    labels: Annotated[
        Path | None, opt.table("stimulus_id and run of each volume.  [default: beside each image]")
    ] = None,
    roi: Annotated[str | None, opt.text("Search only this region of a folder of patterns.")] = None,
    subject: opt.Subjects = [],
    leave_out: opt.LeftOut = [],
    distance: Annotated[
        str,
        opt.text(
            "Between patterns: crossnobis, correlation, cosine, squared_euclidean or mahalanobis.", _VOXELS
        ),
    ] = "crossnobis",
    noise: Annotated[
        str | None,
        opt.text(
            "For crossnobis: none, univariate (variance of each voxel; the default) or local (covariance "
            "of the voxels around; slower).",
            _VOXELS,
        ),
    ] = None,
    fewest: Annotated[
        int, opt.count("Fewest voxels of a searchlight; those with fewer get no value.", _VOXELS)
    ] = 10,
    detrend: Annotated[
        bool, opt.flag("--detrend", "Remove a linear trend from each voxel in each run.", _VOXELS)
    ] = False,
    zscore: Annotated[bool, opt.flag("--zscore", "Then z-score each voxel in each run.", _VOXELS)] = False,
    comparison: opt.Comparison = "spearman",
    correction: Annotated[
        str, opt.text("Over voxels: max_t, cluster_size, cluster_mass or tfce (slow).", opt.STATISTICS)
    ] = "max_t",
    cluster_p: Annotated[
        float,
        opt.real("Uncorrected p below which voxels form clusters.", opt.STATISTICS, high=0.5, ends=True),
    ] = 0.001,
    permutations: Annotated[
        int, opt.count("Sign flips of the group; 0 for maps without a test.", opt.STATISTICS, min=0)
    ] = 10_000,
    seed: opt.Seed = 0,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    no_report: opt.NoReport = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Compare model RDMs with the RDM of the voxels around every voxel, in each subject and over subjects.

    OUT gets one image per subject and model, named as BIDS derivatives are. With five or more subjects there
    are also maps of mean, t and corrected p of the group (sign flips, one-sided, corrected over voxels for
    each model), and the table of peaks.

    Examples
    --------
        fernet-neuro brain searchlight derivatives/patterns --models models.npz \
            --radius 10 --out searchlight
        fernet-neuro brain searchlight sub-01_betas.nii.gz sub-02_betas.nii.gz \
            --mask brain.nii.gz --models models.npz --distance correlation \
            --nearest 100 --out searchlight
    """
    from fernet_neuro.brain.volumes import find_sources
    from fernet_neuro.experiments.report_texts import describe_searchlight
    from fernet_neuro.experiments.reports import write_report
    from fernet_neuro.rsa.files.io import read_rdms
    from fernet_neuro.rsa.rdms import concat_rdms
    from fernet_neuro.rsa.searchlight import run
    from fernet_neuro.rsa.searchlight.folder import is_searchlight

    check_own_folder(out, "searchlight maps", is_searchlight, overwrite=overwrite)
    settings = run.make_searchlight_settings(radius, nearest, fewest, distance, comparison, noise)
    rdms = concat_rdms([read_rdms(path) for path in models])
    files = find_sources(sources, labels=labels, mask=mask, roi=roi, subjects=subject)
    for notice in [] if mask or roi else run.find_notices(sources):
        typer.echo(f"Notice: {notice}", err=True)
    report, peaks = run.run_searchlight(
        files, rdms, out, settings, leave_out=leave_out, detrend=detrend, zscore=zscore,
        correction=correction, cluster_p=cluster_p, n_permutations=permutations, seed=seed, n_jobs=jobs,
        verbose=not (quiet or as_json),
        finish=None if no_report else lambda folder, *found: write_report(
            folder, describe_searchlight(*found), list_command(), str(out)
        ),
    )  # fmt: skip
    page = [] if no_report else [f"Report: {out / 'index.html'}"]
    lines = [*_describe(report, peaks), "", f"Written to {out}", *page]
    rows = [] if peaks is None else list_records(peaks)
    show(lines, as_json=as_json, values={"settings": report, "peaks": rows})


def _describe(report: dict[str, Any], peaks: "pd.DataFrame | None") -> list[str]:
    """Return what was found, then what was done, as lines of text."""
    group = report["group"]
    if peaks is None:
        return [f"No group test: {group['reason']}", "", *_describe_subjects(report)]
    head = (
        f"{len(report['subjects'])} subjects, {group['n_voxels']} voxels: {group['correction']} over "
        f"{group['n_permutations']} sign flips (smallest possible p {group['smallest_p']:.2g})."
    )
    columns = {
        "model": "{model}", "x": "{x_mm:.0f}", "y": "{y_mm:.0f}", "z": "{z_mm:.0f}",
        "voxels": "{n_voxels:d}", "mean": "{mean:.3f}", "t": "{t:.2f}", "p": "{p_value:p}",
        "": lambda row: "" if row["is_significant"] else "not significant",
    }  # fmt: skip
    return [head, *format_table(peaks, columns), "", *_describe_subjects(report)]


def _describe_subjects(report: dict[str, Any]) -> list[str]:
    where = f"{report['radius']:g} mm" if report["radius"] is not None else f"{report['n_nearest']} voxels"
    lines = [f"{report['distance']} (noise: {report['noise']}), {report['comparison']}, {where} around each."]
    for name, item in report["subjects"].items():
        left_out = ", ".join(f"{count} {reason}" for reason, count in item["voxels_left_out"].items())
        lines.append(
            f"subject {name}: {item['n_centres']} centres of {item['n_voxels']} voxels, "
            f"{item['mean_voxels_per_centre']:.1f} voxels each"
            f"{f' (left out: {left_out})' if left_out else ''}"
        )
    return lines
