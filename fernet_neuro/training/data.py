"""Images on their way to the network: decoded once and kept, or decoded by workers, in a seeded order.

What belongs here: the order of an epoch, its global batches and each process's part of them; which stimuli
train and which validate is in `held_out`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fernet_neuro._utils.memory import find_memory
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.task import Items

#: Share of the memory here that decoded images may fill before "auto" leaves them on disk.
MEMORY_SHARE = 0.25
#: Pictures that one worker decodes at a time while the cache fills.
DECODE_CHUNK = 64


@dataclass(frozen=True)
class Batch:
    """One process's part of a global batch.

    `items` (n_global,): positions in the epoch's items of the whole global batch, all processes together.
    `local` (n_local,): this process's part of `items`. `images` (n_local * n_images_per_item, 3, size, size):
    item by item.
    """

    items: np.ndarray
    local: np.ndarray
    images: Tensor


class ImageSource:
    """The pictures of a table, resized and cropped for a network, by row number.

    `cache`: one of "auto", "memory", "none". `n_jobs`: worker processes that decode; 0 decodes in this one.
    `n_sharing`: processes on this machine that each hold a cache.
    """

    def __init__(
        self,
        table: StimulusTable,
        preprocessing: Preprocessing,
        *,
        cache: str = "auto",
        n_jobs: int = 0,
        n_sharing: int = 1,
        verbose: bool = False,
    ) -> None:
        self._plan = _Plan()
        # One loader for the whole run: its workers outlive an epoch, since starting them takes seconds.
        self._loader: DataLoader | None = DataLoader(
            _DecodedImages(table, preprocessing),
            sampler=self._plan,
            batch_size=None,
            num_workers=n_jobs,
            persistent_workers=n_jobs > 0,
            # Its own generator: the loader seeds its workers from torch's at each pass, which would shift
            # dropout.
            generator=torch.Generator(),
        )
        needed = n_sharing * self.estimate_memory(len(table), preprocessing.size)
        self._cached: Tensor | None = None
        if cache == "memory" or (cache == "auto" and needed <= MEMORY_SHARE * find_memory()):
            self._cached = self._decode_all(len(table), preprocessing.size, verbose)
            self._loader = None

    @staticmethod
    def estimate_memory(n_images: int, size: int) -> int:
        """Return how many bytes `n_images` decoded pictures of `size` x `size` pixels fill."""
        return n_images * 3 * size * size

    @property
    def in_memory(self) -> bool:
        """Whether the decoded images are held in memory."""
        return self._cached is not None

    def iterate(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the pictures of each array of row numbers, uint8 of shape (n_rows, 3, size, size).

        Raises StimulusError if a picture is missing or cannot be decoded, naming the stimulus.
        """
        if self._cached is not None:
            yield from (self._cached[torch.from_numpy(rows)] for rows in batches)
            return
        self._plan.batches = batches
        for loaded in self._loader or ():
            # Workers hand errors over as values: raised there, they would arrive with a traceback as their
            # text.
            if isinstance(loaded, StimulusError):
                raise loaded
            yield loaded

    def _decode_all(self, n_images: int, size: int, verbose: bool) -> Tensor:
        decoded = torch.empty((n_images, 3, size, size), dtype=torch.uint8)
        firsts = range(0, n_images, DECODE_CHUNK)
        chunks = [np.arange(first, min(first + DECODE_CHUNK, n_images)) for first in firsts]
        parts = track(self.iterate(chunks), "Decoding images", total=len(chunks), verbose=verbose)
        for rows, part in zip(chunks, parts, strict=True):
            decoded[rows[0] : rows[-1] + 1] = part
        return decoded


class _Plan(Sampler):
    """Hands out the arrays of row numbers that were last put in `batches`."""

    batches: Sequence[np.ndarray] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _DecodedImages(Dataset):
    """Decodes the pictures of an array of row numbers; a bad one makes the result a `StimulusError`."""

    def __init__(self, table: StimulusTable, preprocessing: Preprocessing) -> None:
        self._ids = table.stimulus_ids
        self._paths = [str(path) for path in table.paths()]
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, rows: np.ndarray) -> Tensor | StimulusError:
        try:
            return torch.stack([self._load(int(row)) for row in rows])
        except StimulusError as error:
            return error

    def _load(self, row: int) -> Tensor:
        try:
            return self._preprocessing.resize_and_crop(load_image(self._paths[row]))
        except (StimulusError, OSError) as error:
            raise StimulusError(f"stimulus {str(self._ids[row])!r}: {error}") from error


def balance_items(items: Items, seed: int, epoch: int) -> Items:
    """Return as many items, drawn with replacement so that each target is equally likely in each draw."""
    _, groups, counts = np.unique(items.targets, return_inverse=True, return_counts=True)
    chances = 1 / (len(counts) * counts[groups])
    drawn = make_rng(seed, "sampling", epoch).choice(len(items), len(items), p=chances)
    extras = {name: values[drawn] for name, values in items.extras.items()}
    return Items(items.rows[drawn], items.targets[drawn], extras)


def order_epoch(n_items: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch shows its items, a permutation of shape (n_items,)."""
    return make_rng(seed, "order", epoch).permutation(n_items)


def split_batches(
    order: np.ndarray, batch_size: int, n_processes: int = 1, *, last: str = "drop"
) -> list[np.ndarray]:
    """Return the global batches of an epoch.

    The last batch is left out where it is not full, since batch statistics of a few images harm a network;
    the order of the next epoch shows those items. Fewer items than one batch make a single smaller batch.
    With ``last="keep"`` what is left makes a smaller batch, but for a single item or what processes cannot
    share.

    Raises ValueError if the batches cannot be shared evenly among the processes, or there are too few items.
    """
    if batch_size % n_processes:
        raise ValueError(
            f"batch_size={batch_size} cannot be shared evenly by {n_processes} processes; use a multiple."
        )
    size = min(batch_size, len(order) // n_processes * n_processes)
    if size < max(2, n_processes):
        raise ValueError(f"{len(order)} items are too few to train on with {n_processes} processes.")
    batches = [order[first : first + size] for first in range(0, len(order) - size + 1, size)]
    n_left = len(order) % size // n_processes * n_processes
    if last == "keep" and n_left > 1:
        batches.append(order[len(batches) * size :][:n_left])
    return batches


def iterate_batches(
    source: ImageSource, rows: np.ndarray, batches: Sequence[np.ndarray], rank: int = 0, n_processes: int = 1
) -> Iterator[Batch]:
    """Yield this process's part of each global batch with its pictures.

    `rows` (n_items, n_images_per_item): rows of the table that each item of the epoch shows. `batches`: from
    `split_batches`. `rank`, `n_processes`: process `rank` takes each `n_processes`-th item.
    """
    local = [batch[rank::n_processes] for batch in batches]
    images = source.iterate([rows[part].reshape(-1) for part in local])
    for items, part, pictures in zip(batches, local, images, strict=True):
        yield Batch(items, part, pictures)
