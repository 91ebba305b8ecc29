"""``fernet-neuro models``: which networks there are, and what is in one of them."""

from pathlib import Path
from typing import Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_table, show

_MORE = (
    "Also: any torchvision name, timm:NAME, package.module:function, path/to/file.py:function; trained, once "
    "fetched: resnet50@IMAGENET1K_V2 (torchvision's weights by their names), timm:NAME@pretrained."
)
_PUBLISHED = "Trained, and published by others (here after `fernet-neuro models fetch NAME`):"
_TRAINED = (
    "Trained, and here with the package (probe, predict, evaluate ... take the name in place of a run):"
)
#: Keys of a card that say again what is told of a network before its weights are here.
_TOLD_BEFORE = ("training_data", "licence", "source")
#: What the list says of each network.
_KEYS = ("description", "options", "variants", "licence", "source", "paper")


def list_models(as_json: opt.Json = False) -> None:
    """List the networks, the trained ones that come with the package, and those that can be fetched.

    Besides these: any torchvision classification network by its name (vgg16, vit_b_16, ...), any timm network
    as timm:NAME, and your own as package.module:function or path/to/file.py:function.

    Examples
    --------
        fernet-neuro models list
        fernet-neuro models list --json
    """
    from fernet_neuro._utils.shipped import list_trained
    from fernet_neuro.models.entry import MODELS, PUBLISHED, describe_published

    lines = []
    for name, entry in MODELS.items():
        options = ", ".join(f"{key}={value}" for key, value in entry.options.items() if value is not None)
        lines += [f"{name:<19}{entry.description}", f"{'':<19}  options: {options}"]
        if len(entry.variants) > 1:
            lines.append(f"{'':<19}  variants: {', '.join(entry.variants)}")
    values = [{"name": name, **{key: getattr(entry, key) for key in _KEYS}} for name, entry in MODELS.items()]
    trained = [_describe_trained(name, path) for name, path in list_trained().items()]
    lines += ["", _TRAINED] * bool(trained)
    for found in trained:
        what = f"{found['model']}, {found['megabytes']:.1f} MB: {found['training_data']}"
        lines.append(f"{found['name']:<19} {what}")
        lines += [f"{'':<19}  {describe_score(row)}" for row in found["measured"]]
    published = [describe_published(name) for name in PUBLISHED]
    lines += ["", _PUBLISHED]
    for found in published:
        here = "here" if found["is_here"] else f"not here{_say_size(found)}"
        lines += [
            f"{found['name']:<19} {here}; learnt {found['learnt']}",
            f"{'':<19}   input: {found['input']}",
        ]
        lines += [f"{'':<19}   licence: {found['licence']}"]
    show([*lines, "", _MORE], as_json=as_json, values=[*values, *published, *trained])


def _say_size(found: dict[str, Any]) -> str:
    """Return the size of what would be downloaded, in brackets; nothing where nobody says."""
    return "" if found["megabytes"] is None else f" ({found['megabytes']:.1f} MB)"


