"""``fernet-neuro submit``, ``work``, ``jobs`` and ``merge``: one command in many jobs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_table, list_records, show

if TYPE_CHECKING:
    from fernet_neuro.cluster.kinds import Request
    from fernet_neuro.cluster.plan import Plan

Plans = Annotated[
    Path, opt.argument("The --out of what was submitted, or the folder of its plan (OUT.jobs).", "DIR")
]

#: Under which key a context keeps the words behind ``submit``.
_WORDS = "fernet_neuro.words"


class SubmitCommand(TyperCommand):
    """The command whose help says at its end what lists the options of the command that is handed on."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the command line, and keep its words for the help."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, and name that of the command that was given, or of all that can be."""
        from fernet_neuro.cluster.kinds import KINDS

        super().format_help(ctx, formatter)
        given = [word for word in ctx.meta.get(_WORDS, ()) if word in KINDS]
        for name in given[:1] or KINDS:
            formatter.write(f"What {name} itself takes: fernet-neuro {name} --help\n")


def submit(
    context: typer.Context,
    command: Annotated[
        list[str],
        opt.argument(
            "extract, probe, rsa, calibrate or run, with all that it takes, --out included.", "COMMAND..."
        ),
    ],
    cluster: Annotated[str, opt.text("slurm, or local: processes on this machine.")] = "slurm",
    shards: Annotated[int | None, opt.count("How many shards.  [default: as many as suit the work]")] = None,
    slurm: Annotated[
        str,
        opt.text("Options of sbatch, such as partition=gpu,time=2:00:00,mem=16G.", metavar="KEY=VALUE,..."),
    ] = "",
    setup: Annotated[
        str, opt.text('Shell line that each job begins with, such as "module load cuda".', metavar="LINE")
    ] = "",
    at_once: Annotated[
        int | None, opt.count("Most shards at once.  [default: 1 locally, as many as the queue gives]", min=1)
    ] = None,
    script: Annotated[bool, opt.flag("--script", "Write plan.json and job.sh, and start nothing.")] = False,
    dry_run: Annotated[bool, opt.flag("--dry-run", "Print the plan, and write nothing.")] = False,
) -> None:
    r"""Split a command into shards, and run them as a SLURM array or as processes on this machine.

    Results and p values do not depend on the number of shards. Plan, logs and states lie in OUT.jobs; a shard
    that was killed goes on where it was, and code or inputs that changed meanwhile are refused.

    Examples
    --------
        fernet-neuro submit extract resnet50@imagenet --stimuli big.csv \
            --all-layers --pool mean --out stores/big --shards 64 \
            --slurm partition=gpu,gpus=1,time=2:00:00,mem=16G \
            --setup "module load cuda"
        fernet-neuro jobs stores/big
        fernet-neuro merge stores/big
        # on one machine
        fernet-neuro submit probe stores/big --all-layers --out results \
            --cluster local --at-once 2
        # what it would take
        fernet-neuro submit extract resnet18 --stimuli faces/table.csv \
            --all-layers --out stores/r18 --dry-run
    """
    from dataclasses import replace

    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.cluster.kinds import list_missing
    from fernet_neuro.cluster.submit import make_plan, run_locally, write_plan
    from fernet_neuro.cluster.submit import read_options as read_slurm

    check_option("--cluster", cluster, ("slurm", "local"))
    options = read_slurm(slurm)
    _check_for_queue(cluster, slurm, setup)
    name, request = _read_command(context, command, shards)
    plan = replace(make_plan(name, request), cluster=cluster, at_once=at_once)
    for line in _describe(plan, shards):
        typer.echo(line)
    if dry_run:
        return
    job, is_other = write_plan(plan, request, options, setup)
    if is_other:
        typer.echo(f"{job} was written anew, with the options given now alone.")
    if script:
        start = f"sbatch {job}" if cluster == "slurm" else f"fernet-neuro jobs {plan.out} --retry unfinished"
        typer.echo(f"Written: {job}; start it with: {start}")
        return
    if not list_missing(plan):
        typer.echo(f"All shards are done; put together with: fernet-neuro merge {plan.out}")
        return
    if cluster == "slurm":
        _hand_over(plan)
        return
    code = run_locally(plan)
    _show_states(plan, as_json=False)
    if code:
        raise typer.Exit(code)


def work(
    context: typer.Context,
    plan: Annotated[Path, opt.argument("A plan that `submit` made.", "PLAN")],
    shard: Annotated[int, opt.count("Number of the shard.", min=0)],
    step: Annotated[
        int | None, opt.count("Also every shard that many further on.  [default: this one alone]")
    ] = None,
    accept_version: Annotated[
        bool, opt.flag("--accept-version", "Go on with other code than the plan was made with.")
    ] = False,
) -> None:
    """Carry out a shard of a plan: what a job of the array does.

    Exit codes: 0 done, 1 a shard failed, 2 the plan no longer holds, 75 stopped by SIGUSR1 or SIGTERM (start
    it again).

    Examples
    --------
        fernet-neuro work stores/big.jobs --shard 3
        fernet-neuro work stores/big.jobs --shard 3 --accept-version
    """
    from fernet_neuro.cluster.plan import Plan
    from fernet_neuro.cluster.work import work as carry_out

    opened = Plan.read(plan)
    if shard >= len(opened.shards):
        raise ValueError(f"--shard {shard}: the plan has the shards 0 to {len(opened.shards) - 1}.")

    def execute(arguments: list[str]) -> int:
        sys.argv = ["fernet-neuro", *arguments]
        code = _root(context).main(args=arguments, prog_name="fernet-neuro", standalone_mode=False)
        return code if isinstance(code, int) else 0

    code = carry_out(opened, shard, step or len(opened.shards), execute, accept_version=accept_version)
    if code:
        raise typer.Exit(code)


def jobs(
    folder: Plans,
    retry: Annotated[
        str | None,
        opt.text(
            "Try again what is failed, or unfinished (stopped and waiting too, not queued).", metavar="STATE"
        ),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Show the shards of what was submitted: state, attempts, seconds, and why those failed that did.

    Examples
    --------
        fernet-neuro jobs stores/big
        fernet-neuro jobs stores/big --retry failed
    """
    from fernet_neuro.cluster.plan import Plan

    plan = Plan.read(folder)
    code = 0 if retry is None else _try_again(plan, retry, to_stderr=as_json)
    _show_states(plan, as_json=as_json)
    if code:
        raise typer.Exit(code)


