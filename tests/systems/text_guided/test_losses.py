"""Losses between faces and texts: formulas by loops, values worked out apart, and empty batches."""

import math

import pytest
import torch

from fernet_neuro.systems.text_guided.losses import (
    compute_scores,
    prompt_contrast_loss,
    self_contrast_loss,
    semantic_loss,
    transformation_loss,
)


def _fill(n_rows, n_columns, formula):
    rows = [[formula(i, e) for e in range(n_columns)] for i in range(n_rows)]
    return torch.tensor(rows, dtype=torch.float64)


TEXT = _fill(7, 6, lambda k, e: 3 * math.sin(1 + 6 * k + e))
VISUAL = _fill(5, 6, lambda i, e: math.cos(0.2 + 6 * i + e))
NEUTRAL = _fill(5, 6, lambda i, e: 0.5 * math.sin(0.9 + 6 * i + 1.5 * e))
TARGETS = torch.tensor([0, 3, 6, 5, 3])


def _cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b)
    )


@pytest.mark.parametrize(("scale", "wanted"), [(100.0, 54.3056815516), (1 / 0.07, 8.1622840957)])
def test_semantic_loss_is_the_value_worked_out_by_hand(scale, wanted):
    assert semantic_loss(VISUAL, TEXT, TARGETS, scale=scale).item() == pytest.approx(wanted, abs=1e-9)


def test_transformation_loss_is_the_value_worked_out_by_hand():
    loss = transformation_loss(VISUAL, NEUTRAL, TEXT, TARGETS, neutral_class=6)
    assert loss.item() == pytest.approx(0.1890814751, abs=1e-9)


@pytest.mark.parametrize(("pairing", "wanted"), [("per_sample", 1.4878026721), ("all_pairs", 1.5346499248)])
def test_self_contrast_is_the_value_worked_out_by_hand(pairing, wanted):
    loss = self_contrast_loss(VISUAL, NEUTRAL, TEXT, TARGETS, neutral_class=6, pairing=pairing)
    assert loss.item() == pytest.approx(wanted, abs=1e-9)


def test_scores_are_scaled_cosines_and_name_one_in_five():
    scores = compute_scores(VISUAL, TEXT)
    assert scores[1, 4].item() == pytest.approx(100 * _cosine(VISUAL[1].tolist(), TEXT[4].tolist()), abs=1e-9)
    assert (scores.argmax(1) == TARGETS).double().mean().item() == pytest.approx(0.2)


def test_prompt_contrast_equals_a_loop_over_candidates():
    temperature, terms = 0.2, []
    for i, label in enumerate(TARGETS.tolist()):
        if label == 6:
            continue
        said = TEXT[label].tolist()
        own = _cosine(said, VISUAL[i].tolist()) / temperature
        shown = [j for j, other in enumerate(TARGETS.tolist()) if other != 6]
        candidates = [own]
        candidates += [_cosine(said, VISUAL[j].tolist()) / temperature for j in shown if TARGETS[j] != label]
        candidates += [_cosine(said, NEUTRAL[j].tolist()) / temperature for j in shown]
        terms.append(math.log(sum(map(math.exp, candidates))) - own)
    loss = prompt_contrast_loss(VISUAL, NEUTRAL, TEXT, TARGETS, neutral_class=6, temperature=temperature)
    assert loss.item() == pytest.approx(sum(terms) / len(terms), abs=1e-12)


@pytest.mark.parametrize("loss", [transformation_loss, self_contrast_loss, prompt_contrast_loss])
def test_a_batch_of_neutral_faces_costs_nothing_and_gives_gradients_of_zero(loss):
    visual, neutral = VISUAL.clone().requires_grad_(), NEUTRAL.clone().requires_grad_()
    value = loss(visual, neutral, TEXT, torch.full((5,), 6), neutral_class=6)
    value.backward()
    assert value.item() == 0.0
    assert visual.grad.abs().max() == neutral.grad.abs().max() == 0.0


@pytest.mark.parametrize("loss", [transformation_loss, self_contrast_loss, prompt_contrast_loss])
def test_nothing_is_detached(loss):
    visual, neutral = VISUAL.clone().requires_grad_(), NEUTRAL.clone().requires_grad_()
    loss(visual, neutral, TEXT, TARGETS, neutral_class=6).backward()
    assert visual.grad[[0, 1, 3, 4]].abs().sum(1).min() > 0
    assert neutral.grad[[0, 1, 3, 4]].abs().sum(1).min() > 0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"text": TEXT[:, :4]}, "width=4"),
        ({"neutral": NEUTRAL[:, :4]}, "one shape"),
        ({"targets": torch.tensor([0, 3, 7, 5, 3])}, "from 0 to 6"),
        ({"neutral_class": 7}, "neutral_class must be 0 to 6"),
    ],
)
def test_what_does_not_fit_is_refused(changes, match):
    given = {"visual": VISUAL, "neutral": NEUTRAL, "text": TEXT, "targets": TARGETS, "neutral_class": 6}
    with pytest.raises(ValueError, match=match):
        transformation_loss(**{**given, **changes})


def test_an_unknown_pairing_is_refused():
    with pytest.raises(ValueError, match="pairing"):
        self_contrast_loss(VISUAL, NEUTRAL, TEXT, TARGETS, neutral_class=6, pairing="all")
