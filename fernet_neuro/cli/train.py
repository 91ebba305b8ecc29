"""``fernet-neuro train`` and ``fernet-neuro verify``: train a network by a recipe, test it on pairs."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import show

if TYPE_CHECKING:
    from fernet_neuro.stimuli.table import StimulusTable

_MAKING = "Making pairs"


def train(
    recipe: opt.Recipe,
    out: Annotated[Path, opt.folder("Run folder to make.")],
    stimuli: Annotated[
        Path | None, opt.table("Table to train on, in place of the recipe's `stimuli`.")
    ] = None,
    settings: opt.Settings = [],
    resume: opt.Resume = False,
    device: opt.Device = "auto",
    jobs: opt.Jobs = 1,
    quiet: opt.Quiet = False,
    _list: opt.ListRecipes = False,
) -> None:
    r"""Train a network by a recipe.

    The run folder gets recipe.yaml, record.json, log.csv, checkpoints/ and, when complete, model/.

    Examples
    --------
        fernet-neuro train --list
        fernet-neuro train identification --stimuli faces/table.csv \
            --out runs/identity
        fernet-neuro train expression --stimuli faces/table.csv --set seed=1 \
            --out runs/e1 --resume
        torchrun --nproc_per_node 4 -m fernet_neuro train RECIPE --out runs/big \
            --device cuda
    """
    from fernet_neuro._utils.config import read_settings
    from fernet_neuro.training.config import TrainSettings
    from fernet_neuro.training.fit import fit
    from fernet_neuro.training.folder import RunFolder

    training = read_settings(TrainSettings, recipe, settings)
    if stimuli is not None:
        training = training.model_copy(update={"stimuli": str(stimuli)})
    folder = RunFolder(out)
    was_complete = resume and folder.find_state() == "complete"
    workers = opt.count_workers(jobs)
    fit(training, out, resume=resume, n_jobs=workers, verbose=not quiet, device=device)
    if os.environ.get("RANK", "0") != "0":
        return
    record = folder.read_record()
    typer.echo(f"{out} {'was complete already; nothing was trained.' if was_complete else 'is complete.'}")
    for name in ("last", "best"):
        if record[name] is not None:
            typer.echo(_summarise(name, record[name], kept=record["kept"] == name))


def verify(
    run: Annotated[
        str,
        opt.argument("Run folder, saved network or registered name; a Siamese one, or any other.", "NETWORK"),
    ],
    pairs: Annotated[
        Path, opt.file("LFW's pairs file, or .csv with fold, stimulus_id_1, stimulus_id_2, same.")
    ],
    stimuli: opt.Stimuli,
    layer: Annotated[
        str | None, opt.text("Layer that is compared by cosine, for networks that are not Siamese.")
    ] = None,
    allow_trained: opt.AllowTrained = False,
    make: Annotated[
        bool, opt.flag("--make", "Make the pairs first: folds of pairs, with nobody in two folds.", _MAKING)
    ] = False,
    folds: Annotated[int, opt.count("Number of folds.", _MAKING)] = 10,
    per_fold: Annotated[int, opt.count("Pairs per fold, half of them same.", _MAKING)] = 600,
    seed: opt.Seed = 0,
    size: opt.Size = None,
    input: opt.Input = None,
    device: opt.Device = "auto",
    batch_size: opt.BatchSize = 64,
    jobs: opt.Jobs = 1,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Test a network on pairs of faces, same or different, as on LFW.

    Each fold is tested at the threshold chosen on all others; the equal-error rate is over all pairs.
    Pairs of people that the run was trained on are refused, by their labels in the two tables.

    Examples
    --------
        fernet-neuro verify runs/verification --pairs pairs.csv --make \
            --stimuli faces/table.csv --json
        fernet-neuro verify runs/lfw --pairs lfw/pairsDevTest.txt \
            --stimuli lfw/table.csv
    """
    from fernet_neuro.models.resolve import resolve_model
    from fernet_neuro.stimuli.table import StimulusTable
    from fernet_neuro.training.folder import TEST_OTHERS, find_trained_people
    from fernet_neuro.training.pairs import find_pair_identities, read_pairs
    from fernet_neuro.training.verification import evaluate_verification

    table = StimulusTable.read(stimuli)
    if make:
        _make_pairs(pairs, table, n_folds=folds, n_per_fold=per_fold, seed=seed)
    frame = read_pairs(pairs, table)
    if not allow_trained:
        found = find_trained_people(run, find_pair_identities(frame, table))
        found.refuse(TEST_OTHERS)
        if str(found):
            typer.echo(str(found), err=True)
    result = evaluate_verification(
        resolve_model(run, **opt.list_model_options(size, input)), table, frame, layer=layer,
        n_jobs=opt.count_workers(jobs), verbose=not (quiet or as_json), device=device, batch_size=batch_size,
    )  # fmt: skip
    error = "" if len(result.folds) == 1 else f" ± {100 * result.accuracy_se:.1f} (standard error)"
    line = (
        f"accuracy {100 * result.accuracy:.1f} %{error} over {len(result.folds)} folds (chance 50 %); "
        f"equal-error rate {100 * result.eer:.1f} %; ROC area {result.auc:.3f}; {len(result.scores)} pairs"
    )
    show([line], as_json=as_json, values={"model": run, "pairs": pairs.name, **result.to_dict()})


def _make_pairs(place: Path, table: "StimulusTable", **options: int) -> None:
    """Write new pairs to a file that is not there, or holds just these since the command was interrupted.

    Raises StoreError if it holds something else.
    """
    from fernet_neuro.exceptions import FernetError, StoreError
    from fernet_neuro.training.pairs import PAIR_COLUMNS, make_pairs, read_pairs, write_pairs

    if not place.exists():
        write_pairs(make_pairs(table, **options), place)
        return
    columns, is_same = list(PAIR_COLUMNS), False
    with suppress(FernetError, ValueError):
        there, made = read_pairs(place, table)[columns], make_pairs(table, **options)[columns]
        is_same = there.astype(str).equals(made.astype(str))
    if not is_same:
        raise StoreError(f"{place} exists already; leave out --make to use it.")


def _summarise(name: str, values: dict[str, object], *, kept: bool) -> str:
    metrics = ", ".join(
        f"{key.replace('_', ' ')} {value:.3f}" for key, value in values.items() if isinstance(value, float)
    )
    return f"{name} epoch {values['epoch']}: {metrics}{' (kept in model/)' if kept else ''}"
