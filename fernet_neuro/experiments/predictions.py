"""What a trained classifier says about stimuli, with the names of its classes.

What belongs here: from a run folder and a table to class probabilities; rules that use them are elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from fernet_neuro._utils.atomic import scratch_folder
from fernet_neuro._utils.validation import format_options
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.models.trace import find_head
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.folder import find_run

#: Layer that holds the logits wherever a network has one of this name.
LOGITS = "logits"


@dataclass(frozen=True)
class ClassProbabilities:
    """Probabilities of classes for stimuli.

    Parameters
    ----------
    stimulus_ids : ndarray of str of shape (n_stimuli,)
    classes : tuple of str
        Names of the columns.
    values : ndarray of shape (n_stimuli, n_classes)
        Softmax of the logits, in float64; rows sum to 1.
    """

    stimulus_ids: np.ndarray
    classes: tuple[str, ...]
    values: np.ndarray


def compute_class_probabilities(
    run: str,
    table: StimulusTable,
    *,
    factor: str = "expression",
    device: str = "auto",
    batch_size: int = 64,
    n_jobs: int = 0,
    verbose: bool = False,
) -> ClassProbabilities:
    """Run every stimulus through the network of a run and return the probability of each class.

    `run`: a complete run folder of a task that names `factor`. `factor`: what the classes must be values of.
    `device`, `batch_size`, `n_jobs`, `verbose`: as in `extract_activations`. Raises ValueError if `run` is
    not a run, names another factor, or its network does not give one logit per class; StoreError if the run
    is not complete or damaged; StimulusError if a picture cannot be read.
    """
    classes = read_classes(run, factor)
    model = resolve_model(run)
    options = {"device": device, "batch_size": batch_size, "n_jobs": n_jobs, "verbose": verbose}
    with scratch_folder() as folder:
        logits = compute_logits(model, classes, table, folder / "store", source=run, **options)
    return ClassProbabilities(table.stimulus_ids, classes, softmax(logits, axis=1))


def compute_logits(
    model: LayeredModel,
    classes: Sequence[str],
    table: StimulusTable,
    place: Path | None,
    *,
    source: str,
    **extraction: Any,
) -> np.ndarray:
    """Return a classifier's answers, shape (n_stimuli, n_classes); they are kept in the store `place`.

    Raises ValueError if the network does not give one logit per class; otherwise as `extract_activations`.
    """
    layer = find_logits(model)
    store = extract_activations(model, table, [layer], place, source=source, overwrite=True, **extraction)
    logits = np.array(store[layer].values, dtype=float)
    if logits.shape[1] != len(classes):
        raise ValueError(
            f"layer {layer!r} of {source} has {logits.shape[1]} outputs for {len(classes)} classes "
            f"({format_options(classes)}); which output is which class is unknown."
        )
    return logits


def read_classes(run: str, factor: str = "expression") -> tuple[str, ...]:
    """Return the names of a run's classes in the order of its network's outputs.

    Raises ValueError if `run` is not a run folder, or its network was trained to name something other than
    `factor`.
    """
    folder = find_run(run)
    if folder is None:
        raise ValueError(
            f"{run} is not a run folder of `fernet-neuro train` (record.json is missing), so which output is "
            f"which class is unknown."
        )
    record = folder.read_record()
    task = record.get("task", {})
    kind = record.get("settings", {}).get("task", "")
    # A twin network has classes of pairs, and its task no factor.
    named = task.get("factor", "pairs" if kind == "verification" else factor)
    classes = task.get("classes", ())
    if not classes or named != factor:
        raise ValueError(
            f"{run} (task {kind!r}) was not trained to name {factor!r}; give a run of a task that was, such "
            f"as 'expression'."
        )
    return tuple(str(name) for name in classes)


def find_logits(model: LayeredModel) -> str:
    """Return the name of the layer that gives a classifier's logits.

    Raises ValueError if the network has no linear layer.
    """
    if LOGITS in dict(model.module.named_modules()):
        return LOGITS
    head = find_head(model.module)
    if head is None:
        raise ValueError(f"network {model.card.name!r} has no linear layer that could name classes.")
    return head
