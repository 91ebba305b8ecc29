"""``fernet-neuro rsa``: models against brains, with noise ceilings, intervals and tests."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_own_folder, save_result
from fernet_neuro.cli._tables import format_cell, format_table, list_records, show

if TYPE_CHECKING:
    from fernet_neuro.rsa.result import RSAResult

#: Significant pairs that the report names.
_MOST_PAIRS = 10
_ESTIMATE, _INTERVAL = "{estimate:.3f}", "[{low:.3f}, {high:.3f}]"
_FILES = "Reading files"


#: Bytes of memory that are told before they are taken.
_WORTH_SAYING = 100e6


def rsa(
    models: Annotated[list[str], opt.file("RDM file, activation store or stimulus table; repeat for more.")],
    brain: Annotated[str, opt.file("RDM file with a column subject, or a folder of brain patterns.")],
    out: Annotated[Path, opt.folder("Folder for results.csv, pairwise.csv, summary.json and the RDMs.")],
    layer: opt.Layers = [],
    all_layers: opt.AllLayers = False,
    factor: opt.Factors = [],
    weights: opt.Weights = [],
    text: opt.Texts = None,
    landmarks: opt.Landmarks = None,
    pixels: opt.Pixels = False,
    gabor: opt.Gabor = False,
    roi: opt.Regions = [],
    distance: opt.Distance = "correlation",
    brain_distance: Annotated[
        str, opt.text("Between brain patterns: crossnobis, mahalanobis, correlation, ...")
    ] = "crossnobis",
    fit: Annotated[
        str,
        opt.text(
            "fixed; or selected, weighted or interpolated: the RDMs of each source also make one model that "
            "is fitted, and cross-validated over subjects and stimuli.",
            opt.MODELS,
        ),
    ] = "fixed",
    partition: Annotated[
        list[str], opt.text("A model among which explained variance is divided; repeat for each.", opt.MODELS)
    ] = [],
    over_seeds: Annotated[
        bool, opt.flag("--over-seeds", "The stores are training seeds of one network.", opt.MODELS)
    ] = False,
    comparison: opt.ComparisonOrDefault = None,
    generalise_to: Annotated[
        str,
        opt.text(
            "What results generalise to: both (subjects and stimuli are random), subjects (with these very "
            "stimuli) or stimuli (with these very subjects).",
            opt.STATISTICS,
        ),
    ] = "both",
    identity_blocks: Annotated[
        str | None, opt.text("Stimuli with one value of this column are resampled together.", opt.STATISTICS)
    ] = None,
    inference: Annotated[str, opt.text(opt.INFERENCE, opt.STATISTICS)] = "auto",
    bootstrap: opt.Bootstrap = 1000,
    permutations: opt.Permutations = 1000,
    level: opt.Level = 0.95,
    seed: opt.Seed = 0,
    engine: Annotated[str, opt.text("Which code: own, or rsatoolbox (slow).", opt.STATISTICS)] = "own",
    stimuli: Annotated[
        Path | None,
        opt.table("Table that names the stimuli of RDM files without names, in its order.", _FILES),
    ] = None,
    align: Annotated[
        bool, opt.flag("--align", "Keep the common stimuli, in the models' order.", _FILES)
    ] = False,
    subject_column: Annotated[
        str, opt.text("Column of an RDM file that says whose each RDM is.", _FILES)
    ] = "subject",
    variable: Annotated[
        str | None, opt.text("Which variable of a brain file that has several.", _FILES)
    ] = None,
    models_variable: Annotated[
        str | None, opt.text("Which variable of a model file that has several.", _FILES)
    ] = None,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    no_report: opt.NoReport = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Compare model RDMs with brain RDMs, with inference to new subjects and new stimuli.

    The default comparison is whitened_pearson for crossnobis distances, else rho_a. Sessions of a subject are
    averaged. Stimuli must be the same, in the same order, unless --align is given.
    The folder holds all that was compared, so that fernet-neuro calibrate --like OUT can run the same
    analysis on data without the effect.

    Examples
    --------
        fernet-neuro rsa --models 92_modelRDMs.mat --brain 92_brainRDMs.mat \
            --out rsa92
        fernet-neuro rsa --models stores/identity --all-layers \
            --brain derivatives/patterns --roi FFA --roi OFA \
            --identity-blocks identity --out layers
        fernet-neuro rsa --models faces.csv --factor identity --factor expression \
            --pixels --gabor --brain brain.h5 --partition identity \
            --partition pixels --out factors --json
        fernet-neuro rsa --models faces.csv --weights units=AU01,AU02,AU12 \
            --landmarks points.csv --brain brain.h5 --out muscles
        fernet-neuro rsa --models stores/guided --all-layers --factor expression \
            --text builtin --brain derivatives/patterns --out language
    """
    from fernet_neuro.experiments.report_texts import describe_rsa
    from fernet_neuro.rsa.analysis.inputs import align_models_and_brain, list_blocks, read_brain_for
    from fernet_neuro.rsa.analysis.models import ModelChoice, read_models
    from fernet_neuro.rsa.analysis.run import SUMMARY, RSAFolder, RSASettings, is_rsa, run_rsa
    from fernet_neuro.rsa.compare import default_comparison
    from fernet_neuro.rsa.inference.components import estimate_memory
    from fernet_neuro.stimuli.table import StimulusTable

    # One whose writing was interrupted is written anew: nothing is lost.
    begun = is_rsa(out) and not (out / SUMMARY).exists()
    check_own_folder(out, "an RSA", is_rsa, overwrite=overwrite or begun)
    settings = RSASettings(
        comparison or "rho_a", generalise_to, bootstrap, permutations, level=level, engine=engine, seed=seed,
        inference=inference, fit=fit, over_seeds=over_seeds, n_jobs=jobs, verbose=not (quiet or as_json),
    )  # fmt: skip
    table = None if stimuli is None else StimulusTable.read(stimuli)
    choice = ModelChoice(
        layers=layer, all_layers=all_layers, distance=distance, factors=factor,
        weights=opt.parse_weights(weights), landmarks=opt.read_landmark_table(landmarks), pixels=pixels,
        texts=opt.read_texts(text), gabor=gabor, variable=models_variable,
    )  # fmt: skip
    model_rdms, known = read_models(models, choice, table, align=align, over_seeds=over_seeds)
    brain_rdms = read_brain_for(
        brain, model_rdms, distance=brain_distance, subject_column=subject_column, rois=roi,
        variable=variable, table=table,
    )  # fmt: skip
    model_rdms, brain_rdms = align_models_and_brain(model_rdms, brain_rdms, align=align)
    if comparison is None:
        settings = replace(settings, comparison=default_comparison(brain_rdms))
    blocks = None if identity_blocks is None else list_blocks(known, identity_blocks, model_rdms.stimulus_ids)
    if settings.is_closed and settings.verbose:
        largest = max(len(rows) for rows in brain_rdms.rows_by("roi").values())
        needed = estimate_memory(largest, model_rdms.n_rdms, model_rdms.n_stimuli)
        if needed > _WORTH_SAYING or inference == "components":
            typer.echo(f"About {needed / 1e6:,.0f} MB of memory beside Python's own", err=True)
    result = run_rsa(
        model_rdms, brain_rdms, settings, blocks=blocks, partition=partition,
        notes={
            "model_sources": models, "brain_source": brain, "identity_blocks": identity_blocks,
            "align": align,
        },
    )  # fmt: skip
    if known is not None:
        known = known.align_to(model_rdms.stimulus_ids)
    folder = RSAFolder(result, model_rdms, brain_rdms, known)
    folder.claim(out)
    tell = cache(lambda: describe_rsa(result))
    written = save_result(folder, out, tell, no_report=no_report)
    show([tell().answer, *_describe(result), *written], as_json=as_json, values=_summarise(result, out))


