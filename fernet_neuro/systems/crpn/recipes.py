"""Recipes of the dual-pathway network's Figures 2 to 4: what is trained, and which faces are mapped.

What belongs here: the recipes' keys and every check that needs no picture; how they are run is in
`features`, `styles` and `identity`.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from fernet_neuro._utils.config import Settings
from fernet_neuro._utils.validation import check_option, suggest
from fernet_neuro.experiments.graph import GraphSettings
from fernet_neuro.experiments.settings import MapSettings
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.systems.crpn.settings import ReadoutMode, ReadoutSettings


class PathwaySettings(GraphSettings):
    """What all of these recipes have: a network ``concepts``, the conceptual pathway, trained with each seed.

    Parameters
    ----------
    networks, sets, seeds
        See `GraphSettings`. Maps that are drawn are those of the lowest seed, fixed beforehand.
    maps : MapSettings
    """

    used: ClassVar[dict[str, str]] = {"concepts": "concepts"}

    maps: MapSettings = Field(default_factory=MapSettings)


class FeatureMapsSettings(PathwaySettings):
    """Figure 2 of Lu, Zhuang & Luo (AAAI 2024): emotion against non-emotion features of held-out faces.

    Parameters
    ----------
    stimuli : RenderSettings or str
        Faces to render for training, or the path of a stimulus table.
    test : RenderSettings or str
        Faces of other people, to map.
    """

    experiment: Literal["crpn-fig2"] = "crpn-fig2"
    stimuli: RenderSettings | str
    test: RenderSettings | str


class StyleDomain(Settings):
    """One style of faces: tables of its own, or how it differs from the recipe's rendered faces.

    Parameters
    ----------
    train, test : RenderSettings or str or None
        Faces to train on, and of other people to test on.
    change : dict
        In their place: keys of `RenderSettings` that differ from the recipe's `train` and `test`, such as
        ``{style: drawn}``.
    """

    train: RenderSettings | str | None = None
    test: RenderSettings | str | None = None
    change: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_source(self) -> "StyleDomain":
        has_tables = self.train is not None and self.test is not None
        if (self.change is None) != has_tables or (self.train is None) != (self.test is None):
            raise ValueError("give `train` and `test`, or `change` in their place.")
        for key in self.change or {}:
            if key not in RenderSettings.model_fields:
                raise ValueError(f"unknown key {key!r} in change.{suggest(key, RenderSettings.model_fields)}")
        return self


class StylesSettings(PathwaySettings):
    """Figure 3 of Lu, Zhuang & Luo (AAAI 2024): faces of two styles under networks trained on either.

    Parameters
    ----------
    domains : dict of str to StyleDomain
        Two styles, by the names that tables and figure use. People whom both call by one name are taken for
        one person.
    train, test : RenderSettings or None
        Rendered faces that domains with `change` differ from.
    """

    experiment: Literal["crpn-fig3"] = "crpn-fig3"
    domains: dict[str, StyleDomain] = Field(min_length=2, max_length=2)
    train: RenderSettings | None = None
    test: RenderSettings | None = None

    @model_validator(mode="after")
    def _check_domains(self) -> "StylesSettings":
        for name in self.domains:
            self.find_style(name, "train")
            self.find_style(name, "test")
        return self

    def find_style(self, domain: str, part: Literal["train", "test"]) -> RenderSettings | str:
        """Return what a domain is trained or tested on.

        Raises ValueError if there is no such domain, or it differs from faces that the recipe does not have.
        """
        check_option("domain", domain, self.domains)
        own = self.domains[domain]
        if own.change is None:
            return getattr(own, part)
        base = getattr(self, part)
        if base is None:
            raise ValueError(
                f"domains.{domain}: `change` differs from the recipe's `{part}`, which it lacks."
            )
        return RenderSettings.model_validate({**base.model_dump(), **own.change})


class IdentitySettings(PathwaySettings):
    """Figure 4 of Lu, Zhuang & Luo (AAAI 2024): identity in the non-emotion features, before and after.

    Parameters
    ----------
    stimuli : RenderSettings or str
        Faces to train stage 1 on.
    people : RenderSettings or str
        Faces of those who are told apart.
    held_out : {"pose", "view", "expression"}
        What test pictures of them have that no training picture has: a combination of expression and view
        of that person (pictures that differ only in session stay together), a view, or an expression.
    test_share : float
        Share of those that are held out, in (0, 1).
    split_seed : int
        Of that draw.
    networks, sets, seeds, maps
        See `PathwaySettings`; and a network ``readout`` of the stimuli ``people``, the identity read-out that
        is fine-tuned.
    modes : tuple of {"non_emotion", "all"}
        What learns with it: the non-emotion encoder alone, or everything.
    """

    used: ClassVar[dict[str, str]] = {"concepts": "concepts", "readout": "identity-readout"}
    own_sets: ClassVar[tuple[str, ...]] = ("people",)

    experiment: Literal["crpn-fig4"] = "crpn-fig4"
    stimuli: RenderSettings | str
    people: RenderSettings | str
    held_out: Literal["pose", "view", "expression"] = "pose"
    test_share: float = Field(0.4, gt=0, lt=1)
    split_seed: int = Field(0, ge=0)
    modes: tuple[ReadoutMode, ...] = Field(("non_emotion", "all"), min_length=1)

    @model_validator(mode="after")
    def _check_modes(self) -> "IdentitySettings":
        readout = self.networks["readout"]
        if readout.own(ReadoutSettings).mode != ReadoutSettings().mode or readout.val_share:
            raise ValueError("modes and held-out pictures are given by the recipe's own keys.")
        if len(set(self.modes)) != len(self.modes):
            raise ValueError(f"modes must differ from each other; got {list(self.modes)}.")
        return self
