"""``fernet-neuro run`` and ``fernet-neuro crossval``: a whole experiment, and one training fold by fold."""

from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_table, list_records, show

#: Scores that `crossval` prints.
_SCORES = ("accuracy", "mean_class_accuracy", "macro_f1")


def run(
    recipe: opt.Recipe,
    out: Annotated[Path, opt.folder("Folder for everything that the experiment makes.")],
    settings: opt.Settings = [],
    resume: opt.Resume = False,
    share: Annotated[
        bool,
        opt.flag(
            "--share",
            "Work with other processes that were given the same command, here or on other machines that see "
            "OUT: each network is trained by one.",
        ),
    ] = False,
    device: opt.Device = "auto",
    jobs: opt.Jobs = 2,
    quiet: opt.Quiet = False,
    _list: opt.ListRecipes = False,
) -> None:
    r"""Run a whole experiment: stimuli, training, tests, tables, figures and a page that shows them.

    The recipe says in its key `experiment` which one, and `--list` shows the recipes that are built in.
    Without an accelerator, `--jobs` parts of it (trainings, read-outs, figures) are done side by side, each
    with its share of the threads; how many these are changes the last digits of weights.

    Examples
    --------
        # names the recipes that are built in
        fernet-neuro run --list
        fernet-neuro run demo --out demo
        # goes on after an interruption
        fernet-neuro run demo --out demo --resume
        # the demo in full size, on your own faces
        fernet-neuro run transfer/rendered --out mine \
            --set stimuli=faces.csv --set "seeds=[0,1,2,3,4]"
        # in two terminals, or two jobs of a cluster
        fernet-neuro run transfer/diets --out diets --share
        # shares faces and runs with other tables
        fernet-neuro run crpn/table3 --out table3 --set shared=crpn
    """
    from fernet_neuro.experiments.recipes import run_recipe
    from fernet_neuro.experiments.sharing import GoesOnElsewhereError

    _show_stages(quiet)
    try:
        page = run_recipe(
            recipe, out, settings, resume=resume, n_jobs=jobs, verbose=not quiet, device=device, share=share
        )
    except GoesOnElsewhereError:
        typer.echo(f"All networks are trained; another process goes on in {out}/")
        return
    typer.echo(f"Done. Open {page.resolve()} in a browser; everything lies in {out.resolve()}/")


def crossval(
    recipe: opt.Recipe,
    stimuli: opt.Stimuli,
    out: Annotated[Path, opt.folder("Folder for the runs of all folds and what came out.")],
    folds: Annotated[int, opt.count("Number of folds.", min=2)] = 10,
    settings: opt.Settings = [],
    resume: opt.Resume = False,
    device: opt.Device = "auto",
    jobs: opt.Jobs = 1,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Cross-validate a training recipe that names expressions, fold by fold.

    Folds are stratified by expression, and all pictures of one identity are in one fold. Every stimulus of
    the table is tested once, by a network that was trained without its fold. OUT gets results.csv (every
    fold), summary.csv, folds.csv, tables, a figure and a page.

    Examples
    --------
        fernet-neuro crossval expression --stimuli faces/table.csv --out folds
        fernet-neuro crossval lfnsb/rafdb --stimuli rafdb.csv --folds 10 --out ten
        # goes on after an interruption
        fernet-neuro crossval lfnsb/rafdb --stimuli rafdb.csv --folds 10 --out ten \
            --resume
    """
    from fernet_neuro.experiments.crossval import cross_validate

    _show_stages(quiet)
    frame = cross_validate(
        recipe, stimuli, out, settings, folds=folds, resume=resume, n_jobs=jobs,
        verbose=not (quiet or as_json), device=device,
    )  # fmt: skip
    rows = frame[frame["metric"].isin(_SCORES)]
    columns = {
        "metric": "{metric}",
        "epoch": "{epoch}",
        "mean %": "{value:.1pct}",
        "sd %": "{sd:.1pct}",
        "95 % over folds": "[{low:.1pct}, {high:.1pct}]",
        "chance %": "{chance_level:.1pct}",
    }
    lines = [*format_table(rows, columns), f"{folds} folds; every fold is in {out / 'results.csv'}"]
    show(lines, as_json=as_json, values=list_records(rows))


def _show_stages(quiet: bool) -> None:
    """Let the stages of an experiment be told on standard error."""
    import logging

    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("fernet_neuro").setLevel(logging.WARNING if quiet else logging.INFO)
