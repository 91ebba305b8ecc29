"""``fernet-neuro extract``, and ``fernet-neuro store show`` to look at what it made."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_seconds, format_table, show
from fernet_neuro.cli.models import format_layers

if TYPE_CHECKING:
    from fernet_neuro.activations.store import ActivationStore


def extract(
    model: opt.Network,
    stimuli: opt.Stimuli,
    out: Annotated[Path, opt.folder("Folder of the store to write.")],
    layer: opt.Layers = [],
    all_layers: opt.AllLayers = False,
    pool: Annotated[
        str,
        opt.text(
            "none (all units); mean or mean-last: one mean per channel (second or last axis); srp:K: a fixed "
            "random projection to K numbers."
        ),
    ] = "none",
    dtype: Annotated[str, opt.text("Precision on disk: float32 or float16.")] = "float32",
    precision: Annotated[
        str, opt.text("Of the forward pass: float32, tf32 (CUDA) or bf16; the difference is printed.")
    ] = "float32",
    settings: opt.Settings = [],
    seed: Annotated[int, opt.count("Seed of the weights of a newly built network.", opt.NETWORK, min=0)] = 0,
    size: opt.Size = None,
    input: opt.Input = None,
    device: opt.Device = "auto",
    batch_size: opt.BatchSize = 64,
    rows: Annotated[
        str | None,
        opt.text("Only these rows of the table, such as 0:640.", opt.OUTPUT, metavar="A:B"),
    ] = None,
    expect: Annotated[
        str | None,
        opt.text(
            "Refuse unless the store will have this key, such as that of a plan.", opt.OUTPUT, metavar="KEY"
        ),
    ] = None,
    jobs: opt.Jobs = 1,
    dry_run: Annotated[
        bool, opt.flag("--dry-run", "Print room, time and memory, and leave.", opt.OUTPUT)
    ] = False,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Run every stimulus through a network once and store the activations of its layers.

    A store with exactly these contents is not made again, and an interrupted run goes on where it was: give
    the same command.

    Examples
    --------
        fernet-neuro extract runs/identity --stimuli probe/table.csv --all-layers \
            --out stores/identity
        fernet-neuro extract resnet18 --size 112 --stimuli faces/table.csv \
            --layer layer4 --layer fc --out s18
        fernet-neuro extract vit_b_16 --stimuli faces/table.csv --all-layers \
            --pool mean-last --out vit
        # what it would take: bytes of each layer, time and memory
        fernet-neuro extract resnet50 --stimuli faces/table.csv --all-layers \
            --pool srp:2048 --dtype float16 --out big --dry-run
    """
    from fernet_neuro.activations.manifest import hash_request
    from fernet_neuro.activations.writer import check_target
    from fernet_neuro.extraction.extract import (
        N_MEASURED,
        estimate_extraction,
        find_finished,
        run_extraction,
    )
    from fernet_neuro.extraction.plan import plan_extraction
    from fernet_neuro.models.resolve import resolve_model
    from fernet_neuro.stimuli.table import StimulusTable

    if bool(layer) == all_layers:
        raise ValueError("name layers with --layer NAME (repeat for more), or take all with --all-layers.")
    _show_messages()
    network = resolve_model(model, seed=seed, **opt.list_model_options(size, input, settings))
    table = StimulusTable.read(stimuli)
    asked: dict[str, Any] = {
        "device": device,
        "batch_size": batch_size,
        "dtype": dtype,
        "pool": pool,
        "precision": precision,
    }
    if rows is not None:
        table = table[read_rows(rows, len(table))]
    if dry_run:
        needed = estimate_extraction(network, table, layer or None, n_measured=N_MEASURED, **asked)
        show(describe_needs(needed), as_json=as_json, values=needed)
        return
    plan = plan_extraction(network, table, layer or None, **asked)
    asked_for = hash_request(plan.identity)
    if expect not in (None, plan.key, asked_for):
        raise ValueError(
            f"this extraction has the key {asked_for[:12]} and not {str(expect)[:12]}: pictures, labels, "
            f"weights, network or preprocessing have changed since that was planned."
        )
    is_reused = find_finished(plan, out, overwrite=overwrite) is not None
    if not is_reused:  # before anything is promised
        check_target(out.absolute(), plan.key, plan.identity, overwrite=overwrite)
    estimate = plan.estimate()
    typer.echo(_describe_estimate(estimate), err=True)
    start = time.perf_counter()
    store = run_extraction(
        plan, out, n_jobs=jobs, verbose=not (quiet or as_json), overwrite=overwrite, source=model
    )
    seconds = time.perf_counter() - start
    speed = None if is_reused else len(plan.table) / seconds
    lines = _describe_store(store)
    errors = store.manifest.get("precision_error")
    if errors:
        layer, error = max(errors.items(), key=lambda item: item[1])
        lines.append(
            f"{precision}: answers differ from float32's by up to {100 * error:.2g} % of a layer's largest "
            f"({layer})"
        )
    if speed is not None:
        lines.append(f"{len(plan.table)} images in {seconds:.1f} s, {speed:.1f} images/s")
    report = {"is_reused": is_reused, "seconds": seconds, "images_per_second": speed, "estimate": estimate}
    show(lines, as_json=as_json, values={**_summarise(store), **report})


