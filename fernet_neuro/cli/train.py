"""``fernet-neuro train`` and ``fernet-neuro verify``: train a network by a recipe, test it on pairs."""

import os
from pathlib import Path

import typer

from fernet_neuro.cli._recipes import ListRecipes


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("train")(train)
    app.command("verify")(verify)


def train(
    recipe: Path = typer.Argument(
        ...,
        metavar="RECIPE",
        help="A built-in recipe, such as identification, or a YAML file.",
    ),
    out: Path = typer.Option(..., "--out", help="Run folder to make."),
    stimuli: Path | None = typer.Option(
        None, "--stimuli", help="Table to train on, in place of the recipe's `stimuli`."
    ),
    changes: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be given again."
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with the run in --out; starts it if there is none."
    ),
    device: str = typer.Option("auto", "--device", help="auto, cpu, cuda or mps."),
    n_jobs: int = typer.Option(0, "--n-jobs", help="Worker processes that decode images."),
    quiet: bool = typer.Option(False, "--quiet", help="Show no progress bar."),
    _list: ListRecipes = False,
) -> None:
    """Train a network by a recipe.

    The run folder gets recipe.yaml, record.json, log.csv, checkpoints/ and, when complete, model/.

    Examples
    --------
        fernet-neuro train identification --stimuli faces/table.csv --out runs/identity

        fernet-neuro train expression --stimuli faces/table.csv --out runs/e1 --set seed=1
        --resume

        torchrun --nproc_per_node 4 -m fernet_neuro train RECIPE --out runs/big --device cuda
    """
    from fernet_neuro._utils.config import read_settings
    from fernet_neuro.training.config import TrainSettings
    from fernet_neuro.training.fit import fit
    from fernet_neuro.training.folder import RunFolder

    settings = read_settings(TrainSettings, recipe, changes)
    if stimuli is not None:
        settings = settings.model_copy(update={"stimuli": str(stimuli)})
    folder = RunFolder(out)
    was_complete = resume and folder.find_state() == "complete"
    fit(settings, out, resume=resume, n_jobs=n_jobs, verbose=not quiet, device=device)
    if os.environ.get("RANK", "0") != "0":
        return
    record = folder.read_record()
    typer.echo(f"{out} {'was complete already; nothing was trained.' if was_complete else 'is complete.'}")
    for name in ("last", "best"):
        if record[name] is not None:
            typer.echo(_summarise(name, record[name], kept=record["kept"] == name))


def verify(
    run: str = typer.Argument(
        ...,
        metavar="MODEL",
        help="Run folder, saved network or registered name; a Siamese one, or any other.",
    ),
    pairs: Path = typer.Option(
        ..., "--pairs", help="LFW's pairs file, or .csv with fold, stimulus_id_1, stimulus_id_2, same."
    ),
    stimuli: Path = typer.Option(..., "--stimuli", help="Stimulus table that the pairs name."),
    make: bool = typer.Option(
        False, "--make", help="Make the .csv first: ten folds of pairs, nobody in two folds."
    ),
    n_folds: int = typer.Option(10, "--folds", help="Folds that --make makes."),
    n_per_fold: int = typer.Option(
        600, "--per-fold", help="Pairs per fold that --make makes, half of them same."
    ),
    seed: int = typer.Option(0, "--seed", help="Seed of --make."),
    layer: str | None = typer.Option(
        None, "--layer", help="Layer to compare by cosine, for networks that are not Siamese."
    ),
    allow_trained: bool = typer.Option(
        False, "--allow-trained", help="Go on if the run was trained on people of the pairs."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    device: str = typer.Option("auto", "--device", help="auto, cpu, cuda or mps."),
    n_jobs: int = typer.Option(0, "--n-jobs", help="Worker processes that decode images."),
) -> None:
    """Test a network on pairs of faces, same or different, as on LFW.

    Each fold is tested at the threshold chosen on all others; the equal-error rate is over all pairs.
    Pairs of people that the run was trained on are refused, by their labels in the two tables.

    Examples
    --------
        fernet-neuro verify runs/verification --pairs pairs.csv --make --stimuli faces/table.csv --json

        fernet-neuro verify runs/lfw --pairs lfw/pairsDevTest.txt --stimuli lfw/table.csv
    """
    import json

    from fernet_neuro.exceptions import StoreError
    from fernet_neuro.models.resolve import resolve_model
    from fernet_neuro.stimuli.table import StimulusTable
    from fernet_neuro.training.pairs import find_pair_identities, make_pairs, read_pairs, write_pairs
    from fernet_neuro.training.verification import evaluate_verification

    table = StimulusTable.read(stimuli)
    if make:
        if pairs.exists():
            raise StoreError(f"{pairs} exists already; leave out --make to use it.")
        write_pairs(make_pairs(table, n_folds=n_folds, n_per_fold=n_per_fold, seed=seed), pairs)
    frame = read_pairs(pairs, table)
    if not allow_trained:
        _check_untrained(run, find_pair_identities(frame, table))
    result = evaluate_verification(
        resolve_model(run), table, frame, layer=layer, n_jobs=n_jobs, verbose=not as_json, device=device
    )
    if as_json:
        typer.echo(json.dumps({"model": run, "pairs": pairs.name, **result.to_dict()}, indent=2))
        return
    error = "" if len(result.folds) == 1 else f" ± {100 * result.accuracy_se:.1f} (standard error)"
    typer.echo(
        f"accuracy {100 * result.accuracy:.1f} %{error} over {len(result.folds)} folds (chance 50 %); "
        f"equal-error rate {100 * result.eer:.1f} %; ROC area {result.auc:.3f}; {len(result.scores)} pairs"
    )


def _check_untrained(source: str, people: set[str]) -> None:
    """Raise if the run that `source` names was trained on any of `people`."""
    from fernet_neuro.exceptions import StimulusError
    from fernet_neuro.training.folder import find_run

    run = find_run(source)
    if run is None:
        return
    trained = run.read_train_identities()
    if trained is None:
        typer.echo(f"{run.path} does not record whom it was trained on, so that was not checked.", err=True)
        return
    both = sorted(trained & people)
    if both:
        raise StimulusError(
            f"{len(both)} of {len(people)} identities of the pairs were trained on in {run.path} (first: "
            f"{both[0]!r}); test on other people, or pass --allow-trained, as where equal labels mean "
            f"different people."
        )


def _summarise(name: str, values: dict[str, object], *, kept: bool) -> str:
    metrics = ", ".join(
        f"{key.replace('_', ' ')} {value:.3f}" for key, value in values.items() if isinstance(value, float)
    )
    return f"{name} epoch {values['epoch']}: {metrics}{' (kept in model/)' if kept else ''}"
