"""Where an experiment works: its folder, and training and extraction into it.

What belongs here: what every stage is handed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import load_run
from fernet_neuro.typing import PathLike


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
    """

    folder: Path
    n_jobs: int = 1
    verbose: bool = False
    device: str = "auto"

    def train(self, settings: TrainSettings, table: StimulusTable, name: str) -> Path:
        """Return the run folder ``runs/<name>/seed<seed>``, trained to the end."""
        place = self.folder / "runs" / name / f"seed{settings.seed}"
        fit(settings, place, table=table, resume=True, verbose=self.verbose, device=self.device)
        return place

    def extract(
        self, run: Path, table: StimulusTable, layers: Sequence[str], out: PathLike
    ) -> ActivationStore:
        """Return what layers of a run's network answer to a table, kept in `out`."""
        return extract_activations(
            load_run(run), table, layers, out, source=name_run(run), overwrite=True, verbose=self.verbose,
            device=self.device,
        )  # fmt: skip


def name_run(run: PathLike) -> str:
    """Return a run's place as records tell it: the last two folders, which mean the same elsewhere."""
    return "/".join(Path(run).parts[-2:])
