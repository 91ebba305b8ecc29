"""What the report of each result says: the answer in a sentence, tables, methods and references.

What belongs here: sentences computed from results; figures and page are put together in `reports`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from fernet_neuro._utils.p_values import format_p, say_p
from fernet_neuro._utils.record import list_versions
from fernet_neuro.activations.network import list_networks, say_layer, say_models
from fernet_neuro.embedding.result import METHOD_NAMES, EmbeddingResult
from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.experiments.page_tables import (
    format_percent,
    format_share,
    format_short,
    join_words,
)
from fernet_neuro.figures.results import choose_layer, describe_holdout
from fernet_neuro.figures.rsa_results import say_comparison
from fernet_neuro.models.entry import PUBLISHED
from fernet_neuro.probes.result import ProbeReport
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.rsa.store_rdms import WEIGHTS

#: Names in files that are more than words with lines between, as a page says them.
_WORDS = {
    "p_value": "p", "p_max": "p (max)", "p_value_max": "p (max)", "chance_level": "chance", "roi": "region",
    "macro_f1": "macro F1", "ece": "calibration error", "nll": "log loss", "brier": "Brier score",
    "knn_balanced_accuracy": "held-out k-NN accuracy", "x_mm": "x (mm)", "y_mm": "y (mm)", "z_mm": "z (mm)",
    "n_voxels": "voxels", "volume_mm3": "volume (mm\u00b3)", "is_significant": "significant",
}  # fmt: skip

#: Columns that name layers; commands and files keep the names that the network has.
_LAYERS = ("layer", "Layer", "low_layer", "high_layer")

_PERMUTATION = (
    "Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical "
    "Applications in Genetics and Molecular Biology, 9(1), 39."
)
_MAXIMUM = (
    "Nichols, T. E. and Holmes, A. P. (2002). Nonparametric permutation tests for functional neuroimaging. "
    "Human Brain Mapping, 15(1), 1-25."
)
_TWINS = (
    "Crawford, J. R. and Howell, D. C. (1998). Comparing an individual's test score against norms derived "
    "from small samples. The Clinical Neuropsychologist, 12(4), 482-486."
)
_RSA = (
    "Kriegeskorte, N., Mur, M. and Bandettini, P. (2008). Representational similarity analysis: connecting "
    "the branches of systems neuroscience. Frontiers in Systems Neuroscience, 2, 4."
)
_INFERENCE = (
    "Schuett, H. H. et al. (2023). Statistical inference on representational geometries. eLife, 12, e82566."
)
_TSNE = (
    "van der Maaten, L. and Hinton, G. (2008). Visualizing data using t-SNE. Journal of Machine Learning "
    "Research, 9, 2579-2605."
)
_UMAP = "McInnes, L., Healy, J. and Melville, J. (2018). UMAP. arXiv:1802.03426."
_CALIBRATION = (
    "Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On calibration of modern neural networks. "
    "ICML, 1321-1330."
)
_SEARCHLIGHT = (
    "Kriegeskorte, N., Goebel, R. and Bandettini, P. (2006). Information-based functional brain mapping. "
    "PNAS, 103(10), 3863-3868."
)


@dataclass(frozen=True)
class ReportText:
    """What a page says.

    `answer`: one or two sentences from the numbers. `tables`: by caption. `versions`: of what
    it was made with.
    """

    title: str
    answer: str
    tables: Mapping[str, pd.DataFrame]
    methods: str
    references: tuple[str, ...]
    versions: str


def describe_versions(settings: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the packages that can change a number, with their versions, in one phrase.

    Those that an analysis noted in its `settings`; all that are installed where it noted none.
    """
    versions = settings.get("versions") or list_versions()
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _text(
    title: str,
    answer: str,
    tables: Mapping[str, pd.DataFrame],
    methods: str,
    settings: Mapping[str, Any],
    *references: str,
) -> ReportText:
    shown = {caption: _say_names(frame) for caption, frame in tables.items() if len(frame)}
    names = dict.fromkeys(network["name"] for network in settings.get("networks") or [])
    known = [name for name in names if name in PUBLISHED]
    origins = " ".join(
        f"{name} learnt {PUBLISHED[name].learnt} (licence: {PUBLISHED[name].licence})." for name in known
    )
    cited = tuple(dict.fromkeys(PUBLISHED[name].citation for name in known))
    return ReportText(
        title,
        answer,
        shown,
        f"{methods} {origins}".strip(),
        (*references, *cited),
        describe_versions(settings),
    )