def show_store(
    store: Annotated[Path, opt.argument("Folder of an activation store.", "STORE")],
    verify: Annotated[
        bool, opt.flag("--verify", "Read all values and compare them with their checksums.")
    ] = False,
    as_json: opt.Json = False,
) -> None:
    """Show what a store holds and where that came from.

    Examples
    --------
        fernet-neuro store show stores/identity
        fernet-neuro store show stores/identity --verify --json
    """
    from fernet_neuro.activations.store import ActivationStore

    opened = ActivationStore.open(store)
    if verify:
        opened.verify()
    names = ("source", "seed", "pool", "dtype", "device", "created", "key")
    known = {name: opened.manifest.get(name) for name in names}
    lines = _describe_store(opened)
    lines += [f"{name + ':':<10}{value}" for name, value in known.items() if value not in ("", None)]
    if verify:
        lines.append("All values fit their checksums.")
    show(lines, as_json=as_json, values={**_summarise(opened), "manifest": opened.manifest})


def read_rows(rows: str, n_stimuli: int) -> slice:
    """Return the rows ``A:B`` of a table.

    Raises ValueError unless A and B are whole numbers of the table, A below B.
    """
    first, colon, end = rows.partition(":")
    if not (colon and first.isascii() and first.isdigit() and end.isascii() and end.isdigit()):
        raise ValueError(f"--rows takes two whole numbers, such as 0:640 (the first 640); got {rows!r}.")
    chosen = slice(int(first), int(end))
    if not chosen.start < chosen.stop <= n_stimuli:
        raise ValueError(f"--rows {rows}: the table has the rows 0:{n_stimuli}.")
    return chosen


def describe_needs(needed: dict[str, Any]) -> list[str]:
    """Return room, time and memory of an extraction as lines of text."""
    n_stimuli, seconds = needed["n_stimuli"], needed["seconds"]
    columns = {
        "layer": "{layer}",
        "shape": lambda row: " x ".join(map(str, row["unit_shape"])),
        "units": "{n_units:,}",
        "GB": lambda row: f"{row['disk_bytes'] / 1e9:,.3f}",
    }
    return [
        *format_table(needed["layers"], columns),
        "",
        f"{n_stimuli:,} stimuli x {len(needed['layers'])} layers as {needed['dtype']}: "
        f"{needed['disk_bytes'] / 1e9:,.2f} GB on disk",
        f"about {format_seconds(seconds)} here ({n_stimuli / seconds:,.1f} images/s, measured on "
        f"{needed['n_measured']}, batches of {needed['batch_size']}, {needed['device']})",
        f"about {needed['memory_bytes'] / 1e6:,.0f} MB of memory beside Python's own, however many stimuli",
    ]


def _show_messages() -> None:
    """Let the library's messages (what is resumed, what is already there) appear on standard error."""
    import logging

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("fernet_neuro").setLevel(logging.INFO)


def _describe_estimate(estimate: dict[str, Any]) -> str:
    return (
        f"{estimate['n_stimuli']} stimuli x {len(estimate['layers'])} layers: "
        f"{estimate['disk_bytes'] / 1e6:,.1f} MB on disk, about {estimate['memory_bytes'] / 1e6:,.0f} MB of "
        f"memory beside Python's own, on {estimate['device']}"
    )


def _summarise(store: "ActivationStore") -> dict[str, Any]:
    return {
        "store": str(store.path),
        "key": store.key,
        "network": store.network,
        "n_stimuli": store.manifest["n_stimuli"],
        "layers": {layer: list(shape) for layer, shape in store.unit_shapes.items()},
        "n_bytes": store.n_bytes,
    }


def _describe_store(store: "ActivationStore") -> list[str]:
    from fernet_neuro.activations.network import list_networks

    head = f"{store.path}: {store.manifest['n_stimuli']} stimuli, {store.n_bytes / 1e6:,.1f} MB"
    layers = [
        {"layer": layer, "shape": shape, "n_units": math.prod(shape)}
        for layer, shape in store.unit_shapes.items()
    ]
    return [head, *list_networks([store.network]), *format_layers(layers)]
