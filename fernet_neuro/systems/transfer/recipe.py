"""Recipes of whole experiments, composed from the settings of the packages that they call.

What belongs here: what is run on what; how is in `transfer`.
"""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from fernet_neuro._utils.config import Settings
from fernet_neuro._utils.validation import check_option
from fernet_neuro.experiments.settings import (
    CONCEPTUAL,
    PERCEPTUAL,
    BrainSettings,
    MapSettings,
    ProbeSettings,
)
from fernet_neuro.experiments.stages import check_stage, fill_stage
from fernet_neuro.stimuli.rendering.factorial import RenderSettings
from fernet_neuro.training.config import TrainSettings

Pathway = Literal["emotion", "non_emotion", "perceptual"]
_STAGES = ("concepts", "perception")


class PathwaysSettings(Settings):
    """The dual-pathway network of Lu, Zhuang & Luo (AAAI 2024), trained and probed beside the networks.

    Parameters
    ----------
    trunks : dict of {"emotion", "non_emotion", "perceptual"} to str
        Which of the recipe's networks each trunk starts from, that of the same seed; others start from random
        weights. The non-emotion trunk stays as it is.
    concepts, perception : TrainSettings
        Stage 1, the conceptual pathway, and stage 2, the perceptual pathway, which learns from it.
    maps : MapSettings
        Maps of the emotion and non-emotion features.
    """

    trunks: dict[Pathway, str] = Field(default={"non_emotion": "identity"})
    concepts: TrainSettings = Field(
        default_factory=lambda: TrainSettings(task="concepts", model="crpn-conceptual")
    )
    perception: TrainSettings = Field(
        default_factory=lambda: TrainSettings(task="perception", model="crpn-perceptual")
    )
    maps: MapSettings = Field(default_factory=MapSettings)

    @field_validator(*_STAGES, mode="before")
    @classmethod
    def _fill_task(cls, values: Any, info: Any) -> Any:
        """Give each stage its task, and its network where the recipe names none."""
        return fill_stage(str(info.field_name), values)

    @model_validator(mode="after")
    def _check_stages(self) -> "PathwaysSettings":
        for stage in _STAGES:
            recipe = getattr(self, stage)
            check_stage(stage, recipe)
            if recipe.list_weight_sources():
                raise ValueError(f"{stage}: where trunks start is given by `trunks`, by the network's name.")
        return self


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
    dual_pathway : PathwaysSettings or None
        Also train the two pathways of the dual-pathway network, and read out and map their features.
    brain : BrainSettings or None
        Also simulate a group that looks at probe stimuli, and compare its brains with the networks.
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
    dual_pathway: PathwaysSettings | None = None
    brain: BrainSettings | None = None
    split_seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_brain(self) -> "TransferSettings":
        for name in (self.brain.networks or ()) if self.brain is not None else ():
            check_option("brain.networks: network", name, self.networks)
        return self

    @model_validator(mode="after")
    def _check_pathways(self) -> "TransferSettings":
        if self.dual_pathway is None:
            return self
        for name in self.dual_pathway.trunks.values():
            check_option("dual_pathway.trunks: network", name, self.networks)
        taken = [name for name in (CONCEPTUAL, PERCEPTUAL) if name in self.networks]
        if taken:
            raise ValueError(f"networks: the name {taken[0]!r} belongs to dual_pathway; choose another.")
        return self
