"""The run folder: what may be started, resumed or must be left alone, and where a run comes from.

What belongs here: ``recipe.yaml``, ``record.json`` and the rules that keep a finished or foreign folder
unharmed.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml

from fernet_neuro._utils.atomic import atomic_file, write_text
from fernet_neuro._utils.config import keep_ways, write_settings
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.locks import holding
from fernet_neuro._utils.shipped import find_trained
from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.stimuli.copies import list_contents
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings, explain_changes, leave_out_places
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from torch import Tensor

    from fernet_neuro.models.layers import LayeredModel

FORMAT = 1
MODEL_FOLDER = "model"
#: Where a run keeps the concept bank that it made for itself.
BANK_FOLDER = "bank"
_STATES = {"complete": "finished", "started": "started"}


def find_run(source: str) -> "RunFolder | None":
    """Return the run whose network `source` names.

    That is a run folder, its ``model``, ``NAME@`` either, or a trained network of the package.
    """
    shipped = find_trained(source)
    if shipped is not None:
        return RunFolder(shipped)
    _, at, place = source.partition("@")
    path = Path(place if at and not Path(source).exists() else source)
    places = (path, path.parent, path.parent.parent)
    for folder in places if MODEL_FOLDER in path.parts[-2:] else places[:1]:
        if (folder / "record.json").is_file():
            return RunFolder(folder)
    return None


@dataclass(frozen=True)
class RunFolder:
    """Names inside a run's folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The settings, as YAML."""
        return self.path / "recipe.yaml"

    @property
    def record(self) -> Path:
        """Where the run comes from and how it went, as JSON."""
        return self.path / "record.json"

    @property
    def pictures(self) -> Path:
        """Numbers that tell the contents of the training pictures, see `stimuli.copies.list_contents`."""
        return self.path / "pictures.npy"

    @property
    def log(self) -> Path:
        """Losses and metrics, as CSV."""
        return self.path / "log.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Folder of the trained network; there when the run is complete."""
        return self.path / MODEL_FOLDER

    def find_state(self) -> Literal["absent", "started", "complete", "foreign"]:
        """Return what lies at the path."""
        if not self.path.exists():
            return "absent"
        if not self.path.is_dir():
            return "foreign"
        if self.record.is_file() and self.recipe.is_file():
            return "complete" if self.read_record().get("status") == "complete" else "started"
        # A run killed while it wrote its first file leaves nothing but temporary names and its recipe, and
        # one that was withdrawn its recipe beside its bank.
        names = {item.name for item in self.path.iterdir() if not item.name.startswith(".")}
        own = {self.recipe.name, self.pictures.name, BANK_FOLDER}
        is_free = not names or (self.recipe.name in names and names <= own)
        return "absent" if is_free else "foreign"

    def check_start(self, resume: bool) -> Literal["absent", "started", "complete"]:
        """Return the state, if a run may be started or resumed there.

        Raises StoreError if something else lies there, or a run does and `resume` is not asked for.
        """
        state = self.find_state()
        if state == "foreign":
            raise StoreError(
                f"{self.path} exists and is not a training run; nothing was changed. Choose another --out."
            )
        if state in ("started", "complete") and not resume:
            raise StoreError(
                f"{self.path} holds a {_STATES[state]} run; nothing was changed. "
                f"Go on with --resume, or choose another --out."
            )
        return state

    @contextmanager
    def hold(self, is_main: bool, state: str) -> Iterator[None]:
        """Keep other processes from training here; those of this run, but the main one, do not ask.

        Raises
        ------
        StoreError
            If another process trains here, or did since the run was found in `state`.
        """
        with holding(self.path, "training") if is_main else nullcontext():
            if is_main and self.find_state() != state:
                raise StoreError(f"another process has trained in {self.path} meanwhile; start again.")
            yield

    def check_same(self, settings: TrainSettings, digests: dict[str, str | None]) -> None:
        """Raise unless recipe and inputs are those that the run was started with.

        Raises ValueError naming each key that differs.
        """
        before = yaml.safe_load(self.recipe.read_text(encoding="utf-8"))
        kept, now = (keep_ways(values, self.path) for values in (before, settings.model_dump(mode="json")))
        changes = explain_changes(kept, now)
        started = self.read_record()["digests"]
        changes += [
            f"the content of {name.replace('_', ' ')}"
            for name, value in digests.items()
            if started.get(name) != value
        ]
        if changes:
            raise ValueError(
                f"{self.path} was started otherwise, so it cannot be resumed; changed: {'; '.join(changes)}. "
                f"Put these back, or choose another --out."
            )

    def read_record(self) -> dict[str, Any]:
        """Return the record.

        Raises StoreError if it is damaged.
        """
        try:
            return read_json(self.record)
        except ValueError as error:
            raise StoreError(f"{self.record} is damaged; choose another --out.") from error

    def read_train_identities(self) -> set[str] | None:
        """Return the people that the run trained on, or None where its record does not say."""
        if not self.record.is_file():
            return None
        names = self.read_record().get("train_identities")
        return None if names is None else set(names)

    def count_trained(self, table: StimulusTable) -> int:
        """Return how many pictures of a table the run trained on; 0 where it does not say which those were.

        Raises StoreError if the file that says it is damaged.
        """
        if not self.pictures.is_file():
            return 0
        try:
            trained = np.load(self.pictures, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise StoreError(f"{self.pictures} is damaged; get it anew.") from error
        return int(np.isin(list_contents(table), trained[trained != 0]).any(axis=1).sum())

    def write_start(self, settings: TrainSettings, table: StimulusTable, record: dict[str, Any]) -> None:
        """Write the recipe, which pictures of `table` there are, and the record as known at the start."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_settings(settings, self.recipe)
        with atomic_file(self.pictures) as temporary:
            np.save(temporary, list_contents(table))
        self.write_record(settings, {**record, "status": "running"})

    def withdraw_start(self) -> None:
        """Free the folder of a run that failed before its first checkpoint for a run that may be another.

        Its concept bank, which may have taken hours, stays with its recipe; the next run takes it if it
        fits.
        """
        for path in (self.record, self.log, self.pictures):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        if (self.path / BANK_FOLDER).exists():
            return
        self.recipe.unlink(missing_ok=True)
        with suppress(OSError):  # something else lies there
            self.path.rmdir()

    def write_record(self, settings: TrainSettings, record: dict[str, Any]) -> None:
        """Write the record; files outside the run appear only by digest, as paths mean nothing elsewhere."""
        values = leave_out_places(settings.model_dump(mode="json"))
        text = json.dumps({"format": FORMAT, "settings": values, "seed": settings.seed, **record}, indent=2)
        write_text(self.record, text + "\n")


#: What to do about people who were trained on.
TEST_OTHERS = "test on others, or pass --allow-trained, as where equal labels mean different people."


@dataclass(frozen=True)
class TrainedPeople:
    """Some `people`, told by their label, and those of them that a network was trained on.

    `trained` is None where the record of the network's run does not say, and empty for what is not a run.
    """

    source: str
    people: frozenset[str]
    trained: frozenset[str] | None

    def __str__(self) -> str:
        """Say what is known in a sentence without an end; nothing where nobody was trained on."""
        if self.trained is None:
            return f"{self.source} does not record whom it was trained on, so that was not checked."
        if not self.trained:
            return ""
        return (
            f"{len(self.trained)} of {len(self.people)} people were trained on in {self.source} "
            f"(first: {min(self.trained)!r})"
        )

    def refuse(self, advice: str) -> None:
        """Raise if there are any who were trained on.

        Raises StimulusError saying so, and then `advice`.
        """
        if self.trained:
            raise StimulusError(f"{self}; {advice}")


def find_trained_people(source: PathLike, people: Iterable[str]) -> TrainedPeople:
    """Return whom of some people the run that `source` names was trained on; empty names are left out."""
    run, asked = find_run(str(source)), frozenset(map(str, people)) - {""}
    names = set() if run is None else run.read_train_identities()
    return TrainedPeople(str(source), asked, None if names is None else asked & names)


def load_run(path: PathLike, epoch: str = "kept", *, code: str | None = None) -> "LayeredModel":
    """Return the network of a complete run as it was after a named epoch, in eval mode.

    `path`: run folder. `epoch`: one of "kept", "last", "best"; what the recipe's `keep` chose, the last
    epoch, or the best on the validation share. `code`: see `models.weights.load_model`. Raises StoreError if
    there is no complete run, or its weights are missing or damaged; ValueError if the run had no validation,
    so that no epoch was best.
    """
    from fernet_neuro.models.weights import load_model

    folder = _open_complete(path, epoch)
    model = load_model(folder.path, code=code)
    weights = _read_unkept(folder, epoch)
    if weights is None:
        return model
    model.module.load_state_dict(weights)
    n_epoch = folder.read_record()[epoch]["epoch"]
    return model.with_card(training_data=f"{model.card.training_data} (here the {epoch} epoch, {n_epoch})")


def digest_run(path: PathLike, epoch: str = "kept") -> str:
    """Return the digest of the weights that `load_run` loads, mostly without the network; raises as that."""
    from fernet_neuro.models.layers import digest_weights
    from fernet_neuro.models.weights import read_weight_digest

    folder = _open_complete(path, epoch)
    weights = _read_unkept(folder, epoch)
    return read_weight_digest(folder.path) if weights is None else digest_weights(weights)


def _open_complete(path: PathLike, epoch: str) -> RunFolder:
    check_option("epoch", epoch, ("kept", "last", "best"))
    folder = RunFolder(Path(path))
    if folder.find_state() != "complete":
        raise StoreError(f"{folder.path} is not a complete training run; finish it with --resume.")
    return folder


def _read_unkept(folder: RunFolder, epoch: str) -> "dict[str, Tensor] | None":
    """Return the weights of an epoch that lie beside the network of a run, or None if it is the network's."""
    from fernet_neuro.training.state import find_checkpoints, read_best, read_weights

    record = folder.read_record()
    if epoch == "best" and record["best"] is None:
        raise ValueError(
            f"{folder.path} was trained without validation, so no epoch is best; use epoch='last'."
        )
    if epoch in ("kept", record["kept"]):
        return None
    checkpoints = find_checkpoints(folder.checkpoints)
    if epoch == "last" and not checkpoints:
        raise StoreError(
            f"{folder.checkpoints} holds no checkpoint of the last epoch; only {record['kept']!r} is left."
        )
    return read_best(folder.checkpoints) if epoch == "best" else read_weights(checkpoints[-1])
