"""What the page says of the simulated group: which network matches which region, and what was recovered.

What belongs here: the numbers of the section ``brain.html.j2``; nothing is computed anew but the correction
for the comparisons that its sentences are about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from fernet_neuro._utils.tables import iterate_rows, read_mixed
from fernet_neuro.activations.network import say_layer
from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments.page import Section, list_links, read_pictures, render
from fernet_neuro.experiments.page_tables import format_short
from fernet_neuro.figures.results import choose_layer
from fernet_neuro.figures.rsa_results import say_comparison
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stats.multiple import adjust_holm

#: Folders of a results folder, and the table of shares in the first.
BRAIN, RSA = "brain", "rsa"
SHARES = "shares.csv"
#: What a network's untrained twin, and each of its layers, is called.
TWIN = "untrained {}"
PIXELS = "pixels"
#: Figures that stand in the section.
_FIGURES = ("rsa-layer-roi",)
#: Level of the comparisons that sentences are about, corrected for their number.
_ALPHA = 0.05
_FILES = (
    f"{BRAIN}/{SHARES}",
    f"{BRAIN}/bids/README.md",
    *(f"{RSA}/{name}.csv" for name in ("results", "pairwise", "ceilings", "peaks")),
)


@dataclass(frozen=True)
class Match:
    """How networks compare in one region, each at the layer that was fixed beforehand.

    `network`: the one with the highest estimate. `estimate`: of that network, in the unit of the comparison.
    `others`: other networks that it is significantly closer than. `not_others`: and those that it is not.
    `controls`, `not_controls`: the same for its untrained twin and pixels, in words. `is_pixels`: pixels are
    significantly closer than every network.
    """

    roi: str
    network: str
    layer: str
    estimate: float
    others: tuple[str, ...]
    not_others: tuple[str, ...]
    controls: tuple[str, ...]
    not_controls: tuple[str, ...]
    is_pixels: bool


def has_brain(folder: Path) -> bool:
    """Return whether the folder holds a simulated group and its comparison with networks."""
    return (folder / RSA / "summary.json").is_file() and (folder / BRAIN / SHARES).is_file()


def show_brain(folder: Path) -> Section:
    """Return the section: what was simulated, and what came out, whichever way; empty where nothing was."""
    heading = "Networks against a simulated brain"
    if not has_brain(folder):
        return Section("brain", heading, Markup())
    result, shares = RSAResult.load(folder / RSA), _read_shares(folder)
    matches, n_tests = match_regions(result)
    body = render(
        "brain.html.j2",
        result=result,
        comparison=say_comparison(result.settings["comparison"]),
        shares=shares,
        outcomes=_group_outcomes(matches),
        n_tests=n_tests,
        alpha=_ALPHA,
        regions=region_table(result),
        recovered=share_table(shares),
        pictures=read_pictures(folder, _FIGURES),
        files=list_links(folder, _FILES),
    )
    return Section("brain", heading, body, _FIGURES)


def match_regions(result: RSAResult) -> tuple[list[Match], int]:
    """Return how networks compare in each region, and over how many comparisons p-values are corrected.

    Compared are all pairs of networks, and each network with pixels and with its untrained twin; p-values are
    corrected over all of these in all regions (Holm).
    """
    models = fixed_models(result)
    closer, n_tests = _find_closer(result, models)
    return [
        _match(result.select_roi(roi).set_index("model"), roi, models, closer) for roi in result.rois
    ], n_tests


def fixed_models(result: RSAResult) -> dict[str, str]:
    """Return the model of each trained network at the layer that is fixed beforehand."""
    frame = result.select_roi(result.rois[0])
    layered = frame[frame["layer"] != ""]
    chosen = {}
    for network, rows in layered.groupby("network", sort=False):
        if not str(network).startswith(TWIN.format("")):
            layer = choose_layer(rows["layer"].tolist())
            chosen[str(network)] = str(rows.loc[rows["layer"] == layer, "model"].iloc[0])
    return chosen


def region_table(result: RSAResult) -> pd.DataFrame:
    """Return estimates as text: one row per model, one column per region; the ceilings last."""
    chosen = list(fixed_models(result).values())
    frame = result.estimates
    kept = frame["model"].isin([*chosen, *map(TWIN.format, chosen)]) | (frame["layer"] == "")
    names = list(dict.fromkeys(frame.loc[kept, "model"]))
    names.sort(key=lambda name: (name not in chosen, name not in map(TWIN.format, chosen)))
    columns = {
        roi: [
            _format(rows.loc[name, "estimate"], rows.loc[name, "low"], rows.loc[name, "high"])
            + ("*" if rows.loc[name, "p_max"] < _ALPHA else "")
            for name in names
        ]
        for roi, rows in ((roi, result.select_roi(roi).set_index("model")) for roi in result.rois)
    }
    table = pd.DataFrame({"Model": names, **columns})
    limits = result.ceilings.set_index("roi")
    ceiling = {
        roi: f"{format_short(row['lower'])} to {format_short(row['upper'])}" for roi, row in limits.iterrows()
    }
    return pd.concat([table, pd.DataFrame([{"Model": "noise ceiling", **ceiling}])], ignore_index=True)


def share_table(shares: pd.DataFrame) -> pd.DataFrame:
    """Return planted and recovered shares as text: one row per region, one column per factor."""
    rows = []
    for roi, frame in shares.groupby("roi", sort=False):
        cells = {
            row.factor.capitalize(): f"{format_short(row.planted)}, {_format(row.share, row.low, row.high)}"
            for row in iterate_rows(frame)
        }
        rows.append({"Region": roi, **cells})
    return pd.DataFrame(rows)


def _read_shares(folder: Path) -> pd.DataFrame:
    path = folder / BRAIN / SHARES
    try:
        return read_mixed(path, ("roi", "factor"), numbers=None)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _find_closer(result: RSAResult, models: dict[str, str]) -> tuple[set[tuple[str, str, str]], int]:
    """Return region, closer model and other model of significant comparisons, and how many were made."""
    pairs = {frozenset(pair) for pair in combinations(models.values(), 2)}
    pairs |= {
        frozenset((model, other)) for model in models.values() for other in (PIXELS, TWIN.format(model))
    }
    frame = result.pairwise
    asked = [frozenset(pair) in pairs for pair in zip(frame["model_1"], frame["model_2"], strict=True)]
    tests = frame[asked]
    found = tests[adjust_holm(tests["p_value"].to_numpy()) < _ALPHA]
    first = found["model_1"].where(found["difference"] > 0, found["model_2"])
    second = found["model_2"].where(found["difference"] > 0, found["model_1"])
    return set(zip(found["roi"], first, second, strict=True)), len(tests)


def _match(rows: pd.DataFrame, roi: str, models: dict[str, str], closer: set[tuple[str, str, str]]) -> Match:
    estimates = rows["estimate"].astype(float).to_dict()
    best = max(models, key=lambda name: estimates[models[name]])
    model = models[best]
    others = {name: other for name, other in models.items() if name != best}
    controls = {"its untrained twin": TWIN.format(model), PIXELS: PIXELS}
    won, controlled = (
        {name: (roi, model, other) in closer for name, other in rivals.items()}
        for rivals in (others, controls)
    )
    return Match(
        roi, best, say_layer(rows.loc[model, "layer"]), estimates[model],
        tuple(name for name in won if won[name]), tuple(name for name in won if not won[name]),
        tuple(name for name in controlled if controlled[name]),
        tuple(name for name in controlled if not controlled[name]),
        all((roi, PIXELS, other) in closer for other in models.values()),
    )  # fmt: skip


def _group_outcomes(matches: Sequence[Match]) -> list[tuple[str, list[Match]]]:
    """Return the regions that share an outcome, each with the kind of outcome."""
    groups: dict[tuple, list[Match]] = {}
    for item in matches:
        groups.setdefault(_outcome(item), []).append(item)
    return [(outcome[0], items) for outcome, items in groups.items()]


def _outcome(item: Match) -> tuple:
    if item.is_pixels:
        return ("pixels",)
    if item.not_others:
        return ("open", item.not_others)
    return ("network", item.network, item.not_controls)


def _format(value: float, low: float, high: float) -> str:
    interval = "" if pd.isna(low) else f" [{format_short(low)}, {format_short(high)}]"
    return f"{format_short(value)}{interval}"
