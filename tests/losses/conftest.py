"""The published inputs on which every loss has a value known to ten digits."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional


@pytest.fixture
def golden() -> SimpleNamespace:
    """Eight images, five features, four classes, in float64, from closed formulae."""
    image = torch.arange(8, dtype=torch.float64)[:, None]
    feature = torch.arange(5, dtype=torch.float64)[None]
    column = torch.arange(4, dtype=torch.float64)[None]
    raw_emotion = torch.sin(1 + 1.7 * image + 0.9 * feature**2)
    raw_non_emotion = torch.cos(2 + 0.8 * image + 1.3 * feature)
    confidence = torch.tensor([0.9, 0.2, 0.75, 0.5, 0.6, 0.35, 0.8, 0.45], dtype=torch.float64)
    return SimpleNamespace(
        raw_emotion=raw_emotion,
        raw_non_emotion=raw_non_emotion,
        emotion=functional.normalize(raw_emotion),
        non_emotion=functional.normalize(raw_non_emotion),
        perceptual=functional.normalize(torch.cos(0.3 + 1.1 * image + 2 * feature)),
        scores=torch.sin(0.7 * image + 1.3 * column),
        student_logits=torch.cos(0.4 * image + 0.9 * column),
        class_weights=torch.tensor([0.7, 0.8, 0.9, 0.2], dtype=torch.float64),
        confidence=confidence,
        targets=torch.tensor([0, 1, 0, 2, 1, 0, 1, 0]),
        mask=confidence > 0.4,
    )
