"""Whether the neutral form of an expressive face finds that person's own neutral face.

What belongs here: the gallery of neutral faces, who is found in it, and the controls beside; statistics of
people and of twins are those of probes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.rows import scale_rows
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.shown import Shown
from fernet_neuro._utils.tables import write_csv
from fernet_neuro._utils.validation import check_range
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.extraction.sources import is_extracted, missing_stimuli, open_source, open_with_twins
from fernet_neuro.probes.uncertainty import Units, compare_paired, compare_with_twins
from fernet_neuro.stats.resampling import clopper_pearson
from fernet_neuro.stimuli.table import StimulusTable, check_same_stimuli, read_stimuli
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from fernet_neuro.extraction.sources import Source, Stimuli

#: The face as it is, which also makes the gallery, and transformed.
LAYERS = ("visual", "neutral")


@dataclass(frozen=True, eq=False, repr=False)
class NeutralMatch(Shown):
    """How often an expressive face finds its own person among everybody's neutral faces.

    Parameters
    ----------
    frame : DataFrame
        One row per ``source`` ("network", "untrained", the mean of its twins, and "pixels") and ``layer``
        ("visual", the face as it is, "neutral", transformed, and "pixels"): ``accuracy``, the mean over
        people, in [0, 1], with its 95 % interval ``low`` and ``high`` over people; ``n_found``, how many
        people anybody finds, 1 where all neutral forms are alike; ``chance``; ``p_value``, of people
        shuffled; ``n_people``, ``n_images``. Rows of the network have the differences to the face
        as it is (``difference_visual``), to the untrained twins' same layer and to pixels, each with
        ``_low``, ``_high`` and ``_p``.
    """

    frame: pd.DataFrame

    def describe(self) -> str:
        """Return accuracies and chance."""
        own = self.frame[self.frame["source"] != "untrained"]
        pairs = zip(own["layer"], own["accuracy"], strict=True)
        said = ", ".join(f"{layer} {100 * accuracy:.1f} %" for layer, accuracy in pairs)
        n_images, chance = self.frame["n_images"].iloc[0], 100 * self.frame["chance"].iloc[0]
        return f"{said} of {n_images} faces find their person (chance {chance:.1f} %)"


@dataclass(frozen=True)
class _Task:
    """Who is to be found: people, rows of their neutral and expressive faces, and whose each of these is."""

    people: np.ndarray
    gallery: np.ndarray
    gallery_of: np.ndarray
    shown: np.ndarray
    shown_of: np.ndarray

    def count_found(self, gallery: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Return whom the faces of each person find: shares (n_people, n_people), true by found.

        Each person's neutral faces of the layer `gallery` are averaged after scaling to length 1; expressive
        ones of the layer `faces` find the person of highest cosine.
        """
        n = len(self.people)
        sums = np.zeros((n, gallery.shape[1]))
        np.add.at(sums, self.gallery_of, scale_rows(gallery[self.gallery]))
        found = (scale_rows(faces[self.shown]) @ scale_rows(sums).T).argmax(axis=1)
        counts = np.bincount(self.shown_of * n + found, minlength=n * n).reshape(n, n)
        return counts / counts.sum(axis=1, keepdims=True)


def match_neutral(
    source: "Source",
    stimuli: "Stimuli | None" = None,
    *,
    untrained: "Sequence[Source]" = (),
    n_twins: int = 10,
    neutral: str = "neutral",
    n_permutations: int = 1000,
    seed: int = 0,
    keep: PathLike | None = None,
    verbose: bool = False,
    device: str = "auto",
) -> NeutralMatch:
    """Return how well expressive faces find their person's neutral face, before and after transformation.

    Beside the network stand its untrained twins and the pixels of the pictures, each with a gallery of its
    own. An interval says how far the accuracy would move with other people who look for themselves in the
    same gallery.

    Parameters
    ----------
    source : network or store
        A text-guided network, as `probe` takes it, or a store of its layers ``visual`` and ``neutral``.
    stimuli : StimulusTable, DataFrame or path, default=None
        With ``identity`` and ``expression``; needed unless `source` is a store.
    untrained : sequence of networks or stores, default=()
        Untrained twins of a store; a network gets `n_twins` of its own.
    n_twins : int, default=10
        0 for none.
    neutral : str
        The expression that makes the gallery; all others look for their person in it.
    n_permutations : int
        Shuffles of people, whole people at a time, among those who look.
    seed : int
    keep, verbose, device
        As in `probe`.

    Raises
    ------
    AlignmentError
        If a store is of other stimuli than `stimuli`.
    StimulusError
        If fewer than three people have both a neutral and an expressive face.
    LayerNotFoundError
        If the source has no layers ``visual`` and ``neutral``.
    ValueError
        If a network has no stimuli to see, one twin only is asked for, or a number is out of range.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> network = fn.load_model("e2n-resnet10-slim", size=32)
    >>> found = match_neutral(network, faces, n_twins=2, n_permutations=19).frame
    >>> found[["source", "layer", "n_people", "n_images"]].to_numpy().tolist()[:2]
    [['network', 'visual', 3, 18], ['network', 'neutral', 3, 18]]
    """
    check_range("n_permutations", n_permutations, 1)
    if n_twins == 1 or len(untrained) == 1:
        raise ValueError("one untrained twin says nothing of how they differ; take two or more, or none.")
    table = _find_table(source, stimuli)
    task = _plan(table, neutral)
    running: dict[str, Any] = {"keep": keep, "verbose": verbose, "device": device}
    store, twins = open_with_twins(source, table, LAYERS, twins=untrained, n_twins=n_twins, **running)
    for opened in (store, *twins):
        check_same_stimuli(table.stimulus_ids, opened.stimuli.stimulus_ids, ("the table", "a store"))
    ours = _find_all(task, {name: store[name].values for name in LAYERS})
    theirs = [_find_all(task, {name: twin[name].values for name in LAYERS}) for twin in twins]
    pixels = compute_pixels(table).values
    rows = _judge(ours, theirs, task.count_found(pixels, pixels), n_permutations, seed)
    sizes = {"n_people": len(task.people), "n_images": len(task.shown)}
    return NeutralMatch(pd.DataFrame(rows).assign(chance=1 / len(task.people), **sizes))


