"""The look of every figure: journal widths, small type, one colour per network, fonts that stay text.

What belongs here: sizes, colours, labels and rcParams; `style` changes nothing outside its block.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.font_manager import findfont

from fernet_neuro._utils.validation import check_option

#: Column widths of a journal page, in mm.
COLUMN_WIDTHS_MM: dict[str, float] = {"single": 85.0, "one-and-half": 120.0, "double": 174.0}

#: One fixed colour per network. Trained networks take hues of Okabe and Ito that reach 3:1 on white;
#: the baselines are grey, so that colour always means "was trained".
PALETTE: dict[str, str] = {
    "identity": "#0072B2",
    "verification": "#009E73",
    "expression": "#D55E00",
    "untrained": "#6E6E6E",
    "pixels": "#333333",
}
#: A network that stands alone with its controls, whatever it was trained for.
_ALONE = {"trained": PALETTE["identity"]}
#: Colours of networks that have no fixed one, in order of appearance.
OTHER_COLOURS = ("#CC6699", "#7A5C00", "#56439A", "#000000")

LABELS: dict[str, str] = {
    "identity": "Identity network",
    "verification": "Verification network",
    "expression": "Expression network",
    "trained": "Network",
    "untrained": "Untrained twins",
    "pixels": "Pixels",
}
MARKERS: dict[str, str] = {
    "identity": "o",
    "verification": "s",
    "expression": "^",
    "trained": "o",
    "untrained": "D",
    "pixels": "x",
}

#: Colours of networks in other palettes.
PALETTES: dict[str, dict[str, str]] = {
    "okabe-ito": {},
    "tol": {"identity": "#4477AA", "verification": "#228833", "expression": "#EE6677", "trained": "#4477AA"},
    "grey": {"identity": "#000000", "verification": "#5A5A5A", "expression": "#969696", "trained": "#000000"},
}


@dataclass(frozen=True)
class Look:
    """What a user may change of every figure.

    Parameters
    ----------
    width : str or float, default=""
        A column (`COLUMN_WIDTHS_MM`) or mm; "" leaves each figure its own.
    font : str, default="DejaVu Sans"
        A font family that is installed.
    palette : {"okabe-ito", "tol", "grey"}, default="okabe-ito"
        Colours of networks.

    Raises
    ------
    ValueError
        If a column, font or palette is not known, or a width is not between 40 and 400 mm.
    """

    width: str | float = ""
    font: str = "DejaVu Sans"
    palette: str = "okabe-ito"

    def __post_init__(self) -> None:
        check_option("palette", self.palette, PALETTES)
        if self.width != "" and not 40 <= (self.width_mm or 0) <= 400:
            raise ValueError(
                f"width must be single, one-and-half, double, or 40 to 400 mm; got {self.width!r}."
            )
        try:
            findfont(self.font, fallback_to_default=False)
        except ValueError:
            raise ValueError(f"font {self.font!r} is not installed; install it or name another.") from None

    @property
    def width_mm(self) -> float | None:
        """Width in mm; None where each figure has its own, 0 where `width` is no width."""
        if self.width == "" or self.width in COLUMN_WIDTHS_MM:
            return COLUMN_WIDTHS_MM.get(str(self.width))
        try:
            return float(self.width)
        except ValueError:
            return 0.0


_LOOK: ContextVar[Look | None] = ContextVar("look", default=None)

#: rcParams of all figures.
RC_PARAMS: dict[Any, Any] = {
    "font.size": 7.0,
    "axes.labelsize": 7.5,
    "figure.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#333333",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "patch.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "#111111",
    "axes.labelcolor": "#111111",
    # TrueType stays text in PDF editors and passes the font checks of submission systems; type 3 does not.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "fernet-neuro",
    "axes.unicode_minus": True,
    "text.usetex": False,
}


@contextmanager
def style(font: str = "DejaVu Sans", look: Look | None = None) -> Iterator[None]:
    """Apply the toolkit's rcParams inside the ``with`` block and restore the caller's afterwards.

    The user's own matplotlibrc is left out, so that a figure looks the same on every machine.

    Parameters
    ----------
    font : str
        Font family. The default comes with Matplotlib and is therefore the same everywhere;
        ``"Arial"`` is what many journals ask for, where it is installed.
    look : Look, default=None
        Width, font and palette of figures made inside; it comes before `font`.

    Examples
    --------
    >>> with style():
    ...     mpl.rcParams["pdf.fonttype"]
    42
    """
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if key not in _NOT_STYLE}
    token = _LOOK.set(look)
    family = [font if look is None else look.font, "DejaVu Sans"]
    try:
        with mpl.rc_context({**defaults, **RC_PARAMS, "font.family": family}):
            yield
    finally:
        _LOOK.reset(token)


#: Share of the width that a figure is laid out for, below which its texts run into one another.
_LEAST_SHARE = 0.92
#: Settings of the running programme rather than of the picture.
_NOT_STYLE = {"backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg.port"}


def figure_size(width: str, height_mm: float) -> tuple[float, float]:
    """Return ``(width, height)`` in inches for a column `width` and a height in mm.

    Raises
    ------
    ValueError
        If `width` is not a known column width, or a user asked for one in which panels would overlap.

    Examples
    --------
    >>> [round(inches, 2) for inches in figure_size("single", 60)]
    [3.35, 2.36]
    """
    check_option("width", width, COLUMN_WIDTHS_MM)
    look = _LOOK.get()
    needed = COLUMN_WIDTHS_MM[width]
    wanted = (look and look.width_mm) or needed
    least = math.ceil(_LEAST_SHARE * needed)
    if wanted < least:
        raise ValueError(
            f"its panels and letters need {least:g} mm, and {wanted:g} mm were asked for; leave the width "
            f"out, or give {least:g} mm or more"
        )
    return wanted / 25.4, height_mm / 25.4


def letter(panel: str, n_panels: int) -> str:
    r"""Return the letter of a panel as titles begin with it; a panel that stands alone has none.

    Examples
    --------
    >>> letter("b", 2), letter("a", 1)
    ('$\\bf{b}$  ', '')
    """
    return f"$\\bf{{{panel}}}$  " if n_panels > 1 else ""


def colour_of(network: str, others: list[str] | None = None) -> str:
    """Return the fixed colour of `network`, or one by its place among the `others`."""
    look = _LOOK.get()
    fixed = PALETTE | _ALONE | ({} if look is None else PALETTES[look.palette])
    if network in fixed:
        return fixed[network]
    unknown = [name for name in (others or [network]) if name not in PALETTE]
    return OTHER_COLOURS[unknown.index(network) % len(OTHER_COLOURS)]


def label_of(network: str) -> str:
    """Return the reader's name of `network`."""
    return LABELS.get(network, network)
