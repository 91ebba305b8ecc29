"""`export`: a run or a network by name as a file that runs without this package.

What belongs here: from a source to its network and the names of its classes; files are written by
`models.export`.
"""

import os
from typing import TYPE_CHECKING, Any

from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from torch import nn

    from fernet_neuro.models.layers import LayeredModel


def export(
    source: "LayeredModel | nn.Module | PathLike",
    out: PathLike,
    *,
    format: str = "onnx",
    fuse: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Write a network as ONNX or TorchScript, compared with torch, and a JSON of what its input must be.

    Parameters
    ----------
    source : LayeredModel, nn.Module or path
        A run, a trained network of the package, or whatever else `load_model` takes.
    out : path
        ``.onnx``, or ``.pt`` or ``.ts`` for TorchScript; the JSON has the same name with ``.json``.
    format : {"onnx", "torchscript"}
    fuse : bool, default=False
        Fold batch normalisation into the layers before it: faster, equal but for rounding.
    overwrite : bool, default=False
        Whether files that are there may be replaced.
    **options
        Of a newly built network, as `load_model` takes them.

    Returns
    -------
    dict
        What the JSON holds: input, preprocessing, classes, card, and ``largest_difference`` from torch.

    Raises
    ------
    ValueError
        If the network takes two images, cannot be written in this format, or answers otherwise than in torch.
    StoreError
        If a file is there already.
    MissingDependencyError
        For ONNX without the extra ``export``.

    Examples
    --------
    >>> import tempfile
    >>> import fernet_neuro as fn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     about = fn.export("resnet10-slim", f"{folder}/net.pt", format="torchscript", size=32)
    >>> about["largest_difference"] <= 1e-5
    True
    """
    from fernet_neuro.models.export import export_model
    from fernet_neuro.models.resolve import resolve_model
    from fernet_neuro.training.folder import find_run

    model = resolve_model(source, **options)
    run = find_run(str(source)) if isinstance(source, str | os.PathLike) else None
    classes = run.read_record().get("task", {}).get("classes", ()) if run else ()
    return export_model(model, out, format=format, fuse=fuse, classes=classes, overwrite=overwrite)
