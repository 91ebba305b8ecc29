"""What commands that take a recipe share: ``--list``."""

from typing import Annotated

import typer


def _list_recipes(context: typer.Context, asked: bool) -> None:
    """Print the built-in recipes of the command, a line each, and leave."""
    from fernet_neuro._utils.shipped import TRAININGS, describe_recipe, list_recipes

    if not asked:
        return
    recipes = {
        name: path
        for name, path in list_recipes().items()
        if (path.parent.name == TRAININGS) == (context.command.name == "train")
    }
    width = max(map(len, recipes))
    for name, path in recipes.items():
        typer.echo(f"{name:{width}}  {describe_recipe(path)}")
    raise typer.Exit


ListRecipes = Annotated[
    bool,
    typer.Option(
        "--list", callback=_list_recipes, is_eager=True, help="List the built-in recipes and leave."
    ),
]
