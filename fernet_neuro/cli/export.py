"""``fernet-neuro export`` and ``latency``: networks as files for other programs, and how long they take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file
from fernet_neuro.cli._tables import format_table, list_records, show

if TYPE_CHECKING:
    from fernet_neuro.models.layers import LayeredModel


def export(
    network: Annotated[str, opt.argument("A run folder, or whatever `models show` takes.", "RUN_OR_NETWORK")],
    out: Annotated[Path, opt.file("File to write: .onnx, or .pt for TorchScript; .json comes beside it.")],
    format: Annotated[str, opt.text("onnx (opset 18) or torchscript.")] = "onnx",
    fuse: Annotated[
        bool, opt.flag("--fuse", "Fold batch normalisation into the layers before it: faster, and equal.")
    ] = False,
    size: opt.Size = None,
    input: opt.Input = None,
    settings: opt.Settings = [],
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    r"""Write a network as a file that runs without this package, and compare its answers with torch's.

    The number of images per call is free, their size is the network's. A JSON of the same name says how to
    prepare a picture, which output is which class, and where the network comes from. ONNX needs the extra
    `export`: pip install "fernet-neuro[export]". torch itself calls TorchScript outdated.

    Examples
    --------
        fernet-neuro export runs/expression --out expression.onnx --fuse
        fernet-neuro export resnet18 --size 112 --format torchscript \
            --out resnet18.pt
    """
    from fernet_neuro.door.export import export as export_network
    from fernet_neuro.models.export import SUFFIXES, TOLERANCES

    check_out_file(out, SUFFIXES.get(format, ()), overwrite=overwrite)
    options = opt.list_model_options(size, input, settings)
    about = export_network(network, out, format=format, fuse=fuse, overwrite=overwrite, **options)
    difference, allowed = about["largest_difference"], TOLERANCES[format]
    shape = " x ".join(map(str, about["input"]["shape"]))
    classes = about["output"]["classes"]
    opset = f", opset {about['opset']}" if "opset" in about else ""
    lines = [
        f"{network} as {format}{opset}{', fused' if fuse else ''}: {out.stat().st_size / 1e6:.2f} MB",
        f"  input   {about['input']['name']}: {shape}, float32",
        f"  output  {about['output']['name']}: {', '.join(classes) or 'names not known'}",
        f"  differs from torch by at most {difference:.2g} ({allowed:g} is allowed)",
        f"Written to {out} and {out.with_suffix('.json')}",
    ]
    show(lines, as_json=as_json, values=about)


def latency(
    networks: Annotated[
        list[str], opt.argument("Run folders or networks by name; all for every registered one.", "MODEL...")
    ],
    threads: Annotated[int, opt.count("Threads of torch and onnxruntime.")] = 2,
    batch: Annotated[
        list[int], opt.count("Images per forward pass; repeat for more.  [default: 1, 32]", None, "--batch")
    ] = [],
    onnx: Annotated[bool, opt.flag("--onnx", "Also through onnxruntime, fused.")] = False,
    size: opt.Size = None,
    input: opt.Input = None,
    repeats: Annotated[int, opt.count("Turns of each network.")] = 15,
    out: Annotated[Path | None, opt.file("CSV of the whole table.")] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure how long networks take per image on the CPU, in turns in one run: median and quartiles.

    Each network runs at its own size unless --size is given, as it was trained and with batch normalisation
    folded in (fused).

    Examples
    --------
        fernet-neuro latency lfnsb resnet18 --onnx
        fernet-neuro latency runs/expression --threads 1 --batch 1
        fernet-neuro latency all --onnx --out latency.csv
    """
    from fernet_neuro._utils.tables import write_csv
    from fernet_neuro.models.timing import measure_latency

    if out is not None:
        check_out_file(out, [".csv"], overwrite=overwrite)
    models = _open_all(networks, opt.list_model_options(size, input), onnx=onnx)
    table = measure_latency(
        models, batch_sizes=batch or (1, 32), n_threads=threads, onnx=onnx, n_repeats=repeats,
        verbose=not (quiet or as_json),
    )  # fmt: skip
    if out is not None:
        write_csv(table, out)
    columns = {
        "network": "{network}",
        "px": "{size:d}",
        "params": "{params:,}",
        "MACs": "{macs:,}",
        "through": "{form}",
        "batch": "{batch_size:d}",
        "ms per image": "{milliseconds:.2f}",
        "quartiles": "[{low:.2f}, {high:.2f}]",
    }
    lines = [f"{threads} threads, {repeats} turns", "", *format_table(table, columns)]
    show([*lines, *([f"Written to {out}"] if out else [])], as_json=as_json, values=list_records(table))


def _open_all(networks: list[str], options: dict[str, Any], *, onnx: bool) -> "dict[str, LayeredModel]":
    """Return the networks by name; what all means leaves out those that ONNX cannot hold."""
    from fernet_neuro.models.entry import MODELS
    from fernet_neuro.models.resolve import resolve_model
    from fernet_neuro.models.siamese import SiameseNet

    models = {name: resolve_model(name, **options) for name in (MODELS if networks == ["all"] else networks)}
    if networks != ["all"] or not onnx:
        return models
    left_out = [name for name, model in models.items() if isinstance(model.module, SiameseNet)]
    for name in left_out:
        typer.echo(f"Left out: {name} compares two images, and a file of onnxruntime takes one.", err=True)
    return {name: model for name, model in models.items() if name not in left_out}
