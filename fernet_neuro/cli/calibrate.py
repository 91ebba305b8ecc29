"""``fernet-neuro calibrate``: how often an analysis finds an effect where there is none."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file
from fernet_neuro.cli._tables import Row, format_table, list_records, show

if TYPE_CHECKING:
    from fernet_neuro.rsa.analysis.calibration import CalibrationReport


def calibrate(
    like: Annotated[Path, opt.folder("Folder of an earlier fernet-neuro rsa, probe, embed or brain decode.")],
    source: Annotated[
        Path | None,
        opt.folder("Store of a probe or embedding, or patterns of a decoding, if not in the folder."),
    ] = None,
    stimuli: Annotated[
        Path | None, opt.table("Labels of a probe or embedding.  [default: the store's own]")
    ] = None,
    datasets: Annotated[
        int, opt.count("Number of data sets without the effect, of each kind.", opt.STATISTICS, min=10)
    ] = 200,
    first: Annotated[
        int,
        opt.count("Number of the first data set, of work in several parts.", opt.STATISTICS, min=0),
    ] = 0,
    nominal: Annotated[float, opt.real("Level of the tests, such as 0.05.", opt.STATISTICS)] = 0.05,
    inference: Annotated[
        str | None, opt.text(f"{opt.INFERENCE} As in the folder unless given.", opt.STATISTICS)
    ] = None,
    level: opt.Level = 0.99,
    seed: opt.Seed = 0,
    out: Annotated[Path | None, opt.file("File for the report as JSON.")] = None,
    p_values: Annotated[
        Path | None, opt.file("File for every p value of every data set (.csv).", opt.OUTPUT)
    ] = None,
    jobs: opt.Jobs = 1,
    _backend: opt.Backend = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Repeat an earlier analysis on data without the effect, and report its false-positive rates.

    An RSA meets brains made of the measured ones: stimuli relabelled (tests of models), each subject
    relabelled on its own (test of the ceiling), or built around a model that is true (tests against the
    ceiling). Probes, embeddings and decodings meet labels that are exchanged as their tests exchange them.
    Each rate has an exact binomial interval. The exit code is 1 where an interval lies above the nominal
    rate.

    Examples
    --------
        fernet-neuro calibrate --like rsa92 --datasets 200
        fernet-neuro calibrate --like layers --datasets 500 --jobs -1 \
            --out layers/calibration.json --json
        fernet-neuro calibrate --like results --source stores/identity
        fernet-neuro calibrate --like decoding --source derivatives/patterns
    """
    from fernet_neuro._utils.atomic import write_text
    from fernet_neuro._utils.tables import write_csv
    from fernet_neuro.door.calibrate import calibrate as run

    if out is not None:
        check_out_file(out, [], overwrite=overwrite)
    if p_values is not None:
        check_out_file(p_values, [".csv"], overwrite=overwrite)
    report = run(
        like, datasets, source=source, stimuli=stimuli, nominal=nominal, confidence=level,
        inference=inference, first=first, seed=seed, n_jobs=jobs, verbose=not (quiet or as_json),
    )  # fmt: skip
    values = report.to_summary()
    if out is not None:
        write_text(out, json.dumps(values, indent=2) + "\n")
    if p_values is not None:
        write_csv(report.p_values, p_values)
    show([*_describe(report), *([f"Written to {out}"] if out else [])], as_json=as_json, values=values)
    if not report.is_calibrated:
        raise typer.Exit(1)


def _describe(report: "CalibrationReport") -> list[str]:
    """Return the verdict, then the rates, as lines of text."""
    from fernet_neuro.activations.network import list_networks

    settings, rates = report.settings, report.rates
    verdict = (
        f"No rate is shown to be above the nominal one; with {settings['n_datasets']} data sets rates up "
        f"to {100 * rates['high'].max():.1f} % would not have been seen."
        if report.is_calibrated
        else "NOT CALIBRATED."
    )
    head = (
        f"False positives at {settings['nominal']:g} in {settings['n_datasets']} data sets of each kind "
        f"({_name_inference(settings)})"
    )
    columns = {
        "data": "{null}", "p value": "{table} {p}",
        "tests": _name_scope,
        "rate %": "{rate:.1pct}",
        f"{100 * settings['confidence']:g} % interval": "[{low:.1pct}, {high:.1pct}]",
        "": lambda row: "above the nominal rate" if row["is_inflated"] else "",
    }  # fmt: skip
    notes = [f"Note: {note}" for note in report.notes]
    notes += list_networks(settings.get("networks", []))
    return [verdict, "", head, *format_table(list_records(rates), columns), *([""] if notes else []), *notes]


def _name_inference(settings: dict[str, Any]) -> str:
    if "analysis" in settings:
        return str(settings["analysis"])
    if settings["used_inference"] == "components":
        return f"{settings['comparison']}, variance components"
    return f"{settings['comparison']}, {settings['n_bootstraps']} bootstrap samples"


def _name_scope(row: Row) -> str:
    return "all" if row["scope"] == "all" else f"worst: {row['roi']} {row['model']}".strip()
