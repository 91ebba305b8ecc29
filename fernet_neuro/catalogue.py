"""Networks, tasks, figures and experiments by name, each with the place of its code, imported when asked for.

What belongs here: strings of the form ``"module:attribute"``, and finding systems, those of other installed
packages too. This module imports nothing of the package, so that everything may ask it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

#: Where other packages announce their systems: ``[project.entry-points."fernet_neuro.systems"]``.
GROUP = "fernet_neuro.systems"
#: What a system brings, by the name of the attribute of `System`.
KINDS = ("networks", "weights", "tasks", "figures", "experiments", "sections")


@dataclass(frozen=True)
class System:
    """A published system: what it brings, as names and the places of their code.

    Parameters
    ----------
    name : str
        Short name, such as ``"crpn"``.
    title : str
        One line.
    paper, licence : str
        Where it was published, and the licence of the code.
    networks : mapping of str to str
        Each a `models.entry.ModelEntry`.
    weights : mapping of str to str
        Trained networks that can be fetched, each a `models.entry.Published`.
    tasks : mapping of str to str
        Each a `training.config.TaskEntry`.
    figures : mapping of str to str
        Each a `figures.spec.FigureSpec`.
    experiments : mapping of str to str
        Each an `experiments.recipes.Experiment`.
    sections : mapping of str to str
        Sections of the page of results, each a function of the results folder that returns an
        `experiments.page.Section`; its template lies in the folder ``templates`` of the system.
    recipes : str
        Package whose folder ``recipes`` holds the recipes; empty where there are none.
    trained : str
        Package whose folder ``trained`` holds trained networks, each a run folder that goes by its name;
        empty where there are none.

    Examples
    --------
    >>> System("mine", "My network", networks={"my-net": "my_package.networks:MY_NET"}).networks["my-net"]
    'my_package.networks:MY_NET'
    """

    name: str
    title: str
    paper: str = ""
    licence: str = ""
    networks: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    experiments: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict)
    recipes: str = ""
    trained: str = ""


#: What belongs to no single system.
GENERAL = System(
    name="general",
    title="what belongs to no single system",
    licence="BSD-3-Clause",
    networks={
        "resnet18": "fernet_neuro.models.entries:RESNET18",
        "resnet50": "fernet_neuro.models.entries:RESNET50",
        "resnet50-vggface2": "fernet_neuro.models.entries:RESNET50_VGGFACE2",
        "siamese": "fernet_neuro.models.entries:SIAMESE",
        "swin_t": "fernet_neuro.models.entries:SWIN_T",
        "resnet10-slim": "fernet_neuro.models.entries:RESNET10_SLIM",
    },
    tasks={
        "identification": "fernet_neuro.training.config:IDENTIFICATION",
        "verification": "fernet_neuro.training.config:VERIFICATION",
        "expression": "fernet_neuro.training.config:EXPRESSION",
    },
    figures={
        "probe-layers": "fernet_neuro.figures.specs:PROBE_LAYERS",
        "probe-confusion": "fernet_neuro.figures.specs:PROBE_CONFUSION",
        "probe-predictions": "fernet_neuro.figures.specs:PROBE_PREDICTIONS",
        "layer-profile": "fernet_neuro.figures.specs:LAYER_PROFILE",
        "confusion": "fernet_neuro.figures.specs:CONFUSION",
        "stimulus-sheet": "fernet_neuro.figures.specs:STIMULUS_SHEET",
        "embedding-maps": "fernet_neuro.figures.specs:EMBEDDING_MAPS",
        "evaluation": "fernet_neuro.figures.specs:EVALUATION",
        "grid": "fernet_neuro.figures.specs:GRID",
        "accuracy-cost": "fernet_neuro.figures.specs:ACCURACY_COST",
        "rsa-layer-roi": "fernet_neuro.figures.specs:RSA_LAYER_ROI",
        "rsa-models": "fernet_neuro.figures.specs:RSA_MODELS",
        "rdm-gallery": "fernet_neuro.figures.specs:RDM_GALLERY",
        "variance-partition": "fernet_neuro.figures.specs:VARIANCE_PARTITION",
        "mds": "fernet_neuro.figures.specs:MDS",
        "searchlight-map": "fernet_neuro.figures.specs:SEARCHLIGHT_MAP",
    },
    experiments={"grid": "fernet_neuro.experiments.run:EXPERIMENT"},
)
#: The systems of this package, in the order of lists.
BUILT_IN = {
    "transfer": "fernet_neuro.systems.transfer.system:SYSTEM",
    "crpn": "fernet_neuro.systems.crpn.system:SYSTEM",
    "lfnsb": "fernet_neuro.systems.lfnsb.system:SYSTEM",
    "text_guided": "fernet_neuro.systems.text_guided.system:SYSTEM",
    "zoo": "fernet_neuro.systems.zoo.system:SYSTEM",
}


def load(place: str) -> Any:
    """Return what ``"module:attribute"`` names.

    Raises
    ------
    ValueError
        If it cannot be imported.

    Examples
    --------
    >>> load("math:pi")
    3.141592653589793
    """
    module, _, attribute = place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # whatever the code of another package raises
        raise ValueError(f"{place!r} cannot be imported: {error}") from error


@cache
def list_systems() -> dict[str, System]:
    """Return all systems by name: the built-in ones, then those of other installed packages.

    Raises
    ------
    ValueError
        If a system cannot be imported or is not a `System`, or two have one name.
    """
    places = [*BUILT_IN.items(), *((point.name, point.value) for point in entry_points(group=GROUP))]
    systems = {GENERAL.name: GENERAL}
    for name, place in places:
        system = _load_named("system", name, place)
        if not isinstance(system, System):
            raise ValueError(f"system {name!r}: {place!r} must be a System; got {type(system).__name__}.")
        if system.name in systems:
            raise ValueError(
                f"two systems are called {system.name!r}; uninstall or rename the one of {place!r}."
            )
        systems[system.name] = system
    return systems


@cache
def list_places(kind: str) -> dict[str, str]:
    """Return the place of everything of one kind by name.

    Parameters
    ----------
    kind : {"networks", "weights", "tasks", "figures", "experiments", "sections"}

    Raises
    ------
    ValueError
        If two systems bring the same name.
    """
    owners: dict[str, str] = {}
    places: dict[str, str] = {}
    for system in list_systems().values():
        for name, place in getattr(system, kind).items():
            if name in owners:
                raise ValueError(
                    f"systems {owners[name]!r} and {system.name!r} both bring {kind} of the name {name!r}; "
                    f"rename one of them, or uninstall one."
                )
            owners[name], places[name] = system.name, place
    return places


def clear() -> None:
    """Forget which systems were found, so that the next question looks anew."""
    list_systems.cache_clear()
    list_places.cache_clear()


@dataclass(frozen=True)
class Later:
    """A function by the place of its code, which is loaded when it is first called.

    Raises ValueError, when it is called, if it cannot be imported.

    Examples
    --------
    >>> Later("math:sqrt")(9.0)
    3.0
    """

    place: str

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Call it."""
        return load(self.place)(*values, **named)


