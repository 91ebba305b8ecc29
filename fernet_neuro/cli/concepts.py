"""``fernet-neuro concepts``: make a concept bank from a trained conceptual pathway."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("concepts")(make_concepts)


def make_concepts(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="Run folder of a conceptual pathway (task: concepts)."
    ),
    stimuli: Path = typer.Option(..., "--stimuli", help="Table of the images that the student trains on."),
    out: Path = typer.Option(..., "--out", help="Folder of the bank to make."),
    select: list[str] = typer.Option(
        [], "--select", metavar="FACTOR=VALUE", help="Part of the table, as the student's recipe selects it."
    ),
    percentile: float = typer.Option(
        20.0, "--percentile", help="Images below this percentile of their class count as doubtful (0-100)."
    ),
    epoch: str = typer.Option("kept", "--epoch", help="Which epoch's weights: kept, last or best."),
    batch_size: int = typer.Option(64, "--batch-size", min=1, help="Images per forward pass."),
    device: str = typer.Option("auto", "--device", help="auto, cpu, cuda or mps."),
    n_jobs: int = typer.Option(0, "--n-jobs", min=0, help="Worker processes that decode images."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a bank that is there."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    quiet: bool = typer.Option(False, "--quiet", help="Show no progress bar."),
) -> None:
    """Keep what a trained conceptual pathway makes of every image, and how sure it is of each.

    The folder gets scores.csv (one line per image), thresholds.csv (one per class), the features, and a
    manifest that ties them to network and table. A perceptual pathway learns from it without the network
    running at every step: `perception.bank` in its recipe. Its percentile may differ from this one, which
    only decides what scores.csv calls confident.

    Examples
    --------
        fernet-neuro concepts runs/concepts --stimuli faces/table.csv --out banks/faces

        fernet-neuro concepts runs/rafdb/conceptual --stimuli rafdb.csv --select split=train --percentile 15
        --epoch last --n-jobs 4 --out banks/rafdb

        fernet-neuro train crpn/perceptual_rafdb --stimuli rafdb.csv --out runs/rafdb/fast
        --set perception.bank=banks/rafdb
    """
    import json

    from fernet_neuro._utils.config import read_overrides
    from fernet_neuro.cli._stimuli_common import check_outputs
    from fernet_neuro.stimuli.table import StimulusTable
    from fernet_neuro.systems.crpn.concept_bank import build_concept_bank, check_percentile
    from fernet_neuro.systems.crpn.teacher import read_teacher
    from fernet_neuro.training.config import TrainSettings
    from fernet_neuro.training.held_out import select_tables

    check_percentile(percentile)
    check_outputs([out], [stimuli], overwrite)
    # Through a recipe, so that a part means here what it means in training.
    part = TrainSettings(task="perception", select=read_overrides(select))
    table, _ = select_tables(part, StimulusTable.read(stimuli), None)
    teacher = read_teacher(run, epoch)
    bank = build_concept_bank(
        teacher.model,
        table,
        classes=teacher.classes,
        percentile=percentile,
        batch_size=batch_size,
        n_jobs=n_jobs,
        verbose=not (quiet or as_json),
        device=device,
    )
    bank.save(out)
    summary = bank.summarise()
    if as_json:
        rows = summary.astype({"threshold": object}).where(summary.notna(), None).to_dict(orient="records")
        typer.echo(json.dumps({"bank": str(out), "percentile": percentile, "classes": rows}, indent=2))
        return
    _show(summary, percentile)
    typer.echo(f"bank: {out}")


def _show(summary: "pd.DataFrame", percentile: float) -> None:
    width = max(len("expression"), *(len(name) for name in summary["expression"]))
    typer.echo(f"{'expression':{width}} {'images':>8} {'threshold':>10} {'confident':>10}")
    for row in summary.itertuples():
        threshold = f"{row.threshold:.4f}" if row.n else "-"
        typer.echo(f"{row.expression:{width}} {row.n:>8} {threshold:>10} {row.n_confident:>10}")
    n_confident, n = summary["n_confident"].sum(), summary["n"].sum()
    typer.echo(f"{n_confident} of {n} images are confident, at percentile {percentile:g} of their class.")
