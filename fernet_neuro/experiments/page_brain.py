"""What the page says of the simulated group: which network matches which region, and what was recovered.

What belongs here: words and numbers, no pictures; nothing is computed anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from pathlib import Path

import pandas as pd

from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments.page_tables import format_table
from fernet_neuro.figures.results import choose_layer, shorten_layer
from fernet_neuro.rsa.result import RSAResult

#: Folders of a results folder, and the table of shares in the first.
BRAIN, RSA = "brain", "rsa"
SHARES = "shares.csv"
#: What a network's untrained twin, and each of its layers, is called.
TWIN = "untrained {}"
PIXELS = "pixels"
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

    Parameters
    ----------
    roi : str
    network : str
        The one with the highest estimate.
    layer : str
    estimate : float
        Of that network, in the unit of the comparison.
    others : tuple of str
        Other networks that it is significantly closer than.
    not_others : tuple of str
        And those that it is not.
    controls, not_controls : tuple of str
        The same for its untrained twin and pixels, in words.
    is_pixels : bool
        Pixels are significantly closer than every network.
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


def describe_brain(folder: Path) -> str:
    """Return paragraphs that say what was simulated, and what came out, whichever way (HTML)."""
    result, shares = RSAResult.load(folder / RSA), _read_shares(folder)
    matches, n_tests = match_regions(result)
    answer = " ".join([*_say_matches(matches), _say_tests(result, n_tests)])
    return (
        f'<p class="soft">{escape(_say_group(result, shares))}</p>\n<p>{escape(answer)}</p>\n'
        f"<p>{escape(_say_recovery(shares))}</p>"
    )


def brain_tables(folder: Path) -> str:
    """Return the tables: networks against regions, and planted against recovered shares."""
    result, shares = RSAResult.load(folder / RSA), _read_shares(folder)
    links = " · ".join(f'<a href="{name}">{name}</a>' for name in _FILES if (folder / name).is_file())
    comparison = result.settings["comparison"].replace("_", " ")
    percent = f"{100 * result.settings['level']:g} %"
    return (
        format_table(region_table(result), f"Similarity ({comparison}, unitless) [{percent} interval]")
        + '<p class="soft">* p &lt; .05 against 0, corrected over the models of a region (maximum '
        "statistic). Networks at the layer fixed beforehand; all layers are in rsa/results.csv.</p>"
        + format_table(share_table(shares), "Shares of factors: planted, recovered [95 % interval]")
        + '<p class="soft">Recovered: non-negative least squares of the group\'s mean crossnobis RDM. '
        "Intervals are over people and of the estimate without that constraint, which may lie below 0.</p>"
        + f"<p>{links}</p>"
    )


def match_regions(result: RSAResult) -> tuple[list[Match], int]:
    """Return how networks compare in each region, and over how many comparisons p-values are corrected.

    Compared are all pairs of networks, and each network with pixels and with its untrained twin; p-values are
    corrected over all of these in all regions (Holm).
    """
    models = fixed_models(result)
    tests = _collect_tests(result, models)
    return [_match(result, roi, models, tests) for roi in result.rois], len(tests)


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
    ceiling = {roi: f"{_short(row['lower'])} to {_short(row['upper'])}" for roi, row in limits.iterrows()}
    return pd.concat([table, pd.DataFrame([{"Model": "noise ceiling", **ceiling}])], ignore_index=True)


def share_table(shares: pd.DataFrame) -> pd.DataFrame:
    """Return planted and recovered shares as text: one row per region, one column per factor."""
    rows = []
    for roi, frame in shares.groupby("roi", sort=False):
        cells = {
            row.factor.capitalize(): f"{_short(row.planted)}, {_format(row.share, row.low, row.high)}"
            for row in frame.itertuples()
        }
        rows.append({"Region": roi, **cells})
    return pd.DataFrame(rows)


def _read_shares(folder: Path) -> pd.DataFrame:
    path = folder / BRAIN / SHARES
    try:
        return pd.read_csv(path, dtype={"roi": str, "factor": str}, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _collect_tests(result: RSAResult, models: dict[str, str]) -> pd.DataFrame:
    """Return the rows of pairs of models that sentences are about, with ``p_holm``."""
    from statsmodels.stats.multitest import multipletests

    pairs = {frozenset(pair) for pair in combinations(models.values(), 2)}
    pairs |= {
        frozenset((model, other)) for model in models.values() for other in (PIXELS, TWIN.format(model))
    }
    frame = result.pairwise
    asked = [frozenset(pair) in pairs for pair in zip(frame["model_1"], frame["model_2"], strict=True)]
    tests = frame[asked].reset_index(drop=True)
    return tests.assign(p_holm=multipletests(tests["p_value"], method="holm")[1])


def _match(result: RSAResult, roi: str, models: dict[str, str], tests: pd.DataFrame) -> Match:
    rows = result.select_roi(roi).set_index("model")
    best = max(models, key=lambda name: rows.loc[models[name], "estimate"])
    model = models[best]

    def beats(first: str, second: str) -> bool:
        return _is_closer(tests[tests["roi"] == roi], first, second)

    others = [name for name in models if name != best]
    controls = {"its untrained twin": TWIN.format(model), PIXELS: PIXELS}
    won = tuple(name for name in others if beats(model, models[name]))
    controlled = tuple(words for words, control in controls.items() if beats(model, control))
    return Match(
        roi,
        best,
        shorten_layer(str(rows.loc[model, "layer"])),
        float(rows.loc[model, "estimate"]),
        won,
        tuple(name for name in others if name not in won),
        controlled,
        tuple(words for words in controls if words not in controlled),
        all(beats(PIXELS, name) for name in models.values()),
    )


def _is_closer(tests: pd.DataFrame, first: str, second: str) -> bool:
    """Return whether the first model has the higher estimate, significantly after correction."""
    found = tests[tests["p_holm"] < _ALPHA]
    ahead = (found["model_1"] == first) & (found["model_2"] == second) & (found["difference"] > 0)
    behind = (found["model_1"] == second) & (found["model_2"] == first) & (found["difference"] < 0)
    return bool((ahead | behind).any())


def _say_group(result: RSAResult, shares: pd.DataFrame) -> str:
    row = result.estimates.iloc[0]
    return (
        f"{int(row['n_subjects'])} simulated people look at {int(row['n_stimuli'])} of the probe pictures in "
        f"the scanner, whose regions ({_join(list(dict.fromkeys(shares['roi'])))}) tell them apart by known "
        f"shares of pixels, view, identity and expression. From BOLD and events come patterns, crossnobis "
        f"RDMs, and how alike these are to the RDMs of networks. No person was scanned: this shows what the "
        f"analysis finds where the truth is known, and nothing about brains."
    )


def _say_matches(matches: Sequence[Match]) -> list[str]:
    """Return one sentence per outcome, with the regions that share it."""
    groups: dict[tuple, list[Match]] = {}
    for item in matches:
        groups.setdefault(_outcome(item), []).append(item)
    return [_say_outcome(key, items) for key, items in groups.items()]


def _outcome(item: Match) -> tuple:
    if item.is_pixels:
        return ("pixels",)
    if item.not_others:
        return ("open", item.not_others)
    return ("network", item.network, item.not_controls)


def _say_outcome(key: tuple, items: list[Match]) -> str:
    rois = _join([item.roi for item in items])
    is_one = len(items) == 1
    first = items[0]
    if key[0] == "pixels":
        return f"In {rois} pixels are closer than any network."
    if key[0] == "open":
        names = _join([f"the {name} network" for name in dict.fromkeys((first.network, *key[1]))])
        return f"In {rois} {names} do not differ significantly."
    values = _join([_short(item.estimate) for item in items])
    closer = [f"the {name} network" for name in first.others]
    text = f"{rois} {'matches' if is_one else 'match'} the {first.network} network ({first.layer}: {values})"
    if not key[2]:
        return f"{text}, which is closer than {_join([*closer, *first.controls])}."
    gained = [*closer, *first.controls]
    than = f", which is closer than {_join(gained)}" if gained else ""
    return f"{text}{than}, but not significantly closer than {_join(list(key[2]))}."


def _say_tests(result: RSAResult, n_tests: int) -> str:
    target = {"both": "people and pictures", "subjects": "people", "stimuli": "pictures"}
    blocks = result.settings.get("n_blocks")
    by = f", pictures of one person drawn together ({blocks} persons)" if blocks else ""
    return (
        f"(Networks at the layer fixed beforehand; bootstrap over {target[result.settings['generalise_to']]}"
        f"{by}; p < .05 after Holm correction for {n_tests} comparisons.)"
    )


def _say_recovery(shares: pd.DataFrame) -> str:
    errors = (shares["share"] - shares["planted"]).abs()
    worst = shares.loc[errors.idxmax()]
    absent, present = shares[shares["planted"] == 0], shares[shares["planted"] > 0]
    text = (
        f"Recovered shares differ from the planted ones by {errors.mean():.2f} on average and at most by "
        f"{errors.max():.2f} ({worst['factor']} in {worst['roi']}); "
        f"{int((present['p_value'] < _ALPHA).sum())} of {len(present)} planted factors are significant"
    )
    if not len(absent):
        return f"{text}."
    return (
        f"{text}, and {int((absent['p_value'] < _ALPHA).sum())} of {len(absent)} that were not planted "
        f"(p < .05, uncorrected; {_ALPHA * len(absent):.1f} would be by chance)."
    )


def _format(value: float, low: float, high: float) -> str:
    interval = "" if pd.isna(low) else f" [{_short(low)}, {_short(high)}]"
    return f"{_short(value)}{interval}"


def _short(value: float) -> str:
    """Return a number with two decimals and no zero before the point."""
    if pd.isna(value):
        return "–"
    text = f"{value:.2f}"
    return "0" if float(text) == 0 else text.replace("0.", ".", 1)


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