class Entries(Mapping[str, Any]):
    """Everything of one kind by name, imported when it is taken out.

    Parameters
    ----------
    kind : {"networks", "weights", "tasks", "figures", "experiments", "sections"}
    wanted : type
        What every entry must be.

    Examples
    --------
    >>> "resnet18" in Entries("networks")
    True
    """

    def __init__(self, kind: str, wanted: type = object) -> None:
        self.kind, self.wanted = kind, wanted

    def __getitem__(self, name: str) -> Any:
        places = list_places(self.kind)
        if name not in places:
            close = get_close_matches(name, places, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(f"{name!r} is not one of the {self.kind}.{hint}")
        entry = _load_named(self.kind, name, places[name])
        if not isinstance(entry, self.wanted):
            raise ValueError(
                f"{self.kind} {name!r}: {places[name]!r} must be a {self.wanted.__name__}; got "
                f"{type(entry).__name__}; mend or uninstall the package that brings it."
            )
        return entry

    def __contains__(self, name: object) -> bool:
        return name in list_places(self.kind)

    def __iter__(self) -> Iterator[str]:
        return iter(list_places(self.kind))

    def __len__(self) -> int:
        return len(list_places(self.kind))


def _load_named(what: str, name: str, place: str) -> Any:
    try:
        return load(place)
    except ValueError as error:
        raise ValueError(
            f"{what} {name!r}: {error}; mend or uninstall the package that brings it."
        ) from error
