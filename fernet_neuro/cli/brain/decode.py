"""``fernet-neuro brain decode``: which stimulus was shown, from patterns of runs that were left out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_folder
from fernet_neuro.cli._tables import format_table, show

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.brain.patterns import BrainPatterns


def decode(
    patterns: Annotated[Path, opt.argument("Folder that fernet-neuro brain patterns wrote.", "PATTERNS")],
    out: Annotated[
        Path, opt.folder("Folder for results.csv, runs.csv, confusion.csv, split_half.csv and summary.json.")
    ],
    readout: Annotated[str, opt.text("Kind: correlation, centroid or ridge.")] = "correlation",
    average: Annotated[
        bool, opt.flag("--average", "Decode the mean pattern of each stimulus in each run, not each row.")
    ] = False,
    no_centring: Annotated[
        bool, opt.flag("--no-centring", "Do not subtract the mean pattern of each run.")
    ] = False,
    roi: opt.Regions = [],
    subject: opt.Subjects = [],
    stimulus: Annotated[list[str], opt.text("Only this stimulus; repeat for more.  [default: all]")] = [],
    permutations: opt.Permutations = 1000,
    seed: opt.Seed = 0,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Decode which stimulus was shown, in runs that were left out, and compare odd with even runs.

    Labels of the null are exchanged between whole blocks inside each run: volumes of one block depend on each
    other. split_half.csv has the correlations of mean patterns of odd and even runs.

    Examples
    --------
        fernet-neuro brain decode patterns --average --out decoding
        fernet-neuro brain decode patterns --readout ridge --roi FFA --out decoding
    """
    import pandas as pd

    from fernet_neuro._utils.tables import write_csv
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
    write_csv(halves, out / "split_half.csv")
    result.save(out)
    lines = [*_describe(result.estimates), "", *_describe_halves(halves), "", f"Written to {out}"]
    rows = {"regions": result.estimates.to_dict("records"), "split_half": halves.to_dict("records")}
    show(lines, as_json=as_json, values={**rows, "out": str(out)})


def _lengthen(item: "BrainPatterns", matrix: "pd.DataFrame") -> "pd.DataFrame":
    """Return the correlations as rows with labels."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {"subject": item.subject, "session": item.session, "roi": item.roi, "odd": odd, "even": even,
         "correlation": float(matrix.loc[odd, even])}
        for odd in matrix.index for even in matrix.columns
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _describe(estimates: "pd.DataFrame") -> list[str]:
    columns = {
        "subject": "{subject} {session}", "region": "{roi}", "accuracy %": "{accuracy:.1pct}",
        "chance %": "{chance_level:.1pct}", "null 95 %": "{null_q95:.1pct}", "p": "{p_value:p}",
        "p (FDR)": "{p_fdr:p}",
    }  # fmt: skip
    return format_table(estimates, columns)


def _describe_halves(halves: "pd.DataFrame") -> list[str]:
    """Return, for each region, how stimuli resemble themselves and others in the other half of the runs."""
    rows = []
    for (subject, session, roi), part in halves.groupby(["subject", "session", "roi"], sort=False):
        is_same = part["odd"] == part["even"]
        same, other = part.loc[is_same, "correlation"], part.loc[~is_same, "correlation"].mean()
        # One number where both ends are the same; adding 0 takes the sign off -0.00.
        ends = dict.fromkeys(f"{round(value, 2) + 0.0:.2f}" for value in (same.min(), same.max()))
        rows.append(
            {
                "subject": f"{subject} {session}", "roi": roi, "same": same.mean(), "other": other,
                "ends": " to ".join(ends),
            }
        )  # fmt: skip
    columns = {
        "subject": "{subject}", "region": "{roi}", "itself": "{same:.2f}", "lowest to highest": "{ends}",
        "others": "{other:.2f}",
    }  # fmt: skip
    return [
        "Correlations of odd and even runs, of a stimulus with itself and with others:",
        *format_table(rows, columns),
        "Each stimulus: split_half.csv.",
    ]
