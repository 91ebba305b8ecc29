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

#: The untrained twin's seed is this much above the network's, so that it is not its own starting point.
TWIN_SEED_OFFSET = 1000


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
        Such as ``size`` (pixels), of a newly built network.
    **extraction
        ``n_jobs``, ``verbose``, ``device``, ``batch_size``, ``dtype`` and ``pool`` of `extract_activations`.

    Raises
    ------
    ValueError
        If `source` is a network and there are no stimuli; otherwise as `extract_activations`.
    """
    store, _ = open_with_twin(
        source, stimuli, layers, make_twin=False, keep=keep, model_options=model_options, **extraction
    )
    return store


def open_with_twin(
    source: "Source",
    stimuli: "Stimuli | None" = None,
    layers: Sequence[str] | None = None,
    *,
    twin: "Source | None" = None,
    make_twin: bool = True,
    keep: PathLike | None = None,
    model_options: Mapping[str, Any] | None = None,
    **extraction: Any,
) -> tuple[ActivationStore, ActivationStore | None]:
    """Return the activations of `source`, and those of its untrained twin; parameters as in `open_source`.

    `twin`: the twin, in place of one that is built: a store knows no network to build one from. `make_twin`:
    whether a network gets its twin built where none is given. Raises ValueError if the network has no
    untrained twin; otherwise as `open_source`.
    """
    options = {"model_options": model_options, **extraction}
    given = None if twin is None else open_source(twin, stimuli, layers, keep=_beside(keep), **options)
    if isinstance(source, ActivationStore):
        return source, given
    if _is_path(source) and is_store(source):
        return ActivationStore.open(source), given
    if stimuli is None:
        raise missing_stimuli(source)
    return _run(source, read_stimuli(stimuli), layers, given, make_twin and given is None, keep, **options)


def _run(
    source: Any,
    table: StimulusTable,
    layers: Sequence[str] | None,
    given: ActivationStore | None,
    make_twin: bool,
    keep: PathLike | None,
    *,
    model_options: Mapping[str, Any] | None,
    **extraction: Any,
) -> tuple[ActivationStore, ActivationStore | None]:
    # Here, because stores alone are opened without torch.
    from fernet_neuro.extraction.extract import extract_once
    from fernet_neuro.extraction.plan import plan_extraction
    from fernet_neuro.models.registry import untrained_twin
    from fernet_neuro.models.resolve import resolve_model

    model = resolve_model(source, **(model_options or {}))
    name = str(source) if _is_path(source) else model.card.name
    # Before any network runs: not every one has a twin.
    twin = untrained_twin(model, (model.card.seed or 0) + TWIN_SEED_OFFSET) if make_twin else None
    running = {key: extraction.pop(key) for key in ("n_jobs", "verbose") if key in extraction}
    plans = [plan_extraction(network, table, layers, **extraction) for network in (model, twin) if network]
    store = extract_once(plans[0], keep, source=name, **running)
    if twin is None:
        return store, given
    return store, extract_once(plans[1], _beside(keep), source=f"untrained twin of {name}", **running)


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


def _beside(keep: PathLike | None) -> Path | None:
    return None if keep is None else Path(keep).with_name(f"{Path(keep).name}-untrained")
