"""``fernet-neuro extract``, and ``fernet-neuro store`` to look at what it made."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from fernet_neuro.activations.store import ActivationStore

store_app = typer.Typer(no_args_is_help=True, help="Look at activation stores.")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("extract")(extract)
    app.add_typer(store_app, name="store")


def extract(
    model: str = typer.Argument(
        ...,
        metavar="MODEL",
        help="A run folder, a registered or torchvision name, timm:NAME, file.py:function.",
    ),
    stimuli: Path = typer.Option(..., help="Stimulus table (.csv or .parquet)."),
    out: Path = typer.Option(..., help="Folder of the store to write."),
    layer: list[str] = typer.Option([], help="A layer to read, as in `models show`; repeat for more."),
    all_layers: bool = typer.Option(False, "--all-layers", help="Read every layer that the network lists."),
    pool: str = typer.Option(
        "none", help="none: all units. mean, mean-last: one mean per channel (second or last axis)."
    ),
    dtype: str = typer.Option("float32", help="float32 or float16, on disk."),
    size: int | None = typer.Option(None, min=1, help="Input side in pixels, for a newly built network."),
    set_: list[str] = typer.Option(
        [],
        "--set",
        metavar="KEY=VALUE",
        help="Another option of a newly built network, such as n_classes=70.",
    ),
    seed: int = typer.Option(0, help="Seed of the weights of a newly built network."),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:0."),
    batch_size: int = typer.Option(64, min=1, help="Images per forward pass."),
    n_jobs: int = typer.Option(0, min=0, help="Threads that decode images; 0 is one."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a store that holds something else."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Run every stimulus through a network once and store what its layers answer.

    A store with exactly these contents is not made again, and an interrupted run goes on where it was: give
    the same command.

    Examples
    --------
        fernet-neuro extract runs/identity --stimuli probe/table.csv --all-layers --out stores/identity

        fernet-neuro extract resnet18 --size 112 --stimuli faces/table.csv --layer layer4 --layer fc --out s18

        fernet-neuro extract vit_b_16 --stimuli faces/table.csv --all-layers --pool mean-last --out vit
    """
    import json
    import time

    from fernet_neuro._utils.config import read_overrides
    from fernet_neuro.activations.writer import check_target
    from fernet_neuro.extraction.extract import find_finished, run_extraction
    from fernet_neuro.extraction.plan import plan_extraction
    from fernet_neuro.models.resolve import resolve_model
    from fernet_neuro.stimuli.table import StimulusTable

    if bool(layer) == all_layers:
        raise ValueError("name layers with --layer NAME (repeat for more), or take all with --all-layers.")
    _show_messages()
    options = {**read_overrides(set_), **({} if size is None else {"size": size})}
    network = resolve_model(model, seed=seed, **options)
    plan = plan_extraction(
        network,
        StimulusTable.read(stimuli),
        layer or None,
        device=device,
        batch_size=batch_size,
        dtype=dtype,
        pool=pool,
    )
    is_reused = find_finished(plan, out, overwrite=overwrite) is not None
    if not is_reused:  # before anything is promised
        check_target(out.absolute(), plan.key, plan.identity, overwrite=overwrite)
    estimate = plan.estimate()
    typer.echo(_describe_estimate(estimate), err=True)
    start = time.perf_counter()
    try:
        store = run_extraction(
            plan, out, n_jobs=n_jobs, verbose=not as_json, overwrite=overwrite, source=model
        )
    except KeyboardInterrupt:
        typer.echo("Interrupted; give the same command again, and it goes on where it was.", err=True)
        raise typer.Exit(130) from None
    seconds = time.perf_counter() - start
    speed = None if is_reused else len(plan.table) / seconds
    if as_json:
        report = {
            "is_reused": is_reused,
            "seconds": seconds,
            "images_per_second": speed,
            "estimate": estimate,
        }
        typer.echo(json.dumps({**_summarise(store), **report}))
        return
    _show_store(store)
    if speed is not None:
        typer.echo(f"{len(plan.table)} images in {seconds:.1f} s, {speed:.1f} images/s")


@store_app.command("show")
def show_store(
    store: Path = typer.Argument(..., metavar="STORE", help="Folder of an activation store."),
    verify: bool = typer.Option(
        False, "--verify", help="Read all values and compare them with their checksums."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Show what a store holds and where that came from.

    Examples
    --------
        fernet-neuro store show stores/identity

        fernet-neuro store show stores/identity --verify --json
    """
    import json

    from fernet_neuro.activations.store import ActivationStore

    opened = ActivationStore.open(store)
    if verify:
        opened.verify()
    if as_json:
        typer.echo(json.dumps({**_summarise(opened), "manifest": opened.manifest}))
        return
    _show_store(opened)
    for name in ("source", "seed", "pool", "dtype", "device", "created", "key"):
        if opened.manifest.get(name) not in ("", None):
            typer.echo(f"{name + ':':<10}{opened.manifest[name]}")
    if verify:
        typer.echo("All values fit their checksums.")


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
        "n_stimuli": store.manifest["n_stimuli"],
        "layers": {layer: list(shape) for layer, shape in store.unit_shapes.items()},
        "n_bytes": store.n_bytes,
    }


def _show_store(store: "ActivationStore") -> None:
    n_stimuli = store.manifest["n_stimuli"]
    typer.echo(f"{store.path}: {n_stimuli} stimuli, {store.n_bytes / 1e6:,.1f} MB")
    width = max(len(layer) for layer in store.layers) + 2
    typer.echo(f"{'layer':<{width}}{'shape':<20}{'units':>12}")
    for layer, shape in store.unit_shapes.items():
        typer.echo(f"{layer:<{width}}{' x '.join(map(str, shape)):<20}{math.prod(shape):>12,}")