def fetch_model(
    name: Annotated[
        str, opt.argument("A published network of `models list`, or NAME@WEIGHTS of a library.", "NAME")
    ],
    source: Annotated[
        Path | None,
        opt.text(
            "Its file, downloaded before; what belongs to it lies beside.", None, "--from", metavar="FILE"
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        opt.text("Address of a mirror with the same files.  [default: its authors']", metavar="URL"),
    ] = None,
    timeout: Annotated[float, opt.positive("Seconds without data after which a connection ends.")] = 30.0,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Get the weights of a published network into the cache folder, and print its licence and whom to cite.

    Each file is checked against a pinned SHA-256; a broken download goes on where it ended. From then on the
    name stands for the trained network wherever a network is named, with the input that it was trained with.

    Examples
    --------
        fernet-neuro models fetch face-api-identity
        fernet-neuro models fetch face-api-expression \
            --from face_expression_model.bin
        fernet-neuro models fetch resnet50@IMAGENET1K_V2
    """
    from fernet_neuro._utils.shipped import is_fetched
    from fernet_neuro.models.published import fetch_network

    was_here = is_fetched(name)
    found = fetch_network(
        name, source=source, base_url=base_url, timeout=timeout, verbose=not (quiet or as_json)
    )
    place = str(found["folder"])
    if was_here:
        place += "  was here already, and is left alone" + (f"; {source} was not read" if source else "")
    lines = [place, "", *(f"{key.capitalize()}: {found[key]}" for key in ("learnt", "licence"))]
    show([*lines, f"Cite: {found['citation']}"], as_json=as_json, values=found)


def _describe_trained(name: str, run: Path) -> dict[str, Any]:
    """Return what the card of a trained network says, and its size."""
    from fernet_neuro._utils.json_files import read_json

    card = read_json(run / "model" / "model.json")["card"]
    size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    kept = ("training_data", "licence", "source", "measured")
    return {"name": name, "model": card["name"], "megabytes": size / 1e6, **{key: card[key] for key in kept}}


def describe_score(row: dict[str, Any]) -> str:
    """Return a line with what was measured, its interval and chance."""
    interval = f" [{row['low']:.3f}, {row['high']:.3f}]" if {"low", "high"} <= row.keys() else ""
    known = ("stimuli", "score", "value", "low", "high", "chance_level")
    more = "".join(f", {key} {value}" for key, value in row.items() if key not in known)
    value = f"{row['value']:.3f}{interval}, chance {row['chance_level']:.3f}{more}"
    return f"{row['stimuli']}, {row['score']}: {value}"


def show_model(
    name: opt.Network, size: opt.Size = None, input: opt.Input = None, as_json: opt.Json = False
) -> None:
    """Show a network's card and its layers in forward order, with the shape and number of units of each.

    Of a published network that is not here yet: what it will be, and how to get it.

    Examples
    --------
        fernet-neuro models show resnet18 --size 112
        fernet-neuro models show face-api-identity
        fernet-neuro models show timm:convnext_atto --json
    """
    from fernet_neuro.activations.network import describe_input
    from fernet_neuro.models.published import preview_network
    from fernet_neuro.models.resolve import resolve_model

    options = opt.list_model_options(size, input)
    preview = None if options else preview_network(name)
    model, known = preview or (resolve_model(name, **options), None)
    card = None if model is None else model.card.to_dict()
    layers = [] if model is None else _list_layers(model)
    if known is not None and card is not None:
        known.setdefault("input", describe_input(card["preprocessing"]))
    lines = _describe_unfetched(name, known) if known else []
    if card is not None:
        told = () if known is None else _TOLD_BEFORE
        shown = _describe_card({key: value for key, value in card.items() if key not in told})
        lines += [*shown, "", *format_layers(layers)]
    show(lines, as_json=as_json, values={"card": card, "layers": layers, **(known or {})})


def _list_layers(model: Any) -> list[dict[str, Any]]:
    from fernet_neuro.models.registry import compute_layer_shapes

    return [
        {"layer": layer, "shape": list(shape), "n_units": n_units}
        for layer, (shape, n_units) in compute_layer_shapes(model).items()
    ]


def _describe_unfetched(name: str, known: dict[str, Any]) -> list[str]:
    """Return what is known of a network before its weights are here, and how to get them."""
    keys = ("learnt", "input", "licence", "citation", "page")
    return [
        f"The weights of {name} are not here yet{_say_size(known)}; get them with: {known['fetch']}",
        *(f"{key + ':':<16}{known[key]}" for key in keys),
    ]


def format_layers(layers: list[dict[str, Any]]) -> list[str]:
    """Return a table of layers with their shape and number of units."""
    columns = {
        "layer": "{layer}",
        "shape": lambda row: " x ".join(map(str, row["shape"])),
        "units": "{n_units:,}",
    }
    return format_table(layers, columns)


def _describe_card(card: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in card.items():
        if key == "measured":
            lines += [f"{'measured:':<16}{describe_score(row)}" for row in value]
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{name}={item}" for name, item in value.items() if item is not None)
        if value not in ("", None):
            lines.append(f"{key + ':':<16}{value}")
    return lines
