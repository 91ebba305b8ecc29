"""Reads a results folder as tables; what is missing is named, with the command that makes it.

What belongs here: the layout of the folder and the choices fixed before looking at the scores. No plots.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.tables import read_mixed
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: The trained networks of the comparison, in the order of the figures.
NETWORKS = ("identity", "verification", "expression")
#: What is read out, and which factor its test folds hold out.
HOLDOUTS = {"expression": "identity", "identity": "expression"}

_SUMMARY_COLUMNS = (
    "source", "layer", "layer_index", "readout", "holdout", "n_classes", "chance_level",
    "balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high", "interval",
)  # fmt: skip
_FOLD_COLUMNS = ("source", "layer", "layer_index", "readout", "fold", "balanced_accuracy")
_CONFUSION_COLUMNS = ("source", "layer", "readout", "true", "predicted", "count")
_TEXT = ("source", "layer", "readout", "holdout", "fold", "true", "predicted")
_NUMBERS = ("balanced_accuracy", "penalty", "count")
#: Numbers that a probe may leave out (null in JSON), as where no permutation or a single fold was run.
_MAY_BE_ABSENT = ("p_value", "p_value_max", "balanced_accuracy_low", "balanced_accuracy_high")


_HELD_OUT = {
    "identity": "new identities",
    "expression": "new expressions",
    "view": "new views",
    "session": "new sessions",
    "random": "random split",
    "kdef10": "new identities",
}


def probe_folder(results: PathLike, network: str, target: str) -> Path:
    """Return where the probe of `target` on `network` lies."""
    return Path(results) / "probes" / network / target


def find_targets(results: PathLike) -> list[str]:
    """Return which of the two read-outs, expression and identity, are in the folder.

    Raises StoreError if there is neither.
    """
    found = [target for target in HOLDOUTS if any(Path(results).glob(f"probes/*/{target}/summary.json"))]
    if not found:
        raise _missing(probe_folder(results, NETWORKS[0], "expression") / "summary.json", results)
    return found


def find_probe_table(results: PathLike) -> Path:
    """Return the table of the probe stimuli: ``stimuli/probe.csv`` or ``stimuli/probe/table.csv``.

    Raises StoreError if there is neither.
    """
    places = [Path(results) / "stimuli" / name for name in ("probe.csv", "probe/table.csv")]
    return next((place for place in places if place.is_file()), None) or require(places[0], results)


def find_networks(results: PathLike, target: str) -> list[str]:
    """Return the networks whose probe of `target` is in the folder, the known ones first.

    Raises StoreError if there is none.
    """
    folder = Path(results) / "probes"
    found = sorted(path.parent.parent.name for path in folder.glob(f"*/{target}/summary.json"))
    if not found:
        raise _missing(probe_folder(results, NETWORKS[0], target) / "summary.json", results)
    return [name for name in NETWORKS if name in found] + [name for name in found if name not in NETWORKS]


def read_summary(results: PathLike, network: str, target: str) -> pd.DataFrame:
    """Return ``summary.json`` as a frame, one row per source, layer and read-out.

    Returns a DataFrame: the columns of the file (accuracies as fractions), and ``network`` and ``target``; a
    p-value that was not computed is NaN. Raises StoreError if the file is missing, damaged, or lacks a
    column.
    """
    path = probe_folder(results, network, target) / "summary.json"
    frame = pd.DataFrame(_read_summary_json(results, network, target).get("layers", []))
    _check_columns(frame, _SUMMARY_COLUMNS, path)
    for column in _MAY_BE_ABSENT:
        frame[column] = pd.to_numeric(frame[column]) if column in frame else float("nan")
    return frame.assign(network=network, target=target)


def read_chosen(results: PathLike, network: str, target: str) -> pd.DataFrame:
    """Return the summary of the one read-out that is reported, in forward order."""
    summary = read_summary(results, network, target)
    return summary[summary["readout"] == choose_readout(summary)].sort_values("layer_index")


def read_sources(results: PathLike, target: str) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of `read_chosen` by network, and then of the baselines that were run, by name.

    The untrained twin and the pixels are those of the first network's probe.
    """
    networks = find_networks(results, target)
    wanted = [(name, "network", name) for name in networks]
    wanted += [(networks[0], control, control) for control in ("untrained", "pixels")]
    frames = {network: read_chosen(results, network, target) for network in networks}
    found = [(name, frames[network][frames[network]["source"] == source]) for network, source, name in wanted]
    return [(name, rows) for name, rows in found if len(rows)]


