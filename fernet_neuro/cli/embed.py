"""``fernet-neuro embed``: maps of layers in two dimensions, with what their neighbours share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fernet_neuro.cli._outputs import check_out_folder

if TYPE_CHECKING:
    from fernet_neuro.embedding.result import EmbeddingResult

_REPORT_FILES = ("settings.json", "quality.csv", "coordinates.csv")
_MEASURES = {"neighbour_purity": "purity", "knn_balanced_accuracy": "held-out k-NN"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("embed")(embed)


def embed(
    source: str = typer.Argument(
        ..., metavar="SOURCE", help="An activation store, a run folder, or a network by name."
    ),
    out: Path = typer.Option(
        ..., help="Folder for coordinates.csv, quality.csv, settings.json and the figure."
    ),
    layer: list[str] = typer.Option([], help="A layer to map; repeat for more."),
    stimuli: Path | None = typer.Option(
        None, help="Stimulus table (.csv or .parquet); needed unless SOURCE is a store."
    ),
    method: str = typer.Option("tsne", help="tsne or umap."),
    perplexity: list[float] = typer.Option(
        [],
        help="About how many neighbours count; repeat for a sweep: all are reported, the first is drawn. "
        "UMAP takes it as n_neighbors.  [default: 30, or what so few stimuli allow]",
    ),
    color_by: list[str] = typer.Option(
        [],
        help="A factor to colour and judge maps by; repeat for more.  [default: expression and identity, of "
        "those that the table has]",
    ),
    neighbours: int | None = typer.Option(
        None, min=1, help="k of purity and k-NN.  [default: 10, or fewer where labels have fewer]"
    ),
    permutations: int = typer.Option(1000, min=0, help="Relabellings of the null."),
    n_pca: int = typer.Option(50, min=2, help="Principal components that maps are made from."),
    seed: int = typer.Option(0, help="Seed of maps and relabellings."),
    size: int | None = typer.Option(None, min=1, help="Input side in pixels, for a newly built network."),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:0, for networks."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace maps that are already in OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print the settings and the quality as JSON."),
) -> None:
    """Map layers in two dimensions, and say beside each map how far neighbours share a label, and by chance.

    Neighbours of expression are other people's, and those of identity show another expression, so that
    near-copies never count. The same seed gives the same maps. Activations of networks that
    were not extracted before are kept in OUT/store.

    Examples
    --------
        fernet-neuro embed stores/crpn --layer emotion --layer non_emotion --out maps

        fernet-neuro embed stores/crpn --layer emotion --perplexity 30 --perplexity 10 --out maps

        fernet-neuro embed runs/crpn/seed0 --stimuli faces.csv --layer emotion --layer non_emotion
        --method umap --color-by expression --out maps
    """
    import json

    from fernet_neuro.door.embed import embed as run
    from fernet_neuro.door.people import describe_trained_people
    from fernet_neuro.figures.registry import build_figure

    if not layer:
        raise ValueError("name layers with --layer NAME; repeat for more.")
    check_out_folder(out, _REPORT_FILES, overwrite=overwrite)
    result = run(
        source,
        stimuli,
        layers=layer,
        method=method,
        perplexities=perplexity,
        factors=color_by,
        n_neighbours=neighbours,
        n_permutations=permutations,
        n_pca=n_pca,
        seed=seed,
        keep=out / "store",
        size=size,
        verbose=not as_json,
        device=device,
    )
    result.save(out)
    figure = build_figure("embedding-maps", out, out)
    if as_json:
        typer.echo(json.dumps({"settings": result.settings, "quality": _as_objects(result)}))
        return
    lines = [
        *_describe(result),
        *describe_trained_people(result.settings["trained_people"]),
        f"Written to {out}",
        *map(str, figure),
    ]
    typer.echo("\n".join(lines))


def _as_objects(result: "EmbeddingResult") -> list[dict[str, Any]]:
    """Return the rows of the quality table, with null for what has no value."""
    frame = result.quality.astype(object)
    return frame.where(frame.notna(), None).to_dict(orient="records")


def _describe(result: "EmbeddingResult") -> list[str]:
    """Return the report as lines of text."""
    judged = result.quality[result.quality["factor"] != ""]
    lines = [
        f"{'layer':<20}{'space':<18}{'factor':<13}{'measure':<15}{'k':>3}{'%':>7}  {'95 % interval':<15}"
        f"{'chance %':>9}{'null 95 %':>10}{'p':>8}{'p (max)':>9}"
    ]
    for row in judged.itertuples():
        space = row.space if row.space == "features" else f"map ({row.perplexity:g})"
        interval = f"[{100 * row.low:.1f}, {100 * row.high:.1f}]" if row.interval else ""
        tested = row.n_permutations > 0
        null = f"{100 * row.null_q95:>10.1f}{row.p_value:>8.4f}{row.p_value_max:>9.4f}" if tested else ""
        lines.append(
            f"{row.layer:<20}{space:<18}{row.factor:<13}{_MEASURES[row.measure]:<15}{row.n_neighbours:>3}"
            f"{100 * row.value:>7.1f}  {interval:<15}{100 * row.chance_level:>9.1f}{null}".rstrip()
        )
    return [*lines, "", *_describe_factors(result), *_describe_trust(result)]


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
