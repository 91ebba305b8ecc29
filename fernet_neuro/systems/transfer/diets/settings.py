"""Recipes of diets: the same people and networks, but other expressions to learn people by.

What belongs here: keys and every check that needs no picture; how it is run is in `run`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from fernet_neuro._utils.config import Settings
from fernet_neuro._utils.validation import check_option
from fernet_neuro.experiments.graph import GraphSettings, StimulusSet, change_faces
from fernet_neuro.experiments.settings import ProbeSettings
from fernet_neuro.stimuli.rendering.design import RenderSettings


class DietSettings(Settings):
    """What people show while a network learns them.

    Parameters
    ----------
    label : str or None
        How tables and figures call it; its name by default.
    change : dict
        Keys of `RenderSettings` that differ from those of the training stimuli.
    """

    label: str | None = None
    change: dict[str, Any] = Field(default_factory=dict)


class ReadOutSet(StimulusSet):
    """New people whom networks are read out on.

    Parameters
    ----------
    label : str or None
        How tables and figures call it; its name by default.
    """

    label: str | None = None


@dataclass(frozen=True)
class Arm:
    """One network, on one diet, of so many people."""

    network: str
    diet: str
    size: int

    @property
    def name(self) -> str:
        """The folder of its runs."""
        return f"{self.network}-{self.diet}-{self.size}"

    @property
    def stimuli(self) -> str:
        """The name of what it learns from."""
        return f"{self.diet}-{self.size}"


class DietsSettings(GraphSettings):
    """Networks that learn the same people from different diets, read out on new people.

    Parameters
    ----------
    title : str
        Heading of the page.
    stimuli : RenderSettings
        The people whom networks learn, as many as the largest of `sizes`.
    sizes : tuple of int
        Numbers of people, the first ones of `stimuli`; each gives networks of its own.
    diets : dict of str to DietSettings
        What these people show. Pictures are left out at random until every person has the same number of
        them in every diet.
    fed : str
        The network that is trained on every diet; the others learn from the first.
    networks, sets, seeds
        See `GraphSettings`. Intervals are over seeds.
    tests : dict of str to ReadOutSet
        People whom no network has seen, of whom identity and expression are read out.
    layers : tuple of str
        Layers to read out of every network, in forward order.
    headline : str or None
        The layer of the answer, fixed beforehand; the last of `layers` by default.
    probes : tuple of ProbeSettings
        Directions of read-out; each on every test.
    split_seed : int
        Of folds, permutations, and of the pictures left out.
    """

    experiment: Literal["diets"] = "diets"
    title: str = "Which identity networks keep expression?"
    stimuli: RenderSettings
    sizes: tuple[int, ...] = Field(min_length=1)
    diets: dict[str, DietSettings] = Field(min_length=2)
    fed: str = "identity"
    tests: dict[str, ReadOutSet] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    layers: tuple[str, ...] = Field(("avgpool",), min_length=1)
    headline: str | None = None
    probes: tuple[ProbeSettings, ...] = Field(min_length=1)
    split_seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_diets(self) -> "DietsSettings":
        check_option("fed", self.fed, self.networks)
        check_option("headline", self.headline_layer, self.layers)
        if len(set(self.sizes)) < len(self.sizes) or min(self.sizes) < 2:
            raise ValueError(f"sizes must be different numbers of 2 people or more; got {list(self.sizes)}.")
        if self.stimuli.identities != max(self.sizes):
            raise ValueError(
                f"stimuli.identities must be the largest of sizes, {max(self.sizes)}; got "
                f"{self.stimuli.identities}."
            )
        for name in self.diets:
            self.feed(name)
        for name, network in self.networks.items():
            if network.starts or network.stimuli:
                raise ValueError(
                    f"networks.{name}: networks of diets start from nothing and learn `stimuli`."
                )
        self.check_seeded(self.networks)
        asked = [(item.target, item.holdout) for item in self.probes]
        if len(set(asked)) < len(asked):
            raise ValueError("probes: each pair of target and holdout may be given once.")
        for probe in self.probes:
            if len(probe.readouts) > 1:
                raise ValueError(f"probes: diets have one read-out each; got {list(probe.readouts)}.")
        for name in self.tests:
            self.find_stimuli(name)
        return self

    def feed(self, diet: str) -> RenderSettings:
        """Return the faces of a diet, of all people.

        Raises ValueError if it changes an unknown key, or who is shown.
        """
        change = self.diets[diet].change
        for key in ("identities", "first_identity", "seed", "face_model"):
            if key in change:
                raise ValueError(f"diets.{diet}.change: {key!r} would show other people; leave it out.")
        return change_faces(self.stimuli, change, f"diets.{diet}.change")

    def list_sets(self) -> dict[str, StimulusSet]:
        """Return all sets of stimuli: those of training first, then the tests."""
        return {**super().list_sets(), **self.tests}

    def list_arms(self) -> list[Arm]:
        """Return all networks that are trained, but for their seeds: the fed one first."""
        first = next(iter(self.diets))
        fed = [Arm(self.fed, diet, size) for size in self.sizes for diet in self.diets]
        others = [name for name in self.networks if name != self.fed]
        return fed + [Arm(name, first, size) for size in self.sizes for name in others]

    @property
    def headline_layer(self) -> str:
        """The layer of the answer."""
        return self.headline or self.layers[-1]


def place_of(folder: Path, test: str, arm: str, probe: ProbeSettings) -> Path:
    """Return the folder of one read-out."""
    return folder / "probes" / test / arm / f"{probe.target}-across-{probe.holdout}"
