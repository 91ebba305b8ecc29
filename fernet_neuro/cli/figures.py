"""``fernet-neuro figures``."""

from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli import _options as opt

_LOOK = "Look"


def list_figures() -> None:
    """List the figures by name, with what each is made from.

    Examples
    --------
        fernet-neuro figures list
    """
    from fernet_neuro.figures.spec import FIGURES

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
    width: Annotated[
        str, opt.text("Width: single (85 mm), one-and-half (120), double (174), or a number in mm.", _LOOK)
    ] = "",
    font: Annotated[
        str, opt.text("Font family, such as Arial, where it is installed.", _LOOK)
    ] = "DejaVu Sans",
    format_: Annotated[list[str], opt.text("pdf, png or svg; repeat for more.", _LOOK, name="--format")] = [
        "pdf",
        "png",
    ],
    palette: Annotated[str, opt.text("Colours of networks: okabe-ito, tol or grey.", _LOOK)] = "okabe-ito",
) -> None:
    r"""Build figures: PDF, PNG (300 dpi), source data as CSV, and the caption as TXT.

    The captions are printed too. The same results give the same files, byte for byte. `all` builds those that
    the folder has results for; the exit code is 1 where one of them failed.

    Examples
    --------
        fernet-neuro figures build all --results demo
        fernet-neuro figures build layer-profile confusion --results demo
        fernet-neuro figures build transfer-bars --results demo --out figures
        fernet-neuro figures build all --results demo --width double --format svg
    """
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.exceptions import StoreError
    from fernet_neuro.figures.registry import build_all, build_figure, list_files
    from fernet_neuro.figures.spec import FIGURES
    from fernet_neuro.viz.style import Look

    place = out or results / "figures"
    look = Look(width, font, palette)
    for name in names if names != ["all"] else []:
        check_option("figure", name, [*FIGURES, "all"])
    left_out: dict[str, str] = {}
    if names == ["all"]:
        names, left_out = build_all(results, place, look=look, formats=format_)
        if not names and not left_out:
            raise StoreError(
                f"{results} holds no results that a figure is made from; `fernet-neuro figures list` says "
                "what each needs."
            )
    else:
        for name in names:
            build_figure(name, results, place, look=look, formats=format_)
    for name in names:
        typer.echo("\n".join(str(path) for path in list_files(name, place)))
        typer.echo(f"  {(place / f'{name}.txt').read_text(encoding='utf-8').strip()}")
    for name, reason in left_out.items():
        typer.echo(f"Left out: {name} ({reason.rstrip('.')}).", err=True)
    if left_out:
        raise typer.Exit(1)
