"""How each command is split into shards, when a shard is done, and how shards become one result.

What belongs here: a `Kind` for each command that can be submitted. A shard is a command line that anyone may
give by hand; nothing is pickled, and what a shard makes is an ordinary result.
"""

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.config import read_overrides
from fernet_neuro._utils.shown import name_some
from fernet_neuro._utils.tables import read_table
from fernet_neuro._utils.validation import check_option
from fernet_neuro.activations.manifest import MANIFEST_NAME, hash_request, read_manifest
from fernet_neuro.activations.shards import copy_shards, join_shards, name_shard, split_rows
from fernet_neuro.activations.store import ActivationStore, is_store
from fernet_neuro.cluster.plan import Plan, Shard, name_folder
from fernet_neuro.exceptions import StoreError
from fernet_neuro.stimuli.table import StimulusTable

#: Seconds that a shard should last.
_SHARD_SECONDS = 1800.0
_TABLE = "stimuli.parquet"
#: Devices that a cluster's login node may lack.
_ACCELERATORS = ("cuda", "mps", "xpu")
#: Fewest data sets that a calibration takes.
_FEWEST_DATASETS = 10


@dataclass(frozen=True)
class Request:
    """A command that was given to be submitted.

    Parameters
    ----------
    arguments : tuple of str
        Its command line, without its name.
    values : mapping
        Its parameters as its function gets them.
    out : str
        Where its result is to lie.
    start : Path
        Folder in which it was given.
    n_shards : int or None
        How many shards are asked for.
    """

    arguments: tuple[str, ...]
    values: Mapping[str, Any]
    out: str
    start: Path
    n_shards: int | None

    @property
    def parts(self) -> Path:
        """Where shards leave what they make, from `start`."""
        return name_folder(Path(self.out)) / "shards"

    def change(self, *more: str, without: Sequence[str] = (), flags: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the arguments without options (with their values) and flags, and with `more` at the end."""
        return (*drop_options(self.arguments, without, flags), *more)

    def refuse(self, *names: str) -> None:
        """Raise ValueError if a parameter was given that each shard has its own of."""
        given = [f"--{name.replace('_', '-')}" for name in names if self.values[name]]
        if given:
            raise ValueError(f"{name_some(given)}: every shard gets its own; leave it out of submit.")

    def check_layers(self) -> None:
        """Raise ValueError unless layers are named, or all are asked for, as the command wants it."""
        if bool(self.values["layer"]) == self.values["all_layers"]:
            raise ValueError(
                "name layers with --layer NAME (repeat for more), or take all with --all-layers."
            )


@dataclass(frozen=True)
class Split:
    """The shards of a request, and what putting them together needs."""

    shards: tuple[Shard, ...]
    facts: dict[str, Any]
    needs: dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """How one command is split.

    Parameters
    ----------
    split : callable
        From a request to its shards; nothing is written.
    is_done : callable
        Whether what a shard makes is there, whole.
    prepare : callable
        Writes what shards or the merge need beside the plan.
    merge : callable
        Puts the shards of a plan together, or leaves them where they are where told to; returns the place.
    finish : callable
        What is left to do where a shard's command line ended well.
    """

    split: Callable[[Request], Split]
    is_done: Callable[[Plan, Shard], bool]
    merge: Callable[[Plan, bool], Path]
    prepare: Callable[[Request, Path], None] = lambda _request, _folder: None
    finish: Callable[[Plan, Shard], None] = lambda _plan, _shard: None


def drop_options(
    arguments: Sequence[str], options: Sequence[str], flags: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return a command line without some options, with their values, and some flags.

    Examples
    --------
    >>> drop_options(["net", "--out", "a", "--layer=fc", "--all"], ["--out", "--layer"], ["--all"])
    ('net',)
    """
    kept, is_value = [], False
    for argument in arguments:
        if is_value:
            is_value = False
        elif argument in options:
            is_value = True
        elif argument not in flags and argument.partition("=")[0] not in options:
            kept.append(argument)
    return tuple(kept)


def list_missing(plan: Plan) -> list[Shard]:
    """Return the shards that are not done."""
    kind = KINDS[plan.command]
    return [shard for shard in plan.shards if not kind.is_done(plan, shard)]


def merge(plan: Plan, *, keep_shards: bool = False) -> Path:
    """Put the shards of a plan together; return where the result lies.

    `keep_shards`: of a store, copy nothing; else it has one file a layer in place of the shards.

    Raises
    ------
    StoreError
        If shards are missing, which the message lists, or the disk has no room for a copy.
    """
    missing = list_missing(plan)
    if missing:
        names = [f"{shard.number} ({shard.about})" for shard in missing]
        raise StoreError(
            f"{len(missing)} of {len(plan.shards)} shards of {plan.out} are not done: {name_some(names)}; "
            f"see fernet-neuro jobs {plan.out}, which also tells how to run them again."
        )
    return KINDS[plan.command].merge(plan, keep_shards)


# Extraction: rows of the table.


def _split_extraction(request: Request) -> Split:
    from fernet_neuro.extraction.extract import N_MEASURED, estimate_extraction
    from fernet_neuro.extraction.plan import plan_extraction
    from fernet_neuro.models.resolve import resolve_model

    request.refuse("rows", "expect")
    request.check_layers()
    values = request.values
    given = {name: values[name] for name in ("size", "input") if values[name] is not None}
    changes = read_overrides(values["settings"])
    network = resolve_model(values["model"], seed=values["seed"], **{**changes, **given})
    table = StimulusTable.read(values["stimuli"])
    options = _find_options(values)
    layers = values["layer"] or None
    needs = estimate_extraction(network, table, layers, n_measured=N_MEASURED, **options)
    n_shards = request.n_shards or max(1, round(needs["seconds"] / _SHARD_SECONDS))
    plan = plan_extraction(network, table, layers, **options)
    identity = plan.identity
    if options["device"] != values["device"]:  # batches are whole there
        there = replace(plan, batch_size=values["batch_size"]).estimate(len(table))
        needs |= {name: there[name] for name in ("batch_size", "memory_bytes")}
    if options["precision"] != values["precision"]:
        identity = {**identity, "precision": values["precision"]}
    shards = []
    for number, (first, end) in enumerate(split_rows(len(table), n_shards, values["batch_size"])):
        key = hash_request({**identity, "stimuli": table[slice(first, end)].digest()})
        rows = f"{first}:{end}"
        result = str(Path(request.out) / name_shard(number))
        arguments = request.change(
            "--rows", rows, "--expect", key, "--out", result, "--quiet",
            without=("--out", "--rows", "--expect"), flags=("--quiet",),
        )  # fmt: skip
        shards.append(Shard(number, f"rows {rows}", ("extract", *arguments), result, key))
    return Split(tuple(shards), {"key": hash_request(identity)}, needs)


def _find_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to measure with: as asked, or what is here where only the jobs have the named device."""
    from fernet_neuro.models.devices import pick_device

    options = {name: values[name] for name in ("batch_size", "dtype", "pool", "precision", "device")}
    try:
        pick_device(options["device"])
    except ValueError:
        if options["device"].partition(":")[0] not in _ACCELERATORS:
            raise
        here = {"tf32": "float32"}.get(options["precision"], options["precision"])
        return {**options, "device": "auto", "precision": here}
    return options


def _prepare_extraction(request: Request, folder: Path) -> None:
    StimulusTable.read(request.values["stimuli"]).write(folder / _TABLE, inside=False)


def _is_extracted(plan: Plan, shard: Shard) -> bool:
    place = plan.place_of(shard.result)
    if not (place / MANIFEST_NAME).is_file():
        target = plan.target / MANIFEST_NAME  # shards are gone once they were copied
        return target.is_file() and "shards" not in read_manifest(plan.target)
    return hash_request(read_manifest(place)["identity"]) == shard.key


def _merge_extraction(plan: Plan, keep_shards: bool) -> Path:
    target = plan.target
    is_made = (target / MANIFEST_NAME).is_file()
    if is_made and hash_request(read_manifest(target)["identity"]) == plan.facts["key"]:
        store = ActivationStore.open(target)
    else:
        table = StimulusTable.read(plan.folder / _TABLE, inside=False)
        store = join_shards(target, [shard.key for shard in plan.shards], table)
    return (store if keep_shards else copy_shards(store)).path


# Probes: layers of a store.


def _split_probe(request: Request) -> Split:
    request.check_layers()
    values = request.values
    sources = values["sources"]
    networks = [source for source in sources if not is_store(source)]
    if networks:
        raise ValueError(
            f"{networks[0]} is a network, and a probe is split by the layers of a store; extract it first "
            f"(fernet-neuro submit extract), with ten untrained twins if they are wanted (--untrained)."
        )
    if len(sources) > 1:
        raise ValueError("a probe over several seeds is not split; submit a probe for each store.")
    layers = values["layer"] or list(ActivationStore.open(sources[0]).layers)
    shards = _split_names(request, "probe", "--layer", layers, flags=("--all-layers",))
    return Split(shards, {}, {"n_layers": len(layers)})


def _split_names(
    request: Request,
    command: str,
    option: str,
    names: Sequence[str],
    *,
    more: Sequence[str] = (),
    flags: Sequence[str] = (),
) -> tuple[Shard, ...]:
    """Return shards with some of the `names` each, which `option` repeats; one of all that there is if none.

    `more`: flags that shards have besides; `flags`: those that they do not have.
    """
    own = ("--no-report", "--overwrite", *more)
    n_shards = min(request.n_shards or len(names), len(names)) or 1
    shards = []
    for number, group in enumerate(np.array_split(names, n_shards)):
        chosen = [str(name) for name in group]
        result = str(request.parts / f"{number:05d}")
        asked = [part for name in chosen for part in (option, name)]
        arguments = request.change(
            *asked, "--out", result, *own, without=(option, "--out"), flags=(*own, *flags)
        )
        about = f"{_KINDS_OF_NAMES[option]} {name_some(chosen)}" if chosen else "all"
        shards.append(Shard(number, about, (command, *arguments), result))
    return tuple(shards)


#: What the options that name parts of a result are called in tables.
_KINDS_OF_NAMES = {"--layer": "layers", "--roi": "regions"}


def _has_summary(plan: Plan, shard: Shard) -> bool:
    return (plan.place_of(shard.result) / "summary.json").is_file()


def _merge_probe(plan: Plan, _keep: bool) -> Path:
    from fernet_neuro.experiments.report_texts import describe_probe
    from fernet_neuro.experiments.reports import save_with_report
    from fernet_neuro.probes.result import ProbeReport, join_layers

    report = join_layers([ProbeReport.load(plan.place_of(shard.result)) for shard in plan.shards])
    save_with_report(report, plan.target, describe_probe(report), list_command(plan))
    return plan.target


# Calibration: data sets without the effect.


def _split_calibration(request: Request) -> Split:
    request.refuse("first", "p_values")
    values = request.values
    n_datasets = values["datasets"]
    n_shards = max(1, min(request.n_shards or 8, n_datasets // _FEWEST_DATASETS))
    shards = []
    for number, group in enumerate(np.array_split(np.arange(n_datasets), n_shards)):
        first, n = int(group[0]), len(group)
        result = str(request.parts / f"{number:05d}.csv")
        arguments = request.change(
            "--datasets", str(n), "--first", str(first), "--p-values", result, "--overwrite", "--quiet",
            without=("--datasets", "--first", "--p-values", "--out"), flags=("--overwrite", "--quiet"),
        )  # fmt: skip
        shards.append(Shard(number, f"data sets {first}:{first + n}", ("calibrate", *arguments), result))
    names = {"confidence": "level"}
    asked = ("like", "source", "stimuli", "nominal", "confidence", "inference", "seed")
    given = {name: values[names.get(name, name)] for name in asked}
    facts = {name: os.fspath(item) if isinstance(item, os.PathLike) else item for name, item in given.items()}
    return Split(tuple(shards), {**facts, "n_datasets": n_datasets}, {"n_datasets": n_datasets})


def _is_written(plan: Plan, shard: Shard) -> bool:
    return plan.place_of(shard.result).is_file()


def _merge_calibration(plan: Plan, _keep: bool) -> Path:
    from fernet_neuro.door.calibrate import calibrate
    from fernet_neuro.rsa.analysis.calibration import P_VALUE_COLUMNS, stack_p_values

    parts = [read_table(plan.place_of(shard.result), P_VALUE_COLUMNS) for shard in plan.shards]
    with chdir(plan.start):  # paths start there, and stimuli may be a built-in name
        report = calibrate(**plan.facts, p_values=stack_p_values(parts))
    write_text(plan.target, json.dumps(report.to_summary(), indent=2) + "\n")
    return plan.target


# RSA: regions.


def _split_rsa(request: Request) -> Split:
    from fernet_neuro.rsa.brain_rdms import read_brain

    values = request.values
    brain = read_brain(
        values["brain"], distance=values["brain_distance"], subject_column=values["subject_column"],
        rois=values["roi"], variable=values["variable"],
    )  # fmt: skip
    regions = [str(name) for name in brain.rows_by("roi")] if "roi" in brain.table else []
    shards = _split_names(request, "rsa", "--roi", regions, more=("--quiet",))
    return Split(shards, {}, {"n_regions": len(regions)})


def _merge_rsa(plan: Plan, _keep: bool) -> Path:
    from fernet_neuro.experiments.report_texts import describe_rsa
    from fernet_neuro.experiments.reports import save_with_report
    from fernet_neuro.rsa.analysis.join import join_regions
    from fernet_neuro.rsa.analysis.run import RSAFolder

    joint = join_regions([RSAFolder.load(plan.place_of(shard.result)) for shard in plan.shards])
    save_with_report(joint, plan.target, describe_rsa(joint.result), list_command(plan))
    return plan.target


# Experiments: processes that share one folder.


def _split_experiment(request: Request) -> Split:
    n_shards = request.n_shards or 2
    arguments = request.change("--share", "--quiet", flags=("--share", "--quiet"))
    shards = [
        Shard(number, "networks", ("run", *arguments), str(request.parts / f"{number:05d}.done"))
        for number in range(n_shards)
    ]
    return Split(tuple(shards), {}, {"n_shards": n_shards})


def _mark(plan: Plan, shard: Shard) -> None:
    plan.place_of(shard.result).touch()


def _find_page(plan: Plan, _keep: bool) -> Path:
    page = plan.target / "index.html"
    if not page.is_file():
        raise StoreError(
            f"{plan.out} has no page yet; finish it with: {' '.join(list_command(plan))} --resume"
        )
    return page


def list_command(plan: Plan) -> list[str]:
    """Return the command line that a plan carries out, as a shell takes it."""
    return ["fernet-neuro", plan.command, *map(shlex.quote, plan.arguments)]


#: All commands that can be submitted.
KINDS: dict[str, Kind] = {
    "extract": Kind(_split_extraction, _is_extracted, _merge_extraction, _prepare_extraction),
    "probe": Kind(_split_probe, _has_summary, _merge_probe),
    "rsa": Kind(_split_rsa, _has_summary, _merge_rsa),
    "run": Kind(_split_experiment, _is_written, _find_page, finish=_mark),
    "calibrate": Kind(_split_calibration, _is_written, _merge_calibration),
}


def find_kind(command: str) -> Kind:
    """Return how a command is split.

    Raises ValueError if it cannot be submitted.
    """
    return KINDS[check_option("command", command, KINDS)]
