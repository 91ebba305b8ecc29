"""A trained conceptual pathway that is asked and never changed: the `Teacher` noun.

What belongs here: finding it, and what it says about pixels or about a whole table; keeping its answers is in
`concept_bank`, learning from them in `perception`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from fernet_neuro._utils.memory import keeping_memory
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.validation import check_range, format_options, suggest
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.devices import pick_device
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.networks import ConceptualPathway
from fernet_neuro.training.data import ImageSource
from fernet_neuro.training.folder import RunFolder, load_run
from fernet_neuro.typing import PathLike


class Concepts(NamedTuple):
    """What a conceptual pathway says about the emotion in a batch, as tensors or as arrays."""

    emotion: Any  # (n, p), rows of length 1
    confidence: Any  # (n,), 0-1
    logits: Any  # (n, c), weighted by the confidence


@dataclass(frozen=True, eq=False)
class Teacher:
    """A conceptual pathway in evaluation mode, and the names of its classes.

    `model`: put in evaluation mode here. `classes`: in the order of its outputs. Raises ValueError if it is
    another network, or has another number of outputs.
    """

    model: LayeredModel
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.model.module, ConceptualPathway):
            raise ValueError(
                f"concepts are those of a conceptual pathway, and network {self.model.card.name!r} is none; "
                f"train one with task: concepts and model: crpn-conceptual."
            )
        self.model.module.eval()
        n_outputs = self.model.module.scores[-1].out_features
        if n_outputs != len(self.classes):
            raise ValueError(
                f"the conceptual pathway has {n_outputs} classes, and {len(self.classes)} are named: "
                f"{format_options(self.classes)}."
            )

    @property
    def n_features(self) -> int:
        """Width of the emotion features."""
        module: Any = self.model.module
        return module.emotion.head[-1].out_features

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network does to an image first."""
        return self.model.card.preprocessing

    def move(self, device: torch.device | str) -> Self:
        """Move the network to `device`, for good."""
        self.model.module.to(device)
        return self

    @torch.no_grad()
    def observe(self, pixels: Tensor) -> Concepts:
        """Return what the network makes of `pixels` (n, 3, size, size) in 0..255, on their device.

        The non-emotion encoder has no part in this and does not run.
        """
        # A copy: normalising changes floating-point pixels in place, and the student is to see them too.
        images = self.preprocessing.normalise(pixels.to(torch.float32, copy=True))
        module: Any = self.model.module
        emotion = module.emotion(images)
        confidence = module.confidence(emotion)
        return Concepts(emotion, confidence.squeeze(1), module.logits(confidence, module.scores(emotion)))

    def encode_table(
        self,
        table: StimulusTable,
        *,
        batch_size: int = 64,
        n_jobs: int = 0,
        verbose: bool = False,
        device: str = "auto",
    ) -> Concepts:
        """Return what the network makes of the images of `table`, each as it is, as arrays in row order.

        Raises StimulusError if an image is missing or cannot be decoded; ValueError if an argument is out of
        range, or the device is not there.
        """
        check_range("batch_size", batch_size, 1)
        check_range("n_jobs", n_jobs, 0)
        target = pick_device(device)
        self.move(target)
        source = ImageSource(table, self.preprocessing, cache="none", n_jobs=n_jobs)
        firsts = range(0, len(table), batch_size)
        chunks = [np.arange(first, min(first + batch_size, len(table))) for first in firsts]
        images = track(source.iterate(chunks), "Concepts", total=len(chunks), verbose=verbose)
        with keeping_memory():
            parts = [[value.cpu().numpy() for value in self.observe(part.to(target))] for part in images]
        return Concepts(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def find_targets(self, table: StimulusTable) -> np.ndarray:
        """Return the label of each image as a class number, int of shape (n,).

        Raises StimulusError if an image has no label, or one that is none of the classes.
        """
        labels = table.factor("expression")
        unknown = sorted(set(labels.tolist()) - set(self.classes))
        if unknown:
            raise StimulusError(
                f"{len(unknown)} expressions of the stimuli are not among the classes of the conceptual "
                f"pathway (first: {unknown[0]!r}); it has: {format_options(self.classes)}."
                f"{suggest(unknown[0], self.classes)}"
            )
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[name] for name in labels], dtype=np.int64)


def read_teacher(path: PathLike, epoch: str = "kept") -> Teacher:
    """Return the conceptual pathway of a complete run, and its classes from the run's record.

    `path`: run folder. `epoch`: one of "kept", "last", "best"; see `folder.load_run`. Raises StoreError if
    there is no complete run; ValueError if it holds another network, or was trained without validation and
    the best epoch is asked for.
    """
    model = load_run(path, epoch)
    return Teacher(model, tuple(RunFolder(Path(path)).read_record()["task"]["classes"]))
