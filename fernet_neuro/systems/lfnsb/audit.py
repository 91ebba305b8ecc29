"""What the printed numbers of the paper say of themselves: means, attainable shares, units, differences.

What belongs here: computations on numbers that the recipes of the tables hold as published; none is of ours.

References
----------
[1] Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
    Cosine-Harmony loss. Preprints 115488.
"""

from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.config import read_recipe
from fernet_neuro.evaluation.grid import audit_accuracy, compute_hit_probability
from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.registry import build_model

#: Pictures of the official test sets, and of expressions of RAF-DB whose shares [1] prints.
RAF_TEST, RAF_ALL = 3068, 15_339
RAF_SHOWN = {"disgust": ("74.38", 160), "fear": ("67.57", 74)}


def audit_paper() -> pd.DataFrame:
    """Return what [1] prints beside what follows from its own tables.

    Returns
    -------
    DataFrame
        ``what, printed, computed``, as text; one row per statement.

    Examples
    --------
    >>> audit_paper()["computed"][0]
    '90.446 (standard deviation 0.284)'
    """
    rows = [*_audit_folds(), *_audit_costs(), *_audit_differences(), *_audit_shares()]
    return pd.DataFrame(rows, columns=["what", "printed", "computed"])


def _read_printed(table: int, arm: str = "lfnsb") -> dict[str, Any]:
    published: dict[str, dict[str, Any]] = read_recipe(f"lfnsb/table{table}")["published"]
    return published[arm]


def _audit_folds() -> list[tuple[str, str, str]]:
    printed, rows = _read_printed(9), []
    in_text = {"RAF-DB": "90.635", "AffectNet-7": "65.72"}
    for name, text in in_text.items():
        texts = printed[f"{name}, ten values"].split()
        values = np.array(texts, dtype=float)
        average = printed[f"{name}, average"]
        both = average if average == text else f"{average} (table), {text} (text)"
        found = f"{values.mean():.3f} (standard deviation {values.std(ddof=1):.3f})"
        rows.append((f"Table 9, mean of the ten values, {name}", both, found))
        place = f"the largest of the ten, fold {values.argmax() + 1}"
        rows.append((f"Headline accuracy, {name}", f"{values.max():.2f}", place))
    return [*rows, *_audit_raf_folds(printed["RAF-DB, ten values"].split())]


def _audit_raf_folds(texts: list[str]) -> list[tuple[str, str, str]]:
    """Return of how many images the ten values can be shares."""
    rows = []
    small, large = RAF_ALL // 10, RAF_ALL // 10 + 1
    audits = {n: [audit_accuracy(text, n) for text in texts] for n in (RAF_TEST, small, large)}
    hits = [audit.is_attainable for audit in audits[RAF_TEST]]
    chance = f"{sum(hits)} of 10 (by chance: {compute_hit_probability(audits[RAF_TEST]):.0e})"
    rows.append(("Table 9, values that are shares of the 3,068 official test images", "folds", chance))
    either = [a.is_attainable or b.is_attainable for a, b in zip(audits[small], audits[large], strict=True)]
    what = f"Table 9, values that are shares of a tenth of all images ({small:,} or {large:,})"
    return [*rows, (what, "folds", f"{sum(either)} of 10")]


def _audit_costs() -> list[tuple[str, str, str]]:
    """Return how much smaller LFNSB is than MFN, from the printed figures and from ours."""
    small, large = (_read_printed(2, arm) for arm in ("lfnsb", "mfn"))
    ours = {name: compute_cost(build_model(name)) for name in ("mobilefacenet", "mfn", "lfnsb")}
    used = {name: int(cost["params_used"]) for name, cost in ours.items()}
    counted = int(ours["lfnsb"]["params"])
    units = [
        (f"Table 2, weights of {label}", printed, f"{count:,} {unit} = {count / size:.3f}")
        for label, printed, count, unit, size in (
            ("MobileFaceNet", "1.148M", used["mobilefacenet"], "/ 2^20", 2**20),
            ("MFN", large["Parameters"], used["mfn"], "/ 2^20", 2**20),
            ("LFNSB", small["Parameters"], counted, "/ 10^6", 10**6),
        )
    ]
    falls = [
        _fall(float(small[key].rstrip("M")), float(large[key].rstrip("M"))) for key in ("Parameters", "FLOPs")
    ]
    whole = _fall(counted, used["mfn"])
    return [
        *units,
        ("Fewer weights than MFN", "30.8 %", f"{falls[0]} from the printed figures, {whole} in one unit"),
        ("Fewer FLOPs than MFN", "27.1 %", f"{falls[1]} from the printed figures"),
    ]


def _fall(after: float, before: float) -> str:
    return f"{100 * (1 - after / before):.1f} %"


def _audit_differences() -> list[tuple[str, str, str]]:
    pairs = [
        (3, "ce", "ce-ch", {"RAF-DB": "0.65", "AffectNet-7": "1.19"}),
        (5, "lfn", "lfnsb", {"RAF-DB": "0.85", "AffectNet-7": "1.117"}),
    ]
    return [
        (
            f"Table {table}, gain on {column} (points)",
            printed,
            f"{_read_printed(table, after)[column] - _read_printed(table, before)[column]:.2f}",
        )
        for table, before, after, texts in pairs
        for column, printed in texts.items()
    ]


def _audit_shares() -> list[tuple[str, str, str]]:
    rows = []
    for name, (text, n) in RAF_SHOWN.items():
        found = audit_accuracy(text, n).counts["half_up"]
        rows.append((f"Figure 6, {name}, RAF-DB", f"{text} %", f"{found[0]} of {n}"))
    text = f"{_read_printed(7)['AffectNet-8']:.2f}"
    found = audit_accuracy(text, 3999).counts["half_up"]
    below = audit_accuracy(text, 4000)
    near = " or ".join(print_ for _, print_ in filter(None, (below.below, below.above)))
    says = f"{found[0]:,} of 3,999; of 4,000 images not, rounded half up (nearest {near})"
    return [*rows, ("Accuracy on AffectNet-8", f"{text} %", says)]
