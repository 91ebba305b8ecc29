"""``fernet-neuro evaluate``: how well trained runs name the labels of a table, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fernet_neuro.cli._options import parse_pairs
from fernet_neuro.cli._outputs import check_out_folder

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.evaluation.result import EvaluationReport

#: Overall scores as they are printed: name, unit, factor.
_PRINTED = {
    "accuracy": ("accuracy %", 100.0),
    "mean_class_accuracy": ("mean class acc. %", 100.0),
    "macro_f1": ("macro-F1 %", 100.0),
    "ece": ("calibration err. %", 100.0),
    "nll": ("neg. log-lik. (nat)", 1.0),
    "brier": ("Brier score", 1.0),
}
_WIDTH = 26
_ON_CHANCE = (
    "Chance: an answer that ignores the image but knows how often each class occurs; for the calibration "
    "error, what noise alone would show if all probabilities were true."
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("evaluate")(evaluate)


def evaluate(
    runs: list[str] = typer.Argument(
        ..., metavar="RUN...", help="Run folders of `train`; several are training seeds of one recipe."
    ),
    stimuli: Path = typer.Option(..., help="Stimulus table (.csv or .parquet) to test on."),
    out: Path = typer.Option(..., help="Folder for the report; logits are kept in its `stores`."),
    factor: str | None = typer.Option(
        None, help="Column with the labels.  [default: what the runs were trained to name]"
    ),
    epoch: str = typer.Option(
        "both", help="last, best (on the validation share of training), or both side by side."
    ),
    map_: list[str] = typer.Option(
        [], "--map", metavar="LABEL=CLASS", help="What a label is called by the network; repeat for more."
    ),
    only_known: bool = typer.Option(
        False, "--only-known", help="Leave out stimuli whose label the network was not trained on."
    ),
    allow_trained: bool = typer.Option(
        False, "--allow-trained", help="Go on if a run was trained on people of the table."
    ),
    n_boot: int = typer.Option(10_000, min=1, help="Bootstrap samples."),
    n_bins: int = typer.Option(
        15, min=1, help="Most bins of the calibration error, of equal numbers of images."
    ),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:0."),
    batch_size: int = typer.Option(64, min=1, help="Images per forward pass."),
    n_jobs: int = typer.Option(0, min=0, help="Threads that decode images; 0 is one."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a report that is already in OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json."),
) -> None:
    """Test trained runs: accuracy, mean class accuracy, macro-F1, calibration and confusions.

    Each score has its interval over images (people, where the table names them) and, for several runs, over
    training seeds. Labels and classes are matched by name. An interrupted command goes on where it was. Any
    table will do: another data set's, or one of occluded faces. OUT gets metrics.csv, confusion.csv,
    calibration.csv, predictions.csv and summary.json.

    Examples
    --------
        fernet-neuro evaluate runs/crpn --stimuli rafdb/test.csv --out results/rafdb

        fernet-neuro evaluate runs/crpn/seed* --stimuli fedro/table.csv --out results/fedro --json

        fernet-neuro stimuli render --identities 20 --occluders glasses,mask --seed 9 --out occluded

        fernet-neuro evaluate runs/crpn/seed* --stimuli occluded/table.csv --allow-trained --out results/occ

        fernet-neuro evaluate runs/crpn --stimuli other.csv --factor emotion --map happy=happiness
        --only-known --out results/other

        fernet-neuro figures build evaluation --results results/rafdb
    """
    import json

    from fernet_neuro.experiments.evaluation import evaluate_runs
    from fernet_neuro.stimuli.table import StimulusTable

    check_out_folder(out, ["summary.json"], overwrite=overwrite)
    report = evaluate_runs(
        runs,
        StimulusTable.read(stimuli),
        out,
        factor=factor,
        epoch=epoch,
        mapping=parse_pairs("--map", map_),
        only_known=only_known,
        allow_trained=allow_trained,
        n_boot=n_boot,
        n_bins=n_bins,
        device=device,
        batch_size=batch_size,
        n_jobs=n_jobs,
        verbose=not as_json,
    )
    report.save(out)
    if as_json:
        typer.echo(json.dumps(report.to_dict()))
        return
    typer.echo("\n".join(_describe(report)))
    typer.echo(f"Written to {out}")


def _describe(report: "EvaluationReport") -> list[str]:
    """Return the report as lines of text: overall scores, then recall by class."""
    epochs, runs = report.settings["epochs"], report.settings["runs"]
    seed = "mean" if len(runs) > 1 else runs[0]["seed"]
    metrics = report.metrics[report.metrics["seed"] == seed]
    over_seeds = metrics["interval"].eq("training seeds")
    seeds, images = metrics[over_seeds], metrics[~over_seeds]
    if len(runs) > 1:  # a mean that has no ends over seeds is there twice
        images = images.drop_duplicates(["epoch", "metric", "class"])
    what = "" if len(runs) == 1 else f", means over {len(runs)} training seeds"
    lines = [
        f"{report.settings['stimuli']['n']} stimuli, {report.settings['factor']}{what}",
        "",
        f"{'':<22}" + "".join(f"{f'{name} epoch':<{_WIDTH}}" for name in epochs) + "chance",
    ]
    for metric, (label, scale) in _PRINTED.items():
        lines += _describe_metric(metric, label, scale, images, seeds, epochs)
    lines += ["", f"{'recall %':<22}" + "".join(f"{f'{name} epoch':<{_WIDTH}}" for name in epochs) + "n"]
    recalls = images[images["metric"] == "recall"]
    for name in dict.fromkeys(recalls["class"]):
        rows = recalls[recalls["class"] == name].set_index("epoch")
        cells = "".join(f"{_cell(rows.loc[epoch], 100.0):<{_WIDTH}}" for epoch in epochs)
        lines.append(f"{name:<22}{cells}{rows['n'].iloc[0]}")
    return [*lines, "", _ON_CHANCE, *report.notes]


def _describe_metric(
    metric: str, label: str, scale: float, images: "pd.DataFrame", seeds: "pd.DataFrame", epochs: list[str]
) -> list[str]:
    """Return one line with the interval over images, and one over seeds where there are several."""
    rows = images[images["metric"] == metric].set_index("epoch")
    cells = "".join(f"{_cell(rows.loc[epoch], scale):<{_WIDTH}}" for epoch in epochs)
    chance = f"{scale * rows['chance_level'].iloc[0]:.{_digits(scale)}f}"
    lines = [f"{label:<22}{cells}{chance}"]
    over = seeds[(seeds["metric"] == metric)].set_index("epoch")
    if len(over):
        cells = "".join(f"{_ends(over.loc[epoch], scale):<{_WIDTH}}" for epoch in epochs)
        lines.append(f"{'  over seeds':<22}{cells}".rstrip())
    return lines


def _cell(row: "pd.Series", scale: float) -> str:
    return f"{scale * row['value']:.{_digits(scale)}f} {_ends(row, scale).strip()}"


def _ends(row: "pd.Series", scale: float) -> str:
    digits = _digits(scale)
    value = " " * len(f"{scale * row['value']:.{digits}f} ")
    if row["low"] != row["low"]:  # no interval
        return f"{value}[no interval]"
    return f"{value}[{scale * row['low']:.{digits}f}, {scale * row['high']:.{digits}f}]"


def _digits(scale: float) -> int:
    return 1 if scale > 1 else 3
