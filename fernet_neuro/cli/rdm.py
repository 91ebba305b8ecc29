"""``fernet-neuro rdm``: RDMs of a network's layers, of stimuli's labels and pictures, or from other files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file
from fernet_neuro.cli._tables import format_table, list_records, show

if TYPE_CHECKING:
    from fernet_neuro.activations.store import ActivationStore
    from fernet_neuro.rsa.rdms import RDMSet
    from fernet_neuro.stimuli.table import StimulusTable

_DEFAULT_DISTANCE = "correlation"
_FILES = "Reading files"


def rdm(
    source: Annotated[
        str, opt.argument("An activation store, a stimulus table, or an RDM file to convert.", "SOURCE")
    ],
    out: Annotated[
        Path,
        opt.file(
            "File to write: .npz (keeps everything), .h5 (rsatoolbox), .mat, .json (Meadows) or .csv (one)."
        ),
    ],
    layer: opt.Layers = [],
    all_layers: opt.AllLayers = False,
    factor: opt.Factors = [],
    weights: opt.Weights = [],
    text: opt.Texts = None,
    landmarks: opt.Landmarks = None,
    pixels: opt.Pixels = False,
    gabor: opt.Gabor = False,
    distance: Annotated[
        str | None,
        opt.text("Between patterns: correlation (default), cosine or squared_euclidean.", opt.MODELS),
    ] = None,
    variable: Annotated[
        str | None, opt.text("Which variable of an RDM file that has several.", _FILES)
    ] = None,
    stimuli: Annotated[
        Path | None,
        opt.table("Table that names the stimuli of an RDM file without names, in its order.", _FILES),
    ] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    r"""Write representational dissimilarity matrices (RDMs) of layers, of labels and pictures, or of a file.

    Stimuli keep the order of the store or the table. Files may be rsatoolbox's .h5, MATLAB's .mat (the
    92-image layout, squares or vectors), .npz and .npy arrays, Meadows' .mat and .json, or a square .csv.

    Examples
    --------
        fernet-neuro rdm stores/identity --layer layer4 --layer fc \
            --distance correlation --out layers.npz
        fernet-neuro rdm faces.csv --factor expression --factor identity \
            --pixels --gabor --out models.npz
        fernet-neuro rdm faces.csv --factor expression --text builtin \
            --out language.npz
        fernet-neuro rdm faces.csv --weights units=AU01,AU02,AU12 --out units.npz
        fernet-neuro rdm 92_brainRDMs.mat --out brain.h5 --json
    """
    from fernet_neuro.extraction.sources import check_source_exists
    from fernet_neuro.rsa.files.io import WRITERS, write_rdms

    check_out_file(out, WRITERS, overwrite=overwrite)
    check_source_exists(source)
    models: dict[str, Any] = {
        "factors": factor, "weights": opt.parse_weights(weights), "pixels": pixels, "gabor": gabor,
    }  # fmt: skip
    wants_models = bool(any(models.values()) or text or landmarks)
    wants_layers = bool(layer or all_layers)
    if layer and all_layers:
        raise ValueError("name layers with --layer NAME, or take all with --all-layers, not both.")
    if distance is not None and not (wants_layers or pixels or gabor):
        raise ValueError(
            "--distance is between patterns: give --layer, --all-layers, --pixels or --gabor with it."
        )
    models["landmarks"] = opt.read_landmark_table(landmarks)
    models["texts"] = opt.read_texts(text)
    models["distance"] = distance or _DEFAULT_DISTANCE
    if wants_models or wants_layers:
        if variable or stimuli:
            raise ValueError("--variable and --stimuli are for an RDM file to convert.")
        rdms = _compute(source, layer, all_layers, models if wants_models else None, models["distance"])
    else:
        rdms = _convert(source, variable, stimuli)
    write_rdms(rdms, out)
    show(_describe(rdms, out), as_json=as_json, values=_summarise(rdms, out))


def _compute(
    source: str, layers: list[str], all_layers: bool, models: dict[str, Any] | None, distance: str
) -> "RDMSet":
    """Return the RDMs of layers, then those of labels and pictures."""
    from fernet_neuro.rsa.models.factors import build_model_rdms
    from fernet_neuro.rsa.rdms import concat_rdms
    from fernet_neuro.rsa.store_rdms import compute_store_rdms

    found: Any = _open(source)
    sets = []
    if layers or all_layers:
        if not hasattr(found, "layers"):
            raise ValueError(f"--layer goes with an activation store; SOURCE {source!r} is a stimulus table.")
        sets.append(compute_store_rdms(found, found.layers if all_layers else layers, distance))
    if models is not None:
        table = found.stimuli if hasattr(found, "layers") else found
        sets.append(build_model_rdms(table, **models))
    return concat_rdms(sets)


def _open(source: str) -> "ActivationStore | StimulusTable":
    """Open a store, or a stimulus table."""
    from fernet_neuro.activations.store import ActivationStore, is_store
    from fernet_neuro.stimuli.table import StimulusTable

    folder = Path(source)
    if folder.is_dir() and not (folder / "table.csv").is_file():
        if not is_store(source):
            raise ValueError(
                f"SOURCE {source!r} is a network; extract its activations first: fernet-neuro extract "
                f"{source} --stimuli TABLE --out STORE."
            )
        return ActivationStore.open(source)
    return StimulusTable.read(source)


def _convert(source: str, variable: str | None, stimuli: Path | None) -> "RDMSet":
    from fernet_neuro.rsa.analysis.models import is_stimulus_table
    from fernet_neuro.rsa.files.io import read_rdms
    from fernet_neuro.stimuli.table import StimulusTable

    if Path(source).is_dir():
        raise ValueError(
            f"SOURCE {source!r}: say what the RDMs are of: --layer NAME or --all-layers of a store, "
            f"--factor NAME, --pixels or --gabor of its stimuli."
        )
    if is_stimulus_table(Path(source)):
        raise ValueError(
            f"SOURCE {source!r} is a stimulus table: say what the RDMs are of: --factor NAME, --weights, "
            f"--text, --pixels, --gabor or --landmarks."
        )
    ids = None if stimuli is None else StimulusTable.read(stimuli).stimulus_ids
    return read_rdms(source, stimulus_ids=ids, variable=variable)


def _summarise(rdms: "RDMSet", out: Path) -> dict[str, Any]:
    """Return what was written, with null for what has no value."""
    import numpy as np

    labels = list_records(rdms.table) or [{}] * rdms.n_rdms
    rows = []
    for name, values, label in zip(rdms.names, rdms.dissimilarities, labels, strict=True):
        present = values[~np.isnan(values)]
        ends = (present.min(), present.mean(), present.max()) if len(present) else (None,) * 3
        low, mean, high = (None if end is None else float(end) for end in ends)
        row = {"minimum": low, "mean": mean, "maximum": high, "n_missing": rdms.n_pairs - len(present)}
        rows.append({**label, "name": name, **row})
    counts = {"n_rdms": rdms.n_rdms, "n_stimuli": rdms.n_stimuli, "n_pairs": rdms.n_pairs}
    return {"out": str(out), **counts, "distance": rdms.distance, "unit": rdms.unit, "rdms": rows}


def _describe(rdms: "RDMSet", out: Path) -> list[str]:
    """Return what was written as lines of text."""
    how = f"; {rdms.distance}" if rdms.distance else ""
    columns = {
        "name": "{name}", "minimum": "{minimum:.4g}", "mean": "{mean:.4g}", "maximum": "{maximum:.4g}",
        "missing": "{n_missing:d}",
    }  # fmt: skip
    return [
        f"{rdms.n_rdms} RDMs of {rdms.n_stimuli} stimuli, {rdms.n_pairs} pairs{how}.",
        "",
        *format_table(_summarise(rdms, out)["rdms"], columns),
        "",
        f"Written to {out}",
    ]
