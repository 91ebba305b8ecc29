"""``fernet-neuro probe``: what a linear read-out finds in each layer, with permutation tests and controls."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_folder, save_result
from fernet_neuro.cli._tables import format_cell, format_table, show

if TYPE_CHECKING:
    from fernet_neuro.probes.result import ProbeReport

_REPORT_FILES = ("summary.json", "results.csv", "confusion.csv", "null.npz")
_FITTING = "Read-out and folds"
#: Most classes whose accuracies stand in columns of their own.
_MOST_CLASSES = 8


def probe(
    sources: Annotated[
        list[str],
        opt.argument(
            "An activation store, a run folder, or a network by name; several are seeds of one network.",
            "SOURCE...",
        ),
    ],
    out: Annotated[Path, opt.folder("Folder for results.csv, null.npz, summary.json and others.")],
    stimuli: opt.SourceStimuli = None,
    layer: opt.Layers = [],
    all_layers: opt.AllLayers = False,
    target: Annotated[str, opt.text("Factor to read out: a column of the stimulus table.")] = "expression",
    holdout: Annotated[
        str, opt.text("What is held out: identity, view, expression, session, random or kdef10.")
    ] = "identity",
    folds: Annotated[
        int, opt.count("Number of folds, for the hold-outs identity and random.", _FITTING, min=2)
    ] = 10,
    labelled_only: Annotated[
        bool,
        opt.flag("--labelled-only", "Leave out stimuli without a label that the test goes by.", _FITTING),
    ] = False,
    scale: Annotated[
        str,
        opt.text(
            "How the target is read out: classes, numbers, or auto: a column of numbers as a quantity.",
            _FITTING,
        ),
    ] = "auto",
    readout: Annotated[
        list[str],
        opt.text("Kind: ridge, lda, nearest-mean, logistic or sgd; repeat for more.", _FITTING),
    ] = ["ridge"],
    penalty: Annotated[
        float | None, opt.positive("Absolute penalty; otherwise chosen inside each training fold.", _FITTING)
    ] = None,
    relative_penalty: Annotated[
        float | None,
        opt.positive(
            "Penalty as a multiple of a training row's mean squared length; needed where training folds "
            "hold one photograph per class, too few to choose from.",
            _FITTING,
        ),
    ] = None,
    permutations: opt.Permutations = 1000,
    permutations_iterative: Annotated[
        int,
        opt.count("Those of logistic and sgd, which are fitted anew for each (slow).", opt.STATISTICS, min=0),
    ] = 0,
    permute_within: Annotated[
        str,
        opt.text(
            "Factor within which labels are permuted; none: freely; auto: by target and hold-out.",
            opt.STATISTICS,
        ),
    ] = "auto",
    untrained: Annotated[
        list[Path],
        opt.folder(
            "Store of an untrained twin: one for each source that is a store, or several of one source.",
            opt.STATISTICS,
        ),
    ] = [],
    twins: Annotated[
        int,
        opt.count("Untrained twins of a network; each costs a pass over the stimuli, once.", opt.STATISTICS),
    ] = 10,
    no_controls: Annotated[
        bool, opt.flag("--no-controls", "Leave out pixels, untrained twin and random labels.", opt.STATISTICS)
    ] = False,
    seed: opt.Seed = 0,
    size: opt.Size = None,
    input: opt.Input = None,
    device: opt.Device = "auto",
    jobs: opt.Jobs = 1,
    _backend: opt.Backend = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    no_report: opt.NoReport = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Read a factor out of frozen layers, and test it on people, views or expressions held out of training.

    Activations of networks that were not extracted before are kept in OUT/stores, so that the same command
    goes on where it was interrupted. Networks get ten untrained twins as a control.

    Examples
    --------
        fernet-neuro probe stores/identity --all-layers --target expression \
            --holdout identity --out results
        fernet-neuro probe runs/identity/seed0 --stimuli faces.csv \
            --layer layer4 --layer fc --out results
        fernet-neuro probe runs/identity/seed* --stimuli faces.csv --all-layers \
            --out over_seeds
        fernet-neuro probe stores/identity --layer fc --target identity \
            --holdout expression --out back --json
        fernet-neuro probe stores/two --layer fc --target identity \
            --holdout expression --relative-penalty 0.01 --out two
        fernet-neuro probe stores/identity --all-layers --target valence \
            --out valence
    """
    from fernet_neuro.activations.network import list_networks
    from fernet_neuro.door.people import describe_trained_people
    from fernet_neuro.door.probe import probe as run
    from fernet_neuro.experiments.report_texts import describe_probe
    from fernet_neuro.probes.controls import CONTROLS

    if bool(layer) == all_layers:
        raise ValueError("name layers with --layer NAME (repeat for more), or take all with --all-layers.")
    check_out_folder(out, _REPORT_FILES, overwrite=overwrite)
    if untrained and no_controls:
        raise ValueError("--untrained is a control, and --no-controls leaves all out; give one of them.")
    if penalty is not None and relative_penalty is not None:
        raise ValueError("give --penalty or --relative-penalty, not both.")
    report = run(
        sources, stimuli, layers=layer or None, target=target,
        holdout=holdout,  # type: ignore[arg-type]  # checked there
        readouts=readout, n_permutations=permutations, n_permutations_iterative=permutations_iterative,
        permute_within=None if permute_within == "none" else permute_within,
        controls=() if no_controls else CONTROLS, untrained=untrained or None,
        n_twins=twins, penalty=penalty,
        penalties=None if relative_penalty is None else (relative_penalty,), n_folds=folds,
        labelled_only=labelled_only, scale=scale, seed=seed,
        keep=out / "stores", size=size, input=input, n_jobs=jobs,
        verbose=not (quiet or as_json), device=device,
    )  # fmt: skip
    tell = cache(lambda: describe_probe(report))
    written = save_result(report, out, tell, no_report=no_report)
    trained = describe_trained_people(report.settings["trained_people"])
    shown = [tell().answer, *_describe(report), *list_networks(report.settings["networks"]), *trained]
    lines = [*shown, *written]
    show(lines, as_json=as_json, values={"settings": report.settings, "layers": report.layers})


