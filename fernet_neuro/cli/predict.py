"""``fernet-neuro predict``: what a trained network says about pictures of faces."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file
from fernet_neuro.cli._tables import format_table, list_records, show
from fernet_neuro.cli.models import describe_score

if TYPE_CHECKING:
    from fernet_neuro.experiments.predict import Predictions

#: Rows that are printed; a file has all.
_MOST = 20


def predict(
    images: Annotated[
        str, opt.argument("A picture, a folder of pictures, or a stimulus table.", "IMAGE_OR_FOLDER")
    ],
    model: Annotated[
        str, opt.text("A run of `train`, or a trained network of `models list`.")
    ] = "lfnsb-tiny-rendered",
    out: Annotated[
        Path | None, opt.file("CSV with a row per picture; what was left out goes beside it.")
    ] = None,
    device: opt.Device = "auto",
    batch_size: opt.BatchSize = 64,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Say which expression pictures of faces show: probabilities of all classes, one row per picture.

    Pictures must be crops of single faces; nothing here looks for them (`stimuli align` cuts them out). What
    cannot be read, or cannot be the crop of a face, is listed and not predicted. The confidence is the
    probability of the most probable class, as the network computes it; `models show` says how often the
    network was right, and on what.

    Examples
    --------
        fernet-neuro predict face.png
        fernet-neuro predict my_photographs --out expressions.csv
        fernet-neuro predict faces/table.csv --model runs/expression --json
    """
    from fernet_neuro.experiments.predict import predict as predict_images

    if out is not None:
        check_out_file(out, [".csv"], overwrite=overwrite)
    answers = predict_images(
        images, model, device=device, batch_size=batch_size, n_jobs=opt.count_workers(jobs),
        verbose=not (quiet or as_json),
    )  # fmt: skip
    for row in list_records(answers.left_out.head(_MOST)):
        typer.echo(f"Left out: {row['stimulus_id']} {row['reason']}.", err=True)
    if (more := len(answers.left_out) - _MOST) > 0:
        typer.echo(f"Left out: {more} more; --out writes a list of all.", err=True)
    if out is not None:
        answers.save(out)
    lines = _describe(answers, model)
    values = {
        "model": model,
        "factor": answers.factor,
        "classes": list(answers.classes),
        "pictures": list_records(answers.frame),
        "left_out": list_records(answers.left_out),
    }
    show([*lines, *([f"Written to {out}"] if out else [])], as_json=as_json, values=values)


def _describe(answers: "Predictions", model: str) -> list[str]:
    """Return the first answers as lines of text, and what the network learnt from."""
    rows = [{**row, "answer": row[answers.factor]} for row in list_records(answers.frame.head(_MOST))]
    columns = {"picture": "{stimulus_id}", answers.factor: "{answer}", "confidence": "{confidence:.3f}"}
    more = len(answers.frame) - len(rows)
    counts = answers.frame[answers.factor].value_counts()
    return [
        *format_table(rows, columns),
        *([f"... and {more} more"] if more else []),
        "",
        f"{len(answers.frame)} pictures: {', '.join(f'{name} {n}' for name, n in counts.items())}",
        f"{model} learnt from: {answers.card.training_data}",
        *(f"How often it is right: {describe_score(row)}" for row in answers.card.measured[:1]),
    ]
