"""Centred kernel alignment: how alike two sets of patterns of the same stimuli are, whatever their channels.

What belongs here: linear CKA with and without its bias; comparisons of RDMs are in `compare`.
"""

from collections.abc import Sequence

import numpy as np

from fernet_neuro._utils.validation import check_range
from fernet_neuro.activations.array import Activations
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli

#: The debiased estimate divides by n (n - 3).
FEWEST_STIMULI = 4


def compute_cka(
    first: Sequence[Activations] | Activations,
    second: Sequence[Activations] | Activations,
    *,
    debiased: bool = True,
) -> np.ndarray:
    """Return the linear CKA of every layer of `first` with every layer of `second`.

    Parameters
    ----------
    first, second : Activations or sequence of Activations
        Of the same stimuli in the same order; numbers of units may differ. Voxels do as well as units.
    debiased : bool, default=True
        Without, CKA of independent patterns is near 1 when there are few stimuli and many units.

    Returns
    -------
    ndarray of shape (n_first, n_second)
        Unitless; 1 for the same geometry. Debiased, independent patterns are near 0 on either side.

    Raises
    ------
    AlignmentError
        If the stimuli differ, or their order.
    ValueError
        If there are fewer than four stimuli, values are not finite, or all patterns of a layer are the same.

    References
    ----------
    .. [1] Kornblith et al. (2019), Similarity of neural network representations revisited, ICML, section 3.
    .. [2] Song et al. (2012), Feature selection via dependence maximization, Journal of Machine Learning
       Research 13, equation 4.
    .. [3] Murphy, Zylberberg & Fyshe (2024), Correcting biased centered kernel alignment measures in
       biological and artificial neural networks, Re-Align workshop, ICLR.

    Examples
    --------
    >>> layer = Activations(np.random.default_rng(0).normal(size=(9, 4)), np.array(list("abcdefghi")), "fc")
    >>> double = Activations(2 * layer.values, layer.stimulus_ids, "twice")
    >>> compute_cka(layer, double).round(6).tolist()
    [[1.0]]
    """
    left, right = ([item] if isinstance(item, Activations) else list(item) for item in (first, second))
    if not left or not right:
        raise ValueError("compute_cka needs layers on both sides; got none.")
    sets = [[_distances(layer) for layer in side] for side in (left, right)]
    for rdms, layer in zip([*sets[0], *sets[1]], [*left, *right], strict=True):
        check_same_stimuli(sets[0][0], rdms, (f"layer {left[0].layer!r}", f"layer {layer.layer!r}"))
    check_range("number of stimuli", sets[0][0].n_stimuli, minimum=FEWEST_STIMULI)
    kernels = [
        np.stack(
            [_centre_kernel(rdms, layer.layer, debiased=debiased) for rdms, layer in zip(*pair, strict=True)]
        )
        for pair in zip(sets, (left, right), strict=True)
    ]
    return kernels[0] @ kernels[1].T


def _distances(layer: Activations) -> RDMSet:
    return compute_rdms(layer, distance="squared_euclidean")


def _centre_kernel(rdms: RDMSet, layer: str, *, debiased: bool) -> np.ndarray:
    """Return a layer's centred kernel as a vector of length 1.

    -D / 2 is the kernel up to a sum of a row's and a column's share, and both ways of centring take such sums
    off: the usual one from all entries, the debiased one (U-centring) from those off the diagonal, on which
    each pattern meets its own noise. The cosine of what is left is CKA, since the unbiased estimate of the
    independence criterion [2] is the inner product of U-centred kernels over n (n - 3).
    """
    n = rdms.n_stimuli
    kernel = rdms.to_squares()[0] / -2
    rows = kernel.sum(axis=1)
    if debiased:
        shares = rows / (n - 2) - rows.sum() / (2 * (n - 1) * (n - 2))
        kernel -= shares[:, None] + shares
        np.fill_diagonal(kernel, 0)
    else:
        shares = rows / n - rows.sum() / (2 * n**2)
        kernel -= shares[:, None] + shares
    length = np.linalg.norm(kernel)
    if length <= 1e-12 * np.abs(rdms.dissimilarities).max():
        raise ValueError(f"all patterns of layer {layer!r} lie equally far apart; CKA is not defined.")
    return kernel.ravel() / length
