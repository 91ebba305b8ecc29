"""Where an experiment works: its folder, and training and extraction into it.

What belongs here: what every stage is handed.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.catalogue import load
from fernet_neuro.experiments.graph import STIMULI, GraphSettings, Networks
from fernet_neuro.experiments.plan import PlannedRun, list_runs, plan_network
from fernet_neuro.experiments.results_folder import open_stimuli
from fernet_neuro.experiments.sharing import Sharing, is_complete
from fernet_neuro.experiments.side_by_side import count_at_once, list_waves, train_side_by_side
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.devices import pick_device
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TASKS
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import load_run
from fernet_neuro.typing import PathLike

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """Where an experiment works and how.

    Parameters
    ----------
    folder : Path
        Results folder.
    n_jobs : int
    verbose : bool
    device : str
    shared : Path or None
        Where runs lie that several experiments share; None takes the results folder.
    sharing : Sharing or None
        What is left to other processes that run this experiment too; None where there are none.
    """

    folder: Path
    n_jobs: int = 1
    verbose: bool = False
    device: str = "auto"
    shared: Path | None = None
    sharing: Sharing | None = None

    @property
    def store(self) -> Path:
        """Where runs lie."""
        return self.shared or self.folder

    def open_sets(self, settings: GraphSettings) -> dict[str, StimulusTable]:
        """Return the further sets that networks learn from, rendered below ``stimuli/`` where need be."""
        further = [name for name in settings.list_sets() if name != STIMULI]
        return {name: self.open(settings.find_stimuli(name), name) for name in further}

    def open(self, source: RenderSettings | str, name: str) -> StimulusTable:
        """Return the table at a path, or the faces described, rendered into ``stimuli/<name>`` once."""
        return open_stimuli(source, self.folder / STIMULI / name, self.n_jobs, self.verbose)

    def train(self, planned: Iterable[PlannedRun], tables: Mapping[str, StimulusTable]) -> None:
        """Train runs, and what they need, to the end; those that are complete are left as they are.

        `tables`: the sets that they learn from.
        """
        runs = list_runs(planned, self.store)
        waves = [runs] if self.n_jobs == 1 or self.sharing else list(list_waves(runs, self.store))
        numbers = {place: number for number, place in enumerate(chain.from_iterable(waves), start=1)}

        def train_one(place: Path, run: PlannedRun, work: Work = self) -> None:
            name, seed = place.parent.name, run.settings.seed
            logger.info("    %d of %d: %s, seed %d", numbers[place], len(runs), name, seed)
            work._train_one(place, run, tables[run.learns_from])

        if self.sharing is not None:
            self.sharing.train_all(runs, self.store, train_one)
            return
        sharing = Sharing(self.folder)
        one_of_many = partial(train_one, work=replace(self, sharing=sharing, verbose=False))
        for wave in waves:
            new = {place: run for place, run in wave.items() if not is_complete(place)}
            n_at_once = self._count_at_once(new, tables)
            if n_at_once > 1:
                train_side_by_side(new, one_of_many, n_at_once, verbose=self.verbose)
            for place, run in wave.items():
                if n_at_once == 1 or place not in new:
                    train_one(place, run)  # of a complete one it checks that it is the run that is meant
        sharing.tidy()

    def _count_at_once(self, runs: Mapping[Path, PlannedRun], tables: Mapping[str, StimulusTable]) -> int:
        """Return how many of `runs` are trained at once: one on an accelerator, which has no more to give."""
        if not runs or pick_device(self.device).type != "cpu":
            return 1
        n_pictures = max(len(tables[run.learns_from]) for run in runs.values())
        return min(count_at_once(self.n_jobs, n_pictures), len(runs))

    def _train_one(self, place: Path, run: PlannedRun, table: StimulusTable) -> None:
        settings = run.fill_places(self.store)
        share = TASKS[settings.task].share
        if share:
            alone = nullcontext() if self.sharing is None else self.sharing.waiting_for("banks")
            with alone:
                settings = load(share)(settings, table, self.store, verbose=self.verbose, device=self.device)
        fit(settings, place, table=table, resume=True, verbose=self.verbose, device=self.device)

    def extract(
        self, run: Path, table: StimulusTable, layers: Sequence[str], out: PathLike
    ) -> ActivationStore:
        """Return what layers of a run's network answer to a table, kept in `out`."""
        return extract_activations(
            load_run(run), table, layers, out, source=name_run(run), overwrite=True, verbose=self.verbose,
            device=self.device,
        )  # fmt: skip


def plan_named(
    networks: Networks,
    name: str,
    seed: int,
    tables: Mapping[str, StimulusTable],
    folders: Mapping[str, str] | None = None,
) -> PlannedRun:
    """Return the run of a network on some stimuli, in a folder of its name or as `folders` call it."""
    digests = {key: table.digest() for key, table in tables.items()}
    return plan_network(networks, name, seed, digests, by_name=True, folders=folders)


def name_run(run: PathLike) -> str:
    """Return a run's place as records tell it: the last two folders, which mean the same elsewhere."""
    return "/".join(Path(run).parts[-2:])