def merge(
    folder: Plans,
    keep_shards: Annotated[
        bool,
        opt.flag(
            "--keep-shards",
            "Of a store: copy nothing. The shards stay as they are, and a layer is read as a whole.",
        ),
    ] = False,
) -> None:
    """Put the shards of what was submitted together: one store, one report.

    A store becomes the one that a single process makes, to the last bit. While it is put together, the disk
    holds it twice; with --keep-shards once.

    Examples
    --------
        fernet-neuro merge stores/big
        fernet-neuro merge stores/big --keep-shards
    """
    from fernet_neuro.cluster.kinds import merge as put_together
    from fernet_neuro.cluster.plan import Plan

    plan = Plan.read(folder)
    put_together(plan, keep_shards=keep_shards)
    typer.echo(f"{plan.out}: {_count_shards(plan)} {'are one' if len(plan.shards) > 1 else 'put in place'}.")


def _root(context: typer.Context) -> Any:
    """Return the command that all others belong to."""
    return context.find_root().command


def _check_for_queue(cluster: str, slurm: str, setup: str) -> None:
    """Raise ValueError where options of jobs in a queue are given without one, or are blank."""
    for given, option in ((slurm, "--slurm"), (setup, "--setup")):
        if given and cluster == "local":
            raise ValueError(
                f"{option} is for the queue, and --cluster local needs none; leave one of them out."
            )
    if setup and not setup.strip():
        raise ValueError("--setup is blank; give the line that each job begins with, or leave it out.")


