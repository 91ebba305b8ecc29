"""Recipes of whole experiments, composed from the settings of the packages that they call.

What belongs here: what is run on what; how is in `transfer`.
"""

from typing import Literal

from pydantic import Field

from fernet_neuro._utils.config import Settings
from fernet_neuro.stimuli.rendering.factorial import RenderSettings
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.typing import Holdout, ReadOut


class ProbeSettings(Settings):
    """One direction of transfer: what is read out, and what is kept out of the training folds.

    Parameters
    ----------
    target : str
        Factor that is read out, such as ``"expression"``.
    holdout : str
        Factor whose values are on one side of each fold only, such as ``"identity"``.
    readouts : tuple of {"ridge", "logistic", "sgd"}
        Linear read-outs.
    permutations : int
        Number of label permutations for the null of the ridge read-out.
    n_folds : int
        Folds of the hold-outs "identity" and "random"; no more than there are identities.
    """

    target: str
    holdout: Holdout
    readouts: tuple[ReadOut, ...] = ("ridge",)
    permutations: int = Field(1000, ge=0)
    n_folds: int = Field(10, ge=2)


class TransferSettings(Settings):
    """The transfer experiment of Schwartz, O'Nell & Anzellotti (VSS 2020), both ways.

    Parameters
    ----------
    stimuli : RenderSettings or str
        Faces to render, or the path of a stimulus table.
    probe_stimuli : str or None
        Table to probe on. None keeps `probe_share` of the identities of `stimuli` for it; either way no
        identity is in both.
    probe_share : float
        Share of identities that the networks never see, in (0, 1).
    networks : dict of str to TrainSettings
        What to train, by the name that results and figures use.
    seeds : tuple of int
        Training seeds; with several, intervals are over seeds.
    layers : tuple of str or None
        Layers to probe; None probes all that a network lists.
    probes : tuple of ProbeSettings
        Directions of read-out.
    split_seed : int
        Of the division into training and probe identities, of folds and of permutations.
    """

    experiment: Literal["identity-to-expression"] = "identity-to-expression"
    stimuli: RenderSettings | str
    probe_stimuli: str | None = None
    probe_share: float = Field(0.3, gt=0, lt=1)
    networks: dict[str, TrainSettings] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    layers: tuple[str, ...] | None = None
    probes: tuple[ProbeSettings, ...] = (
        ProbeSettings(target="expression", holdout="identity"),
        ProbeSettings(target="identity", holdout="expression"),
    )
    split_seed: int = Field(0, ge=0)
