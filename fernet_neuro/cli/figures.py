"""``fernet-neuro figures``."""

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    figures = typer.Typer(
        no_args_is_help=True, help="List the figures, and build them from a folder of results."
    )
    figures.command("list")(list_figures)
    figures.command("build")(build)
    app.add_typer(figures, name="figures")


def list_figures() -> None:
    """List the figures by name, with what each is made from.

    Example: `fernet-neuro figures list`
    """
    from fernet_neuro.figures.registry import FIGURES

    for spec in FIGURES.values():
        typer.echo(f"{spec.name:16} {spec.title}")
        typer.echo(f"{'':16} from: {', '.join(spec.needs) or 'nothing but itself'}")


def build(
    names: list[str] = typer.Argument(..., metavar="NAME...", help="Figures by name, or `all`."),
    results: Path = typer.Option(..., "--results", help="Folder of results, such as `demo`."),
    out: Path | None = typer.Option(
        None, "--out", help="Folder to write to.  [default: the folder `figures` in the results]"
    ),
) -> None:
    """Build figures: PDF, PNG (300 dpi), source data as CSV, and the caption as TXT.

    The captions are printed too. The same results give the same files, byte for byte. `all` builds those that
    the folder has results for.

    Examples
    --------
    `fernet-neuro figures build transfer-bars --results demo --out figures`

    `fernet-neuro figures build layer-profile confusion --results demo --out figures`

    `fernet-neuro figures build all --results demo`
    """
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.figures.registry import FIGURES, build_figure, find_buildable

    chosen = find_buildable(results) if names == ["all"] else names
    for name in chosen:
        check_option("figure", name, [*FIGURES, "all"])
    for name in chosen:
        written = build_figure(name, results, out or results / "figures")
        typer.echo("\n".join(str(path) for path in written))
        typer.echo(f"  {written[-1].read_text(encoding='utf-8').strip()}")
