"""Recipes of the transfer experiment, composed from the settings of the packages that it calls.

What belongs here: what is run on what; how is in `run`.
"""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from fernet_neuro._utils.config import Settings
from fernet_neuro._utils.validation import check_option
from fernet_neuro.experiments.graph import GraphSettings
from fernet_neuro.experiments.settings import BrainSettings, MapSettings, ProbeSettings
from fernet_neuro.stimuli.rendering.factorial import RenderSettings


class BesideSettings(Settings):
    """A network that is trained and read out beside those that are compared.

    Parameters
    ----------
    layers : dict of str to str
        Layers to read out, and what their models are called where brains are compared with them.
    factor : str or None
        Factor whose labels the network names itself, and is tested on; None for no test.
    maps : MapSettings or None
        Also map these layers.
    figures : tuple of str
        Further figures that its results have.
    """

    layers: dict[str, str] = Field(min_length=1)
    factor: str | None = "expression"
    maps: MapSettings | None = None
    figures: tuple[str, ...] = ()


class TransferSettings(GraphSettings):
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
    networks, sets, seeds
        See `GraphSettings`; names are those that results and figures use. With several seeds, intervals are
        over seeds.
    compared : tuple of str or None
        The networks whose read-outs are compared; None for all that are not `beside`.
    beside : dict of str to BesideSettings
        Networks that are trained, read out, tested and mapped apart from these.
    layers : tuple of str or None
        Layers to probe of networks that are compared, those of a trunk by their names in it; None probes all
        that a network lists.
    dtype : {"float32", "float16"}
        Of activations on disk; float16 takes half the space and rounds to three digits.
    probes : tuple of ProbeSettings
        Directions of read-out.
    brain : BrainSettings or None
        Also simulate a group that looks at probe stimuli, and compare its brains with the networks.
    split_seed : int
        Of the division into training and probe identities, of folds and of permutations.
    """

    experiment: Literal["identity-to-expression"] = "identity-to-expression"
    stimuli: RenderSettings | str
    probe_stimuli: str | None = None
    probe_share: float = Field(0.3, gt=0, lt=1)
    compared: tuple[str, ...] | None = Field(None, min_length=1)
    beside: dict[str, BesideSettings] = Field(default_factory=dict)
    layers: tuple[str, ...] | None = None
    dtype: Literal["float32", "float16"] = "float32"
    probes: tuple[ProbeSettings, ...] = (
        ProbeSettings(target="expression", holdout="identity"),
        ProbeSettings(target="identity", holdout="expression"),
    )
    brain: BrainSettings | None = None
    split_seed: int = Field(0, ge=0)

    @field_validator("beside", mode="before")
    @classmethod
    def _take_null(cls, values: Any) -> Any:
        return {} if values is None else values

    @model_validator(mode="after")
    def _check_names(self) -> "TransferSettings":
        for key in ("compared", "beside"):
            for name in getattr(self, key) or ():
                check_option(f"{key}: network", name, self.networks)
        self.check_seeded((*self.list_compared(), *self.beside))
        for name in set(self.list_compared()) & set(self.beside):
            raise ValueError(f"{name!r} is both in `compared` and `beside`; choose one of them.")
        if len([name for name, network in self.beside.items() if network.maps is not None]) > 1:
            raise ValueError("beside: one network may have `maps`; more would be written into one folder.")
        for name in (self.brain.networks or ()) if self.brain is not None else ():
            check_option("brain.networks: network", name, self.list_compared())
        return self

    def list_compared(self) -> tuple[str, ...]:
        """Return the networks whose read-outs are compared."""
        return self.compared or tuple(name for name in self.networks if name not in self.beside)