def _read_command(context: typer.Context, command: list[str], shards: int | None) -> "tuple[str, Request]":
    """Return the name of the command that is to be split, and what was given to it, checked by itself."""
    from fernet_neuro.cluster.kinds import KINDS, Request, drop_options

    name, *arguments = command
    if name not in KINDS:
        raise ValueError(f"{name!r} cannot be submitted; {', '.join(KINDS)} can.")
    inner = _root(context).get_command(context, name)
    values = inner.make_context(name, list(arguments), parent=context.parent).params
    if values.get("out") is None:
        raise ValueError(f"give {name} an --out: that is where the shards come to be one.")
    start = Path.cwd()
    out = str(values["out"])
    kept = drop_options(arguments, ("--out",))
    return name, Request((*kept, "--out", out), values, out, start, shards)


#: The least that a shard of each command holds.
_LEAST = {
    "extract": "a batch of pictures (--batch-size), for the numbers of one process",
    "probe": "a layer",
    "rsa": "a region",
    "calibrate": "ten data sets",
}


def _describe(plan: "Plan", n_asked: int | None) -> list[str]:
    from fernet_neuro.cli.extract import describe_needs

    lines = describe_needs(plan.needs) if plan.command == "extract" else []
    first, last = plan.shards[0], plan.shards[-1]
    span = first.about if last is first else f"{first.about} to {last.about}"
    if len(plan.shards) < (n_asked or 0):
        span += f", not {n_asked}: none holds less than {_LEAST[plan.command]}"
    return [*lines, f"{_count_shards(plan)}: {span}"]


def _hand_over(plan: "Plan") -> None:
    """Submit what is neither done nor under way, and say what is left out."""
    from fernet_neuro.cluster.states import split_missing
    from fernet_neuro.cluster.submit import submit_to_slurm

    numbers, held = split_missing(plan)
    if held:
        typer.echo(f"Queued or running, and not submitted again: {len(held)} of {_count_shards(plan)}.")
    said = f"Submitted as job {submit_to_slurm(plan, numbers=numbers)}; see" if numbers else "See"
    typer.echo(f"{said}: fernet-neuro jobs {plan.out}")


#: The states that `jobs --retry` tries again.
_RETRIED = {"failed": ("failed",), "unfinished": ("failed", "stopped", "waiting")}


def _try_again(plan: "Plan", wanted: str, *, to_stderr: bool) -> int:
    """Try the shards again that are in the `wanted` states; return an exit code."""
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.cluster.states import list_states
    from fernet_neuro.cluster.submit import retry, run_locally, submit_again

    states = list_states(plan)
    is_wanted = states["state"].isin(_RETRIED[check_option("--retry", wanted, tuple(_RETRIED))])
    numbers = states.loc[is_wanted, "shard"].tolist()
    if not numbers:
        typer.echo(f"Nothing is {wanted} that could be tried again.", err=to_stderr)
        return 0
    if plan.cluster == "slurm":
        typer.echo(f"Submitted as job {submit_again(plan, numbers)}.", err=to_stderr)
        return 0
    retry(plan, numbers)
    return run_locally(plan)


def _count_shards(plan: "Plan") -> str:
    return f"{len(plan.shards)} shard{'s' * (len(plan.shards) > 1)}"


def _show_states(plan: "Plan", *, as_json: bool) -> None:
    from fernet_neuro.cluster.states import list_states

    states = list_states(plan)
    counts = states["state"].value_counts()
    total = ", ".join(f"{counts[name]} {name}" for name in counts.index)
    columns = {
        "shard": "{shard}", "": "{about}", "state": "{state}", "attempts": "{attempts}",
        "seconds": "{seconds:.1f}", "why": "{message}",
    }  # fmt: skip
    lines = [*format_table(states, columns), "", f"{plan.out}: {total}"]
    if counts.get("done", 0) == len(states):
        lines.append(f"Put together with: fernet-neuro merge {plan.out}")
    elif counts.get("failed", 0):
        lines.append(f"Logs: {plan.folder / 'logs'}; again: fernet-neuro jobs {plan.out} --retry failed")
    elif counts.get("stopped", 0):
        lines.append(f"If the queue holds none of them: fernet-neuro jobs {plan.out} --retry unfinished")
    elif counts.get("waiting", 0) and plan.cluster == "slurm":
        logs = plan.folder / "logs" / "slurm-*.out"
        lines.append(f"Those that wait are in the queue (squeue), or ended before they began: see {logs}")
    show(lines, as_json=as_json, values={"out": plan.out, "shards": list_records(states)})
