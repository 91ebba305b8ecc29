"""``fernet-neuro run``: a whole experiment from a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli import _options as opt


def run(
    recipe: opt.Recipe,
    out: Annotated[Path, opt.folder("Folder for everything that the experiment makes.")],
    settings: opt.Settings = [],
    resume: opt.Resume = False,
    device: opt.Device = "auto",
    jobs: opt.Jobs = 2,
    quiet: opt.Quiet = False,
    _list: opt.ListRecipes = False,
) -> None:
    r"""Run a whole experiment: stimuli, training, tests, tables, figures and a page that shows them.

    The recipe says in its key `experiment` which one, and `--list` shows the recipes that are built in.

    Examples
    --------
        # names the recipes that are built in
        fernet-neuro run --list
        fernet-neuro run demo --out demo
        # goes on after an interruption
        fernet-neuro run demo --out demo --resume
        fernet-neuro run demo --out mine --set stimuli=faces.csv \
            --set "seeds=[0,1,2,3,4]"
        # shares faces and runs with other tables
        fernet-neuro run crpn/table3 --out table3 --set shared=crpn
    """
    import logging

    from rich.console import Console
    from rich.logging import RichHandler

    from fernet_neuro.experiments.recipes import run_recipe

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("fernet_neuro").setLevel(logging.WARNING if quiet else logging.INFO)
    page = run_recipe(recipe, out, settings, resume=resume, n_jobs=jobs, verbose=not quiet, device=device)
    typer.echo(f"Done. Open {page.resolve()} in a browser; everything lies in {out.resolve()}/")
