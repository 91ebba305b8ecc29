"""The networks of a recipe as a graph: what each starts from or learns from, and on which stimuli.

What belongs here: keys, and every check of the graph that needs no picture; its runs are planned in `plan`
and trained by `work`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from fernet_neuro._utils.config import Settings, merge_values
from fernet_neuro._utils.validation import check_option, suggest
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.training.config import TASKS, TrainSettings

#: The name of the training stimuli among the sets of a recipe.
STIMULI = "stimuli"


class NetworkSettings(TrainSettings):
    """One network of a graph: how it is trained, and what it starts from or learns from.

    Parameters
    ----------
    from : dict of str to str
        Networks of the graph by the key of the task's own settings that they stand for, such as
        ``{emotion_weights: expression}`` (``emotion`` for short), or by ``weights``. A key that gives a place
        itself keeps that place, and the network of the graph is not trained for it.
    stimuli : str or None
        The name of the set of stimuli that it learns from; None for those of training.
    seed : int or None
        One network of this seed for all; None trains one for each of the recipe's seeds.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    seed: int | None = Field(None, ge=0)  # type: ignore[assignment]
    starts: dict[str, str | None] = Field(default_factory=dict, alias="from")

    @field_validator("starts")
    @classmethod
    def _name_keys(cls, starts: dict[str, str | None], info: Any) -> dict[str, str | None]:
        """Write short forms of keys in full, and leave out what is null."""
        section = info.data.get("section")
        keys = list(section.weight_keys) if section is not None else []
        if section is None or "weights" not in section.refused:
            keys.append("weights")
        full = {key.removesuffix("_weights"): key for key in keys} | {key: key for key in keys}
        named = {full[check_option("key", key, full)]: source for key, source in starts.items()}
        return {key: source for key, source in named.items() if source is not None}

    @property
    def learns_from(self) -> str:
        """The name of the set of stimuli that it learns from."""
        return self.stimuli or STIMULI

    def find_starts(self) -> dict[str, str]:
        """Return the networks that training makes use of, by key."""
        own = self.section.list_used_weights() if self.section is not None else ()
        places = {**{key: getattr(self.section, key) for key in own}, "weights": self.weights}
        found = {key: self.starts.get(key) for key, place in places.items() if place is None}
        return {key: source for key, source in found.items() if source is not None}

    def at_seed(self, seed: int) -> TrainSettings:
        """Return the recipe of the run of `seed`, or of the network's own."""
        values = {name: getattr(self, name) for name in TrainSettings.model_fields}
        values |= {"stimuli": None, "seed": seed if self.seed is None else self.seed}
        return TrainSettings.model_construct(**values)


Networks = Mapping[str, NetworkSettings]
_READER: TypeAdapter[dict[str, NetworkSettings]] = TypeAdapter(dict[str, NetworkSettings])


class StimulusSet(Settings):
    """Stimuli beside those of training.

    Parameters
    ----------
    stimuli : RenderSettings or str or None
        Faces to render, or the path of a stimulus table.
    of : str or None
        In place of `stimuli`: the faces of another set, such as ``"stimuli"`` for those of training, rendered
        with what `change` says.
    change : dict
        Keys of `RenderSettings` that differ from those of `of`.
    """

    stimuli: RenderSettings | str | None = None
    of: str | None = None
    change: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _take_short_forms(cls, values: Any) -> Any:
        """Take a path, or the settings of faces to render, for the whole."""
        if isinstance(values, str | RenderSettings):
            return {"stimuli": values}
        if isinstance(values, dict) and values and set(values) <= set(RenderSettings.model_fields):
            return {"stimuli": values}
        return values

    @model_validator(mode="after")
    def _check_source(self) -> "StimulusSet":
        if (self.stimuli is None) == (self.of is None):
            raise ValueError("give either `stimuli` or `of`.")
        if self.change and self.of is None:
            raise ValueError("`change` belongs to `of`; change the keys of `stimuli` themselves.")
        return self


