"""Where an experiment works: its folder, and training and extraction into it.

What belongs here: what every stage is handed.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.catalogue import load
from fernet_neuro.experiments.graph import STIMULI, GraphSettings, Networks
from fernet_neuro.experiments.plan import PlannedRun, list_runs, plan_network
from fernet_neuro.experiments.results_folder import open_stimuli
from fernet_neuro.experiments.sharing import Sharing, is_complete
from fernet_neuro.experiments.side_by_side import (
    Part,
    count_at_once,
    count_widest,
    do_side_by_side,
    showing_progress,
)
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

    def train(
        self,
        planned: Iterable[PlannedRun],
        tables: Mapping[str, StimulusTable],
        then: Mapping[str, Part] | None = None,
    ) -> None:
        """Train runs, and what they need, to the end; those that are complete are left as they are.

        `tables`: the sets that they learn from. `then`: parts that are done beside, when what each needs
        is there; by name, those that others need first. A run is needed by its place, as text.
        """
        runs = list_runs(planned, self.store)
        training = {
            place: self._plan_part(place, run, tables, f"{number} of {len(runs)}")
            for number, (place, run) in enumerate(runs.items(), start=1)
        }
        if self.sharing is not None:
            self.sharing.train_all(runs, self.store, lambda place, _: training[place].do(self))
            runs = {}
        new = {place: run for place, run in runs.items() if not is_complete(place)}
        for place in [place for place in runs if place not in new]:
            training[place].do(self)  # of a complete one it checks that it is the run that is meant
        parts = {str(place): training[place] for place in new} | dict(then or {})
        self._do(parts, new, self._count_at_once(new, tables))

    def _plan_part(
        self, place: Path, run: PlannedRun, tables: Mapping[str, StimulusTable], number: str
    ) -> Part:
        needs = (needed.find_place(self.store) for needed in run.list_all() if needed is not run)
        train = partial(_train_one, place=place, run=run, table=tables[run.learns_from], number=number)
        return Part(train, frozenset(map(str, needs)))

    def _do(self, parts: Mapping[str, Part], runs: Mapping[Path, PlannedRun], most: int) -> None:
        """Do parts, at most so many at once; `runs`: those that are trained among them."""
        n_at_once = min(most, count_widest(parts))
        if n_at_once <= 1:
            for part in parts.values():
                part.do(self)
            return
        apart = replace(
            self, n_jobs=max(1, self.n_jobs // n_at_once), verbose=False, sharing=Sharing(self.folder)
        )
        epochs = {place: run.settings.epochs for place, run in runs.items()}
        with showing_progress(epochs, len(parts), n_at_once, verbose=self.verbose) as advance:
            for _ in do_side_by_side(parts, apart, n_at_once):
                advance()
        Sharing(self.folder).tidy()

    def _count_at_once(self, runs: Mapping[Path, PlannedRun], tables: Mapping[str, StimulusTable]) -> int:
        """Return how many parts are done at once: one on an accelerator, which has no more to give."""
        if self.sharing is not None or pick_device(self.device).type != "cpu":
            return 1
        n_pictures = max((len(tables[run.learns_from]) for run in runs.values()), default=0)
        return count_at_once(self.n_jobs, n_pictures)

    def extract(
        self, run: Path, table: StimulusTable, layers: Sequence[str], out: PathLike
    ) -> ActivationStore:
        """Return what layers of a run's network answer to a table, kept in `out`."""
        return extract_activations(
            load_run(run), table, layers, out, source=name_run(run), overwrite=True, verbose=self.verbose,
            device=self.device,
        )  # fmt: skip


def _train_one(work: Work, place: Path, run: PlannedRun, table: StimulusTable, number: str) -> None:
    """Train one run, with what it shares with others such as a concept bank, or go on with it."""
    logger.info("    %s: %s, seed %d", number, place.parent.name, run.settings.seed)
    settings = run.fill_places(work.store)
    share = TASKS[settings.task].share
    if share:
        alone = nullcontext() if work.sharing is None else work.sharing.waiting_for("banks")
        with alone:
            settings = load(share)(settings, table, work.store, verbose=work.verbose, device=work.device)
    fit(settings, place, table=table, resume=True, verbose=work.verbose, device=work.device)


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
