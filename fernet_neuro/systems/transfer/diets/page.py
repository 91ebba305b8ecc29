"""The page of diets: the answer in a sentence that is computed, the figure, the tables.

What belongs here: words and order; numbers come from the tables of the results folder.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.p_values import format_p
from fernet_neuro._utils.tables import iterate_rows, read_mixed
from fernet_neuro.experiments.page import (
    Section,
    list_links,
    read_pictures,
    render,
    show_material,
    show_settings,
    write_sections,
)
from fernet_neuro.experiments.page_tables import format_percent
from fernet_neuro.figures.results import describe_holdout
from fernet_neuro.systems.transfer.diets.settings import DietsSettings
from fernet_neuro.systems.transfer.diets.tables import DIFFERENCES, READOUTS, read_readouts

_PACKAGE = "fernet_neuro.systems.transfer"
_TEXT = ("test", "target", "holdout", "layer", "diet", "reference")


def write_page(settings: DietsSettings, folder: Path) -> Path:
    """Write ``index.html`` into a results folder with finished tables and return its path."""
    frame = read_readouts(folder)
    body = render(
        "diets.html.j2",
        _PACKAGE,
        pictures=read_pictures(folder, ["diets"]),
        answers=list_answers(settings, frame),
        tables=list_tables(settings, frame),
        differences=tabulate_differences(settings, folder),
        files=list_links(folder, [READOUTS, DIFFERENCES]),
    )
    lead = answer(settings, frame)
    sections = [Section("results", "Results", body), show_material(folder), show_settings(folder, "diets")]
    return write_sections(folder, settings.title, lead, sections)


def list_answers(settings: DietsSettings, frame: pd.DataFrame) -> list[str]:
    """Return the answer of every read-out, test and number of people, as sentences."""
    asked = [(test, item.target, item.holdout) for test in settings.tests for item in settings.probes]
    return [answer(settings, frame, case, size) for case in asked for size in settings.sizes]


def answer(
    settings: DietsSettings,
    frame: pd.DataFrame,
    case: tuple[str, str, str] | None = None,
    size: int | None = None,
) -> str:
    """Return what diets did to one read-out, in a sentence; by default to the first, with the most people.

    A diet loses or gains where the fed network differs from untrained ones at p < .05 by Holm's method.
    """
    first = settings.probes[0]
    test, target, holdout = case or (next(iter(settings.tests)), first.target, first.holdout)
    size = size or max(settings.sizes)
    rows = frame[
        (frame["test"] == test)
        & (frame["target"] == target)
        & (frame["holdout"] == holdout)
        & (frame["size"] == size)
        & (frame["seed"] == "mean")
        & (frame["layer"] == settings.headline_layer)
        & (frame["network"] == settings.fed)
    ]
    one = rows.iloc[0]
    parts = [_judge(row) for row in iterate_rows(rows)]
    shown = f"{settings.tests[test].label or test}; {describe_holdout(holdout)}"
    untrained, chance = (format_percent(one[f"{name}_percent"] / 100) for name in ("untrained", "chance"))
    return (
        f"{target.capitalize()} of new people ({shown}), read out of layer {settings.headline_layer} of "
        f"identity networks that learned {size} people: untrained networks give {untrained} % (chance "
        f"{chance} %); {'; '.join(parts)}."
    )


def _judge(row: Any) -> str:
    change = row.difference_untrained_percent
    verb = "is not told from that"
    if row.difference_untrained_p_holm < 0.05:
        verb = f"{'gains' if change > 0 else 'loses'} {format_percent(abs(change) / 100)} points"
    value = format_percent(row.accuracy_percent / 100)
    return f"the diet “{row.diet_label}” gives {value} % and {verb}"


def list_tables(settings: DietsSettings, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a table per test: networks in rows, read-outs of the layer of the answer in columns."""
    means = frame[(frame["seed"] == "mean") & (frame["layer"] == settings.headline_layer)]
    return {
        f"{settings.tests[test].label or test}: balanced accuracy in % at {settings.headline_layer}, and the "
        f"difference from untrained networks": _tabulate(means[means["test"] == test])
        for test in settings.tests
    }


def _tabulate(means: pd.DataFrame) -> pd.DataFrame:
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in iterate_rows(means):
        column = f"{row.target.capitalize()}, {describe_holdout(row.holdout)}"
        entry = rows.setdefault(
            (row.network, row.diet_label, row.size),
            {"Network": row.network, "Diet": row.diet_label, "People": int(row.size)},
        )
        star = "*" if row.difference_untrained_p_holm < 0.05 else ""
        entry[column] = f"{row.accuracy_percent:.1f} ({row.difference_untrained_percent:+.1f}{star})"
    return pd.DataFrame(list(rows.values()))


def tabulate_differences(settings: DietsSettings, folder: Path) -> pd.DataFrame:
    """Return how diets differ from the first at the layer of the answer, as text.

    A single training seed has no interval and no p value, and the table no columns for them.
    """
    frame = read_mixed(folder / DIFFERENCES, _TEXT, None)
    labels = {name: diet.label or name for name, diet in settings.diets.items()}
    table = pd.DataFrame(
        [
            {
                "Read-out": f"{row.target.capitalize()}, {describe_holdout(row.holdout)}",
                "Test": settings.tests[row.test].label or row.test,
                "People": int(row.size),
                "Diet": f"{labels[row.diet]} – {labels[row.reference]}",
                "Difference (points)": f"{row.difference_percent:+.1f}",
                "95 % interval": _format_ends(row),
                "p (Holm)": format_p(row.p_holm),
            }
            for row in iterate_rows(frame[frame["layer"] == settings.headline_layer])
        ]
    )
    return table.loc[:, (table != "–").any()]


def _format_ends(row: Any) -> str:
    if row.low_percent != row.low_percent:
        return "–"
    return f"{row.low_percent:+.1f} to {row.high_percent:+.1f}"
