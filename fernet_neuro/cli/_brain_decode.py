"""``fernet-neuro brain decode``: which stimulus was shown, from patterns of runs that were left out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fernet_neuro.cli._outputs import check_out_folder

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.brain.patterns import BrainPatterns


def register(group: typer.Typer) -> None:
    """Add the command to `group`."""
    group.command("decode")(decode)


def decode(
    patterns: Path = typer.Argument(..., help="Folder that fernet-neuro brain patterns wrote."),
    out: Path = typer.Option(
        ..., help="Folder for results.csv, runs.csv, confusion.csv, split_half.csv and summary.json."
    ),
    readout: str = typer.Option("correlation", help="correlation, centroid or ridge."),
    average: bool = typer.Option(
        False, "--average", help="Decode the mean pattern of each stimulus in each run, not each row."
    ),
    no_centring: bool = typer.Option(
        False, "--no-centring", help="Leave in each run the mean pattern of its rows."
    ),
    roi: list[str] = typer.Option([], help="A region; repeat for more.  [default: all]"),
    subject: list[str] = typer.Option([], help="A participant; repeat for more.  [default: all]"),
    stimulus: list[str] = typer.Option([], help="A stimulus; repeat for more.  [default: all]"),
    permutations: int = typer.Option(1000, min=0, help="Labellings of the null."),
    seed: int = typer.Option(0, help="Seed of the labellings."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace results that are already in OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print the results as JSON."),
) -> None:
    """Tell stimuli apart in runs that the read-out has not seen, and compare odd with even runs.

    Labels of the null are exchanged between whole blocks inside each run: volumes of one block depend on each
    other. split_half.csv has the correlations of mean patterns of odd and even runs.

    Examples
    --------
        fernet-neuro brain decode patterns --average --out decoding

        fernet-neuro brain decode patterns --readout ridge --roi FFA --out decoding
    """
    import json

    import pandas as pd

    from fernet_neuro._utils.atomic import write_text
    from fernet_neuro.brain.derivatives import read_patterns
    from fernet_neuro.brain.split_half import compute_split_half
    from fernet_neuro.probes.decoding import decode_patterns

    check_out_folder(out, ["summary.json"], overwrite=overwrite)
    found = read_patterns(patterns, subjects=subject, rois=roi)
    if stimulus:
        found = [item.select(stimulus_ids=stimulus) for item in found]
    result = decode_patterns(
        found,
        readout=readout,
        average=average,
        centre=not no_centring,
        n_permutations=permutations,
        seed=seed,
    )
    halves = pd.concat([_lengthen(item, compute_split_half(item)) for item in found], ignore_index=True)
    write_text(out / "split_half.csv", halves.to_csv(index=False, lineterminator="\n"))
    result.save(out)
    if as_json:
        rows = halves.to_dict("records")
        typer.echo(
            json.dumps({"regions": result.estimates.to_dict("records"), "split_half": rows, "out": str(out)})
        )
    else:
        typer.echo(
            "\n".join([*_describe(result.estimates), "", *_describe_halves(halves), "", f"Written to {out}"])
        )


def _lengthen(item: "BrainPatterns", matrix: "pd.DataFrame") -> "pd.DataFrame":
    """Return the correlations as rows with labels."""
    rows: list[dict[str, Any]] = [
        {"subject": item.subject, "session": item.session, "roi": item.roi, "odd": odd, "even": even,
         "correlation": float(matrix.loc[odd, even])}
        for odd in matrix.index for even in matrix.columns
    ]  # fmt: skip
    import pandas as pd

    return pd.DataFrame(rows)


def _describe(estimates: "pd.DataFrame") -> list[str]:
    lines = [
        f"{'subject':<12}{'region':<16}{'accuracy %':>11}{'chance %':>10}{'null 95 %':>11}{'p':>9}"
        f"{'p (FDR)':>9}"
    ]
    for row in estimates.to_dict("records"):
        who = f"{row['subject']} {row['session']}".strip()
        tested = (
            f"{100 * row['null_q95']:>11.1f}{row['p_value']:>9.4f}{row['p_fdr']:>9.4f}"
            if "p_value" in row
            else ""
        )
        lines.append(
            f"{who:<12}{row['roi']:<16}{100 * row['accuracy']:>11.1f}{100 * row['chance_level']:>10.1f}"
            f"{tested}"
        )
    return lines


def _describe_halves(halves: "pd.DataFrame") -> list[str]:
    """Return, for each region, how stimuli resemble themselves and others in the other half of the runs."""
    lines = [
        "Correlations of odd and even runs, of a stimulus with itself and with others:",
        f"{'subject':<12}{'region':<16}{'itself':>8}  {'lowest to highest':<18}{'others':>8}",
    ]
    for (subject, session, roi), part in halves.groupby(["subject", "session", "roi"], sort=False):
        is_same = part["odd"] == part["even"]
        same, other = part.loc[is_same, "correlation"], part.loc[~is_same, "correlation"].mean()
        # One number where both ends are the same; adding 0 takes the sign off -0.00.
        ends = dict.fromkeys(f"{round(value, 2) + 0.0:.2f}" for value in (same.min(), same.max()))
        span = " to ".join(ends)
        lines.append(
            f"{f'{subject} {session}'.strip():<12}{roi:<16}{same.mean():>8.2f}  {span:<18}{other:>8.2f}"
        )
    return [*lines, "Each stimulus: split_half.csv."]
