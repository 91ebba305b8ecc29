"""One experiment by several processes, on one machine or many: each network is trained by one of them.

What belongs here: who does what, by claims in the experiment's folder; the work itself is in `work`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fernet_neuro._utils.claims import claiming
from fernet_neuro.experiments.plan import PlannedRun
from fernet_neuro.experiments.results_folder import CLAIMS
from fernet_neuro.training.folder import RunFolder

#: Seconds between two looks at what others have done.
_WAIT = 2.0


class GoesOnElsewhereError(Exception):
    """All networks are trained, and another process goes on with the rest."""


class Sharing:
    """What this process does of an experiment that others work on too.

    Stimuli are made by one process while the others wait; each network is trained by one; whoever comes first
    when all are trained does the rest, and the others leave. A process that was killed loses its claims.

    Parameters
    ----------
    folder : Path
        That of the experiment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / CLAIMS
        self._held = ExitStack()

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """Wait until no other process prepares; give all claims back at the end."""
        with self._held:
            self._held.enter_context(self.waiting_for("preparing"))
            yield
        self.tidy()

    def tidy(self) -> None:
        """Remove the folder of claims, unless others are still at work."""
        with suppress(OSError):
            self.folder.rmdir()

    @contextmanager
    def waiting_for(self, name: str) -> Iterator[None]:
        """Hold the claim `name` as soon as no other process does."""
        while True:
            with claiming(self.folder / name) as is_ours:
                if is_ours:
                    yield
                    return
            time.sleep(_WAIT)

    def train_all(
        self, runs: Mapping[Path, PlannedRun], store: Path, train: Callable[[Path, PlannedRun], None]
    ) -> None:
        """Train each run that no other process trains, when all that it starts from is there.

        Returns in one process alone, when all are complete. `runs`: by place below `store`, those that
        others need first.

        Raises
        ------
        GoesOnElsewhereError
            In the other processes.
        """
        self._held.close()  # stimuli are there
        waiting = dict(runs)
        while waiting:
            n_before = len(waiting)
            for place, run in list(waiting.items()):
                needed = [item.find_place(store) for item in run.list_all() if item is not run]
                if is_complete(place):
                    del waiting[place]
                elif all(map(is_complete, needed)):
                    with claiming(store / CLAIMS / "-".join(place.parts[-2:])) as is_ours:
                        if is_ours and not is_complete(place):
                            train(place, run)
            if len(waiting) == n_before:
                time.sleep(_WAIT)
        if not self._held.enter_context(claiming(self.folder / "rest")):
            raise GoesOnElsewhereError


def is_complete(place: Path) -> bool:
    """Return whether the training run at `place` has ended."""
    return RunFolder(place).find_state() == "complete"
