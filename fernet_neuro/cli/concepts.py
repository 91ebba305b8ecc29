"""``fernet-neuro concepts``: make a concept bank from a trained conceptual pathway."""

from pathlib import Path
from typing import Annotated

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_files
from fernet_neuro.cli._tables import format_table, list_records, show


def make_concepts(
    run: Annotated[Path, opt.argument("Run folder of a conceptual pathway (task: concepts).", "RUN")],
    stimuli: opt.Stimuli,
    out: Annotated[Path, opt.folder("Folder of the bank to make.")],
    select: opt.Selection = [],
    percentile: Annotated[
        float, opt.real("Images below this percentile (0 to 100) of their class count as doubtful.", high=100)
    ] = 20.0,
    epoch: Annotated[str, opt.text("Weights of which epoch: kept, last or best.")] = "kept",
    device: opt.Device = "auto",
    batch_size: opt.BatchSize = 64,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Store what a trained conceptual pathway answers to every image, and how confident it is.

    The folder gets scores.csv (one line per image), thresholds.csv (one per class), the features, and a
    manifest that ties them to network and table. A perceptual pathway learns from it without the network
    running at every step: `perception.bank` in its recipe. Its percentile may differ from this one, which
    only decides what scores.csv calls confident.

    Examples
    --------
        fernet-neuro concepts runs/concepts --stimuli faces/table.csv \
            --out banks/faces
        fernet-neuro concepts runs/rafdb/conceptual --stimuli rafdb.csv \
            --select split=train --percentile 15 --epoch last --jobs 4 \
            --out banks/rafdb
        fernet-neuro train crpn/perceptual_rafdb --stimuli rafdb.csv \
            --set perception.bank=banks/rafdb --out runs/fast
    """
    from fernet_neuro._utils.config import read_overrides
    from fernet_neuro.stimuli.table import StimulusTable
    from fernet_neuro.systems.crpn.concept_bank import build_concept_bank
    from fernet_neuro.systems.crpn.teacher import read_teacher
    from fernet_neuro.training.config import TrainSettings
    from fernet_neuro.training.held_out import select_tables

    check_out_files([out], [stimuli], overwrite=overwrite)
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
        n_jobs=opt.count_workers(jobs),
        verbose=not (quiet or as_json),
        device=device,
    )
    bank.save(out)
    summary = bank.summarise()
    columns = {
        "expression": "{expression}", "images": "{n:d}", "threshold": "{threshold:.4f}",
        "confident": "{n_confident:d}",
    }  # fmt: skip
    lines = [
        f"{summary['n_confident'].sum()} of {summary['n'].sum()} images are confident, at percentile "
        f"{percentile:g} of their class.",
        *format_table(summary, columns),
        "",
        f"Written to {out}",
    ]
    values = {"bank": str(out), "percentile": percentile, "classes": list_records(summary)}
    show(lines, as_json=as_json, values=values)
