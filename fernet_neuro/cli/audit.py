"""``fernet-neuro audit-accuracy``: whether a printed accuracy can be a share of N test images."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import show

if TYPE_CHECKING:
    from fernet_neuro.evaluation.grid import GridAudit

_WORDS = {"half_up": "half up", "half_even": "half even", "half_down": "half down", "truncated": "truncated"}


def audit_accuracy(
    percents: Annotated[list[str], opt.argument("Accuracies in %, as printed.", "PERCENT...")],
    n: Annotated[list[int], opt.count("Number of test images; repeat for more.", None, "--n")],
    decimals: Annotated[
        int | None, opt.count("Digits after the decimal point.  [default: as printed]", min=0, max=9)
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Say whether printed accuracies are possible with N test images, and from which counts.

    One that is not possible may be a mean over runs or over classes, or of another number of images. Many
    numbers are possible by chance; for several, the probability that so many would be is given too.

    Examples
    --------
        fernet-neuro audit-accuracy 90.33 --n 3068
        fernet-neuro audit-accuracy 63.12 --n 3999 --n 4000
        fernet-neuro audit-accuracy 90.48 90.22 90.61 90.35 --n 3068 --json
    """
    from fernet_neuro.evaluation import grid

    digits = max(grid.count_decimals(text) for text in percents) if decimals is None else decimals
    audits = {size: [grid.audit_accuracy(text, size, digits) for text in percents] for size in n}
    tests = {size: _summarise(found, grid.compute_hit_probability(found)) for size, found in audits.items()}
    values = [_as_dict(audit) for found in audits.values() for audit in found]
    lines = [
        line
        for size, found in audits.items()
        for line in (*map(_describe, found), _describe_summary(tests[size]))
    ]
    show(lines, as_json=as_json, values={"values": values, "summary": list(tests.values())})


def _as_dict(audit: "GridAudit") -> dict[str, Any]:
    return {**asdict(audit), "is_attainable": audit.is_attainable, "conventions": audit.conventions}


def _summarise(audits: "list[GridAudit]", probability: float) -> dict[str, Any]:
    return {
        "n": audits[0].n,
        "decimals": audits[0].decimals,
        "n_values": len(audits),
        "n_attainable": sum(bool(audit.counts["half_up"]) for audit in audits),
        "chance_rate": audits[0].chance_rate,
        "p_value": probability if len(audits) > 1 else None,
    }


def _describe(audit: "GridAudit") -> str:
    """Return one line: the verdict, the counts, and the neighbours where there is no count."""
    head = f"{audit.percent} % of {audit.n}: "
    rounded = {name: audit.counts[name] for name in audit.conventions if name != "truncated"}
    if len(rounded) == len(_WORDS) - 1:
        return f"{head}attainable, {_list_counts(rounded['half_up'])} right"
    near = " and ".join(f"{text} ({count} right)" for count, text in filter(None, (audit.below, audit.above)))
    found = [f"{_WORDS[name]}: {_list_counts(audit.counts[name])} right" for name in audit.conventions]
    if rounded:
        return f"{head}depends on how halves are rounded: {'; '.join(found)}; nearest half up: {near}"
    cut = f"; only if digits were cut off ({found[0].partition(': ')[2]})" if found else ""
    return f"{head}NOT attainable by rounding{cut}; nearest: {near}"


def _list_counts(counts: tuple[int, ...]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _describe_summary(summary: dict[str, Any]) -> str:
    text = (
        f"n = {summary['n']}: {100 * summary['chance_rate']:.1f} % of all numbers with "
        f"{summary['decimals']} decimals are attainable"
    )
    if summary["p_value"] is None:
        return text
    return (
        f"{text}; {summary['n_attainable']} of {summary['n_values']} values are (rounded half up), "
        f"probability of so many or more by chance {summary['p_value']:.2g}"
    )
