"""``fernet-neuro evaluate``: how well trained runs name the labels of a table, with intervals."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_folder, save_result
from fernet_neuro.cli._tables import MISSING, format_cell, format_table, list_records, show

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.evaluation.result import EvaluationReport

#: Overall scores as they are printed: name, unit, and the form of their numbers.
_PRINTED = {
    "accuracy": ("accuracy %", ".1pct"),
    "mean_class_accuracy": ("mean class acc. %", ".1pct"),
    "macro_f1": ("macro-F1 %", ".1pct"),
    "ece": ("calibration err. %", ".1pct"),
    "nll": ("neg. log-lik. (nat)", ".3f"),
    "brier": ("Brier score", ".3f"),
}
_ON_CHANCE = (
    "Chance: an answer that ignores the image but knows how often each class occurs; for the calibration "
    "error, what noise alone would show if all probabilities were true."
)


def evaluate(
    runs: Annotated[
        list[str], opt.argument("Run folders of `train`; several are training seeds of one recipe.", "RUN...")
    ],
    stimuli: opt.Stimuli,
    out: Annotated[Path, opt.folder("Folder for the report; logits are kept in its `stores`.")],
    select: opt.Selection = [],
    factor: Annotated[
        str | None, opt.text("Column with the labels.  [default: what the runs were trained to name]")
    ] = None,
    epoch: Annotated[
        str, opt.text("Which epoch: last, best (on the validation share of training), or both.")
    ] = "both",
    map_: Annotated[
        list[str],
        opt.text(
            "Name that the network has for a label; repeat for more.", None, "--map", metavar="LABEL=CLASS"
        ),
    ] = [],
    only_known: Annotated[
        bool, opt.flag("--only-known", "Leave out stimuli whose label the network was not trained on.")
    ] = False,
    allow_trained: opt.AllowTrained = False,
    bootstrap: opt.Bootstrap = 10_000,
    bins: Annotated[
        int,
        opt.count(
            "Largest number of bins of the calibration error, with equal numbers of images.", opt.STATISTICS
        ),
    ] = 15,
    device: opt.Device = "auto",
    batch_size: opt.BatchSize = 64,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    no_report: opt.NoReport = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Test trained runs: accuracy, mean class accuracy, macro-F1, calibration and confusions.

    Each score has its interval over images (people, where the table names them) and, for several runs, over
    training seeds. Labels and classes are matched by name. An interrupted command goes on where it was. The
    table may be that of another data set, or of occluded faces. OUT gets metrics.csv, confusion.csv,
    calibration.csv, predictions.csv and summary.json.

    Examples
    --------
        fernet-neuro evaluate runs/crpn --stimuli rafdb.csv --select split=test \
            --out results/rafdb
        fernet-neuro evaluate runs/crpn/seed* --stimuli fedro/table.csv \
            --out results/fedro --json
        fernet-neuro stimuli render --identities 20 --occluders glasses,mask \
            --seed 9 --out occluded
        fernet-neuro evaluate runs/crpn/seed* --stimuli occluded/table.csv \
            --allow-trained --out results/occluded
        fernet-neuro evaluate runs/crpn --stimuli other.csv --factor emotion \
            --map happy=happiness --only-known --out results/other
        fernet-neuro figures build evaluation --results results/rafdb
    """
    from fernet_neuro.experiments.evaluation import evaluate_runs
    from fernet_neuro.experiments.report_texts import describe_evaluation

    check_out_folder(out, ["summary.json"], overwrite=overwrite)
    report = evaluate_runs(
        runs,
        opt.read_selected(stimuli, select),
        out,
        factor=factor,
        epoch=epoch,
        mapping=opt.parse_pairs("--map", map_),
        only_known=only_known,
        allow_trained=allow_trained,
        n_boot=bootstrap,
        n_bins=bins,
        device=device,
        batch_size=batch_size,
        n_jobs=jobs,
        verbose=not (quiet or as_json),
    )
    tell = cache(lambda: describe_evaluation(report))
    written = save_result(report, out, tell, no_report=no_report)
    lines = [tell().answer, "", *_describe(report), *written]
    show(lines, as_json=as_json, values=report.to_dict())


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
    rows: list[dict[str, Any]] = []
    for metric, (label, form) in _PRINTED.items():
        found = images[images["metric"] == metric]
        chance = format_cell(f"{{chance_level:{form}}}", list_records(found)[0])
        rows.append({"what": label, "chance": chance, **_fill_epochs(found, f"{{value:{form}}} ", form)})
        over = seeds[seeds["metric"] == metric]
        if len(over):
            rows.append({"what": "  over seeds", "chance": "", **_fill_epochs(over, "", form)})
    recalls = images[images["metric"] == "recall"]
    classes = [
        {"what": name, "n": found["n"].iloc[0], **_fill_epochs(found, "{value:.1pct} ", ".1pct")}
        for name, found in recalls.groupby("class", sort=False)
    ]
    columns = {f"{name} epoch": f"{{{name}}}" for name in epochs}
    return [
        f"{report.settings['stimuli']['n']} stimuli, {report.settings['factor']}{what}",
        "",
        *format_table(rows, {"": "{what}", **columns, "chance": "{chance}"}),
        "",
        *format_table(classes, {"recall %": "{what}", **columns, "n": "{n:d}"}),
        "",
        _ON_CHANCE,
        *report.notes,
    ]


def _fill_epochs(found: "pd.DataFrame", value: str, form: str) -> dict[str, str]:
    """Return by epoch a value with its interval, such as "90.1 [88.0, 92.3]"."""
    cells = {}
    for row in list_records(found):
        interval = format_cell(f"[{{low:{form}}}, {{high:{form}}}]", row)
        cells[row["epoch"]] = format_cell(value, row) + ("[no interval]" if interval == MISSING else interval)
    return cells
