"""``fernet-neuro rdm``: RDMs of a network's layers, of stimuli's labels and pictures, or from other files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fernet_neuro.cli._options import parse_weights, read_landmark_table
from fernet_neuro.cli._outputs import check_out_file

if TYPE_CHECKING:
    from fernet_neuro.activations.store import ActivationStore
    from fernet_neuro.rsa.rdms import RDMSet
    from fernet_neuro.stimuli.table import StimulusTable

_DEFAULT_DISTANCE = "correlation"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("rdm")(rdm)


def rdm(
    source: str = typer.Argument(
        ...,
        metavar="SOURCE",
        help="An activation store, a stimulus table (.csv or .parquet), or an RDM file to convert.",
    ),
    out: Path = typer.Option(
        ...,
        help="File to write: .npz (keeps everything), .h5 (rsatoolbox), .mat, .json (Meadows) or .csv (one).",
    ),
    layer: list[str] = typer.Option([], help="A layer of the store; repeat for more."),
    all_layers: bool = typer.Option(False, "--all-layers", help="Every layer of the store."),
    distance: str | None = typer.Option(
        None, help="Between patterns: correlation, cosine or squared_euclidean.  [default: correlation]"
    ),
    factor: list[str] = typer.Option(
        [],
        help="A column of the table: labels are the same or not, numbers differ by so much; repeat for more.",
    ),
    weights: list[str] = typer.Option(
        [],
        metavar="NAME=COLUMN,...",
        help="Numeric columns compared together, such as units=AU01,AU02; repeat for more.",
    ),
    pixels: bool = typer.Option(False, "--pixels", help="The pictures' grey levels."),
    gabor: bool = typer.Option(
        False, "--gabor", help="The pictures' Gabor energies, as in early visual cortex."
    ),
    landmarks: Path | None = typer.Option(
        None, help="A table of landmarks, as fernet-neuro stimuli landmarks writes it."
    ),
    variable: str | None = typer.Option(None, help="Which variable of an RDM file that has several."),
    stimuli: Path | None = typer.Option(
        None, help="Stimulus table that names the stimuli of an RDM file that does not, in its order."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a file that is already there."),
    as_json: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Write representational dissimilarity matrices (RDMs) of layers, of labels and pictures, or of a file.

    Stimuli keep the order of the store or the table. Read are rsatoolbox's .h5, MATLAB's .mat (the 92-image
    layout, squares or vectors), .npz and .npy arrays, Meadows' .mat and .json, and a square .csv.

    Examples
    --------
        fernet-neuro rdm stores/identity --layer layer4 --layer fc --distance correlation --out layers.npz

        fernet-neuro rdm faces.csv --factor expression --factor identity --pixels --gabor --out models.npz

        fernet-neuro rdm faces.csv --weights units=AU01,AU02,AU12 --out units.npz

        fernet-neuro rdm 92_brainRDMs.mat --out brain.h5 --json
    """
    import json

    from fernet_neuro.extraction.sources import check_source_exists
    from fernet_neuro.rsa.files.io import WRITERS, write_rdms

    check_out_file(out, WRITERS, overwrite=overwrite)
    check_source_exists(source)
    models: dict[str, Any] = {
        "factors": factor,
        "weights": parse_weights(weights),
        "pixels": pixels,
        "gabor": gabor,
    }
    wants_models = bool(any(models.values()) or landmarks)
    wants_layers = bool(layer or all_layers)
    if layer and all_layers:
        raise ValueError("name layers with --layer NAME, or take all with --all-layers, not both.")
    if distance is not None and not (wants_layers or pixels or gabor):
        raise ValueError(
            "--distance is between patterns: give --layer, --all-layers, --pixels or --gabor with it."
        )
    models["landmarks"] = read_landmark_table(landmarks)
    models["distance"] = distance or _DEFAULT_DISTANCE
    if wants_models or wants_layers:
        if variable or stimuli:
            raise ValueError("--variable and --stimuli are for an RDM file to convert.")
        rdms = _compute(source, layer, all_layers, models if wants_models else None, models["distance"])
    else:
        rdms = _convert(source, variable, stimuli)
    write_rdms(rdms, out)
    typer.echo(json.dumps(_summarise(rdms, out)) if as_json else "\n".join(_describe(rdms, out)))


def _compute(
    source: str, layers: list[str], all_layers: bool, models: dict[str, Any] | None, distance: str
) -> "RDMSet":
    """Return the RDMs of layers, then those of labels and pictures."""
    from fernet_neuro.rsa.distances import compute_rdms
    from fernet_neuro.rsa.models.factors import build_model_rdms
    from fernet_neuro.rsa.rdms import concat_rdms

    found = _open(source)
    sets = []
    if layers or all_layers:
        if not hasattr(found, "layers"):
            raise ValueError(f"--layer goes with an activation store; SOURCE {source!r} is a stimulus table.")
        opened = [found.load(name) for name in (found.layers if all_layers else layers)]
        sets += [compute_rdms(item, distance=distance) for item in opened]
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
            f"--pixels, --gabor or --landmarks."
        )
    ids = None if stimuli is None else StimulusTable.read(stimuli).stimulus_ids
    return read_rdms(source, stimulus_ids=ids, variable=variable)


def _summarise(rdms: "RDMSet", out: Path) -> dict[str, Any]:
    """Return what was written, with null for what has no value."""
    import numpy as np

    labels = rdms.table.astype(object).where(rdms.table.notna(), None).to_dict(orient="records")
    rows = []
    for number, name in enumerate(rdms.names):
        present = rdms.dissimilarities[number][~np.isnan(rdms.dissimilarities[number])]
        low, mean, high = (
            (float(present.min()), float(present.mean()), float(present.max()))
            if len(present)
            else (None,) * 3
        )
        row = {"minimum": low, "mean": mean, "maximum": high, "n_missing": rdms.n_pairs - len(present)}
        rows.append({**(labels[number] if labels else {}), "name": name, **row})
    return {
        "out": str(out),
        "n_rdms": rdms.n_rdms,
        "n_stimuli": rdms.n_stimuli,
        "n_pairs": rdms.n_pairs,
        "distance": rdms.distance,
        "unit": rdms.unit,
        "rdms": rows,
    }


def _describe(rdms: "RDMSet", out: Path) -> list[str]:
    """Return what was written as lines of text."""
    summary = _summarise(rdms, out)
    how = f"; {rdms.distance}" if rdms.distance else ""
    lines = [
        f"{rdms.n_rdms} RDMs of {rdms.n_stimuli} stimuli, {rdms.n_pairs} pairs{how}.",
        "",
        f"{'name':<32}{'minimum':>10}{'mean':>10}{'maximum':>10}{'missing':>9}",
    ]
    for row in summary["rdms"]:
        values = "".join(
            f"{'' if row[key] is None else format(row[key], '.4g'):>10}"
            for key in ("minimum", "mean", "maximum")
        )
        lines.append(f"{row['name']:<32}{values}{row['n_missing']:>9}")
    return [*lines, "", f"Written to {out}"]
