"""Which training runs the networks of a graph need, each once: a run is known by what goes into it.

What belongs here: from settings to runs and their places; `work` trains them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fernet_neuro._utils.config import keep_ways
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro.experiments.graph import Networks
from fernet_neuro.training.config import TrainSettings

#: Letters of a content key in the names of folders.
KEY_LENGTH = 12


@dataclass(frozen=True)
class PlannedRun:
    """One training run.

    Parameters
    ----------
    network : str
        Name of the network.
    settings : TrainSettings
        With its seed, and without the places of other runs.
    learns_from : str
        The set of stimuli that it learns from.
    stimuli : str
        Digest of that set.
    inputs : dict of str to PlannedRun
        Runs that it starts from or learns from, by the key of its settings that names their place; all are
        complete before it begins.
    pinned : int or None
        Its seed, where that is one for all runs that start from it.
    folder : str or None
        Its folder below ``runs``; None takes the network's name and the digest of what goes into it.
    """

    network: str
    settings: TrainSettings
    learns_from: str
    stimuli: str
    inputs: dict[str, "PlannedRun"] = field(default_factory=dict)
    pinned: int | None = None
    folder: str | None = None

    def find_key(self, store: Path) -> str:
        """Return what goes into the run, less its seed, as a digest: runs of one key are seeds of one recipe.

        Files count by their ways from `store`, which hold from any working folder.
        """
        settings = keep_ways(self.settings.model_dump(mode="json", exclude={"seed"}), store)
        inputs = {name: [run.find_key(store), run.pinned] for name, run in self.inputs.items()}
        content = {"stage": self.network, "settings": settings, "stimuli": self.stimuli, "inputs": inputs}
        return hash_json(content)[:KEY_LENGTH]

    def find_place(self, store: Path) -> Path:
        """Return its run folder below `store`."""
        folder = self.folder or f"{self.network}-{self.find_key(store)}"
        return store / "runs" / folder / f"seed{self.settings.seed}"

    def list_all(self) -> Iterator["PlannedRun"]:
        """Yield the runs that it needs and then itself."""
        for run in self.inputs.values():
            yield from run.list_all()
        yield self

    def fill_places(self, store: Path) -> TrainSettings:
        """Return its settings with the places of the runs that it starts from."""
        places = {key: str(run.find_place(store)) for key, run in self.inputs.items()}
        weights = {key: places.pop(key) for key in ("weights",) if key in places}
        filled = self.settings.with_section(**places) if places else self.settings
        return filled.model_copy(update=weights)


def plan_network(
    networks: Networks,
    name: str,
    seed: int,
    stimuli: Mapping[str, str],
    *,
    by_name: bool = False,
    folders: Mapping[str, str] | None = None,
) -> PlannedRun:
    """Return the run of a network, and in it all that it needs.

    `networks`: the graph, checked. `seed`: of every run but those with a seed of their own. `stimuli`:
    digests of the sets that networks learn from. `by_name`: whether a run's folder has the network's name;
    otherwise it has the name and a digest of its content. `folders`: folders of networks that are called
    otherwise.
    """
    network = networks[name]
    inputs = {
        key: plan_network(networks, source, seed, stimuli, by_name=by_name, folders=folders)
        for key, source in network.find_starts().items()
    }
    folder = (folders or {}).get(name, name if by_name else None)
    digest = stimuli[network.learns_from]
    return PlannedRun(name, network.at_seed(seed), network.learns_from, digest, inputs, network.seed, folder)


def list_runs(planned: Iterable[PlannedRun], store: Path) -> dict[Path, PlannedRun]:
    """Return all that some runs need by place, each once, those that others need first."""
    places: dict[Path, PlannedRun] = {}
    for run in planned:
        for needed in run.list_all():
            places.setdefault(needed.find_place(store), needed)
    return places
