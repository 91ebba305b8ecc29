"""What a neuroscientist asks of texts and of the neutral transformation.

What belongs here: expressions that training never showed, and whether the neutral form of a face is that
person's neutral face.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fernet_neuro._utils.shown import Shown
from fernet_neuro._utils.validation import check_range
from fernet_neuro.activations.array import Activations
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.stimuli.text_table import TextTable
from fernet_neuro.systems.text_guided.networks import TextGuidedNet, TextScores


def with_texts(model: LayeredModel, texts: TextTable) -> LayeredModel:
    """Return a copy of a trained network whose classes are those of `texts`, seen in training or not.

    This is zero-shot transfer: an expression that was left out of training is named from its prompt.

    Raises
    ------
    ValueError
        If the network is not text-guided, or the texts are of another width than it learnt from.
    """
    old = model.module.logits if isinstance(model.module, TextGuidedNet) else None
    if not isinstance(old, TextScores):
        raise ValueError(
            f"network {model.card.name!r} has no texts; use one that task 'text-guided' trained."
        )
    if old.text.shape[1] != texts.width:
        raise ValueError(
            f"texts of width {texts.width} do not fit a network that learnt from texts of width "
            f"{old.text.shape[1]}; embed them with the same encoder."
        )
    module = deepcopy(model.module)
    module.logits = TextScores(len(texts.classes), texts.width, old.scale)
    module.logits.text.copy_(old.text.new_tensor(texts.vectors))
    card = replace(model.card, options={**model.card.options, "n_classes": len(texts.classes)})
    return replace(model, module=module.eval(), card=card)


@dataclass(frozen=True, eq=False, repr=False)
class NeutralMatch(Shown):
    """How often the neutral form of an expressive face is nearest to that person's own neutral face.

    Parameters
    ----------
    frame : DataFrame
        One row per layer, ``visual`` (the face as it is) and ``neutral`` (transformed): ``accuracy`` in
        [0, 1], ``low`` and ``high`` (bootstrap interval over people), ``chance``, ``p_value`` (people
        shuffled), ``n_people``, ``n_images``.
    """

    frame: pd.DataFrame

    def describe(self) -> str:
        """Return accuracies and chance."""
        accuracies = zip(self.frame["layer"], self.frame["accuracy"], strict=True)
        said = ", ".join(f"{layer} {100 * accuracy:.1f} %" for layer, accuracy in accuracies)
        n_images, chance = self.frame["n_images"].iloc[0], 100 * self.frame["chance"].iloc[0]
        return f"{said} of {n_images} faces find their person (chance {chance:.1f} %)"


def match_neutral(
    layers: dict[str, Activations],
    table: StimulusTable,
    *,
    neutral: str = "neutral",
    n_permutations: int = 1000,
    n_bootstraps: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> NeutralMatch:
    """Return how well expressive faces find their person's neutral face, before and after transformation.

    Each person's neutral faces are averaged, after scaling to unit length, into one gallery feature of the
    layer ``visual``; an expressive face counts as right if the person of highest cosine is its own.

    Parameters
    ----------
    layers : dict of str to Activations
        ``visual`` and any others to compare with the gallery, such as ``neutral``; shape (n_stimuli, width).
    table : StimulusTable
        The same stimuli in the same order, with ``identity`` and ``expression``.
    neutral : str
        The expression that makes the gallery.
    n_permutations : int
        Shuffles of people among the expressive faces, whole people at a time.
    n_bootstraps, level
        Of the interval over people.
    seed : int

    Raises
    ------
    StimulusError
        If fewer than three people have both a neutral and an expressive face.
    ValueError
        If ``visual`` is missing, or a number is out of range.
    """
    if "visual" not in layers:
        raise ValueError("match_neutral needs the layer 'visual', which makes the gallery of neutral faces.")
    check_range("n_permutations", n_permutations, 1)
    whose, felt = (np.asarray(table.factor(name), dtype=str) for name in ("identity", "expression"))
    is_neutral = felt == neutral
    people, shown, faces = _find_people(whose, is_neutral, neutral)
    unit = _scale(layers["visual"].values)
    gallery = _scale(np.stack([unit[(whose == person) & is_neutral].mean(0) for person in people]))
    rows = []
    for name, activations in layers.items():
        scores = _scale(activations.values[shown]) @ gallery.T
        found = scores.argmax(1)
        rows.append(
            {"layer": name, **_judge(found, faces, len(people), n_permutations, n_bootstraps, level, seed)}
        )
    return NeutralMatch(pd.DataFrame(rows).assign(n_people=len(people), n_images=len(shown)))


def _find_people(
    whose: np.ndarray, is_neutral: np.ndarray, neutral: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return people with both kinds of faces, rows of their expressive faces, and whose each is."""
    people = sorted(set(whose[is_neutral]) & set(whose[~is_neutral]))
    if len(people) < 3:
        raise StimulusError(
            f"matching needs three people or more with a face of expression {neutral!r} and another one; "
            f"the stimuli have {len(people)}."
        )
    shown = np.flatnonzero(~is_neutral & np.isin(whose, people))
    return people, shown, np.searchsorted(people, whose[shown])


def _scale(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _judge(
    found: np.ndarray,
    faces: np.ndarray,
    n_people: int,
    n_permutations: int,
    n_bootstraps: int,
    level: float,
    seed: int,
) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    accuracy = float((found == faces).mean())
    # Whole people change places, so that faces of one person stay together.
    null = [(found == rng.permutation(n_people)[faces]).mean() for _ in range(n_permutations)]
    right = np.bincount(faces, found == faces, n_people)
    counts = np.bincount(faces, minlength=n_people)
    draws = rng.integers(n_people, size=(n_bootstraps, n_people))
    means = right[draws].sum(1) / counts[draws].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return {
        "accuracy": accuracy,
        "low": float(low),
        "high": float(high),
        "chance": 1 / n_people,
        "p_value": (1 + int(np.sum(np.array(null) >= accuracy))) / (1 + n_permutations),
    }