_COLUMNS = {
    "source": "{source}", "layer": "{layer}", "readout": "{readout}",
    "accuracy %": "{balanced_accuracy:.1pct}",
    "95 % interval": "[{balanced_accuracy_low:.1pct}, {balanced_accuracy_high:.1pct}]",
    "null %": "{null_mean:.1pct}", "p": "{p_value:p}", "p (max)": "{p_value_max:p}",
    "selectivity": "{selectivity:.3f}", "vs twin %": "{difference_untrained:+.1pct}",
    "p (twin)": "{difference_untrained_p:p}",
}  # fmt: skip
_QUANTITY_COLUMNS = {
    "source": "{source}", "layer": "{layer}", "R2": "{r2:.3f}",
    "95 % interval": "[{r2_low:.3f}, {r2_high:.3f}]", "null": "{null_mean:.3f}", "p": "{p_value:p}",
    "p (max)": "{p_value_max:p}", "r": "{rank_correlation:.3f}", "p (r)": "{rank_correlation_p:p}",
    "selectivity": "{selectivity:.3f}", "vs twin": "{difference_untrained:+.3f}",
    "p (twin)": "{difference_untrained_p:p}",
}  # fmt: skip


def _list_classes(rows: list[dict[str, Any]]) -> list[str]:
    """Return the accuracy of each class in each layer and read-out, as lines of text."""
    if "r2" in rows[0]:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row["per_class_accuracy"]))
    shares = [
        {f"c{names.index(key)}": share for key, share in row["per_class_accuracy"].items()} for row in rows
    ]
    flat = [{**row, **found} for row, found in zip(rows, shares, strict=True)]
    columns = {"layer": "{layer}", "readout": "{readout}"}
    columns |= {f"{name} %": f"{{c{at}:.1pct}}" for at, name in enumerate(names)}
    return [] if len(names) > _MOST_CLASSES else [*format_table(flat, columns), ""]


