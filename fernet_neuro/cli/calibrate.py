"""``fernet-neuro calibrate``: how often an RSA finds an effect where there is none."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fernet_neuro.cli._options import check_jobs
from fernet_neuro.cli._outputs import check_out_file

if TYPE_CHECKING:
    from fernet_neuro.rsa.analysis.calibration import CalibrationReport


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("calibrate")(calibrate)


def calibrate(
    like: Path = typer.Option(
        ..., metavar="DIR", help="Folder of an earlier fernet-neuro rsa: its settings, models and brains."
    ),
    datasets: int = typer.Option(200, min=10, help="Data sets without the effect, of each kind."),
    nominal: float = typer.Option(0.05, help="Level of the tests."),
    confidence: float = typer.Option(0.99, help="Of the intervals of rates."),
    seed: int = typer.Option(0, help="Seed of the data sets."),
    jobs: int = typer.Option(1, help="Data sets at once; -1 for one per core. The result does not change."),
    out: Path | None = typer.Option(None, help="File for the report as JSON."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a file that is already there."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Run an earlier RSA on data without the effect, and report its false-positive rates.

    The same settings and models meet brains made of the measured ones: stimuli relabelled (tests of models),
    each subject relabelled on its own (test of the ceiling), or built around a model that is true (tests
    against the ceiling). Each rate has an exact binomial interval. The exit code is 1 where an interval lies
    above the nominal rate.

    Examples
    --------
        fernet-neuro calibrate --like rsa92 --datasets 200

        fernet-neuro calibrate --like layers --datasets 500 --jobs -1 --out layers/calibration.json --json
    """
    import json

    from fernet_neuro._utils.atomic import write_text
    from fernet_neuro.rsa.analysis.calibration import calibrate_rsa
    from fernet_neuro.rsa.analysis.run import RSAFolder

    check_jobs(jobs)
    if out is not None:
        check_out_file(out, [], overwrite=overwrite)
    report = calibrate_rsa(
        RSAFolder.load(like),
        datasets,
        nominal=nominal,
        confidence=confidence,
        seed=seed,
        n_jobs=jobs,
        verbose=not as_json,
    )
    text = json.dumps(report.to_summary(), indent=2)
    if out is not None:
        write_text(out, text + "\n")
    typer.echo(text if as_json else "\n".join([*_describe(report), *([f"Written to {out}"] if out else [])]))
    if not report.is_calibrated:
        raise typer.Exit(1)


def _describe(report: "CalibrationReport") -> list[str]:
    """Return the report as lines of text."""
    settings = report.settings
    rows = list(report.rates.itertuples())
    where = ["all" if row.scope == "all" else f"worst: {row.roi} {row.model}".strip() for row in rows]
    width = max(map(len, where)) + 2
    named = max(len(f"{row.table} {row.p}") for row in rows) + 2
    lines = [
        f"False positives at {settings['nominal']:g} in {settings['n_datasets']} data sets of each kind "
        f"({settings['comparison']}, {settings['n_bootstraps']} bootstrap samples)",
        "",
        f"{'data':<20}{'p value':<{named}}{'tests':<{width}}{'rate %':>6}  "
        f"{100 * settings['confidence']:g} % interval",
    ]
    for row, place in zip(rows, where, strict=True):
        mark = "  above the nominal rate" if row.is_inflated else ""
        lines.append(
            f"{row.null:<20}{row.table + ' ' + row.p:<{named}}{place:<{width}}{100 * row.rate:>6.1f}  "
            f"[{100 * row.low:.1f}, {100 * row.high:.1f}]{mark}"
        )
    if report.is_calibrated:
        verdict = (
            f"No rate is shown to be above the nominal one; with {settings['n_datasets']} data sets rates up "
            f"to {100 * max(row.high for row in rows):.1f} % would not have been seen."
        )
    else:
        verdict = "NOT CALIBRATED."
    return [*lines, "", *(f"Note: {note}" for note in report.notes), "", verdict]
