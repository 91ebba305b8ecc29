"""The caption of maps: how they were made and judged, and what must not be read from them."""

import pandas as pd

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.activations.network import say_layer
from fernet_neuro.embedding.result import METHOD_NAMES
from fernet_neuro.viz.maps import choose_looks


def caption_maps(source: pd.DataFrame) -> str:
    """Say how maps were made and judged, what intervals and nulls are, and what they do not show."""
    points, scores = source[source["kind"] == "point"], source[source["kind"] == "score"]
    method = METHOD_NAMES[points["method"].iloc[0]]
    reach = "perplexity" if method == "t-SNE" else "number of neighbours"
    first = scores.iloc[0]
    text = (
        f"{method} maps ({reach} {points['perplexity'].iloc[0]:g}, seed {first['seed']:.0f}) of "
        f"{first['n_stimuli']:.0f} stimuli, from {first['n_pca']:.0f} principal components and started from "
        f"the first two. Axes have no unit; only who is near whom means anything: sizes of clusters and "
        f"distances between clusters in {method} mean nothing.{_say_hidden(points)} "
        f"Numbers and lower panels: purity is the share of a stimulus's {name_k(scores)} nearest neighbours "
        f"that have its label, and {name_k(scores)}-NN the balanced accuracy of their majority vote, in the "
        f"map and in the features that it was made from. {_say_comparisons(scores)} {_say_null(scores)}"
    )
    return f"{text} {_say_intervals(scores)}{_say_trust(source)}{_say_left_out(source, points, scores)}"


def name_k(scores: pd.DataFrame) -> str:
    """Return k, or the several k of several factors."""
    return " or ".join(dict.fromkeys(f"{k:.0f}" for k in scores["n_neighbours"]))


def _plural(factor: str) -> str:
    return f"{factor.removesuffix('y')}ies" if factor.endswith("y") else f"{factor}s"


def _say_hidden(points: pd.DataFrame) -> str:
    """Return which labels are not told apart, or nothing."""
    sentences = []
    for factor, rows in points.groupby("factor", sort=False):
        n_labels, n_shown = rows["label"].nunique(), len(choose_looks(rows["label"]))
        if n_shown < n_labels:
            sentences.append(
                f" Of {n_labels} {_plural(str(factor))} the first {n_shown} in sorted order are told apart; "
                f"the others are grey."
            )
    return "".join(sentences)


def _say_comparisons(scores: pd.DataFrame) -> str:
    sentences = []
    for factor, rows in scores.groupby("factor", sort=False):
        across = rows["across"].iloc[0]
        if across:
            sentences.append(
                f"For {factor}, neighbours of the same {across} do not count: the {across} is held out."
            )
        else:
            sentences.append(f"For {factor}, nothing is held out but sessions of one pose.")
    return " ".join(sentences)


def _say_null(scores: pd.DataFrame) -> str:
    tested = scores[scores["n_permutations"] > 0]
    if tested.empty:
        return "No null was drawn."
    ways = dict.fromkeys(
        f"{row.factor} {'within ' + row.permuted_within if row.permuted_within else 'freely'}"
        for row in iterate_rows(tested)
    )
    return (
        f"Grey bars: from chance to the 95 % quantile of {tested['n_permutations'].iloc[0]:.0f} relabellings "
        f"({', '.join(ways)}; near-copies keep one label). Asterisks: p < .05, corrected over layers and "
        f"perplexities by the maximum statistic."
    )


def _say_intervals(scores: pd.DataFrame) -> str:
    over = list(dict.fromkeys(scores.loc[scores["interval"].fillna("") != "", "interval"]))
    if not over:
        return "No intervals: too few people."
    return f"Intervals: 95 %, jackknife over {' or '.join(over)}, the map taken as given."


def _say_trust(source: pd.DataFrame) -> str:
    rows = source[(source["kind"] == "trust") & (source["perplexity"] == source["perplexity"].iloc[0])]
    values = [f"{row.value_percent / 100:.2f} ({say_layer(row.layer)})" for row in iterate_rows(rows)]
    return f" Trustworthiness of the maps: {', '.join(values)}."


def _say_left_out(source: pd.DataFrame, points: pd.DataFrame, scores: pd.DataFrame) -> str:
    n_layers, n_drawn = int(source["n_layers"].iloc[0]), points["layer"].nunique()
    text = "" if n_layers == n_drawn else f" Maps of the first {n_drawn} of {n_layers} layers are drawn."
    swept = list_perplexities(scores)
    if len(swept) > 1:
        text += (
            f" Small points: the other perplexities (all: {', '.join(swept)}); none was chosen by its scores."
        )
    return text


def list_perplexities(scores: pd.DataFrame) -> list[str]:
    """Return the perplexities of the maps, as text, in the order asked for."""
    return [f"{value:g}" for value in dict.fromkeys(scores["perplexity"].dropna())]