def write_match(store: ActivationStore, twins: Sequence[ActivationStore], out: Path) -> None:
    """Write ``match.csv`` of a network and its twins into a folder, or ``left_out.txt`` that says why not."""
    try:
        found = match_neutral(store, untrained=twins if len(twins) > 1 else ())
    except StimulusError as error:
        write_text(out / "left_out.txt", f"{error}\n")
    else:
        write_csv(found.frame, out / "match.csv")


def _find_table(source: "Source", stimuli: "Stimuli | None") -> StimulusTable:
    if stimuli is not None:
        return read_stimuli(stimuli)
    if not is_extracted(source):
        raise missing_stimuli(source)
    return open_source(source).stimuli


def _plan(table: StimulusTable, neutral: str) -> _Task:
    whose, felt = (np.asarray(table.factor(name), dtype=str) for name in ("identity", "expression"))
    is_neutral = felt == neutral
    people = np.array(sorted(set(whose[is_neutral]) & set(whose[~is_neutral])))
    if len(people) < 3:
        raise StimulusError(
            f"matching needs three people or more with a face of expression {neutral!r} and another one; "
            f"the stimuli have {len(people)}."
        )
    known = np.isin(whose, people)
    gallery, shown = np.flatnonzero(is_neutral & known), np.flatnonzero(~is_neutral & known)
    return _Task(
        people, gallery, np.searchsorted(people, whose[gallery]), shown, np.searchsorted(people, whose[shown])
    )


def _find_all(task: _Task, layers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: task.count_found(layers["visual"], values) for name, values in layers.items()}


def _judge(
    ours: Mapping[str, np.ndarray],
    twins: Sequence[Mapping[str, np.ndarray]],
    pixels: np.ndarray,
    n_permutations: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return a row per source and layer from who found whom, shares (n_people, n_people)."""
    rows = []
    for name, found in ours.items():
        row: dict[str, Any] = {"source": "network", "layer": name, **_score(found, seed)}
        row |= _test(found, n_permutations, seed)
        others = {"visual": ours["visual"]} if name != "visual" else {}
        for other, theirs in {**others, "pixels": pixels}.items():
            units = Units.of_people(np.diag(found) - np.diag(theirs))
            row |= compare_paired(units.score, units, other, seed)
        if twins:
            scores = [float(np.diag(twin[name]).mean()) for twin in twins]
            units_of = [Units.of_people(np.diag(found) - np.diag(twin[name])) for twin in twins]
            row |= compare_with_twins(row["accuracy"], scores, units_of)
        rows.append(row)
    for name in ours if twins else ():
        mean = np.mean([twin[name] for twin in twins], axis=0)
        n_found = np.mean([_count(twin[name]) for twin in twins])
        rows.append({"source": "untrained", "layer": name, **_score(mean, seed), "n_found": n_found})
    rows.append(
        {"source": "pixels", "layer": "pixels", **_score(pixels, seed), **_test(pixels, n_permutations, seed)}
    )
    return rows


def _score(found: np.ndarray, seed: int) -> dict[str, float]:
    """Return the accuracy and its interval; exact where everybody is found always or never."""
    right = np.diag(found)
    if np.isin(right, (0, 1)).all():
        low, high = clopper_pearson(right.sum(), len(right))
    else:
        low, high = Units.of_people(right).interval((0.0, 1.0), seed) or (0.0, 1.0)
    return {
        "accuracy": float(right.mean()),
        "low": max(low, 0.0),
        "high": min(high, 1.0),
        "n_found": _count(found),
    }


def _count(found: np.ndarray) -> float:
    return float((found.sum(axis=0) > 0).sum())


def _test(found: np.ndarray, n_permutations: int, seed: int) -> dict[str, float]:
    """Return the p value of the accuracy if those who look are shuffled, all faces of one together."""
    rng, n = make_rng(seed, "text", "match"), len(found)
    shuffled = rng.permuted(np.tile(np.arange(n), (n_permutations, 1)), axis=1)
    null = found[np.arange(n), shuffled].mean(axis=1)
    # Equal accuracies count although their shares are added up in another order.
    reached = np.sum(null >= np.diag(found).mean() - 1e-12)
    return {"p_value": float((1 + reached) / (1 + n_permutations))}
