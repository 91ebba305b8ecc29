"""`probe`: what a linear read-out finds in each layer of networks, with permutation tests and controls.

What belongs here: from sources to stores, twins and seeds; probes themselves are in `fernet_neuro.probes`.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fernet_neuro._utils.validation import check_range
from fernet_neuro.activations.store import ActivationStore, check_stores_differ
from fernet_neuro.door.people import count_trained_people
from fernet_neuro.extraction.sources import check_source_exists, open_with_twins
from fernet_neuro.probes.controls import CONTROLS
from fernet_neuro.probes.evaluate import check_probe, run_probe
from fernet_neuro.probes.result import ProbeReport, summarise_seeds
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.typing import Holdout, PathLike

if TYPE_CHECKING:
    from fernet_neuro.extraction.sources import Source, Stimuli

logger = logging.getLogger(__name__)


def probe(
    sources: "Source | Sequence[Source]",
    stimuli: "Stimuli | None" = None,
    *,
    layers: Sequence[str] | None = None,
    target: str = "expression",
    holdout: Holdout = "identity",
    readouts: Sequence[str] = ("ridge",),
    n_permutations: int = 1000,
    n_permutations_iterative: int = 0,
    permute_within: str | None = "auto",
    controls: Sequence[str] = CONTROLS,
    untrained: "Source | Sequence[Source] | None" = None,
    n_twins: int = 10,
    penalty: float | None = None,
    penalties: Sequence[float] | None = None,
    n_folds: int = 10,
    labelled_only: bool = False,
    scale: str = "auto",
    seed: int = 0,
    keep: PathLike | None = None,
    size: int | None = None,
    input: str | None = None,
    n_jobs: int = 1,
    verbose: bool = False,
    device: str = "auto",
) -> ProbeReport:
    """Return what read-outs of frozen layers find on stimuli whose hold-out they never saw in training.

    A network runs over the stimuli once, and so do its untrained twins: ten, since one alone says what one
    draw of random weights does. What they answer is kept and found again, also for another network of that
    architecture.

    Parameters
    ----------
    sources : source or sequence of sources
        An activation store or its folder, a run folder, a network by name or as it is; several are training
        seeds of one network. A plain ``torch.nn.Module`` goes through `load_model` first.
    stimuli : StimulusTable, DataFrame or path, default=None
        Labels to read out, and what networks see; None for a store's own.
    layers : sequence of str, default=None
        Layers to probe; None for all.
    target, holdout, readouts, n_permutations, n_permutations_iterative, permute_within, controls
        As in `run_probe`.
    untrained : source or sequence of sources, default=None
        Untrained twins of one source, or one of each; networks get theirs built, a store has none unless it
        is given.
    n_twins : int, default=10
        Untrained twins that a network gets. Each costs a pass over the stimuli and the room of a store.
    penalty, penalties, n_folds, labelled_only, scale, seed
        As in `run_probe`.
    keep : path, default=None
        Folder for new stores; without one, they are kept in the user's cache folder.
    size : int, default=None
        Side of the input of a newly built network, in pixels.
    input : str, default=None
        What a network of your own (``file.py:function``) is shown: ``"imagenet"``, ``"0-1"``, ``"-1-1"``,
        ``"bgr-255"``, or as in ``"mean=0.5,std=0.25"``; None where its function says so.
    n_jobs : int, default=1
        Layers probed at once; -1 for one per core. The result does not depend on it.
    verbose, device
        As in `extract_activations`.

    Returns
    -------
    ProbeReport
        ``settings["trained_people"]`` says how many people of the stimuli each run was trained on.

    Raises
    ------
    FileNotFoundError
        If a source is a path and nothing is there.
    ValueError
        If a network has no stimuli to see or no untrained twin, or an argument is not known or out of range.
    StoreError
        If two sources, or two twins, are one network.
    LayerNotFoundError, AlignmentError, StimulusError
        As in `run_probe`; labels and folds are checked before a network runs.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> report = fn.probe("resnet10-slim", faces, layers=["layer1"], size=32, n_folds=3, n_permutations=9)
    >>> sorted(set(report.frame["source"]))
    ['network', 'pixels', 'untrained']
    """
    listed, twins = _as_list(sources), [] if untrained is None else _as_list(untrained)
    check_range("n_twins", n_twins, 1)
    if twins and len(listed) > 1 and len(twins) != len(listed):
        raise ValueError(
            f"give one untrained twin per source (one --untrained store per SOURCE), or several of one; got "
            f"{len(twins)} for {len(listed)}."
        )
    for source in listed:
        check_source_exists(source)
    table = None if stimuli is None else read_stimuli(stimuli)
    labels: dict[str, Any] = {
        "target": target, "holdout": holdout, "readouts": readouts, "permute_within": permute_within,
        "penalty": penalty, "n_folds": n_folds, "labelled_only": labelled_only, "seed": seed,
        "scale": scale,
    }  # fmt: skip
    if table is not None:
        # Before networks run over all stimuli; a store's own table is checked when it is opened.
        check_probe(table, n_permutations=max(n_permutations, n_permutations_iterative), **labels)
    wants_twin = "untrained" in controls
    stores = _open_all(
        listed, twins if wants_twin else [], table, layers, keep, n_twins=n_twins if wants_twin else 0,
        model_options={"size": size, "input": input}, verbose=verbose, device=device,
    )  # fmt: skip
    check_stores_differ([store for store, _ in stores])
    probing: dict[str, Any] = {
        "table": table, "layers": layers, "n_permutations": n_permutations,
        "n_permutations_iterative": n_permutations_iterative, "controls": controls, "penalties": penalties,
        "n_jobs": n_jobs, "verbose": verbose, **labels,
    }  # fmt: skip
    reports = []
    for number, (source, (store, untaught)) in enumerate(zip(listed, stores, strict=True), start=1):
        if len(listed) > 1:
            logger.info("%s (seed %d of %d)", source, number, len(listed))
        reports.append(run_probe(store, untrained_stores=untaught, **probing))
    report = reports[0] if len(reports) == 1 else summarise_seeds(reports)
    seen = stores[0][0].stimuli if table is None else table
    report.settings["trained_people"] = count_trained_people(listed, seen)
    return report


def _open_all(
    sources: "Sequence[Source]",
    twins: "Sequence[Source]",
    table: StimulusTable | None,
    layers: Sequence[str] | None,
    keep: PathLike | None,
    **options: Any,
) -> list[tuple[ActivationStore, list[ActivationStore]]]:
    """Return the store of each source with those of its twins."""
    pairs = []
    for number, source in enumerate(sources):
        place = None if keep is None else Path(keep) / f"seed{number}"
        own = twins if len(sources) == 1 else twins[number : number + 1]
        pairs.append(open_with_twins(source, table, layers, twins=own, keep=place, **options))
    return pairs


def _as_list(sources: "Source | Sequence[Source]") -> "list[Source]":
    return list(sources) if isinstance(sources, list | tuple) else [sources]  # type: ignore[list-item]  # one
