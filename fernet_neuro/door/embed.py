"""`embed`: maps of a network's layers, with how far neighbours share a label and by chance.

What belongs here: from a source to its store; maps and their quality are in `fernet_neuro.embedding`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fernet_neuro.door.people import count_trained_people
from fernet_neuro.embedding.maps import default_perplexity
from fernet_neuro.embedding.pipeline import check_embedding, compute_embedding
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.extraction.sources import check_source_exists, is_extracted, open_source
from fernet_neuro.stimuli.table import read_stimuli
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from fernet_neuro.extraction.sources import Source, Stimuli


def embed(
    source: "Source",
    stimuli: "Stimuli | None" = None,
    *,
    layers: Sequence[str] | None = None,
    method: str = "tsne",
    perplexities: Sequence[float] = (),
    factors: Sequence[str] = (),
    n_neighbours: int | None = None,
    n_permutations: int = 1000,
    n_pca: int = 50,
    seed: int = 0,
    keep: PathLike | None = None,
    size: int | None = None,
    input: str | None = None,
    verbose: bool = False,
    device: str = "auto",
) -> EmbeddingResult:
    """Map layers in two dimensions, and judge in features and maps how far neighbours share a label.

    Parameters
    ----------
    source : path, ActivationStore, LayeredModel or nn.Module
        An activation store or its folder, a run folder, a network by name or as it is. A plain
        ``torch.nn.Module`` goes through `load_model` first.
    stimuli : StimulusTable, DataFrame or path, default=None
        Labels to judge by, and what a network sees; None for a store's own.
    layers : sequence of str, default=None
        Layers to map, in the order of the report; None for all.
    method, perplexities, factors, n_neighbours, n_permutations, n_pca, seed
        As in `compute_embedding`.
    keep, size, input, verbose, device
        As in `probe`.

    Returns
    -------
    EmbeddingResult
        ``settings["trained_people"]`` says how many people of the stimuli the run was trained on.

    Raises
    ------
    FileNotFoundError
        If the source is a path and nothing is there.
    ValueError
        If a network has no stimuli to see; otherwise as `compute_embedding`.
    StimulusError, LayerNotFoundError
        As `compute_embedding`; labels are checked before a network runs.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> result = fn.embed("resnet10-slim", faces, layers=["layer1"], size=32, n_permutations=19)
    >>> len(result.select_map("layer1"))
    21
    """
    check_source_exists(source)
    table = None if stimuli is None else read_stimuli(stimuli)
    options: dict[str, Any] = {
        "method": method, "factors": factors, "n_neighbours": n_neighbours, "n_pca": n_pca,
    }  # fmt: skip
    if (
        table is not None and layers is not None and not is_extracted(source)
    ):  # before the network runs over all stimuli
        tried = perplexities or [default_perplexity(len(table), method)]
        check_embedding(table, layers, perplexities=tried, **options)
    store = open_source(
        source, table, layers, keep=keep, model_options={"size": size, "input": input},
        verbose=verbose, device=device,
    )  # fmt: skip
    layers = store.layers if layers is None else layers
    result = compute_embedding(
        store, layers, table=table, perplexities=perplexities, n_permutations=n_permutations, seed=seed,
        verbose=verbose, **options,
    )  # fmt: skip
    result.settings["trained_people"] = count_trained_people(
        [source], store.stimuli if table is None else table
    )
    return result