def _summarise(result: "RSAResult", out: Path) -> dict[str, Any]:
    """Return all results as plain values, with null where there is no number."""
    tables = ("pairwise", "ceilings", "peaks", "partition")
    return {
        "out": str(out),
        **result.to_summary(),
        **{name: list_records(getattr(result, name)) for name in tables},
    }


def _describe(result: "RSAResult") -> list[str]:
    """Return what was found in each region, as lines of text."""
    lines = []
    for roi in result.rois:
        lines += ["", *_describe_roi(result, roi)]
    notes = [f"Note: {note}" for note in _list_notes(result)]
    return [*lines, "", *notes, *([""] if notes else [])]


def _list_notes(result: "RSAResult") -> list[str]:
    """Return what a reader must know of these inferences."""
    notes = list(result.settings.get("notes", []))
    estimates = result.estimates
    if result.settings["n_permutations"] and estimates["p_permutation"].isna().any():
        names = dict.fromkeys(estimates.loc[estimates["p_permutation"].isna(), "model"])
        notes.append(
            f"no p (labels) of {', '.join(names)}: to exchange whole blocks, and stimuli inside them, "
            f"changes nothing in a model that only tells blocks apart."
        )
    ends = [table[["low", "high"]] for table in (estimates, result.partition)]
    ends.append(result.ceilings[["lower_low", "lower_high"]])
    if any(bool((frame.abs() > 1).any(axis=None)) for frame in ends):
        notes.append(
            "an interval that passes 1 or -1, where no comparison or share can lie, says that there are too "
            "few subjects or stimuli to know much."
        )
    return notes


