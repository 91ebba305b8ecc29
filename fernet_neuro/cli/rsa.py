"""``fernet-neuro rsa``: models against brains, with noise ceilings, intervals and tests."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fernet_neuro.cli._options import check_jobs, parse_weights, read_landmark_table
from fernet_neuro.cli._outputs import check_own_folder

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.rsa.result import RSAResult

#: Significant pairs that the report names.
_MOST_PAIRS = 10


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("rsa")(rsa)


def rsa(
    models: list[str] = typer.Option(
        ...,
        metavar="FILE_OR_STORE",
        help="RDM file, activation store or stimulus table; repeat for more.",
    ),
    brain: str = typer.Option(
        ..., metavar="FILE_OR_DIR", help="RDM file with a column subject, or a folder of brain patterns."
    ),
    out: Path = typer.Option(..., help="Folder for results.csv, pairwise.csv, summary.json and the RDMs."),
    comparison: str = typer.Option(
        "rho_a",
        help="rho_a, spearman, pearson, kendall_tau_a, cosine, whitened_pearson or whitened_cosine.",
    ),
    bootstrap: int = typer.Option(1000, min=1, help="Bootstrap samples."),
    permutations: int = typer.Option(1000, min=0, help="Permutations of stimulus labels; 0 for none."),
    generalise_to: str = typer.Option(
        "both", help="New subjects and new stimuli: both, subjects or stimuli."
    ),
    roi: list[str] = typer.Option([], help="A region of the brain RDMs; repeat for more.  [default: all]"),
    layer: list[str] = typer.Option([], help="A layer of the stores; repeat for more."),
    all_layers: bool = typer.Option(False, "--all-layers", help="Every layer of the stores."),
    distance: str = typer.Option(
        "correlation", help="Of layers and pictures: correlation, cosine or squared_euclidean."
    ),
    brain_distance: str = typer.Option(
        "crossnobis", help="Of brain patterns: crossnobis, mahalanobis, correlation, ..."
    ),
    factor: list[str] = typer.Option([], help="A column of the stimulus table as a model; repeat for more."),
    weights: list[str] = typer.Option(
        [],
        metavar="NAME=COLUMN,...",
        help="Numeric columns compared together as a model, such as units=AU01,AU02; repeat for more.",
    ),
    landmarks: Path | None = typer.Option(None, help="A table of landmarks, as a model of where they lie."),
    pixels: bool = typer.Option(False, "--pixels", help="The pictures' grey levels as a model."),
    gabor: bool = typer.Option(False, "--gabor", help="The pictures' Gabor energies as a model."),
    fit: str = typer.Option(
        "fixed",
        help="fixed; or selected, weighted or interpolated: one more model of each source's RDMs, fitted and "
        "cross-validated over subjects and stimuli.",
    ),
    partition: list[str] = typer.Option(
        [], metavar="MODEL", help="Split explained variance between these models; repeat."
    ),
    over_seeds: bool = typer.Option(
        False, "--over-seeds", help="The stores are one network trained with different seeds."
    ),
    identity_blocks: str | None = typer.Option(
        None, metavar="COLUMN", help="Stimuli with one value of this column are resampled together."
    ),
    stimuli: Path | None = typer.Option(
        None, help="Stimulus table; names the stimuli of RDM files that name none, in its order."
    ),
    align: bool = typer.Option(False, "--align", help="Keep the common stimuli, in the models' order."),
    subject_column: str = typer.Option("subject", help="Column of an RDM file that says whose each RDM is."),
    variable: str | None = typer.Option(None, help="Which variable of a brain file that has several."),
    models_variable: str | None = typer.Option(None, help="The same for model files."),
    engine: str = typer.Option("own", help="own, or rsatoolbox (slow)."),
    level: float = typer.Option(0.95, help="Of intervals."),
    seed: int = typer.Option(0, help="Seed of bootstrap and permutations."),
    jobs: int = typer.Option(1, help="Threads; -1 for one per core. The result does not change."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an RSA that is already in OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print the results as JSON."),
) -> None:
    """Compare model RDMs with brain RDMs, to new subjects and new stimuli.

    Sessions of a subject are averaged. Stimuli must be the same in the same order: --align is the one way to
    change that. The folder holds all that was compared, so that fernet-neuro calibrate --like OUT can run the
    same analysis on data without the effect.

    Examples
    --------
        fernet-neuro rsa --models 92_modelRDMs.mat --brain 92_brainRDMs.mat --out rsa92

        fernet-neuro rsa --models stores/identity --all-layers --brain derivatives/patterns --roi FFA
        --roi OFA --identity-blocks identity --out layers

        fernet-neuro rsa --models faces.csv --factor identity --factor expression --pixels --gabor
        --brain brain.h5 --partition identity --partition pixels --out factors --json

        fernet-neuro rsa --models faces.csv --weights units=AU01,AU02,AU12 --landmarks points.csv
        --brain brain.h5 --out muscles
    """
    import json

    from joblib import effective_n_jobs

    from fernet_neuro.rsa.analysis.inputs import align_models_and_brain, list_blocks, read_brain_for
    from fernet_neuro.rsa.analysis.models import ModelChoice, read_models
    from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, is_rsa, run_rsa
    from fernet_neuro.stimuli.table import StimulusTable

    n_jobs = effective_n_jobs(check_jobs(jobs))
    check_own_folder(out, "an RSA", is_rsa, overwrite=overwrite)
    settings = RSASettings(
        comparison, generalise_to, fit, bootstrap, permutations, level, engine, seed, over_seeds
    )
    table = None if stimuli is None else StimulusTable.read(stimuli)
    choice = ModelChoice(
        layers=layer, all_layers=all_layers, distance=distance, factors=factor,
        weights=parse_weights(weights), landmarks=read_landmark_table(landmarks), pixels=pixels, gabor=gabor,
        variable=models_variable,
    )  # fmt: skip
    model_rdms, known = read_models(models, choice, table, align=align, over_seeds=over_seeds)
    brain_rdms = read_brain_for(
        brain, model_rdms, distance=brain_distance, subject_column=subject_column, rois=roi,
        variable=variable, table=table,
    )  # fmt: skip
    model_rdms, brain_rdms = align_models_and_brain(model_rdms, brain_rdms, align=align)
    blocks = None if identity_blocks is None else list_blocks(known, identity_blocks, model_rdms.stimulus_ids)
    result = run_rsa(
        model_rdms, brain_rdms, settings, blocks=blocks, partition=partition, n_jobs=n_jobs,
        verbose=not as_json,
        notes={
            "model_sources": models, "brain_source": brain, "identity_blocks": identity_blocks,
            "align": align,
        },
    )  # fmt: skip
    if known is not None:
        known = known.align_to(model_rdms.stimulus_ids)
    RSAFolder(result, model_rdms, brain_rdms, known).save(out)
    typer.echo(json.dumps(_summarise(result, out)) if as_json else "\n".join(_describe(result, out)))


def _summarise(result: "RSAResult", out: Path) -> dict[str, Any]:
    """Return all results as plain values, with null where there is no number."""
    tables = ("pairwise", "ceilings", "peaks", "partition")
    return {
        "out": str(out),
        **result.to_summary(),
        **{name: _as_objects(getattr(result, name)) for name in tables},
    }


def _as_objects(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    plain = frame.astype(object)
    return plain.where(plain.notna(), None).to_dict(orient="records")


def _describe(result: "RSAResult", out: Path) -> list[str]:
    """Return the report as lines of text."""
    lines: list[str] = []
    for roi in result.rois:
        lines += [*_describe_roi(result, roi), ""]
    notes = [f"Note: {note}" for note in _list_notes(result)]
    return [*lines, *notes, *([""] if notes else []), f"Written to {out}"]


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
    frame = result.select_roi(roi)
    first = frame.iloc[0]
    n_subjects = int(first["n_subjects"])
    width = max(map(len, ["model", *frame["model"]])) + 2
    target = {"both": "new subjects and stimuli", "subjects": "new subjects", "stimuli": "new stimuli"}
    lines = [
        f"{roi or 'brain'}: {n_subjects} subject{'s' * (n_subjects > 1)}, {first['n_stimuli']} stimuli"
        f"{_describe_blocks(result)}; "
        f"{first['comparison']}, to {target[result.settings['generalise_to']]}",
        _describe_ceiling(result, roi),
        f"{'model':<{width}}{'estimate':>9}  {_percent(result.settings['level']) + ' interval':<20}{'p':>8}"
        f"{'p (FDR)':>9}{'p (max)':>9}{'p (labels)':>12}{'p (ceiling)':>13}",
    ]
    for row in frame.itertuples():
        interval = f"[{_number(row.low)}, {_number(row.high)}]"
        lines.append(
            f"{row.model:<{width}}{_number(row.estimate):>9}  {interval:<20}{_p(row.p_value):>8}"
            f"{_p(row.p_fdr):>9}{_p(row.p_max):>9}{_p(row.p_permutation):>12}{_p(row.p_ceiling):>13}"
        )
    return [
        *lines,
        *_describe_corrections(result),
        *_describe_pairs(result, roi),
        *_describe_peak(result, roi),
        *_describe_shares(result, roi),
    ]


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
    row = result.ceilings[result.ceilings["roi"] == roi].iloc[0]
    if math.isnan(row["lower"]):
        return "no noise ceiling: one subject"
    interval = f"[{_number(row['lower_low'])}, {_number(row['lower_high'])}]"
    return (
        f"noise ceiling: {_number(row['lower'])} {interval} to {_number(row['upper'])}; lower against 0: "
        f"p {_p(row['p_value'])}"
    )


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
    frame = result.peaks[result.peaks["roi"] == roi]
    networks = frame["network"] if "network" in frame else [""] * len(frame)
    return [
        f"peak{f' of {network}' if network else ''}: {row.layer}, between {row.low_layer} and "
        f"{row.high_layer}; a layer chosen on other subjects and stimuli scores {_number(row.nested_score)}"
        for network, row in zip(networks, frame.itertuples(), strict=True)
    ]


def _describe_shares(result: "RSAResult", roi: str) -> list[str]:
    return [
        f"{row.component:<8}{_number(row.share):>9} [{_number(row.low)}, {_number(row.high)}]  {row.models}"
        for row in result.partition[result.partition["roi"] == roi].itertuples()
    ]


def _number(value: float) -> str:
    return f"{value:.3f}" if not math.isnan(value) else "-"


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _percent(level: float) -> str:
    return f"{100 * level:g} %"