def describe_holdout(holdout: str) -> str:
    """Return what the test folds hold that training never saw, in two words.

    Examples
    --------
    >>> describe_holdout("identity")
    'new identities'
    """
    return _HELD_OUT.get(holdout, f"new {holdout}")


def read_folds(results: PathLike, network: str, target: str) -> pd.DataFrame:
    """Return ``results.csv`` (one row per source, layer, read-out and fold) with ``network`` and ``target``.

    Raises StoreError if the file is missing, damaged, or lacks a column.
    """
    frame = _read_csv(results, probe_folder(results, network, target) / "results.csv", _FOLD_COLUMNS)
    return frame.assign(network=network, target=target)


def read_confusion(results: PathLike, network: str, target: str) -> pd.DataFrame:
    """Return ``confusion.csv`` (counts of true and predicted labels) with ``network`` and ``target``.

    Raises StoreError if the file is missing, damaged, or lacks a column.
    """
    frame = _read_csv(results, probe_folder(results, network, target) / "confusion.csv", _CONFUSION_COLUMNS)
    return frame.assign(network=network, target=target)


def choose_readout(frame: pd.DataFrame) -> str:
    """Return ``ridge`` where it was run, else the first read-out of the file: never the best one."""
    readouts = list(dict.fromkeys(frame["readout"]))
    return "ridge" if "ridge" in readouts else readouts[0]


def order_layers(frame: pd.DataFrame) -> list[str]:
    """Return the layers of `frame` in forward order."""
    ordered = frame[["layer", "layer_index"]].drop_duplicates().sort_values("layer_index", kind="stable")
    return [str(layer) for layer in ordered["layer"]]


def shorten_layer(layer: str) -> str:
    """Return the layer's name without the wrapper that a twin network puts around its trunk.

    Examples
    --------
    >>> shorten_layer("trunk.layer1")
    'layer1'
    """
    return str(layer).removeprefix("trunk.")


def choose_layer(layers: Sequence[str]) -> str:
    """Return the layer to report, fixed before looking at scores.

    It is the average pool, else the embedding, else the last but one.

    The last named layer is the network's own output, which is trained for its own labels. Reporting the
    best layer instead would choose it on the data that then test it.

    Examples
    --------
    >>> choose_layer(["stem", "layer1", "trunk.avgpool", "embedding", "fc"])
    'trunk.avgpool'
    >>> choose_layer(["conv1", "conv2", "pool", "fc"])
    'pool'
    """
    for wanted in ("avgpool", "embedding"):
        named = [layer for layer in layers if layer.split(".")[-1] == wanted]
        if named:
            return named[-1]
    return layers[max(len(layers) - 2, 0)]


def require(path: PathLike, results: PathLike) -> Path:
    """Return `path` if it is a file.

    Raises StoreError if it is not; the message says how to make it.
    """
    if not Path(path).is_file():
        raise _missing(Path(path), results)
    return Path(path)


def _read_summary_json(results: PathLike, network: str, target: str) -> dict:
    path = require(probe_folder(results, network, target) / "summary.json", results)
    try:
        content = read_json(path)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(content, dict) or not isinstance(content.get("layers"), list):
        raise _damaged(path, "it holds no list of layers")
    return content


def _read_csv(results: PathLike, path: Path, columns: Iterable[str]) -> pd.DataFrame:
    require(path, results)
    try:
        frame = read_mixed(path, _TEXT, _NUMBERS)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    _check_columns(frame, columns, path)
    return frame


def _check_columns(frame: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    absent = [column for column in columns if column not in frame]
    if absent:
        raise _damaged(path, f"it has no column {format_options(absent)}")
    if frame.empty:
        raise _damaged(path, "it has no rows")
    if "balanced_accuracy" in frame and not frame["balanced_accuracy"].between(0, 1).all():
        raise _damaged(path, "balanced_accuracy must be a fraction between 0 and 1")


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} cannot be used: {reason}. Delete it and make it again.")


def _missing(path: Path, results: PathLike) -> StoreError:
    return StoreError(f"{path} does not exist; make it with: {_command_for(path, Path(results))}")


def _command_for(path: Path, results: Path) -> str:
    """Return the command that makes `path`, by its place in the folder."""
    parts = path.relative_to(results).parts if path.is_relative_to(results) else ()
    if results.is_dir() and len(parts) == 4 and parts[0] == "probes" and parts[2] in HOLDOUTS:
        network, target = parts[1:3]
        return (
            f"fernet-neuro probe {results}/runs/{network}/seed0 --stimuli {results}/stimuli/probe.csv "
            f"--all-layers --target {target} "
            f"--holdout {HOLDOUTS[target]} --out {path.parent}"
        )
    return f"fernet-neuro run demo --out {results}"
