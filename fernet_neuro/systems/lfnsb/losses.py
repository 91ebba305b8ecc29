"""Losses over pooled features and class centres: Cosine-Harmony and its relatives; and that of several heads.

What belongs here: pure functions of features, centres and labels, and the module that holds the centres.

References
----------
[1] Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
    Cosine-Harmony loss. Preprints 115488.
[2] Wen, Y. et al. (2016). A discriminative feature learning approach for deep face recognition. ECCV.
[3] Wen, Z. et al. (2023). Distract your attention: multi-head cross attention network for facial expression
    recognition (DAN). Biomimetics, 8(2), 199.
[4] Li, Y. et al. (2019). Separate loss for basic and compound facial expression recognition in the wild.
    ACML, PMLR 101, 897-911.
[5] Zhang, S. et al. (2023). A dual-direction attention mixed feature network for facial expression
    recognition (DDAMFN). Electronics, 12(17), 3595.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.losses._checks import check_matrix, check_targets

FORMS = ("separating", "released", "paper")
#: Keeps losses finite where a variance is 0, as in a batch of one.
EPS = 1e-6


def adjusted_cosine_distance(features: Tensor, centres: Tensor) -> Tensor:
    """Return one minus the Pearson correlation of each row of features with each centre [1].

    Parameters
    ----------
    features : Tensor of shape (n, p)
    centres : Tensor of shape (c, p)

    Returns
    -------
    Tensor of shape (n, c)
        From 0 to 2; 1 where a row or a centre has equal entries throughout.

    Examples
    --------
    >>> centres = torch.tensor([[5.0, 7.0], [2.0, 1.0]])
    >>> adjusted_cosine_distance(torch.tensor([[1.0, 2.0]]), centres).round().tolist()
    [[0.0, 2.0]]
    """
    rows, columns = (functional.normalize(x - x.mean(1, keepdim=True), dim=1) for x in (features, centres))
    return 1 - rows @ columns.T


def cosine_harmony_loss(
    features: Tensor,
    centres: Tensor,
    targets: Tensor,
    *,
    form: str = "separating",
    alpha: float = 0.1,
    unbiased: bool | None = None,
) -> Tensor:
    """Return the Cosine-Harmony loss [1].

    With `intra`, the mean distance of features to the centre of their class, `inter`, that to the other
    centres, and `var`, the variance of the features of the batch summed over features, it is
    ``alpha * intra / var`` plus (1 - alpha) times

    - ``2 - inter`` in the form "separating", which drives features away from other centres, as [1] describes;
    - ``intra / (c - 1)`` in the form "released": there the mask of the own class serves twice, and nothing
      drives classes apart;
    - ``inter`` in the form "paper", the printed sign, which draws features *to* the centres of other classes.

    Parameters
    ----------
    features : Tensor of shape (n, p)
        Gradients reach the variance too.
    centres : Tensor of shape (c, p)
    targets : Tensor of shape (n,)
        Class indices.
    form : {"separating", "released", "paper"}
    alpha : float
        In [0, 1].
    unbiased : bool, optional
        Divide the variance by n - 1 in place of n, as released; by default in that form alone.

    Returns
    -------
    Tensor of shape ()
        Finite also for a batch of one, whose variance is 0.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than two centres, or `form` or `alpha` is not known.

    Examples
    --------
    >>> rows = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(cosine_harmony_loss(rows, rows, torch.tensor([0, 1])).item(), 4)
    0.0
    """
    check_option("form", form, FORMS)
    check_range("alpha", alpha, 0, maximum=1)
    distances, own = _measure(features, centres, targets)
    n, c = distances.shape
    intra = distances[own].mean()
    inter = intra / (c - 1) if form == "released" else distances[~own].mean()
    divisor = n - 1 if (form == "released" if unbiased is None else unbiased) else n
    spread = (features - features.mean(0)).square().sum() / max(divisor, 1)
    apart = 2 - inter if form == "separating" else inter
    return alpha * intra / (spread + EPS) + (1 - alpha) * apart


def centre_loss(features: Tensor, centres: Tensor, targets: Tensor) -> Tensor:
    """Return half the mean squared distance of features to the centre of their class [2, Eq. 2].

    Differs from [2]: a mean over images in place of a sum, and centres learn by gradient.

    Examples
    --------
    >>> centre_loss(torch.tensor([[3.0, 4.0]]), torch.zeros(2, 2), torch.tensor([1])).item()
    12.5
    """
    check_targets(targets, check_matrix("features", features), len(centres))
    return (features - centres[targets]).square().sum(1).mean() / 2


def affinity_loss(features: Tensor, centres: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared distance to the own centre over the variance of the centres [3].

    The variance is over classes (c - 1 in the denominator), summed over features: centres that move apart
    make the loss smaller.

    Examples
    --------
    >>> centres = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    >>> round(affinity_loss(torch.tensor([[2.0, 1.0]]), centres, torch.tensor([0])).item(), 4)
    2.0
    """
    apart = (centres - centres.mean(0)).square().sum() / (len(centres) - 1)
    return 2 * centre_loss(features, centres, targets) / (apart + EPS)


