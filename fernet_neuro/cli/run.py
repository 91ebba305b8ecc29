"""``fernet-neuro run``: a whole experiment from a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli._recipes import ListRecipes


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("run")(run)


def run(
    recipe: Annotated[Path, typer.Argument(help="A built-in recipe, such as demo, or a YAML file.")],
    out: Annotated[Path, typer.Option(help="Folder for everything that the experiment makes.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change one key, such as seeds=[0,1,2]; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in a folder that the same recipe began.")
    ] = False,
    n_jobs: Annotated[int, typer.Option(help="Processor cores to use.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    _list: ListRecipes = False,
) -> None:
    """Run a whole experiment: stimuli, training, tests, tables, figures and a page that shows them.

    The recipe's key `experiment` says which one: identity-to-expression, dual-pathway, crpn-fig2,
    crpn-fig3 or crpn-fig4.

    Examples
    --------
    - `fernet-neuro run --list` names the recipes that are built in

    - `fernet-neuro run demo --out demo`

    - `fernet-neuro run demo --out demo --resume` goes on after an interruption

    - `fernet-neuro run demo --out mine --set stimuli=faces.csv --set "seeds=[0,1,2,3,4]"`

    - `fernet-neuro run crpn/table3 --out table3 --set shared=crpn` shares faces and runs
    """
    import logging

    from rich.console import Console
    from rich.logging import RichHandler

    from fernet_neuro.experiments.recipes import run_recipe

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("fernet_neuro").setLevel(logging.WARNING if quiet else logging.INFO)
    page = run_recipe(
        recipe,
        out,
        settings or (),
        resume=resume,
        n_jobs=n_jobs,
        verbose=not quiet,
        device=device,
    )
    typer.echo(f"Done. Open {page.resolve()} in a browser; everything lies in {out.resolve()}/")