class GraphSettings(Settings):
    """What recipes of all experiments have: networks, further sets of stimuli to train on, and seeds.

    Parameters
    ----------
    networks : dict of str to NetworkSettings
        By name. Only those that the experiment uses, and what these start from, are trained.
    sets : dict of str to StimulusSet
        Further stimuli to train on, by the name that networks give as `stimuli`.
    seeds : tuple of int
        Every network without a seed of its own is trained with each.
    """

    #: Networks that the experiment uses by name, with their task.
    used: ClassVar[dict[str, str]] = {}
    #: Sets that the experiment itself makes beside the training stimuli.
    own_sets: ClassVar[tuple[str, ...]] = ()

    experiment: str
    networks: dict[str, NetworkSettings] = Field(min_length=1)
    sets: dict[str, StimulusSet] = Field(default_factory=dict)
    seeds: tuple[int, ...] = Field((0,), min_length=1)

    @model_validator(mode="after")
    def _check_networks(self) -> "GraphSettings":
        self.check_graph(self.networks)
        for name, task in self.used.items():
            if name not in self.networks:
                raise ValueError(f"networks: {name!r}, of task {task!r}, is missing.")
            if self.networks[name].task != task:
                raise ValueError(f"networks.{name}: task must be {task!r}; got {self.networks[name].task!r}.")
        self.check_seeded(self.used)
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ from each other; got {list(self.seeds)}.")
        for name in self.sets:
            if name in (STIMULI, *self.own_sets):
                raise ValueError(f"sets: {name!r} is the name of another set; choose another.")
            self.find_stimuli(name)
        return self

    def check_graph(self, networks: Networks) -> None:
        """Raise unless every network starts from networks that there are, without a circle.

        Raises ValueError naming the key.
        """
        for name, network in networks.items():
            check_option(
                f"networks.{name}.stimuli", network.learns_from, (STIMULI, *self.own_sets, *self.sets)
            )
            for key, source in network.starts.items():
                check_option(f"networks.{name}.from.{key}", str(source), networks)
        order_networks(networks, networks)
        for name, network in networks.items():
            for source in network.find_starts().values():
                if network.seed is not None and networks[source].seed is None:
                    raise ValueError(
                        f"networks.{name} has a seed of its own and starts from {source!r}, which has none; "
                        f"give networks.{source} a seed as well."
                    )

    def check_seeded(self, names: Iterable[str]) -> None:
        """Raise if a network that is compared over seeds has a seed of its own.

        Raises ValueError naming it.
        """
        for name in names:
            if self.networks[name].seed is not None:
                raise ValueError(f"networks.{name}: seeds are given once, by the recipe's own key `seeds`.")

    def list_sets(self) -> dict[str, StimulusSet]:
        """Return the sets of stimuli that the recipe gives: those of training first."""
        own = getattr(self, STIMULI, None)
        used = {network.learns_from for network in self.networks.values()}
        further = {name: given for name, given in self.sets.items() if name in used}
        return ({} if own is None else {STIMULI: StimulusSet(stimuli=own)}) | further

    def find_stimuli(self, name: str, seen: tuple[str, ...] = ()) -> RenderSettings | str:
        """Return what the set `name` shows, with what it takes from other sets.

        Raises ValueError if it refers to no set, to itself, or to a table; or a changed key or value is
        wrong.
        """
        sets = {**self.sets, **self.list_sets()}
        shown = sets[check_option("of", name, sets)]
        if shown.of is None:
            return shown.stimuli or ""
        place = f"{'sets' if name in self.sets else 'tests'}.{name}"
        if shown.of in (name, *seen):
            raise ValueError(f"{place}: `of` leads back to itself ({' -> '.join((*seen, name, shown.of))}).")
        source = self.find_stimuli(shown.of, (*seen, name))
        if isinstance(source, str):
            raise ValueError(
                f"{place}: `of` must name rendered faces, and {shown.of!r} is a table; give `stimuli` in its "
                f"place, or leave the set out."
            )
        return change_faces(source, shown.change, f"{place}.change")


def order_networks(networks: Networks, names: Iterable[str]) -> list[str]:
    """Return the named networks and all that they start from, those that others need first.

    Raises
    ------
    ValueError
        If one starts, by way of others, from itself.

    Examples
    --------
    >>> graph = {"late": {"from": {"weights": "early"}}, "early": {}}
    >>> graph = {name: NetworkSettings.model_validate(given) for name, given in graph.items()}
    >>> order_networks(graph, ["late"])
    ['early', 'late']
    """
    ordered: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(
                f"networks: {' starts from '.join((*above[above.index(name) :], name))}, a circle."
            )
        for source in networks[name].find_starts().values():
            visit(source, (*above, name))
        if name not in ordered:
            ordered.append(name)

    for name in names:
        visit(name, ())
    return ordered


def change_networks(networks: Networks, changes: Mapping[str, Any]) -> dict[str, NetworkSettings]:
    """Return networks with some keys changed, such as ``{"perception.perception.regime": "perceptual"}``.

    Raises ValueError if a key is unknown or a value is not allowed.
    """
    values: dict[str, Any] = {name: network.model_dump(mode="json") for name, network in networks.items()}
    for key, value in changes.items():
        _put(values, key, value)
    try:
        return _READER.validate_python(values)
    except ValidationError as error:
        raise ValueError("; ".join(_explain(item) for item in error.errors())) from None


def change_faces(source: RenderSettings, change: Mapping[str, Any], place: str) -> RenderSettings:
    """Return faces with some keys changed; `place` is how an error calls them.

    Raises ValueError if a key is unknown or a value is not allowed.
    """
    for key in change:
        check_option(f"{place}: key", key, RenderSettings.model_fields)
    try:
        return RenderSettings.model_validate({**source.model_dump(), **change})
    except ValidationError as error:
        raise ValueError(f"{place}: {'; '.join(_explain(item) for item in error.errors())}") from None


def _explain(item: Any) -> str:
    """Return one validation error as a sentence; a rule about several keys speaks for itself."""
    key = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if not key or isinstance(item["input"], dict):
        return f"{key}: {message}" if key else message
    return f"{key}: {message} (got {item['input']!r})"


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a key with dots that exists in nested `values`; a network's options and starts may be new."""
    *parents, last = key.split(".")
    inside: Any = values
    for depth, part in enumerate((*parents, last)):
        if not isinstance(inside, dict):
            raise ValueError(f"{'.'.join(parents[:depth])!r} is a single value and has no keys below it.")
        free = depth > 0 and parents[depth - 1] in ("model_options", "from")
        if part not in inside and not free:
            raise ValueError(f"unknown key {key!r}.{suggest(part, inside)}")
        if part == last and depth == len(parents):
            break
        inside = inside[part]
    if last == "seed":
        raise ValueError("seeds are given once, by the recipe's own key `seeds`.")
    if last == "task" or not parents or last in {TASKS[name].section for name in TASKS}:
        raise ValueError(f"{key!r} cannot be changed as a whole; name its keys.")
    old = inside.get(last)
    inside[last] = merge_values(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