def separate_loss(features: Tensor, centres: Tensor, targets: Tensor) -> Tensor:
    """Return how unlike features are to their own centre, plus how alike different centres are.

    The mean over images of 1 - cos(feature, own centre), plus the mean over pairs of different classes of
    1 + cos(centre, centre). It has what [4] says of its loss, which raises likeness within classes and lowers
    it between them; the equations of [4] were not at hand, and their weights may differ.

    Examples
    --------
    >>> rows = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
    >>> separate_loss(rows, rows, torch.tensor([0, 1])).item()
    0.0
    """
    check_targets(targets, check_matrix("features", features), len(centres))
    units = functional.normalize(centres, dim=1)
    within = 1 - (functional.normalize(features, dim=1) * units[targets]).sum(1).mean()
    others = ~torch.eye(len(centres), dtype=torch.bool, device=centres.device)
    return within + 1 + (units @ units.T)[others].mean()


def attention_loss(gates: Sequence[Tensor]) -> Tensor | float:
    """Return how alike the gate maps of several heads are: pairs over their summed squared differences [5].

    Parameters
    ----------
    gates : sequence of Tensor
        One map per head, of one shape.

    Returns
    -------
    Tensor of shape (), or float
        0 with fewer than two heads.

    Examples
    --------
    >>> attention_loss([torch.zeros(3), torch.full((3,), 0.5)]).item(), attention_loss([torch.zeros(3)])
    (4.0, 0.0)
    """
    pairs = list(combinations(gates, 2))
    apart = sum(functional.mse_loss(first, second) for first, second in pairs)
    return len(pairs) / (apart + torch.finfo(torch.float64).eps) if pairs else 0.0


#: The losses of features, centres and targets, by name.
LOSSES: dict[str, Callable[..., Tensor]] = {
    "cosine_harmony": cosine_harmony_loss,
    "centre": centre_loss,
    "affinity": affinity_loss,
    "separate": separate_loss,
}


class CentredLoss(nn.Module):
    """One of `LOSSES` with the centres of its classes, drawn from N(0, 1).

    Parameters
    ----------
    loss : str
        A name in `LOSSES`.
    n_classes, n_features : int
    rng : numpy Generator
        Draws the centres.
    train_centres : bool
        Whether the centres learn; as released they do not.
    **options
        Of the loss.
    """

    def __init__(
        self,
        loss: str,
        n_classes: int,
        n_features: int,
        rng: np.random.Generator,
        *,
        train_centres: bool = True,
        **options: object,
    ) -> None:
        super().__init__()
        self.loss, self.options = LOSSES[check_option("loss", loss, LOSSES)], options
        drawn = torch.from_numpy(rng.standard_normal((n_classes, n_features), dtype=np.float32))
        self.centres = nn.Parameter(drawn, requires_grad=train_centres)

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of pooled features (n, p) of classes (n,)."""
        return self.loss(features, self.centres, targets, **self.options)


def _measure(features: Tensor, centres: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances to all centres, and a mask of those to the own one; both (n, c)."""
    n = check_matrix("features", features)
    check_targets(targets, n, check_matrix("centres", centres))
    if len(centres) < 2 or centres.shape[1] != features.shape[1]:
        raise ValueError(
            f"centres must be two or more rows as wide as features; got {tuple(centres.shape)} for features "
            f"{tuple(features.shape)}."
        )
    own = functional.one_hot(targets.long(), len(centres)).bool()
    return adjusted_cosine_distance(features, centres), own
