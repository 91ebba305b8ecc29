"""Losses between what a network sees and what language says, as [1] defines them.

What belongs here: pure functions of features; their weights and when they apply are the task's business.

References
----------
[1] Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024).
    arXiv:2409.08598. The terms are those of the released code; the paper's equations are not public.
[2] van den Oord, A., Li, Y. & Vinyals, O. (2018). Representation learning with contrastive predictive
    coding. arXiv:1807.03748.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fernet_neuro._utils.validation import check_option
from fernet_neuro.losses._checks import check_matrix, check_same_shape, check_targets

PAIRINGS = ("per_sample", "all_pairs")


def compute_scores(visual: Tensor, text: Tensor, *, scale: float = 100.0) -> Tensor:
    """Return the score (n, n_classes) of each class: `scale` times the cosine with its text.

    Parameters
    ----------
    visual : Tensor of shape (n, p)
        Features of images, of any length but 0.
    text : Tensor of shape (n_classes, p)
        Embedded prompts.
    scale : float
        CLIP's learnt factor is about 100.

    Raises
    ------
    ValueError
        If the widths differ.

    Examples
    --------
    >>> compute_scores(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 3.0]])).tolist()
    [[100.0, 0.0]]
    """
    _check_text(visual, text)
    # A product summed, not a matrix product: it is not counted among the multiply-adds of layers.
    return scale * functional.cosine_similarity(visual[:, None], text[None], dim=-1, eps=1e-12)


def semantic_loss(visual: Tensor, text: Tensor, targets: Tensor, *, scale: float = 100.0) -> Tensor:
    """Return the cross-entropy of the scores, L_s, in nats, averaged over all images.

    Parameters
    ----------
    visual : Tensor of shape (n, p)
    text : Tensor of shape (n_classes, p)
    targets : int Tensor of shape (n,)
    scale : float
        See `compute_scores`.

    Raises
    ------
    ValueError
        If shapes or targets do not fit.

    Examples
    --------
    >>> rows = torch.eye(2)
    >>> round(semantic_loss(rows, rows, torch.tensor([0, 1]), scale=1.0).item(), 4)
    0.3133
    """
    check_targets(targets, len(visual), len(text))
    return functional.cross_entropy(compute_scores(visual, text, scale=scale), targets)


def transformation_loss(
    visual: Tensor, neutral: Tensor, text: Tensor, targets: Tensor, *, neutral_class: int
) -> Tensor:
    """Return L_t: a face differs from its neutral form as its prompt differs from the neutral prompt.

    Parameters
    ----------
    visual, neutral : Tensor of shape (n, p)
        Features of images, and what the transformation network makes of them; neither is scaled first.
    text : Tensor of shape (n_classes, p)
    targets : int Tensor of shape (n,)
    neutral_class : int
        Row of `text` that is neutral; its images do not count.

    Returns
    -------
    Tensor of shape ()
        Mean of one minus the cosine, 0 to 2; 0 where all images are neutral.

    Raises
    ------
    ValueError
        If shapes or targets do not fit.

    Examples
    --------
    >>> text = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    >>> face = torch.tensor([[3.0, 3.0]])
    >>> round(transformation_loss(face, 0 * face, text, torch.tensor([0]), neutral_class=1).item(), 4)
    0.0
    """
    shown = _find_emotional(visual, neutral, text, targets, neutral_class)
    seen = (visual - neutral)[shown]
    said = (text[targets] - text[neutral_class])[shown]
    return _mean(1.0 - functional.cosine_similarity(seen, said, dim=-1, eps=1e-12))


def self_contrast_loss(
    visual: Tensor,
    neutral: Tensor,
    text: Tensor,
    targets: Tensor,
    *,
    neutral_class: int,
    pairing: str = "per_sample",
) -> Tensor:
    """Return L_c: a face lies near its prompt, and its own neutral form far from it.

    Parameters
    ----------
    visual, neutral : Tensor of shape (n, p)
    text : Tensor of shape (n_classes, p)
    targets : int Tensor of shape (n,)
    neutral_class : int
        Row of `text` that is neutral; its images do not count.
    pairing : {"per_sample", "all_pairs"}
        Each prompt with its own image, or, as released, with every emotional image of the batch, so that
        prompts are drawn to faces of other expressions as well.

    Returns
    -------
    Tensor of shape ()
        Mean of ``2 - cos(t, v) + cos(t, n)``, 0 to 4; 0 where all images are neutral.

    Raises
    ------
    ValueError
        If shapes or targets do not fit, or `pairing` is unknown.

    Examples
    --------
    >>> text, face = torch.eye(2), torch.tensor([[5.0, 0.0]])
    >>> round(self_contrast_loss(face, -face, text, torch.tensor([0]), neutral_class=1).item(), 4)
    0.0
    """
    check_option("pairing", pairing, PAIRINGS)
    shown = _find_emotional(visual, neutral, text, targets, neutral_class)
    said, seen, plain = (_scale(rows[shown]) for rows in (text[targets], visual, neutral))
    if pairing == "all_pairs":
        return _mean(2.0 - said @ seen.T + said @ plain.T)
    return _mean(2.0 - (said * seen).sum(-1) + (said * plain).sum(-1))


def prompt_contrast_loss(
    visual: Tensor,
    neutral: Tensor,
    text: Tensor,
    targets: Tensor,
    *,
    neutral_class: int,
    temperature: float = 0.07,
) -> Tensor:
    """Return the ordinary contrast that self-contrast is compared with: InfoNCE around each prompt [2].

    Each emotional image is told from all neutral forms and from the images of other expressions, as seen from
    its prompt. The paper does not say which form it compared with; this one is the toolkit's own.

    Parameters
    ----------
    visual, neutral : Tensor of shape (n, p)
    text : Tensor of shape (n_classes, p)
    targets : int Tensor of shape (n,)
    neutral_class : int
        Row of `text` that is neutral; its images do not count.
    temperature : float
        Divides the cosines; above 0.

    Returns
    -------
    Tensor of shape ()
        In nats; 0 where all images are neutral.

    Raises
    ------
    ValueError
        If shapes or targets do not fit.

    Examples
    --------
    >>> text, face = torch.eye(2), torch.tensor([[5.0, 0.0]])
    >>> prompt_contrast_loss(face, -face, text, torch.tensor([0]), neutral_class=1).item() < 1e-9
    True
    """
    shown = _find_emotional(visual, neutral, text, targets, neutral_class)
    said, seen, plain = (_scale(rows[shown]) for rows in (text[targets], visual, neutral))
    labels = targets[shown]
    others = (said @ seen.T / temperature).masked_fill(labels[:, None] == labels[None], -torch.inf)
    own = (said * seen).sum(-1, keepdim=True) / temperature
    candidates = torch.cat([own, others, said @ plain.T / temperature], dim=1)
    return _mean(torch.logsumexp(candidates, dim=1) - own[:, 0])


def _scale(rows: Tensor) -> Tensor:
    """Return rows of length 1."""
    return functional.normalize(rows, dim=-1, eps=1e-12)


def _mean(values: Tensor) -> Tensor:
    """Return the mean, or a 0 that gradients flow through where there is nothing to average."""
    return values.mean() if values.numel() else values.sum()


def _check_text(visual: Tensor, text: Tensor) -> None:
    check_matrix("visual", visual)
    check_matrix("text", text)
    if visual.shape[1] != text.shape[1]:
        raise ValueError(
            f"features of width {visual.shape[1]} cannot be compared with texts of width {text.shape[1]}; "
            f"give the network width={text.shape[1]}."
        )


def _find_emotional(
    visual: Tensor, neutral: Tensor, text: Tensor, targets: Tensor, neutral_class: int
) -> Tensor:
    """Check all inputs, and return which images (n,) are not neutral."""
    check_same_shape("visual", visual, "neutral", neutral)
    _check_text(visual, text)
    check_targets(targets, len(visual), len(text))
    if not 0 <= neutral_class < len(text):
        raise ValueError(f"neutral_class must be 0 to {len(text) - 1}; got {neutral_class}.")
    return targets != neutral_class
