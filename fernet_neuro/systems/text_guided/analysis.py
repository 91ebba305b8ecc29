"""Expressions that training never showed: a trained network with other texts in the place of its own."""

from copy import deepcopy
from dataclasses import replace

from fernet_neuro.models.layers import LayeredModel
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
