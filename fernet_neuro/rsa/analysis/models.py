"""The models of an RSA: RDM files, layers of activation stores, factors and pictures of stimulus tables.

What belongs here: what a source is, what is taken from it, and names that tell all models apart.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.foreign import read_rows
from fernet_neuro.activations.copies import warn_of_equal_answers
from fernet_neuro.activations.store import ActivationStore, check_stores_differ, is_store
from fernet_neuro.exceptions import FernetWarning, StoreError
from fernet_neuro.faces.landmarks import LandmarkTable
from fernet_neuro.rsa.analysis.inputs import align_all, check_same, name_stimuli
from fernet_neuro.rsa.files.io import READERS, read_rdms
from fernet_neuro.rsa.files.whose import find_copy
from fernet_neuro.rsa.models.factors import build_model_rdms
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms
from fernet_neuro.rsa.result import ESTIMATE_COLUMNS
from fernet_neuro.rsa.store_rdms import compute_store_rdms
from fernet_neuro.stimuli.copies import warn_of_copies
from fernet_neuro.stimuli.shipped import SETS
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.stimuli.text_table import TextTable

#: Columns that results have for brains, or for what was found.
_TAKEN = {*ESTIMATE_COLUMNS, "subject", "session"}
_TABLE_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class ModelChoice:
    """What to take from the sources of models.

    Parameters
    ----------
    layers : sequence of str, default=()
        Of activation stores.
    all_layers : bool, default=False
    distance : str, default="correlation"
        Between the patterns of layers, and between pictures.
    factors : sequence of str, default=()
        Columns of stimulus tables.
    weights : mapping from name to columns, default=none
        Numeric columns compared together.
    landmarks : LandmarkTable or None
        Where the faces' landmarks lie, of all stimuli of the table.
    texts : TextTable or None
        Of the expressions of stimulus tables.
    pixels, gabor : bool, default=False
        Pictures of stimulus tables.
    variable : str or None
        Of RDM files that have several.
    """

    layers: Sequence[str] = ()
    all_layers: bool = False
    distance: str = "correlation"
    factors: Sequence[str] = ()
    weights: Mapping[str, Sequence[str]] = field(default_factory=dict)
    landmarks: LandmarkTable | None = None
    texts: TextTable | None = None
    pixels: bool = False
    gabor: bool = False
    variable: str | None = None

    @property
    def wants_table(self) -> bool:
        """Whether any model comes from a stimulus table."""
        given = any(item is not None for item in (self.landmarks, self.texts))
        return bool(self.factors or self.weights or given or self.pixels or self.gabor)

    @property
    def wants_layers(self) -> bool:
        """Whether any model comes from a store."""
        return bool(self.layers or self.all_layers)


def read_models(
    sources: Sequence[str],
    choice: ModelChoice,
    table: StimulusTable | None = None,
    *,
    align: bool = False,
    over_seeds: bool = False,
) -> tuple[RDMSet, StimulusTable | None]:
    """Read models from several sources, and return them with the stimulus table that is known.

    Each source is an RDM file, an activation store (its `choice.layers`), or a stimulus table. Factors,
    weights, texts, landmarks, pixels and Gabor energies are of the first source that is a table; without
    one, of `table`; else of the first store's stimuli.

    Parameters
    ----------
    sources : sequence of str
    choice : ModelChoice
    table : StimulusTable or None
        Names the stimuli of RDM files that name none, in their order.
    align : bool, default=False
        Whether sources of different stimuli are cut to those that all have, in the order of the first.
    over_seeds : bool, default=False
        Whether the stores are one network, trained with different seeds: layers of one name are then one
        model, and the table gets a column ``seed``, empty for all other models.

    Returns
    -------
    models : RDMSet
        Its table has a column ``model`` with unique names (but for seeds), ``source`` where there are several
        sources, and the further columns that the sources have.
    table : StimulusTable or None
        `table`, or that of the sources.

    Raises
    ------
    StoreError
        If a source cannot be read, or two training seeds are one network.
    LayerNotFoundError
        If a store has no such layer.
    AlignmentError
        If sources are of different stimuli or order and `align` is off.
    ValueError
        If there is nothing to take from a source, nothing that an option could mean, or one seed only.

    Warns
    -----
    FernetWarning
        If one picture is several stimuli, or one RDM of the files several models.
    """
    if not sources:
        raise ValueError("name the models: RDM files, activation stores or stimulus tables (--models).")
    stores = {source: ActivationStore.open(source) for source in sources if _is_store(Path(source))}
    tables = {source: StimulusTable.read(source) for source in sources if is_stimulus_table(Path(source))}
    _check_choice(choice, list(stores), list(tables), table)
    origin = next(iter(tables.values()), table)
    if origin is None and stores:
        origin = next(iter(stores.values())).stimuli
    if (known := table or origin) is not None:
        warn_of_copies(known)
    files = {source for source in sources if source not in stores and source not in tables}
    parts: list[tuple[str, RDMSet]] = []
    for source in sources:
        if source in stores and choice.wants_layers:
            warn_of_equal_answers(stores[source], known or stores[source].stimuli)
            names = stores[source].layers if choice.all_layers else choice.layers
            parts.append((source, compute_store_rdms(stores[source], names, choice.distance)))
        elif source in files:
            _check_file(source)
            parts.append((source, name_stimuli(read_rdms(source, variable=choice.variable), table)))
    if choice.wants_table and origin is not None:
        label = next(iter(tables), "stimuli")
        built = build_model_rdms(
            origin, list(choice.factors), weights=choice.weights, landmarks=choice.landmarks,
            texts=choice.texts, pixels=choice.pixels, gabor=choice.gabor, distance=choice.distance,
        )  # fmt: skip
        parts.append((label, built))
    labels = _label_sources([source for source, _ in parts])
    sets = [rdms for _, rdms in parts]
    lengths = [rdms.n_rdms for rdms in sets]
    models = concat_models(align_all(sets, labels) if align else sets, labels)
    _warn_of_equal_models(models, np.repeat([source in files for source, _ in parts], lengths))
    if over_seeds:
        check_stores_differ(list(stores.values()))
        named = zip(parts, labels, strict=True)
        models = _join_seeds(models, {source: label for (source, _), label in named if source in stores})
    return models, known


def _warn_of_equal_models(models: RDMSet, is_read: np.ndarray) -> None:
    """Warn if two RDMs that were read are one; layers of a network may well be."""
    rows = np.flatnonzero(is_read)
    names = [models.names[row] for row in rows]
    found = find_copy(models.dissimilarities[rows], names, [""] * len(rows))
    if found:
        warnings.warn(
            f"models {found[0]!r} and {found[1]!r} are the same RDM under two names, and count as two in "
            f"comparisons and corrections; leave one of them out.",
            FernetWarning,
            stacklevel=3,
        )


def concat_models(sets: Sequence[RDMSet], labels: Sequence[str]) -> RDMSet:
    """Return one set of models whose column ``model`` tells all apart.

    Names that occur twice get the label of their source in front.

    Raises AlignmentError if the sets are of different stimuli or order; the message names the sources;
    ValueError if two models have one name in one source.
    """
    for label, rdms in zip(labels[1:], sets[1:], strict=True):
        check_same(sets[0], rdms, (f"the models of {labels[0]}", f"the models of {label}"))
    taken = [name for rdms in sets for name in rdms.names]
    named = []
    for label, rdms in zip(labels, sets, strict=True):
        names = [name if taken.count(name) == 1 else f"{label}/{name}" for name in rdms.names]
        frame = rdms.table.drop(columns=["name", "model"], errors="ignore")
        # A column of the results keeps its meaning: whose behaviour a model is, is not a scanned subject.
        frame = frame.rename(columns={name: f"model_{name}" for name in frame if name in _TAKEN})
        frame.insert(0, "model", pd.Series(names, dtype=object))
        if len(sets) > 1:
            frame.insert(1, "source", label)
        named.append(replace(rdms, table=frame))
    models = concat_rdms(named)
    repeated = models.table["model"][models.table["model"].duplicated()]
    if len(repeated):
        raise ValueError(f"two models are called {repeated.iloc[0]!r}; name each source once.")
    return models


def _join_seeds(models: RDMSet, stores: Mapping[str, str]) -> RDMSet:
    """Return models in which the layers of all stores go by their own name, with a seed for each store.

    `stores` are the labels of their sources, by path.
    """
    if len(stores) < 2:
        raise ValueError(f"training seeds need two or more stores, one of each; got {len(stores)}.")
    frame = models.table.copy()
    seeds = dict(zip(stores.values(), _label_seeds(list(stores)), strict=True))
    is_seed = frame["source"].isin(list(seeds))
    frame["model"] = frame["layer"].where(is_seed, frame["model"])
    frame.insert(1, "seed", frame["source"].map(seeds).where(is_seed, ""))
    return replace(models, table=frame)


def _label_seeds(stores: Sequence[str]) -> list[str]:
    """Return the part in which paths differ, such as ``seed0`` of ``seed0/store``; else as other sources.

    Examples
    --------
    >>> _label_seeds(["runs/seed0/store", "runs/seed1/store"])
    ['seed0', 'seed1']
    """
    paths = [Path(store) for store in stores]
    while len({path.name for path in paths}) == 1 and all(path.parent.name for path in paths):
        paths = [path.parent for path in paths]
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else _label_sources(stores)


def _is_store(source: Path) -> bool:
    if not source.is_dir() or (source / "table.csv").is_file():
        return False
    if not is_store(source):
        raise StoreError(
            f"{source} is a network; extract its activations first: fernet-neuro extract {source} "
            f"--stimuli TABLE --out STORE."
        )
    return True


def is_stimulus_table(source: Path) -> bool:
    """Return whether a source is, or should be, a stimulus table; one RDM as .csv names stimuli too.

    Examples
    --------
    >>> is_stimulus_table(Path("builtin"))
    True
    >>> is_stimulus_table(Path("models.npz"))
    False
    """
    if source.is_dir():
        return (source / "table.csv").is_file()
    if source.as_posix() in SETS and not source.exists():
        return True
    if source.suffix.lower() not in _TABLE_SUFFIXES or not source.is_file():
        return False
    if source.suffix.lower() == ".parquet":
        return True
    try:
        rows = read_rows(source)
    except ValueError:
        return False  # what is wrong, its reader says
    heading = rows[0] if rows else []
    is_square = heading[1:] == [row[0] for row in rows[1:]]
    return "stimulus_id" in heading and not is_square  # what else it lacks, the table itself says


def _check_file(source: str) -> None:
    if not Path(source).exists() and Path(source).suffix.lower() not in READERS:
        raise StoreError(
            f"models {source!r}: no such file or folder. Name an RDM file, an activation store or a stimulus "
            f"table."
        )


def _check_choice(
    choice: ModelChoice, stores: Sequence[str], tables: Sequence[str], table: StimulusTable | None
) -> None:
    if choice.layers and choice.all_layers:
        raise ValueError("name layers with --layer NAME, or take all with --all-layers, not both.")
    if choice.wants_layers and not stores:
        raise ValueError("--layer goes with an activation store; none of the models is one.")
    if choice.wants_table and not (tables or stores or table is not None):
        raise ValueError(
            "--factor, --weights, --text, --landmarks, --pixels and --gabor are of a stimulus table: name "
            "one as a model, or with --stimuli."
        )
    if tables and not choice.wants_table:
        raise ValueError(
            f"{tables[0]} is a stimulus table: say what the models are: --factor NAME, --weights, "
            f"--text, --landmarks, --pixels or --gabor."
        )
    if stores and not (choice.wants_layers or choice.wants_table):
        raise ValueError(
            f"say which layers of store {stores[0]} are the models: --layer NAME, or --all-layers."
        )


def _label_sources(sources: Sequence[str]) -> list[str]:
    """Return short names of sources: as much of the path's end as tells them apart.

    Examples
    --------
    >>> _label_sources(["stores/identity/seed0", "stores/expression/seed0", "models.npz"])
    ['identity/seed0', 'expression/seed0', 'models']
    """
    paths = [(*Path(source).parent.parts, Path(source).stem) for source in sources]
    labels = []
    for source, parts in zip(sources, paths, strict=True):
        lengths = range(1, len(parts) + 1)
        n_parts = next((n for n in lengths if sum(path[-n:] == parts[-n:] for path in paths) == 1), 0)
        labels.append("/".join(parts[-n_parts:]) if n_parts and parts[-1] else str(source))
    return labels
