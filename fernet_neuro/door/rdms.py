"""`compute_rdms`: representational dissimilarity matrices of whatever has patterns, labels or pictures.

What belongs here: which of the ways to RDMs a source takes; distances and models are in `fernet_neuro.rsa`.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fernet_neuro.activations.array import Activations
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.extraction.sources import open_source
from fernet_neuro.rsa import distances
from fernet_neuro.rsa.brain_rdms import compute_brain_rdms
from fernet_neuro.rsa.models.factors import build_model_rdms
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.store_rdms import compute_store_rdms
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.stimuli.text_table import TextTable, read_text_table
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from fernet_neuro.extraction.sources import Source, Stimuli


def compute_rdms(
    source: "Source | Stimuli | Activations | np.ndarray | Iterable[BrainPatterns]",
    stimuli: "Stimuli | None" = None,
    *,
    layers: Sequence[str] | None = None,
    factors: Sequence[str] = (),
    texts: TextTable | PathLike | None = None,
    pixels: bool = False,
    gabor: bool = False,
    distance: str | None = None,
    size: int | None = None,
    input: str | None = None,
    **options: Any,
) -> RDMSet:
    """Return the RDMs of a network's layers, of activations or patterns, or of stimuli's labels and pictures.

    Parameters
    ----------
    source : network, store, StimulusTable, Activations, ndarray or BrainPatterns
        A network or store, as `probe` takes it, gives one RDM per layer; a stimulus table one per factor
        and kind of picture; patterns of brain regions one each; activations or an array one.
    stimuli : StimulusTable, DataFrame or path, default=None
        What a network sees; needed unless it was extracted.
    layers : sequence of str, default=None
        Of a network or store; None for all.
    factors : sequence of str, default=()
        Columns of a stimulus table: labels are the same or not, numbers differ by so much.
    texts : TextTable or path, default=None
        Of the expressions of a stimulus table, which are as far apart as these; "builtin" comes with the
        package.
    pixels, gabor : bool, default=False
        Grey levels, and Gabor energies as in early visual cortex, of a stimulus table's pictures.
    distance : str, default=None
        Between patterns. None takes crossnobis for brain regions, and correlation otherwise.
    size : int, default=None
        Of the images of a network that is built by name, in pixels.
    input : str, default=None
        What a network of your own is shown, as in `probe`.
    **options
        ``stimulus_ids``, ``runs``, ``precision`` and ``labels`` of `rsa.distances.compute_rdms`, for an
        array; ``keep``, ``device`` and ``verbose`` of `open_source`, for a network.

    Raises
    ------
    ValueError
        If a network has no stimuli, a table nothing to compare, or an argument does not go with the source.
    LayerNotFoundError, StimulusError, AlignmentError
        As the functions that the source goes through.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> fn.compute_rdms(fn.load_model("resnet10-slim", size=32), faces, layers=["layer1", "fc"])
    RDMSet: 2 RDMs (layer1, fc) of 14 stimuli, correlation
    >>> fn.compute_rdms(faces, factors=["identity"], texts="builtin", pixels=True).names
    ['identity', 'texts (all-MiniLM-L6-v2)', 'pixels']
    """
    if isinstance(source, np.ndarray | Activations):
        return distances.compute_rdms(source, distance=distance or "correlation", **options)
    if isinstance(source, StimulusTable):
        table_options = {"pixels": pixels, "gabor": gabor, "distance": distance or "correlation", **options}
        known = texts if texts is None or isinstance(texts, TextTable) else read_text_table(texts)
        return build_model_rdms(source, factors, texts=known, **table_options)
    if factors or pixels or gabor or texts is not None:
        raise ValueError("factors, texts, pixels and gabor are of a stimulus table: give that as the source.")
    if isinstance(source, BrainPatterns | list | tuple):
        patterns = [source] if isinstance(source, BrainPatterns) else source
        return compute_brain_rdms(patterns, distance or "crossnobis", **options)
    table = None if stimuli is None else read_stimuli(stimuli)
    model_options = {"size": size, "input": input}
    store = open_source(source, table, layers, model_options=model_options, **options)  # type: ignore[arg-type]
    names = store.layers if layers is None else layers
    return compute_store_rdms(store, names, distance or "correlation")
