"""``fernet-neuro models``: which networks there are, and what is in one of them."""

from typing import Any

import typer

models_app = typer.Typer(no_args_is_help=True, help="List the networks, or show the layers of one.")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(models_app, name="models")


@models_app.command("list")
def list_models(as_json: bool = typer.Option(False, "--json", help="Print a JSON list.")) -> None:
    """List the registered networks with their options.

    For example:

        fernet-neuro models list

        fernet-neuro models list --json

    Besides these: any torchvision classification network by its name (vgg16, vit_b_16, ...), any timm network
    as timm:NAME, and your own as package.module:function or path/to/file.py:function.
    """
    import json

    from fernet_neuro.models.registry import MODELS

    if as_json:
        typer.echo(json.dumps([_describe(name) for name in MODELS]))
        return
    for name, entry in MODELS.items():
        typer.echo(f"{name:<19}{entry.description}")
        options = ", ".join(f"{key}={value}" for key, value in entry.options.items() if value is not None)
        typer.echo(f"{'':<19}  options: {options}")
        if len(entry.variants) > 1:
            typer.echo(f"{'':<19}  variants: {', '.join(entry.variants)}")
    typer.echo("\nAlso: any torchvision name, timm:NAME, package.module:function, path/to/file.py:function.")


def _describe(name: str) -> dict[str, Any]:
    from fernet_neuro.models.registry import MODELS

    entry = MODELS[name]
    return {
        "name": name,
        "description": entry.description,
        "options": entry.options,
        "variants": list(entry.variants),
        "licence": entry.licence,
        "source": entry.source,
        "paper": entry.paper,
    }


@models_app.command("show")
def show_model(
    name: str = typer.Argument(
        ...,
        metavar="NAME",
        help="A registered name, torchvision name, timm:NAME, file.py:function, or a run.",
    ),
    size: int | None = typer.Option(
        None, min=1, help="Side of the image in pixels [default: the network's own]."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Show a network's card and its layers in forward order, with the shape and number of units of each.

    For example:

        fernet-neuro models show resnet18 --size 112

        fernet-neuro models show timm:convnext_atto --json
    """
    import json

    from fernet_neuro.models.registry import compute_layer_shapes
    from fernet_neuro.models.resolve import resolve_model

    model = resolve_model(name, **({} if size is None else {"size": size}))
    shapes = compute_layer_shapes(model)
    layers = [
        {"layer": layer, "shape": list(shape), "n_units": n_units}
        for layer, (shape, n_units) in shapes.items()
    ]
    if as_json:
        typer.echo(json.dumps({"card": model.card.to_dict(), "layers": layers}))
        return
    _show_card(model.card.to_dict())
    width = max(len(layer) for layer in shapes) + 2
    typer.echo(f"\n{'layer':<{width}}{'shape':<20}{'units':>12}")
    for layer, (shape, n_units) in shapes.items():
        typer.echo(f"{layer:<{width}}{' x '.join(map(str, shape)):<20}{n_units:>12,}")


def _show_card(card: dict[str, Any]) -> None:
    for key, value in card.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name}={item}" for name, item in value.items() if item is not None)
        if value not in ("", None):
            typer.echo(f"{key + ':':<16}{value}")