def _describe_roi(result: "RSAResult", roi: str) -> list[str]:
    from fernet_neuro.rsa.store_rdms import WEIGHTS

    frame = result.select_roi(roi)
    first = frame.iloc[0]
    n_subjects = int(first["n_subjects"])
    columns = {
        "model": "{model}", "estimate": _ESTIMATE,
        f"{100 * result.settings['level']:g} % interval": _INTERVAL, "p": "{p_value:p}",
        "p (FDR)": "{p_fdr:p}", "p (max)": "{p_max:p}", "p (labels)": "{p_permutation:p}",
        "p (ceiling)": "{p_ceiling:p}",
    }  # fmt: skip
    if WEIGHTS in frame:
        columns[WEIGHTS] = f"{{{WEIGHTS}}}"
    attainable = result.settings.get("attainable", {})
    if any(name in attainable for name in frame["model"]):
        frame = frame.assign(attainable=[attainable.get(name, 1.0) for name in frame["model"]])
        columns["at most"] = "{attainable:.3f}"
    lines = [
        f"{roi or 'brain'}: {n_subjects} subject{'s' * (n_subjects > 1)}, {first['n_stimuli']} stimuli"
        f"{_describe_blocks(result)}; "
        f"{first['comparison']}, to {_describe_target(result)}",
        _describe_ceiling(result, roi),
        *format_table(frame, columns),
    ]
    return [
        *lines,
        *_describe_corrections(result),
        *_describe_pairs(result, roi),
        *_describe_peak(result, roi),
        *_describe_shares(result, roi),
    ]


def _describe_target(result: "RSAResult") -> str:
    """Return what is random, and how it is known how results vary with it."""
    target = {
        "both": "new subjects and stimuli (both random)",
        "subjects": "new subjects (random) with these stimuli",
        "stimuli": "new stimuli (random) with these subjects",
    }[result.settings["generalise_to"]]
    seeds = " and training seeds" if result.settings.get("over_seeds") else ""
    return f"{target}{seeds}, by {result.used_inference}"


def _describe_blocks(result: "RSAResult") -> str:
    """Return how many blocks the stimuli are in, and which column says so."""
    n_blocks, column = result.settings.get("n_blocks"), result.settings.get("identity_blocks")
    return f" in {n_blocks} blocks ({column})" if n_blocks and column else ""


def _describe_corrections(result: "RSAResult") -> list[str]:
    """Return a line on what is corrected, where there are several regions or models."""
    if len(result.rois) > 1:
        return [f"p (FDR) and p (max): over models within a region, not over the {len(result.rois)} regions"]
    return ["p (FDR) and p (max): over models within a region"] if len(result.models) > 1 else []


def _describe_ceiling(result: "RSAResult", roi: str) -> str:
    row = list_records(result.ceilings[result.ceilings["roi"] == roi])[0]
    if row["lower"] is None:
        return "no noise ceiling: one subject"
    interval = "{lower:.3f} [{lower_low:.3f}, {lower_high:.3f}] to {upper:.3f}"
    return format_cell(f"noise ceiling: {interval}; lower against 0: {{p_value:p=}}", row)


def _describe_pairs(result: "RSAResult", roi: str) -> list[str]:
    """Return the line of the pairs of models that differ, corrected by the maximum statistic."""
    frame = result.pairwise[result.pairwise["roi"] == roi]
    if frame.empty:
        return []
    alpha = 1 - result.settings["level"]
    found = frame[frame["p_max"] <= alpha].sort_values("p_max", kind="stable")
    names = [
        f"{row.model_1} > {row.model_2}" if row.difference > 0 else f"{row.model_2} > {row.model_1}"
        for row in found.head(_MOST_PAIRS).itertuples()
    ]
    more = f", and {len(found) - len(names)} more" if len(found) > len(names) else ""
    return [
        f"{len(found)} of {len(frame)} pairs of models differ (p max <= {alpha:.2g}, within a region)"
        f"{': ' + ', '.join(names) if names else ''}{more}"
    ]


def _describe_peak(result: "RSAResult", roi: str) -> list[str]:
    form = (
        "{layer}, between {low_layer} and {high_layer}; a layer chosen on other subjects and stimuli scores "
    )
    return [
        f"peak{' of ' + row['network'] if row.get('network') else ''}: "
        f"{format_cell(form, row)}{format_cell('{nested_score:.3f}', row)}"
        for row in list_records(result.peaks[result.peaks["roi"] == roi])
    ]


def _describe_shares(result: "RSAResult", roi: str) -> list[str]:
    rows = result.partition[result.partition["roi"] == roi]
    columns = {
        "share of variance": "{component}", "": "{share:.3f}", "interval": _INTERVAL, "models": "{models}",
    }  # fmt: skip
    return format_table(rows, columns) if len(rows) else []
