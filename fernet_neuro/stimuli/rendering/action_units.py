"""Expressions as action units (Facial Action Coding System), and how they vary from one time to the next.

What belongs here: prototypes, mixtures and their random variation, as plain dictionaries from action unit to
activation; face models know how units move a face.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fernet_neuro._utils.validation import check_option

#: Names of the action units after Ekman and Friesen (1978).
ACTION_UNIT_NAMES = {
    "AU01": "inner brow raiser", "AU02": "outer brow raiser", "AU04": "brow lowerer",
    "AU05": "upper lid raiser", "AU06": "cheek raiser", "AU07": "lid tightener", "AU09": "nose wrinkler",
    "AU10": "upper lip raiser", "AU12": "lip corner puller", "AU14": "dimpler",
    "AU15": "lip corner depressor", "AU16": "lower lip depressor", "AU17": "chin raiser",
    "AU18": "lip pucker", "AU20": "lip stretcher", "AU22": "lip funneler", "AU23": "lip tightener",
    "AU24": "lip pressor", "AU25": "lips part", "AU26": "jaw drop", "AU27": "mouth stretch",
    "AU28": "lip suck", "AU43": "eyes closed",
}  # fmt: skip
#: Units whose two sides may differ.
SIDED = frozenset((
    "AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU12", "AU14", "AU15", "AU16", "AU20",
    "AU43",
))  # fmt: skip


@dataclass(frozen=True)
class Prototype:
    """One expression: what it always has, and what it may have besides.

    `core`: activation of each unit at intensity 1. `options`: probability of each further combination, and
    its activations.
    """

    core: dict[str, float]
    options: tuple[tuple[float, dict[str, float]], ...] = field(default=())


#: Prototypes of the six basic emotions and the relaxed face, in alphabetical order: the combinations that
#: Ekman, Friesen and Hager (2002, p. 174) and Matsumoto et al. (2008) name; the
#: activations are ours, set by eye.
EXPRESSIONS: dict[str, Prototype] = {
    "anger": Prototype(
        {"AU04": 1.0, "AU05": 0.45, "AU07": 0.8, "AU23": 0.7, "AU24": 0.55},
        ((0.4, {"AU17": 0.5}), (0.25, {"AU10": 0.45, "AU25": 0.45, "AU24": -0.45, "AU16": 0.35})),
    ),
    "disgust": Prototype(
        {"AU09": 0.9, "AU10": 0.85, "AU07": 0.45, "AU17": 0.35},
        ((0.5, {"AU25": 0.6, "AU16": 0.35, "AU17": -0.2}), (0.3, {"AU15": 0.35}), (0.3, {"AU04": 0.3})),
    ),
    "fear": Prototype(
        {"AU01": 1.0, "AU02": 0.55, "AU04": 0.5, "AU05": 1.0, "AU20": 0.9, "AU25": 0.7},
        ((0.6, {"AU26": 0.6}), (0.3, {"AU16": 0.3})),
    ),
    "happiness": Prototype(
        {"AU06": 0.85, "AU12": 1.0},
        (
            (0.75, {"AU25": 0.8, "AU10": 0.15}),
            (0.3, {"AU26": 0.35, "AU25": 0.2}),
            (0.25, {"AU02": 0.2, "AU01": 0.2}),
        ),
    ),
    "neutral": Prototype({}),
    "sadness": Prototype(
        {"AU01": 1.0, "AU04": 0.45, "AU15": 0.95, "AU17": 0.4},
        ((0.4, {"AU07": 0.25}), (0.3, {"AU17": 0.35}), (0.3, {"AU43": 0.18})),
    ),
    "surprise": Prototype(
        {"AU01": 0.95, "AU02": 1.0, "AU05": 0.75, "AU25": 0.25, "AU26": 0.6, "AU27": 0.45},
        ((0.5, {"AU27": 0.35}), (0.25, {"AU22": 0.3})),
    ),
}  # fmt: skip


def draw_activations(
    expression: str, rng: np.random.Generator, *, intensity: float = 1.0, variation: float = 1.0
) -> dict[str, float]:
    """Return one person's way of showing an expression once, as activations of action units.

    `expression`: a key of `EXPRESSIONS`. `intensity`: 0 is the relaxed face, 1 the prototype. `variation`: 0
    gives the bare prototype; 1 draws options, unequal sides and a spread of 12 %. Raises ValueError if the
    expression is unknown.
    """
    prototype = EXPRESSIONS[check_option("expression", expression, EXPRESSIONS)]
    units = dict(prototype.core)
    # Every draw is made whatever the variation, so that it changes no other draw.
    chances = rng.random(8)
    for chance, (probability, option) in zip(chances, prototype.options, strict=False):
        if chance < probability * min(variation, 1.0):
            units = add_activations(units, option)
    spread = {name: float(value) for name, value in zip(ACTION_UNIT_NAMES, rng.normal(size=23), strict=True)}
    skew = {name: float(value) for name, value in zip(ACTION_UNIT_NAMES, rng.normal(size=23), strict=True)}
    varied = {name: value * max(1 + 0.12 * variation * spread[name], 0.3) for name, value in units.items()}
    if expression == "neutral":
        # Nobody holds a perfectly relaxed face.
        resting = ("AU01", "AU04", "AU07", "AU12", "AU15", "AU17", "AU24")
        varied = {name: 0.05 * variation * abs(spread[name]) for name in resting}
    return _split_sides(
        scale_activations(varied, intensity), {k: 0.06 * variation * v for k, v in skew.items()}
    )


def add_activations(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Return the sum of two sets of activations, never below 0."""
    names = sorted(set(one) | set(other))
    return {name: max(one.get(name, 0.0) + other.get(name, 0.0), 0.0) for name in names}


def scale_activations(units: Mapping[str, float], factor: float) -> dict[str, float]:
    """Return all activations times `factor`."""
    return {name: value * factor for name, value in units.items()}


def mix_activations(one: Mapping[str, float], other: Mapping[str, float], share: float) -> dict[str, float]:
    """Return ``(1 - share) * one + share * other``: a face between two expressions."""
    return add_activations(scale_activations(one, 1 - share), scale_activations(other, share))


def format_activations(units: Mapping[str, float]) -> str:
    """Return activations as text such as ``"AU06=0.850;AU12=1.000"``; zeros are left out."""
    return ";".join(
        f"{name}={value:.3f}" for name, value in sorted(units.items()) if f"{value:.3f}" != "0.000"
    )


def parse_activations(text: str) -> dict[str, float]:
    """Return the activations that `format_activations` wrote.

    Examples
    --------
    >>> parse_activations("AU06=0.850;AU12=1.000")
    {'AU06': 0.85, 'AU12': 1.0}
    """
    pairs = (item.partition("=") for item in text.split(";") if item)
    return {name: float(value) for name, _, value in pairs}


def _split_sides(units: Mapping[str, float], skew: Mapping[str, float]) -> dict[str, float]:
    sides = {}
    for name, value in units.items():
        if name in SIDED and value:
            sides[f"{name}L"], sides[f"{name}R"] = value * (1 + skew[name]), value * (1 - skew[name])
        else:
            sides[name] = value
    # As written in the table, so that the table alone gives the same picture.
    return parse_activations(format_activations(sides))
