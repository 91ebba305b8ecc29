"""Made-up networks whose true scores are known."""

import numpy as np
import pytest

CLASSES = ("anger", "fear", "happiness", "neutral", "surprise")
#: How often each class occurs.
SHARES = np.array([0.05, 0.10, 0.15, 0.30, 0.40])


def draw_answers(rng, n_people, n_each, *, spread=0.0, temperature=1.0, margin=2.0):
    """Return logits (n, 5), targets (n,) and people (n,); people differ in how well they are read.

    With `temperature` the margin, the logits' softmax is the true probability (equal shares aside).
    """
    n = n_people * n_each
    targets = rng.choice(len(CLASSES), n, p=SHARES)
    people = np.repeat(np.arange(n_people), n_each)
    logits = rng.normal(size=(n, len(CLASSES)))
    logits[np.arange(n), targets] += margin + spread * rng.normal(size=n_people)[people]
    logits += 0.5 * spread * rng.normal(size=(n_people, len(CLASSES)))[people]
    return logits * temperature, targets, people


@pytest.fixture
def answers(rng):
    """270 answers of one network: logits, labels, people."""
    logits, targets, people = draw_answers(rng, 30, 9, spread=0.5)
    return logits, np.array(CLASSES)[targets], np.array([f"p{person}" for person in people])
