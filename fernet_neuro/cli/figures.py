"""``fernet-neuro figures``."""

from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli import _options as opt


def list_figures() -> None:
    """List the figures by name, with what each is made from.

    Examples
    --------
        fernet-neuro figures list
    """
    from fernet_neuro.figures.registry import FIGURES

    for spec in FIGURES.values():
        typer.echo(f"{spec.name:16} {spec.title}")
        typer.echo(f"{'':16} from: {', '.join(spec.needs) or 'only itself'}")


def build(
    names: Annotated[
        list[str],
        opt.argument("Figures by name, or `all`.", "NAME...", autocompletion=opt.complete_names("figures")),
    ],
    results: Annotated[Path, opt.folder("Folder of results, such as `demo`.")],
    out: Annotated[
        Path | None, opt.folder("Folder to write to.  [default: the folder `figures` in the results]")
    ] = None,
) -> None:
    r"""Build figures: PDF, PNG (300 dpi), source data as CSV, and the caption as TXT.

    The captions are printed too. The same results give the same files, byte for byte. `all` builds those that
    the folder has results for.

    Examples
    --------
        fernet-neuro figures build all --results demo
        fernet-neuro figures build layer-profile confusion --results demo
        fernet-neuro figures build transfer-bars --results demo --out figures
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
