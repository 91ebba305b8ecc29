"""``fernet-neuro brain searchlight``: model RDMs against the voxels around every voxel, and over subjects."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_own_folder
from fernet_neuro.cli._tables import format_table, list_records, show

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.brain.volumes import VolumeSource
    from fernet_neuro.rsa.rdms import RDMSet
    from fernet_neuro.rsa.searchlight.folder import SearchlightSettings, SubjectMaps

#: Level of the group's test.
LEVEL = 0.05
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
    radius: Annotated[float | None, opt.number("In mm.  [default: 10]", min=0)] = None,
    nearest: Annotated[int | None, opt.count("Instead of a radius: this many voxels.")] = None,
    mask: Annotated[
        str | None, opt.file("Image of the voxels; {subject} and {session} are filled in.")
    ] = None,
    labels: Annotated[
        Path | None, opt.table("stimulus_id and run of each volume.  [default: beside each image]")
    ] = None,
    roi: Annotated[str | None, opt.text("Search through this region of a folder of patterns.")] = None,
    subject: opt.Subjects = [],
    leave_out: opt.LeftOut = [],
    distance: Annotated[
        str, opt.text("crossnobis, correlation, cosine, squared_euclidean or mahalanobis.", _VOXELS)
    ] = "crossnobis",
    noise: Annotated[
        str | None,
        opt.text(
            "For crossnobis: none, univariate (variance of each voxel; the default) or local (covariance "
            "of the voxels around; slower).",
            _VOXELS,
        ),
    ] = None,
    fewest: Annotated[int, opt.count("Voxels with fewer voxels around them get no value.", _VOXELS)] = 10,
    detrend: Annotated[
        bool, opt.flag("--detrend", "Take a line off each voxel in each run.", _VOXELS)
    ] = False,
    zscore: Annotated[bool, opt.flag("--zscore", "Then z-score each voxel in each run.", _VOXELS)] = False,
    comparison: opt.Comparison = "spearman",
    correction: Annotated[
        str, opt.text("max_t, cluster_size, cluster_mass or tfce (slow).", opt.STATISTICS)
    ] = "max_t",
    cluster_p: Annotated[
        float, opt.number("Uncorrected p below which voxels form clusters.", opt.STATISTICS)
    ] = 0.001,
    permutations: Annotated[
        int, opt.count("Sign flips of the group; 0 for maps without a test.", opt.STATISTICS, min=0)
    ] = 10_000,
    seed: opt.Seed = 0,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
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
    import json

    from fernet_neuro._utils.atomic import atomic_folder, write_text
    from fernet_neuro.brain.volumes import find_sources
    from fernet_neuro.figures.registry import build_figure
    from fernet_neuro.rsa.searchlight.folder import is_searchlight, read_settings, write_description

    check_own_folder(out, "searchlight maps", is_searchlight, overwrite=overwrite)
    settings = _make_settings(radius, nearest, fewest, distance, comparison, noise)
    group_options = {
        "correction": correction, "cluster_p": cluster_p, "n_permutations": permutations, "seed": seed,
    }  # fmt: skip
    _check_group_options(group_options)
    rdms = _read_models(models)
    files = find_sources(sources, labels=labels, mask=mask, roi=roi, subjects=subject)
    for notice in _find_notices(sources, mask, roi):
        typer.echo(f"Notice: {notice}", err=True)
    reading = {"leave_out": leave_out, "detrend": detrend, "zscore": zscore}
    with atomic_folder(out) as folder:
        write_description(folder)
        maps = _search_all(files, rdms, settings, reading, folder, jobs, verbose=not (quiet or as_json))
        group, peaks = _infer(maps, rdms, group_options, folder, jobs)
        report = _describe_run(maps, rdms, settings, reading, group)
        write_text(folder / "settings.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    figure = build_figure("searchlight-map", out, out) if peaks is not None else []
    lines = [*_describe(report, peaks), "", f"Written to {out}", *map(str, figure)]
    rows = [] if peaks is None else list_records(peaks)
    show(lines, as_json=as_json, values={"settings": read_settings(out), "peaks": rows})


def _find_notices(sources: list[Path], mask: str | None, roi: str | None) -> list[str]:
    """Return a sentence about each folder whose images hold no voxels but those of its regions."""
    from fernet_neuro.brain.derivatives import find_settings

    if mask or roi:
        return []
    found = []
    for source in sources:
        known = find_settings(source) or {}
        if known.get("mask") == "":
            names = ", ".join(str(region["name"]) for region in known.get("rois", []))
            found.append(
                f"{source} was made without --mask, so its images only have the voxels of its regions "
                f"({names}), and the searchlight moves through these together; for the whole brain, make "
                f"patterns with --mask, or name images; for one region, add --roi."
            )
    return found


def _make_settings(
    radius: float | None, nearest: int | None, fewest: int, distance: str, comparison: str, noise: str | None
) -> "SearchlightSettings":
    """Return the settings, checked before anything is read."""
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.brain.volumes import NOISE_KINDS
    from fernet_neuro.rsa.compare import COMPARISONS
    from fernet_neuro.rsa.distances import DISTANCES
    from fernet_neuro.rsa.searchlight.folder import SearchlightSettings

    kind = DISTANCES[check_option("--distance", distance, DISTANCES)]
    check_option("--comparison", comparison, COMPARISONS)
    if radius is not None and nearest is not None:
        raise ValueError("give --radius or --nearest, not both.")
    chosen = noise or ("univariate" if kind.takes_precision else "none")
    check_option("--noise", chosen, NOISE_KINDS)
    if chosen != "none" and not kind.takes_precision:
        raise ValueError(f"--noise {chosen} goes with crossnobis and mahalanobis; not with {distance}.")
    if nearest is None and radius is None:
        radius = 10.0
    return SearchlightSettings(radius, nearest, fewest, distance, comparison, chosen)


def _check_group_options(options: dict[str, Any]) -> None:
    from fernet_neuro._utils.validation import check_option, check_range
    from fernet_neuro.brain.group import CORRECTIONS, check_smallest_p

    check_option("--correction", options["correction"], CORRECTIONS)
    check_range("--cluster-p", options["cluster_p"], 0, 0.5)
    if options["n_permutations"]:
        # Of so many subjects that it is about the permutations alone.
        check_smallest_p(64, options["n_permutations"], LEVEL)


def _read_models(paths: list[Path]) -> "RDMSet":
    from fernet_neuro.rsa.files.io import read_rdms
    from fernet_neuro.rsa.rdms import concat_rdms

    return concat_rdms([read_rdms(path) for path in paths])


def _search_all(
    files: dict[str, list["VolumeSource"]],
    models: "RDMSet",
    settings: "SearchlightSettings",
    reading: dict[str, Any],
    folder: Path,
    jobs: int,
    *,
    verbose: bool,
) -> list["SubjectMaps"]:
    """Compute and write the maps of each subject, one after the other."""
    from fernet_neuro.brain.volumes import read_volumes
    from fernet_neuro.rsa.searchlight.folder import write_subject_maps
    from fernet_neuro.rsa.searchlight.group import search_volume

    found = []
    for name, sources in files.items():
        if verbose:
            typer.echo(f"subject {name}", err=True)
        volume = read_volumes(sources, **reading)
        maps = search_volume(volume, models, settings, n_jobs=jobs, verbose=verbose)
        write_subject_maps(folder, maps, models.names, settings)
        found.append(maps)
    return found


def _infer(
    maps: list["SubjectMaps"], models: "RDMSet", options: dict[str, Any], folder: Path, jobs: int
) -> tuple[dict[str, Any], "pd.DataFrame | None"]:
    """Test and write the group where that can be; return what was done, or why not, and the peaks."""
    from fernet_neuro._utils.tables import write_csv
    from fernet_neuro.brain.group import check_smallest_p
    from fernet_neuro.rsa.searchlight.folder import write_group_maps
    from fernet_neuro.rsa.searchlight.group import infer_maps

    if not options["n_permutations"]:
        return {"tested": False, "reason": "no permutations were asked for."}, None
    try:
        check_smallest_p(len(maps), options["n_permutations"], LEVEL)
    except ValueError as error:
        return {"tested": False, "reason": str(error)}, None
    groups, mask, peaks = infer_maps(maps, models.names, level=LEVEL, n_jobs=jobs, **options)
    write_group_maps(folder, groups, mask, maps[0].affine, models.names)
    write_csv(peaks, folder / "peaks.csv")
    done = {"n_voxels": int(mask.sum()), "level": LEVEL, "smallest_p": groups[0].smallest_p}
    return {"tested": True, **options, **done}, peaks


def _describe_run(
    maps: list["SubjectMaps"],
    models: "RDMSet",
    settings: "SearchlightSettings",
    reading: dict[str, Any],
    group: dict[str, Any],
) -> dict[str, Any]:
    from dataclasses import asdict

    from fernet_neuro._utils.record import describe_surroundings
    from fernet_neuro.rsa.searchlight.folder import KIND, label_models

    labels = label_models(models.names)
    return {
        "kind": KIND,
        "models": [{"name": name, "label": label} for name, label in zip(models.names, labels, strict=True)],
        **asdict(settings),
        **reading,
        "subjects": {item.subject: item.report for item in maps},
        "group": group,
        **describe_surroundings(),
    }


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
