"""``fernet-neuro embed``: maps of layers in two dimensions, with what their neighbours share."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_folder, save_result
from fernet_neuro.cli._tables import Row, format_table, list_records, show

if TYPE_CHECKING:
    from fernet_neuro.embedding.result import EmbeddingResult

_REPORT_FILES = ("settings.json", "quality.csv", "coordinates.csv")
_MEASURES = {"neighbour_purity": "purity", "knn_balanced_accuracy": "held-out k-NN"}
_MAPS = "Maps"


def embed(
    source: Annotated[
        str, opt.argument("An activation store, a run folder, or a network by name.", "SOURCE")
    ],
    out: Annotated[
        Path, opt.folder("Folder for coordinates.csv, quality.csv, settings.json and the figure.")
    ],
    layer: opt.Layers = [],
    stimuli: opt.SourceStimuli = None,
    color_by: Annotated[
        list[str],
        opt.text("A factor that colours and judges maps; repeat for more.  [default: expression, identity]"),
    ] = [],
    method: Annotated[str, opt.text("Kind of map: tsne or umap.", _MAPS)] = "tsne",
    perplexity: Annotated[
        list[float],
        opt.positive(
            "About how many neighbours count; repeat for a sweep: all are reported, the first is drawn. "
            "UMAP takes it as n_neighbors.  [default: 30, or what so few stimuli allow]",
            _MAPS,
        ),
    ] = [],
    pca: Annotated[int, opt.count("Principal components that maps are made from.", _MAPS, min=2)] = 50,
    neighbours: Annotated[
        int | None,
        opt.count(
            "Neighbours of purity and k-NN.  [default: 10, or fewer where labels have fewer]", opt.STATISTICS
        ),
    ] = None,
    permutations: opt.Permutations = 1000,
    seed: opt.Seed = 0,
    size: opt.Size = None,
    input: opt.Input = None,
    device: opt.Device = "auto",
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    no_report: opt.NoReport = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Map layers in two dimensions, with how far neighbours share a label, and how far by chance.

    Neighbours of expression are other people's, and those of identity show another expression, so that
    near-copies never count. The same seed gives the same maps. Activations of networks that were not
    extracted before are kept in OUT/store.

    Examples
    --------
        fernet-neuro embed stores/crpn --layer emotion --layer non_emotion \
            --out maps
        fernet-neuro embed stores/crpn --layer emotion --perplexity 30 \
            --perplexity 10 --out maps
        fernet-neuro embed runs/crpn/seed0 --stimuli faces.csv --layer emotion \
            --layer non_emotion --method umap --color-by expression --out maps
    """
    from fernet_neuro.activations.network import list_networks
    from fernet_neuro.door.embed import embed as run
    from fernet_neuro.door.people import describe_trained_people
    from fernet_neuro.experiments.report_texts import describe_embedding

    if not layer:
        raise ValueError("name layers with --layer NAME; repeat for more.")
    check_out_folder(out, _REPORT_FILES, overwrite=overwrite)
    result = run(
        source, stimuli, layers=layer, method=method, perplexities=perplexity, factors=color_by,
        n_neighbours=neighbours, n_permutations=permutations, n_pca=pca, seed=seed, keep=out / "store",
        size=size, input=input, verbose=not (quiet or as_json), device=device,
    )  # fmt: skip
    tell = cache(lambda: describe_embedding(result))
    written = save_result(result, out, tell, no_report=no_report)
    trained = describe_trained_people(result.settings["trained_people"])
    networks = list_networks(result.settings["networks"])
    lines = [tell().answer, "", *_describe(result), *networks, *trained, *written]
    show(
        lines, as_json=as_json, values={"settings": result.settings, "quality": list_records(result.quality)}
    )


def _describe(result: "EmbeddingResult") -> list[str]:
    """Return the report as lines of text."""
    columns = {
        "layer": "{layer}", "space": _name_space, "factor": "{factor}",
        "measure": lambda row: _MEASURES[row["measure"]], "k": "{n_neighbours:.0f}", "%": "{value:.1pct}",
        "95 % interval": "[{low:.1pct}, {high:.1pct}]", "chance %": "{chance_level:.1pct}",
        "null 95 %": "{null_q95:.1pct}", "p": "{p_value:p}", "p (max)": "{p_value_max:p}",
    }  # fmt: skip
    judged = result.quality[result.quality["factor"] != ""]
    return [*format_table(judged, columns), "", *_describe_factors(result), *_describe_trust(result)]


def _name_space(row: Row) -> str:
    return "features" if row["space"] == "features" else f"map ({row['perplexity']:g})"


def _describe_factors(result: "EmbeddingResult") -> list[str]:
    lines = []
    for factor, how in result.settings["factors"].items():
        held_out = f"another {how['across']}" if how["across"] else "any picture but sessions of one pose"
        where = f"within {how['permute_within']}" if how["permute_within"] else "freely"
        lines.append(
            f"{factor}: neighbours show {held_out}; labels of {how['exchangeable_units']} exchanged {where}; "
            f"intervals over {how['interval']}."
        )
        if how["n_without_match"]:
            lines.append(
                f"{factor}: {how['n_without_match']} stimuli have no possible neighbour with their label, "
                f"and count as missed."
            )
    return lines


def _describe_trust(result: "EmbeddingResult") -> list[str]:
    rows = result.quality[result.quality["measure"] == "trustworthiness"]
    values = [f"{row.layer} ({row.perplexity:g}) {row.value:.3f}" for row in rows.itertuples()]
    return [f"Trustworthiness of the maps: {', '.join(values)}. p (max): over layers and perplexities."]
