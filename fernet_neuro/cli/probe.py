"""``fernet-neuro probe``: what a linear read-out finds in each layer, with permutation tests and controls."""

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fernet_neuro.cli._outputs import check_out_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPORT_FILES = ("summary.json", "results.csv", "confusion.csv", "null.npz")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("probe")(probe)


def probe(
    sources: list[str] = typer.Argument(
        ...,
        metavar="SOURCE...",
        help="An activation store, a run folder, or a network by name; several are seeds of one network.",
    ),
    out: Path = typer.Option(..., help="Folder for results.csv, confusion.csv, null.npz and summary.json."),
    stimuli: Path | None = typer.Option(
        None, help="Stimulus table (.csv or .parquet); needed unless SOURCE is a store."
    ),
    layer: list[str] = typer.Option([], help="A layer to probe; repeat for more."),
    all_layers: bool = typer.Option(False, "--all-layers", help="Probe every layer."),
    target: str = typer.Option("expression", help="Factor to read out: a column of the stimulus table."),
    holdout: str = typer.Option(
        "identity",
        help="What folds hold out: identity, view, expression, session, random or kdef10 (the lab's sets).",
    ),
    readout: list[str] = typer.Option(["ridge"], help="ridge, logistic or sgd; repeat for more."),
    permutations: int = typer.Option(1000, min=0, help="Exchanges of labels for the p values of ridge."),
    permutations_iterative: int = typer.Option(
        0, min=0, help="The same for logistic and sgd, which are fitted anew for each (slow)."
    ),
    permute_within: str = typer.Option(
        "auto", help="Factor inside which labels are exchanged; none: freely; auto: by target and hold-out."
    ),
    penalty: float | None = typer.Option(
        None, help="Absolute penalty; otherwise chosen inside each training fold."
    ),
    relative_penalty: float | None = typer.Option(
        None,
        help="Penalty as a multiple of a training row's mean squared length; needed where training folds "
        "hold one photograph per class, too few to choose from.",
    ),
    n_folds: int = typer.Option(10, min=2, help="Folds of the hold-outs identity and random."),
    seed: int = typer.Option(0, help="Seed of folds, exchanges and batches."),
    untrained: list[Path] = typer.Option(
        [], help="Store of the untrained twin, one per SOURCE that is a store; networks get theirs made."
    ),
    no_controls: bool = typer.Option(
        False, "--no-controls", help="Leave out pixels, untrained twin and random labels."
    ),
    size: int | None = typer.Option(None, min=1, help="Input side in pixels, for a newly built network."),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:0, for networks."),
    n_jobs: int = typer.Option(1, help="Layers at once; -1 for one per core. The result does not change."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a report that is already in OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Read a factor out of frozen layers, on stimuli whose hold-out the read-out never saw in training.

    Activations of networks that were not extracted before are kept in OUT/stores, so that the same command
    goes on where it was interrupted.

    Examples
    --------
        fernet-neuro probe stores/identity --all-layers --target expression --holdout identity --out results

        fernet-neuro probe runs/identity/seed0 --stimuli faces.csv --layer layer4 --layer fc --out results

        fernet-neuro probe runs/identity/seed* --stimuli faces.csv --all-layers --out over_seeds

        fernet-neuro probe stores/identity --layer fc --target identity --holdout expression --out back --json

        fernet-neuro probe stores/two --layer fc --target identity --holdout expression
        --relative-penalty 0.01 --out two
    """
    import json

    from fernet_neuro.door.people import describe_trained_people
    from fernet_neuro.door.probe import probe as run
    from fernet_neuro.probes.controls import CONTROLS

    if bool(layer) == all_layers:
        raise ValueError("name layers with --layer NAME (repeat for more), or take all with --all-layers.")
    check_out_folder(out, _REPORT_FILES, overwrite=overwrite)
    if penalty is not None and relative_penalty is not None:
        raise ValueError("give --penalty or --relative-penalty, not both.")
    with _in_options():
        report = run(
            sources,
            stimuli,
            layers=layer or None,
            target=target,
            holdout=holdout,  # type: ignore[arg-type]  # checked there
            readouts=readout,
            n_permutations=permutations,
            n_permutations_iterative=permutations_iterative,
            permute_within=None if permute_within == "none" else permute_within,
            controls=() if no_controls else CONTROLS,
            untrained=untrained or None,
            penalty=penalty,
            penalties=None if relative_penalty is None else (relative_penalty,),
            n_folds=n_folds,
            seed=seed,
            keep=out / "stores",
            size=size,
            n_jobs=n_jobs,
            verbose=not as_json,
            device=device,
        )
    report.save(out)
    if as_json:
        typer.echo(json.dumps({"settings": report.settings, "layers": report.layers}))
        return
    for line in [
        *_describe(report.settings, report.layers),
        *describe_trained_people(report.settings["trained_people"]),
    ]:
        typer.echo(line)
    typer.echo(f"Written to {out}")


@contextmanager
def _in_options() -> "Iterator[None]":
    """Let what is wrong with labels and folds be said in the words of the command line."""
    from fernet_neuro.exceptions import StimulusError

    try:
        yield
    except StimulusError as error:
        raise StimulusError(re.sub(r"\bn_folds=", "--n-folds ", str(error))) from error


def _describe(settings: dict[str, Any], layers: list[dict[str, Any]]) -> list[str]:
    """Return the report as lines of text."""
    lines = [
        f"{settings['target']} read out, {settings['holdout']} held out, {settings['n_folds']} folds; chance "
        f"{100 * layers[0]['chance_level']:.1f} %. Labels exchanged between units of "
        f"{settings['exchangeable_units']}, {_where(settings['permute_within'])}.",
        "",
        f"{'source':<13}{'layer':<22}{'readout':<10}{'accuracy %':>10}  {'95 % interval':<16}"
        f"{'null %':>7}{'p':>8}{'p (max)':>9}{'selectivity':>13}{'vs twin %':>11}{'p':>8}",
    ]
    lines += [_describe_row(row) for row in layers]
    over = {row["interval"] for row in layers if row["interval"]}
    lines += [
        "",
        f"Intervals are over {' or '.join(sorted(over))}; p (max) is corrected over the layers of a source.",
    ]
    if any(row["null_mean"] is not None for row in layers):
        lines.append(
            "p: above exchanged labels, whose mean accuracy is null %; near-duplicates put it above chance, "
            "and few people can put it below."
        )
    if any("difference_untrained" in row for row in layers):
        lines.append("vs twin: accuracy minus that of the untrained twin, paired over the same stimuli.")
    control = settings["control_task"]
    if control is not None and control["holdout"] != settings["holdout"]:
        lines.append(
            f"The control task and the selectivity hold out {control['holdout']}: with {settings['holdout']} "
            f"held out, arbitrary labels cannot be learnt."
        )
    hints = {"untrained": "; give one with --untrained STORE"}
    lines += [
        f"Left out: {name} ({reason}{hints.get(name, '')})."
        for name, reason in settings["controls_left_out"].items()
    ]
    for name, count in settings["n_permutations"].items():
        if count == 0:
            lines.append(f"No p values for {name}: 0 permutations.")
    return lines


def _describe_row(row: dict[str, Any]) -> str:
    low, high = row["balanced_accuracy_low"], row["balanced_accuracy_high"]
    interval = "" if low is None else f"[{100 * low:.1f}, {100 * high:.1f}]"
    null = "" if row["null_mean"] is None else f"{100 * row['null_mean']:.1f}"
    difference = row.get("difference_untrained")
    twin_p = _number(row.get("difference_untrained_p"), 4)
    twin = "" if difference is None else f"{100 * difference:+.1f}"
    return (
        f"{row['source']:<13}{row['layer']:<22}{row['readout']:<10}{100 * row['balanced_accuracy']:>10.1f}  "
        f"{interval:<16}{null:>7}{_number(row['p_value'], 4):>8}{_number(row['p_value_max'], 4):>9}"
        f"{_number(row.get('selectivity'), 3):>13}{twin:>11}{twin_p:>8}"
    ).rstrip()


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _where(within: str | None) -> str:
    return "freely" if within is None else f"within {within}"