def _describe_twins(layers: list[dict[str, Any]]) -> str:
    n_twins = max(row.get("n_twins") or 1 for row in layers)
    score = "R2" if "r2" in layers[0] else "accuracy"
    if n_twins == 1:
        return (
            f"vs twin: {score} minus that of one untrained twin, paired over the same stimuli; another draw "
            "of random weights would give another difference."
        )
    return (
        f"vs twin: {score} minus the mean of {n_twins} untrained twins; p (twin) holds it against how much "
        f"these differ from one another, and people."
    )


def _name_sources(report: "ProbeReport") -> list[dict[str, Any]]:
    names = report.label_sources(row["source"] for row in report.layers)
    return [{**row, "source": name} for row, name in zip(report.layers, names, strict=True)]


def _describe_highest(own: list[dict[str, Any]], is_quantity: bool) -> list[str]:
    """Return a line on the highest score, which says more than it knows; the answer is of a fixed layer."""
    if len(own) == 1:
        return []
    best = max(own, key=lambda row: row["r2" if is_quantity else "balanced_accuracy"])
    score = format_cell("R2 {r2:.3f}" if is_quantity else "{balanced_accuracy:.1pct} %", best)
    return [
        f"Highest of {len(own)} layers and read-outs: {best['layer']} ({best['readout']}), {score}, chosen "
        f"by its score, which is therefore somewhat high."
    ]


def _describe(report: "ProbeReport") -> list[str]:
    """Return how it was tested, the scores of the layers, and what they mean, as lines of text."""
    settings, layers = report.settings, report.layers
    is_quantity = settings["scale"] == "numbers"
    columns = _QUANTITY_COLUMNS if is_quantity else _COLUMNS
    over = {row["interval"] for row in layers if row["interval"]}
    within = settings["permute_within"]
    own = [row for row in layers if row["source"] == layers[0]["source"]]
    baseline = "R2 is 0 for the mean of the training part"
    if not is_quantity:
        baseline = f"chance {100 * layers[0]['chance_level']:.1f} %"
    lines = [
        *_describe_highest(own, is_quantity),
        f"Held out: {settings['holdout']}; {settings['n_folds']} folds; {baseline}.",
        "",
        *format_table(_name_sources(report), columns),
        "",
        *_list_classes(own),
        f"Labels exchanged between units of {settings['exchangeable_units']}, "
        f"{'freely' if within is None else f'within {within}'}.",
        f"Intervals are over {' or '.join(sorted(over))}; p (max) is corrected over the layers of a source.",
    ]
    if is_quantity:
        lines.append("r: Spearman's rank correlation of shown and predicted values, the mean over folds.")
    elif any(row["null_mean"] is not None for row in layers):
        lines.append(
            "p: above exchanged labels, whose mean accuracy is null %; near-duplicates put it above chance, "
            "and few people can put it below."
        )
    if any("difference_untrained" in row for row in layers):
        lines.append(_describe_twins(layers))
    control = settings["control_task"]
    if control is not None and control["holdout"] != settings["holdout"]:
        lines.append(
            f"The control task and the selectivity hold out {control['holdout']}: with {settings['holdout']} "
            f"held out, arbitrary labels cannot be learnt."
        )
    if settings["left_out"]:
        lines.append(f"Left out: {settings['left_out']} stimuli without a label that the test goes by.")
    hints = {"untrained": "; give one with --untrained STORE"}
    lines += [
        f"Left out: {name} ({reason}{hints.get(name, '')})."
        for name, reason in settings["controls_left_out"].items()
    ]
    for name, count in settings["n_permutations"].items():
        if count == 0:
            lines.append(f"No p values for {name}: 0 permutations.")
    return lines
