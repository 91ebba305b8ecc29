"""Verification: a Siamese network learns whether two pictures show one person, and is tested as on LFW.

What belongs here: the task and the evaluation of a network on pairs; the measures themselves are in `pairs`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.devices import pick_device
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.siamese import SiameseNet
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings, VerificationSettings
from fernet_neuro.training.data import ImageSource
from fernet_neuro.training.held_out import check_people_apart, split_validation
from fernet_neuro.training.pairs import (
    VerificationResult,
    check_pairs_differ,
    compute_auc,
    compute_eer,
    draw_pairs,
    evaluate_scores,
    find_pair_identities,
    find_pair_rows,
    read_pairs,
)
from fernet_neuro.training.task import Items, TrainingTask


@dataclass
class VerificationTask(TrainingTask):
    """Tell two pictures of one person (1) from those of two people (0).

    Parameters
    ----------
    train_table, val_table : StimulusTable
    train_pairs, val_pairs : DataFrame or None
        Fixed pairs; without them new ones are drawn in each epoch, and validation pairs once.
    pairs_per_epoch : int or None
        Of those drawn, half are same; None draws as many as there are images.
    seed : int
    label_smoothing : float
    files : dict of str to (str or None)
        Where fixed pairs come from: a resumed run must find them as they were.
    """

    train_table: StimulusTable
    val_table: StimulusTable | None = None
    train_pairs: pd.DataFrame | None = None
    val_pairs: pd.DataFrame | None = None
    pairs_per_epoch: int | None = None
    seed: int = 0
    label_smoothing: float = 0.0
    best_metric: str = "accuracy"
    files: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Both are checked here, before any long work.
        self._fixed = _make_items(self.train_pairs, self.train_table)
        if self._fixed is None:
            self._draw(self.train_table, 2, "check")
        self._val: Items | None = None
        if self.val_table is not None:
            fixed = _make_items(self.val_pairs, self.val_table)
            self._val = fixed or self._draw(self.val_table, len(self.val_table), "validation")

    def plan_epoch(self, epoch: int) -> Items:
        """Return the fixed pairs, or those that seed and epoch draw."""
        if self._fixed is not None:
            return self._fixed
        return self._draw(self.train_table, self.pairs_per_epoch or len(self.train_table), epoch)

    def plan_validation(self) -> Items:
        """Return the validation pairs, the same in each epoch."""
        if self._val is None:
            raise ValueError("this task has no validation pairs.")
        return self._val

    def forward(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits (n_pairs, 2) from images of which each two make a pair."""
        return network(images[0::2], images[1::2])

    def compute_loss(self, outputs: Tensor, targets: Tensor, extras: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the mean over pairs of the cross-entropy, in nats, from logits `outputs`."""
        return {"loss": functional.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)}

    def compute_metrics(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Return loss, accuracy at the network's own decision, equal-error rate, area under the ROC curve."""
        scores, same = (logits[:, 1] - logits[:, 0]).numpy(), (targets == 1).numpy()
        usable = np.isfinite(scores).all() and same.any() and not same.all()
        return {
            "loss": self.compute_loss(logits, targets, {})["loss"].item(),
            "accuracy": float(np.mean((scores > 0) == same)),
            "eer": compute_eer(scores, same) if usable else float("nan"),
            "auc": compute_auc(scores, same) if usable else float("nan"),
        }

    def input_digests(self) -> dict[str, str | None]:
        """Return the digests of the files of fixed pairs."""
        return {name: hash_file(path) if path else None for name, path in self.files.items()}

    def describe(self) -> dict[str, Any]:
        """Return numbers of stimuli and pairs."""
        return {
            "classes": ["different", "same"],
            "n_train": len(self.train_table),
            "n_train_identities": len(self.train_identities()),
            "n_pairs_per_epoch": len(self.plan_epoch(0)),
            "n_val_pairs": 0 if self._val is None else len(self._val),
        }

    def train_identities(self) -> set[str]:
        """Return the people of the fixed pairs, or all of the training table."""
        if self.train_pairs is None:
            return super().train_identities()
        return find_pair_identities(self.train_pairs, self.train_table)

    def model_options(self) -> dict[str, Any]:
        """Return nothing: a Siamese network always has two outputs."""
        return {}

    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return `model` unchanged, if it is a twin network."""
        if not isinstance(model.module, SiameseNet):
            name = model.card.name
            raise ValueError(
                f"task verification needs a Siamese network, and model {name!r} is none; use "
                f"model: siamese with model_options: {{trunk: {name}}}."
            )
        return model

    def _draw(self, table: StimulusTable, n_pairs: int, name: str | int) -> Items:
        rows, same = draw_pairs(table.factor("identity"), n_pairs, make_rng(self.seed, "pairs", name))
        return Items(rows, same.astype(int))


def make_verification(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> VerificationTask:
    """Return the task of telling same from different; people held out are, by default, not trained on.

    With `pairs` in the recipe's section `verification` the pairs are fixed, as in LFW's development set.
    `val_pairs` index `val_table`, or the training table where there is none; then, without `pairs`, their
    people are left out of training.

    Raises StimulusError if validation shows someone who is trained on, unless ``val_by`` is not about
    identity.
    """
    own = settings.own(VerificationSettings)
    train_pairs = read_pairs(own.pairs, table) if own.pairs else None
    val_pairs = read_pairs(own.val_pairs, val_table or table) if own.val_pairs else None
    keeps_people_apart = settings.val_by in ("auto", "identity")
    if keeps_people_apart and val_table is not None:
        check_people_apart(table, val_table)
    if val_pairs is not None and val_table is None:
        train, val = table, table
        if keeps_people_apart and train_pairs is not None:
            _check_pairs_apart(train_pairs, val_pairs, table)
        elif keeps_people_apart:
            held_out = sorted(find_pair_identities(val_pairs, table))
            train = table.select(~np.isin(table.factor("identity"), held_out))
    elif train_pairs is not None and val_table is None:
        train, val = table, None  # a share of the people cannot be held out of fixed pairs
    else:
        train, val = split_validation(settings, table, val_table, default="identity", least=2)
    return VerificationTask(
        train,
        val,
        train_pairs,
        val_pairs,
        pairs_per_epoch=own.pairs_per_epoch,
        files={name: getattr(own, name) for name in own.location_keys},
        seed=settings.seed,
        label_smoothing=settings.label_smoothing,
    )


def evaluate_verification(
    model: LayeredModel,
    table: StimulusTable,
    pairs: pd.DataFrame,
    *,
    layer: str | None = None,
    n_jobs: int = 0,
    verbose: bool = False,
    device: str = "auto",
    batch_size: int = 64,
) -> VerificationResult:
    """Return how well `model` tells same from different pairs.

    Parameters
    ----------
    model : LayeredModel
        A Siamese network scores by its own logits (same minus different), any other by the cosine similarity
        of two outputs.
    table : StimulusTable
    pairs : DataFrame
        With columns ``fold, stimulus_id_1, stimulus_id_2, same``; see `pairs.make_pairs` and
        `pairs.read_pairs`.
    layer : str or None
        For networks that are not Siamese, the layer whose output is compared; None compares the last.
    n_jobs : int
        Worker processes that decode.
    verbose : bool
    device : str
    batch_size : int
        Images at a time.

    Raises
    ------
    AlignmentError
        If a pair names a stimulus that the table lacks.
    LayerNotFoundError
        If there is no such layer.
    StimulusError
        If two folds share a pair of pictures.

    Warns
    -----
    FernetWarning
        If a pair shows one picture twice.
    """
    check_pairs_differ(pairs, table)
    rows = find_pair_rows(pairs, table)
    used, places = np.unique(rows, return_inverse=True)
    target = pick_device(device)
    module = model.module.to(target).eval()
    source = ImageSource(table, model.card.preprocessing, cache="none", n_jobs=n_jobs)
    chunks = [used[first : first + batch_size] for first in range(0, len(used), batch_size)]
    embed = _make_embedder(model, layer)
    images = track(source.iterate(chunks), "Embedding", total=len(chunks), verbose=verbose)
    with torch.inference_mode():
        parts = [embed(model.card.preprocessing.normalise(part.to(target))) for part in images]
        embeddings = torch.cat(parts)
        first, second = embeddings[torch.from_numpy(places.reshape(-1, 2)).to(target)].unbind(1)
        if isinstance(module, SiameseNet):
            logits = module.compare(first, second)
            scores = logits[:, 1] - logits[:, 0]
        else:
            scores = functional.cosine_similarity(first, second)
    return evaluate_scores(pairs, scores.double().cpu().numpy())


def _make_embedder(model: LayeredModel, layer: str | None) -> Callable[[Tensor], Tensor]:
    """Return a function from images to vectors (n, n_units): the network's output, or that of `layer`."""
    if layer is None:
        return lambda images: model.module(images).flatten(1)
    model.check_layers([layer])
    part = model.module.get_submodule(layer)

    def embed(images: Tensor) -> Tensor:
        seen: list[Tensor] = []
        hook = part.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
        try:
            model.module(images)
        finally:
            hook.remove()
        return seen[-1].flatten(1)

    return embed


def _check_pairs_apart(train: pd.DataFrame, val: pd.DataFrame, table: StimulusTable) -> None:
    """Raise if somebody is in both lists of pairs."""
    both = sorted(find_pair_identities(train, table) & find_pair_identities(val, table))
    if both:
        raise StimulusError(
            f"{len(both)} identities are in both `pairs` and `val_pairs` (first: {both[0]!r}); use lists of "
            f"different people, or set val_by: random to validate on known people."
        )


def _make_items(pairs: pd.DataFrame | None, table: StimulusTable) -> Items | None:
    if pairs is None:
        return None
    return Items(find_pair_rows(pairs, table), pairs["same"].to_numpy(dtype=bool).astype(int))
