"""`rsa`: how well networks and other models account for the geometry of brain regions.

What belongs here: from sources to RDMs of the same stimuli; the inference is in `fernet_neuro.rsa`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fernet_neuro.activations.array import Activations
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.door.rdms import compute_rdms
from fernet_neuro.rsa.analysis.inputs import list_blocks, read_brain_for
from fernet_neuro.rsa.analysis.models import concat_models
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, run_rsa
from fernet_neuro.rsa.brain_rdms import compute_brain_rdms
from fernet_neuro.rsa.files.io import read_rdms
from fernet_neuro.rsa.files.whose import check_copies
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.stimuli.text_table import TextTable
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from fernet_neuro.extraction.sources import Source, Stimuli

    Model = RDMSet | Source | Stimuli


def rsa(
    models: "Model | Sequence[Model] | Mapping[str, Model]",
    brain: RDMSet | BrainPatterns | Sequence[BrainPatterns] | PathLike,
    stimuli: "Stimuli | None" = None,
    *,
    layers: Sequence[str] | None = None,
    factors: Sequence[str] = (),
    texts: TextTable | PathLike | None = None,
    pixels: bool = False,
    gabor: bool = False,
    distance: str | None = None,
    brain_distance: str = "crossnobis",
    rois: Sequence[str] = (),
    blocks: str | np.ndarray | None = None,
    partition: Sequence[str] = (),
    settings: RSASettings | None = None,
    out: PathLike | None = None,
    device: str = "auto",
    n_jobs: int = 1,
    verbose: bool = False,
    **changes: Any,
) -> RSAResult:
    """Return how well models account for brain regions: ceilings, intervals, tests, peaks and shares.

    Parameters
    ----------
    models : RDMSet, network, store, path, sequence of these, or mapping from name to these
        RDMs as they are or in a file; networks and stores as `probe` takes them, one model per layer. Names
        tell the models of several sources apart.
    brain : RDMSet, BrainPatterns, sequence of BrainPatterns, or path
        RDMs with a column ``subject``, or patterns; a path is of a file of RDMs or a folder of patterns.
    stimuli : StimulusTable, DataFrame or path, default=None
        What networks see, and where labels and pictures come from.
    layers : sequence of str, default=None
        Of networks and stores; None for all.
    factors, texts, pixels, gabor
        Further models of `stimuli`, as in `compute_rdms`.
    distance, brain_distance : str
        Between patterns of models, and of brain regions.
    rois : sequence of str, default=()
        Regions to keep of a file or folder; all by default.
    blocks : str or ndarray of shape (n_stimuli,), default=None
        A column of `stimuli`, or labels: stimuli with one value are resampled together.
    partition : sequence of str, default=()
        Names of models between which explained variance is split.
    settings : RSASettings, default=None
        None for the defaults.
    out : path, default=None
        Folder to write the result to, with all that was compared; figures are built from it.
    device, n_jobs, verbose
        As in `probe`.
    **changes
        Settings by name, such as ``comparison="spearman"`` or ``n_bootstraps=500``.

    Raises
    ------
    AlignmentError
        If models and brain are of different stimuli, or in another order.
    ValueError, StoreError, StimulusError
        As `run_rsa`, and as whatever the sources go through.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> who = fn.compute_rdms(faces, factors=["identity"]).dissimilarities
    >>> noise = np.random.default_rng(0).normal(size=(4, who.shape[1]))
    >>> people = pd.DataFrame({"subject": list("abcd"), "roi": "FFA"})
    >>> brain = fn.RDMSet(who + noise, faces.stimulus_ids, people)
    >>> found = fn.rsa(
    ...     fn.load_model("resnet10-slim", size=32), brain, faces, layers=["layer1"], factors=["identity"],
    ...     n_bootstraps=50, n_permutations=50,
    ... )
    >>> found.frame["model"].tolist()
    ['layer1', 'identity']
    """
    table = None if stimuli is None else read_stimuli(stimuli)
    named = _name(models)
    options: dict[str, Any] = {"layers": layers, "distance": distance, "device": device, "verbose": verbose}
    sets = [_read_model(model, table, options) for _, model in named]
    labels = [name for name, _ in named]
    wanted: dict[str, Any] = {"factors": factors, "texts": texts, "pixels": pixels, "gabor": gabor}
    if any(wanted.values()):
        if table is None:
            raise ValueError("factors, texts, pixels and gabor are of a stimulus table: give stimuli.")
        sets.append(compute_rdms(table, distance=distance, **wanted))
        labels.append("stimuli")
    joined = concat_models(sets, labels)
    if isinstance(blocks, str):
        blocks = list_blocks(table, blocks, joined.stimulus_ids)
    if blocks is not None:
        changes["blocks"] = blocks
    regions = _read_brain(brain, joined, table, brain_distance, rois)
    changes |= {"n_jobs": n_jobs, "verbose": verbose}
    result = run_rsa(joined, regions, settings, partition=partition, **changes)
    if out is not None:
        known = None if table is None else table.align_to(joined.stimulus_ids)
        RSAFolder(result, joined, regions, known).save(out)
    return result


def _read_model(model: Any, table: StimulusTable | None, options: dict[str, Any]) -> RDMSet:
    if isinstance(model, RDMSet):
        return model
    if isinstance(model, Activations):
        return compute_rdms(model, distance=options["distance"])
    is_file = isinstance(model, str | Path) and Path(model).is_file()
    return read_rdms(model) if is_file else compute_rdms(model, table, **options)


def _read_brain(
    brain: Any, models: RDMSet, table: StimulusTable | None, distance: str, rois: Sequence[str]
) -> RDMSet:
    if isinstance(brain, RDMSet):
        if "subject" in brain.table:
            check_copies(brain)
        return brain
    if isinstance(brain, str | Path):
        return read_brain_for(str(brain), models, distance=distance, rois=rois, table=table)
    patterns = [brain] if isinstance(brain, BrainPatterns) else brain
    if not isinstance(patterns, list | tuple):
        raise TypeError(
            f"brain must be an RDMSet, BrainPatterns, several of these in a list, or a path; got {brain!r}. "
            f"Of a BIDS data set, fernet-neuro brain patterns makes the patterns first."
        )
    return compute_brain_rdms(patterns, distance, stimulus_ids=models.stimulus_ids)


def _name(models: Any) -> list[tuple[str, Any]]:
    """Return models with what tells those of one source from those of others, where names occur twice."""
    if isinstance(models, Mapping):
        return list(models.items())
    listed = models if isinstance(models, list | tuple) else [models]
    return [
        (Path(model).stem if isinstance(model, str | Path) else f"source{number}", model)
        for number, model in enumerate(listed, start=1)
    ]
