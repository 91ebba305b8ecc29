"""From whatever stands for a network, or for what it answered, to an activation store, and to its twin's.

What belongs here: what a source is, and that no network runs twice over the same stimuli.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from fernet_neuro.activations.store import ActivationStore, is_store
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from fernet_neuro.models.layers import LayeredModel

    #: A network: its run folder, its name, ``NAME@WEIGHTS``, or as it is; or a store of what it answered.
    Source = PathLike | ActivationStore | LayeredModel | nn.Module
    #: What stands for stimuli.
    Stimuli = StimulusTable | pd.DataFrame | PathLike

#: Seed of the first untrained twin; others follow. They are the same for all networks of one architecture,
#: so that their answers are kept and found again.
TWIN_SEED = 1000


def check_source_exists(source: "Source") -> None:
    """Refuse a mistyped path here, or the search for a network of that name blames the wrong thing.

    Raises FileNotFoundError if `source` is a path and nothing is there.
    """
    if not isinstance(source, str):
        return
    names_function = ":" in Path(source).name or "@" in source
    if "/" in source and not names_function and not Path(source).exists():
        raise FileNotFoundError(
            f"SOURCE {source!r}: no such folder. Name an activation store, a run folder or a known network."
        )


def is_extracted(source: "Source") -> bool:
    """Return whether `source` is a store or its folder, so that no network has to run."""
    return isinstance(source, ActivationStore) or (_is_path(source) and is_store(source))


def open_source(
    source: "Source",
    stimuli: "Stimuli | None" = None,
    layers: Sequence[str] | None = None,
    *,
    keep: PathLike | None = None,
    model_options: Mapping[str, Any] | None = None,
    **extraction: Any,
) -> ActivationStore:
    """Return the activations that `source` stands for; a network runs only if that was never done before.

    Parameters
    ----------
    source : path, ActivationStore, LayeredModel or nn.Module
        A store or its folder, as it is; or a network, as `extract_activations` takes it.
    stimuli : StimulusTable, DataFrame or path, default=None
        What a network sees.
    layers : sequence of str, default=None
        Of a network; None for all that it lists.
    keep : path, default=None
        Folder for a new store; without one, it is kept in the user's cache folder.
    model_options : mapping, default=None
        Such as ``size`` (pixels), of a newly built network; those that are None are left out.
    **extraction
        ``n_jobs``, ``verbose``, ``device``, ``batch_size``, ``dtype`` and ``pool`` of `extract_activations`.

    Raises
    ------
    ValueError
        If `source` is a network and there are no stimuli; otherwise as `extract_activations`.
    """
    options: dict[str, Any] = {"n_twins": 0, "keep": keep, "model_options": model_options}
    return open_with_twins(source, stimuli, layers, **options, **extraction)[0]


def list_twin_seeds(n_twins: int, seed: int | None) -> list[int]:
    """Return the seeds of the untrained twins of a network trained from `seed`, which is not among them.

    Examples
    --------
    >>> list_twin_seeds(3, 0), list_twin_seeds(3, 1001)
    ([1000, 1001, 1002], [1000, 1002, 1003])
    """
    return [number for number in range(TWIN_SEED, TWIN_SEED + n_twins + 1) if number != seed][:n_twins]


def open_with_twins(
    source: "Source",
    stimuli: "Stimuli | None" = None,
    layers: Sequence[str] | None = None,
    *,
    twins: "Sequence[Source]" = (),
    n_twins: int = 10,
    keep: PathLike | None = None,
    model_options: Mapping[str, Any] | None = None,
    **extraction: Any,
) -> tuple[ActivationStore, list[ActivationStore]]:
    """Return the activations of `source`, and those of its untrained twins; parameters as in `open_source`.

    `twins`: those given, in place of those that are built: a store knows no network to build them from.
    `n_twins`: how many a network gets built where none is given; each costs one pass over the stimuli, once.
    Raises ValueError if the network has no untrained twin; otherwise as `open_source`.
    """
    options = {"model_options": model_options, **extraction}
    given = [
        open_source(twin, stimuli, layers, keep=_beside(keep, number), **options)
        for number, twin in enumerate(twins)
    ]
    if isinstance(source, ActivationStore):
        return source, given
    if _is_path(source) and is_store(source):
        return ActivationStore.open(source), given
    if stimuli is None:
        raise missing_stimuli(source)
    n_built = 0 if given else n_twins
    store, built = _run(source, read_stimuli(stimuli), layers, n_built, keep, **options)
    return store, given or built


def _run(
    source: Any,
    table: StimulusTable,
    layers: Sequence[str] | None,
    n_twins: int,
    keep: PathLike | None,
    *,
    model_options: Mapping[str, Any] | None,
    **extraction: Any,
) -> tuple[ActivationStore, list[ActivationStore]]:
    # Here, because stores alone are opened without torch.
    from fernet_neuro.extraction.extract import extract_once
    from fernet_neuro.extraction.plan import plan_extraction
    from fernet_neuro.models.registry import untrained_twin
    from fernet_neuro.models.resolve import resolve_model

    given = {key: value for key, value in (model_options or {}).items() if value is not None}
    model = resolve_model(source, **given)
    name = str(source) if _is_path(source) else model.card.name
    seeds = list_twin_seeds(n_twins, model.card.seed)
    # Before any network runs: not every one has a twin.
    first = [untrained_twin(model, seed) for seed in seeds[:1]]
    running = {key: extraction.pop(key) for key in ("n_jobs", "verbose") if key in extraction}
    store = extract_once(plan_extraction(model, table, layers, **extraction), keep, source=name, **running)
    twins = []
    for number, seed in enumerate(seeds):  # one at a time, for each holds its own weights
        twin = first[0] if number == 0 else untrained_twin(model, seed)
        plan = plan_extraction(twin, table, layers, **extraction)
        place = _beside(keep, number)
        twins.append(extract_once(plan, place, source=f"untrained twin {number + 1} of {name}", **running))
    return store, twins


def missing_stimuli(source: "Source") -> ValueError:
    """Return the error of a source that is not a store where no stimuli are given to show a network."""
    if not _is_path(source):
        return ValueError("a network needs pictures to see: give stimuli.")
    what = "is a network" if Path(source).exists() else "is not a store here, so it must be a network's name"
    return ValueError(
        f"SOURCE {str(source)!r} {what}; a network needs pictures to see: give stimuli (--stimuli TABLE)."
    )


def _is_path(source: "Source") -> TypeGuard[PathLike]:
    return isinstance(source, str | os.PathLike)


def _beside(keep: PathLike | None, number: int) -> Path | None:
    return None if keep is None else Path(keep).with_name(f"{Path(keep).name}-untrained{number or ''}")
