"""``fernet-neuro cost``: parameters, multiply-adds and operations of a network, for one image."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("cost")(show_cost)


def show_cost(
    name: str = typer.Argument(
        ...,
        metavar="NAME",
        help="A registered name, torchvision name, timm:NAME, file.py:function, or a run.",
    ),
    size: int | None = typer.Option(
        None, min=1, help="Side of the image in pixels [default: the network's own]."
    ),
    variant: str | None = typer.Option(None, help="A published form, where there are several."),
    n_classes: int | None = typer.Option(None, "--classes", min=1, help="Number of outputs."),
    changes: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Another option of the network; may be given again."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Count what one image costs in a network.

    For example:

        fernet-neuro cost resnet18 --size 112

        fernet-neuro cost resnet50-vggface2 --json

        fernet-neuro cost densenet --classes 1503

        fernet-neuro cost crpn-conceptual --set non_emotion_trunk=none

    macs: multiply-adds of convolutions and linear layers; flops: two per multiply-add; flops_torchstat: the
    convention of many published tables, which also counts biases, batch normalisation and ReLU.
    """
    import json
    from pathlib import Path

    from fernet_neuro._utils.config import read_overrides
    from fernet_neuro.models.cost import compute_cost
    from fernet_neuro.models.resolve import resolve_model

    given = {"size": size, "variant": variant, "n_classes": n_classes, **read_overrides(changes)}
    if Path(name).is_dir():  # a saved network is measured at any size, and has its own options
        del given["size"]
    model = resolve_model(name, **{key: value for key, value in given.items() if value is not None})
    cost = compute_cost(model, size)
    if as_json:
        typer.echo(json.dumps(cost))
        return
    side = size or model.card.preprocessing.size
    typer.echo(f"{cost['model']} ({cost['variant']}), one image of {side} x {side} px")
    for key in ("params", "macs", "flops", "flops_torchstat"):
        typer.echo(f"  {key:<16}{cost[key]:>18,}")