def _say_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of results with names for readers in place of those of its files."""
    shown = frame.assign(**{name: frame[name].map(say_layer) for name in _LAYERS if name in frame})
    shown = shown.rename(columns=_say)
    for name in shown:
        if shown[name].dtype == bool:
            shown[name] = shown[name].map({True: "yes", False: "no"})
        elif name in ("metric", "measure"):
            shown[name] = shown[name].map(_say)
        elif name == "p" or str(name).startswith("p ("):
            shown[name] = pd.to_numeric(shown[name]).map(format_p)
    return shown


def _say(name: str) -> str:
    return _WORDS.get(name, str(name).replace("_", " "))


def _list_networks(settings: Mapping[str, Any]) -> str:
    return " ".join(list_networks(settings.get("networks", [])))


def describe_probe(report: ProbeReport) -> ReportText:
    """Return what a report of probes says."""
    settings, frame = report.settings, report.frame
    is_quantity = settings.get("scale") == "numbers"
    readout = settings["readouts"][0]
    own = frame[(frame["source"] == "network") & (frame["readout"] == readout)]
    layer = choose_layer(own.sort_values("layer_index")["layer"].tolist())
    row = own[own["layer"] == layer].iloc[0]
    measure = "r2" if is_quantity else "balanced_accuracy"
    score = _show_score(row, measure)
    beaten = _compare(frame, row, measure)
    chance = "" if is_quantity else f"; chance is {format_percent(row['chance_level'])} %"
    name = "an R2 of" if is_quantity else "a balanced accuracy of"
    answer = (
        f"From {say_layer(layer)}, a linear read-out ({readout}) "
        f"{_say_whether(row, is_quantity, settings['target'])} in "
        f"{describe_holdout(settings['holdout'])}, with {name} {score} ({say_p(row.get('p_value_max'))}, "
        f"corrected over layers){chance}.{beaten}"
    )
    within = settings["permute_within"]
    exchanged = "freely" if within is None else f"within {within}"
    scored = (
        "R2 is over all test stimuli, against the mean of each training part; rank correlations are "
        "Spearman's, the mean over folds"
        if is_quantity
        else "Scores are balanced accuracies"
    )
    methods = (
        f"{settings['stimuli']['n']} stimuli; {settings['n_folds']} folds hold out {settings['holdout']}. "
        f"Read-outs: {', '.join(settings['readouts'])}; penalties, where there are any, are chosen inside "
        f"each training part. {scored}. Labels of {settings['exchangeable_units']} were exchanged "
        f"{exchanged} "
        f"({max(settings['n_permutations'].values())} times), and p-values corrected over layers by the "
        "maximum statistic. The layer of the answer was fixed beforehand, not chosen by its score; "
        "trained and "
        f"untrained networks are compared over networks and people. {_list_networks(settings)}"
    )
    tables = {
        "All layers and sources": _probe_table(report, is_quantity),
        "Accuracy of each class (%)": _class_table(report),
    }
    return _text(f"{settings['target'].capitalize()} read out of layers", answer, tables, methods,
                 settings, _PERMUTATION, _MAXIMUM, _TWINS)  # fmt: skip


def _say_whether(row: pd.Series, is_quantity: bool, target: str) -> str:
    """Return whether the target is read out: no p-value above .05, and for a quantity an R2 above 0."""
    verb = "predict" if is_quantity else "tell"
    p_value = row.get("p_value_max")
    is_doubted = (p_value is not None and p_value > 0.05) or (is_quantity and row["r2"] <= 0)
    return f"does not reliably {verb} {target}" if is_doubted else f"{verb}s {target}"


def _show_score(row: pd.Series, measure: str) -> str:
    if measure == "balanced_accuracy":
        return format_share(row, measure, " %")
    ends = "" if pd.isna(row["r2_low"]) else f" [{row['r2_low']:.2f}, {row['r2_high']:.2f}]"
    return f"{row['r2']:.2f}{ends}"


def _compare(frame: pd.DataFrame, row: pd.Series, measure: str) -> str:
    """Return a sentence on untrained twins and pixels, where there are any."""
    parts = []
    for source, name in (("untrained", "untrained networks"), ("pixels", "pixels")):
        rows = frame[(frame["source"] == source) & (frame["readout"] == row["readout"])]
        rows = rows[(rows["layer"] == row["layer"]) | (rows["layer"] == "pixels")]
        difference = row.get(f"difference_{source}")
        if len(rows) and difference is not None and not pd.isna(difference):
            other = _show_score(rows.iloc[0], measure)
            parts.append(f"{name} reach {other} (difference: {say_p(row.get(f'difference_{source}_p'))})")
    return (
        f" {join_words([part[0].upper() + part[1:] if not at else part for at, part in enumerate(parts)])}."
        if parts
        else ""
    )


def _probe_table(report: ProbeReport, is_quantity: bool) -> pd.DataFrame:
    frame = report.frame
    measure = "r2" if is_quantity else "balanced_accuracy"
    columns = {
        "Source": report.label_sources(frame["source"]),
        "Layer": frame["layer"],
        "Read-out": frame["readout"],
        "R2" if is_quantity else "Accuracy (%)": [_show_score(row, measure) for _, row in frame.iterrows()],
    }
    if is_quantity:
        columns["Rank correlation"] = [format_short(value) for value in frame["rank_correlation"]]
    if "selectivity" in frame:
        columns["Minus arbitrary labels" + (" (R2)" if is_quantity else " (%)")] = [
            "" if pd.isna(value) else format_short(value) if is_quantity else format_percent(value)
            for value in frame["selectivity"].astype(float)
        ]
    for name, column in (
        ("p", "p_value"),
        ("p (max)", "p_value_max"),
        ("p (twins)", "difference_untrained_p"),
    ):
        if column in frame:
            columns[name] = pd.to_numeric(frame[column])
    return pd.DataFrame(columns)


def _class_table(report: ProbeReport) -> pd.DataFrame:
    rows = [row for row in report.layers if row["source"] == "network" and row.get("per_class_accuracy")]
    return pd.DataFrame(
        [
            {
                "Layer": row["layer"],
                "Read-out": row["readout"],
                **{name: format_percent(share) for name, share in row["per_class_accuracy"].items()},
            }
            for row in rows
            if len(row["per_class_accuracy"]) <= 20
        ]
    )


def describe_evaluation(report: EvaluationReport) -> ReportText:
    """Return what a report of evaluations says."""
    settings, metrics = report.settings, report.metrics
    seed = "mean" if (metrics["seed"] == "mean").any() else metrics["seed"].iloc[0]
    rows = metrics[(metrics["seed"] == seed) & (metrics["class"] == "")]
    first = rows[rows["metric"] == "mean_class_accuracy"].iloc[0]
    n_runs = len(settings["runs"])
    who = "The network names" if n_runs == 1 else f"{n_runs} networks name"
    answer = (
        f"{who} {settings['factor']} of {settings['stimuli']['n']} stimuli with a mean class accuracy of "
        f"{format_share(first, 'value', ' %')}; chance is {format_percent(first['chance_level'])} %."
    )
    table = rows[["epoch", "metric", "value", "low", "high", "chance_level", "interval"]]
    recalls = metrics[(metrics["seed"] == seed) & (metrics["metric"] == "recall")]
    methods = (
        f"{settings['stimuli']['n']} stimuli that the networks were not trained on unless the notes say so; "
        f"intervals are over what the table names. {' '.join(report.notes)}"
    )
    tables = {
        "Scores": table,
        "Recall of each class": recalls[["epoch", "class", "value", "low", "high", "n"]],
    }
    return _text(f"Test of {settings['factor']}", answer, tables, methods, settings, _CALIBRATION)


def describe_embedding(result: EmbeddingResult) -> ReportText:
    """Return what a report of maps says."""
    settings, quality = result.settings, result.quality
    judged = quality[(quality["measure"] == "neighbour_purity") & (quality["space"] == "features")]
    sentences = [
        _say_most_shared(rows.sort_values("value", ascending=False).iloc[0])
        for _, rows in judged.groupby("factor", sort=False)
    ]
    answer = f"{len(result.layers)} layers were mapped. {' '.join(sentences)}"
    if sentences:
        answer = f"{' '.join(sentences)}{_warn_of_choice(len(result.layers), 'share')}"
    columns = ["layer", "space", "factor", "measure", "value", "low", "high", "chance_level", "p_value_max"]
    methods = (
        f"{METHOD_NAMES[settings['method']]} maps of the first {settings.get('n_pca', 50)} principal "
        f"components, perplexity {', '.join(f'{value:g}' for value in settings['perplexities'])}. How far "
        "neighbours share a label is judged in the features, not in the map, and held against exchanged "
        "labels. "
        f"{_list_networks(settings)}"
    )
    reference = _UMAP if settings["method"] == "umap" else _TSNE
    return _text(
        "Maps of layers",
        answer,
        {"Quality": result.quality[columns]},
        methods,
        settings,
        reference,
        _PERMUTATION,
    )


def _say_most_shared(row: pd.Series) -> str:
    """Return how many neighbours share a factor in the layer of this row."""
    return (
        f"Neighbours share {row['factor']} most in {say_layer(row['layer'])}: "
        f"{format_share(row, 'value', ' %')} of them ({say_p(row['p_value_max'])}, corrected over layers); "
        f"chance is {format_percent(row['chance_level'])} %."
    )


def describe_rsa(result: RSAResult) -> ReportText:
    """Return what a report of representational similarity says."""
    settings, sentences, words = result.settings, [], result.words
    for roi in result.rois:
        rows = result.select_roi(roi).dropna(subset=["estimate"])
        if rows.empty:
            sentences.append(f"In {roi or 'the brain'}, no model has an estimate.")
        else:
            row = rows.sort_values("estimate", ascending=False).iloc[0]
            ends = (
                "" if pd.isna(row["low"]) else f" [{format_short(row['low'])}, {format_short(row['high'])}]"
            )
            sentences.append(
                f"In {roi or 'the brain'}, {words[row['model']]} fits best of {len(rows)} models: "
                f"{say_comparison(row['comparison'])} {format_short(row['estimate'])}{ends} "
                f"({say_p(row['p_max'])}, corrected over models{_say_ceiling(result.ceilings, roi)})."
            )
    sentences.append(_warn_of_choice(len(result.models), "estimate").strip())
    first = result.estimates.iloc[0]
    methods = (
        f"{int(first['n_subjects'])} subjects and {int(first['n_stimuli'])} stimuli, compared by "
        f"{first['comparison']}; {100 * settings['level']:g} % intervals by {result.used_inference}, results "
        f"generalise to {settings['generalise_to']}. p-values are corrected over models within a region by "
        f"the maximum statistic. "
        f"{' '.join(settings.get('notes', []))}"
    )
    columns = ["roi", "model", WEIGHTS, "estimate", "low", "high", "p_value", "p_max"]
    tables = {
        "Estimates": result.estimates[[name for name in columns if name in result.estimates]].assign(
            model=[words[name] for name in result.estimates["model"]]
        ),
        "Noise ceilings": result.ceilings,
        "Peaks over layers": result.peaks,
        "Shares of variance": _share_table(result, words),
    }
    return _text(
        "Models and regions", " ".join(sentences).strip(), tables, methods, settings, _RSA, _INFERENCE
    )


def _say_ceiling(ceilings: pd.DataFrame, roi: str) -> str:
    """Return the noise ceiling of a region, or nothing where none is known."""
    rows = ceilings[ceilings["roi"] == roi].dropna(subset=["lower", "upper"])
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"; noise ceiling {format_short(row['lower'])} to {format_short(row['upper'])}"


def _share_table(result: RSAResult, words: Mapping[str, str]) -> pd.DataFrame:
    """Return the shares of variance; columns beside those of every partition are read as text."""
    frame = result.partition
    numbers = {name: pd.to_numeric(frame[name]) for name in ("uncorrected",) if name in frame}
    return frame.assign(models=[say_models(names, words) for names in frame["models"]], **numbers)


def _warn_of_choice(n_tried: int, what: str) -> str:
    """Return a sentence where the best of several was chosen by what is told of it."""
    return f" The best was chosen by its {what}, which is therefore somewhat high." if n_tried > 1 else ""


def describe_searchlight(report: Mapping[str, Any], peaks: pd.DataFrame | None) -> ReportText:
    """Return what a report of searchlights says; `report`: the content of ``settings.json``."""
    from fernet_neuro.rsa.searchlight.folder import name_in_words  # loads joblib

    group = report["group"]
    if peaks is not None:
        peaks = peaks.assign(model=peaks["model"].map(name_in_words(report)))
    if peaks is None:
        answer, table = f"No group test: {group['reason']}.", pd.DataFrame()
    elif not peaks["is_significant"].any():
        answer, table = "No model has a place that passes the corrected threshold.", peaks
    else:
        found = peaks[peaks["is_significant"]].sort_values("t", ascending=False)
        row, table = found.iloc[0], peaks
        answer = (
            f"{len(found)} peaks of {found['model'].nunique()} models pass the corrected threshold; the "
            f"highest is of {row['model']} at ({row['x_mm']:.0f}, {row['y_mm']:.0f}, {row['z_mm']:.0f}) "
            "mm, t = "
            f"{row['t']:.2f}, {say_p(row['p_value'])}."
        )
    methods = (
        f"Searchlights in {len(report['subjects'])} subjects: {report['distance']} distances (noise: "
        f"{report['noise']}), compared with models by {report['comparison']}. Group: "
        f"{group.get('correction', 'none')} over sign flips of subjects."
    )
    return _text("Searchlight maps", answer, {"Peaks": table}, methods, report, _SEARCHLIGHT, _MAXIMUM)
