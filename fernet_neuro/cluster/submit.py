"""Starting the shards of a plan: as a SLURM array, or as processes on this machine.

What belongs here: the job script and how it is handed over; the scheduler's own business stays its own.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from joblib import cpu_count

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.programs import ask_program, run_program
from fernet_neuro._utils.shown import name_some
from fernet_neuro.cluster.kinds import Request, find_kind, list_missing
from fernet_neuro.cluster.plan import PLAN_NAME, Plan, find_inputs, list_versions, stamp
from fernet_neuro.cluster.queue import note_job
from fernet_neuro.cluster.states import split_missing
from fernet_neuro.cluster.work import AGAIN, WRONG_PLAN, ask_again, note_handed_over
from fernet_neuro.exceptions import StoreError

SCRIPT_NAME = "job.sh"
#: SLURM's own limit of the size of an array, where it does not tell another.
_ARRAY_SIZE = 1001
#: Options of sbatch that the job script sets itself.
_OWN = ("array", "output", "open-mode", "signal", "requeue", "job-name")
#: Parameters that are words: a file or folder of that name is not meant.
_WORDS = (
    "out", "layer", "factor", "roi", "target", "holdout", "partition", "identity_blocks", "permute_within",
    "subject_column", "settings", "device",
)  # fmt: skip
#: Variable that says which GPUs a process sees.
_GPUS = "CUDA_VISIBLE_DEVICES"
#: Seconds before the time limit at which a task is told to finish.
_NOTICE = 120
#: Seconds that sbatch may take, which tries again for minutes where the queue is busy.
_SBATCH_SECONDS = 300

#: What is said where sbatch did not hand a job over, by how it ended.
_TROUBLES = {
    "missing": "sbatch cannot be run ({why}); on the cluster's login node: sbatch {script}",
    "failed": "sbatch refuses: {why}. The plan is kept; submit it again with another --slurm, or change "
    "{script} and hand it over with: sbatch {script}",
    "late": "sbatch gave {why} and was ended; squeue --me tells whether the job is there all the same. The "
    "plan is kept; if it is not, hand it over with: sbatch {script}",
}

_SCRIPT = """#!/bin/bash
# {n_shards} shards in {n_tasks} tasks, made by fernet-neuro submit; start them with: sbatch {name}
#SBATCH --job-name=fernet-neuro-{command}
#SBATCH --array={array}
#SBATCH --output={logs}/slurm-%A_%a.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{notice}
{options}{setup}
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"
cd {start} || exit 2
{program} work {plan} --shard "$SLURM_ARRAY_TASK_ID" --step {n_tasks} &
child=$!
out_of_time=0
trap 'out_of_time=1; kill -USR1 "$child" 2>/dev/null' USR1
trap 'kill -TERM "$child" 2>/dev/null' TERM
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
if [ "$code" -eq {again} ] && [ "$out_of_time" -eq 1 ]; then
  # This task alone is queued again, never the whole array, and not what was cancelled.
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"""


def make_plan(command: str, request: Request) -> Plan:
    """Split a request and return its plan; nothing is written.

    Raises StoreError if something lies at its ``--out``, or a plan of other work.
    """
    kind = find_kind(command)
    split = kind.split(request)
    given = (value for name, value in request.values.items() if name not in _WORDS)
    found = find_inputs(given, request.start)
    inputs = {path: digest for path, digest in found.items() if path != request.out}
    plan = Plan(
        command=command, arguments=request.arguments, out=request.out, start=str(request.start),
        shards=split.shards, inputs=inputs, stamps={path: stamp(request.start / path) for path in inputs},
        versions=list_versions(), facts=split.facts, needs=split.needs,
    )  # fmt: skip
    _check_place(plan)
    return plan


def write_plan(
    plan: Plan, request: Request, options: Mapping[str, str], setup: str = ""
) -> tuple[Path, bool]:
    """Write plan, what shards need beside it, and the job script.

    Returns
    -------
    tuple of Path and bool
        Where the script is, and whether it replaced another one.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    find_kind(plan.command).prepare(request, plan.folder)
    (plan.folder / "logs").mkdir(exist_ok=True)
    plan.write()
    script, text = plan.folder / SCRIPT_NAME, format_script(plan, options, setup)
    is_other = script.is_file() and script.read_text(encoding="utf-8") != text
    write_text(script, text)
    return script, is_other


def format_script(plan: Plan, options: Mapping[str, str], setup: str = "") -> str:
    """Return the job script; `options` are SLURM's, such as ``{"time": "2:00:00"}``, `setup` goes first."""
    n_tasks = min(len(plan.shards), _find_array_size())
    quote = shlex.quote
    return _SCRIPT.format(
        n_tasks=n_tasks, n_shards=len(plan.shards), name=SCRIPT_NAME, command=plan.command,
        array=f"0-{n_tasks - 1}{_limit(plan)}", notice=_NOTICE, again=AGAIN,
        logs=quote(str(plan.folder / "logs").replace("%", "%%")),  # SLURM's own signs begin with %
        options="".join(f"#SBATCH --{key}={quote(value)}\n" for key, value in options.items()),
        setup=f"\n{setup}" if setup else "",
        start=quote(plan.start), program=" ".join(map(quote, _program())),
        plan=quote(str(plan.folder / PLAN_NAME)),
    )  # fmt: skip


def read_options(text: str) -> dict[str, str]:
    """Return SLURM's options from ``"partition=gpu,time=2:00:00"``.

    Values may have commas: what does not begin with an option's name and ``=`` belongs to the value before.
    Raises ValueError if the text does not begin so, or names an option that the job script sets itself.

    Examples
    --------
    >>> read_options("partition=gpu,gpus=1")
    {'partition': 'gpu', 'gpus': '1'}
    >>> read_options("exclude=node[1,3-5],export=ALL,HOME=/scratch")
    {'exclude': 'node[1,3-5]', 'export': 'ALL,HOME=/scratch'}
    """
    options: dict[str, str] = {}
    last = ""
    for part in filter(None, (part.strip() for part in text.split(","))):
        begun = re.fullmatch(r"([a-z][a-z-]*) *= *(.+)", part)
        if not part.isprintable() or (begun is None and not last):
            raise ValueError(f"--slurm takes KEY=VALUE pairs with commas between them; got {part!r}.")
        if begun is None:
            options[last] += f",{part}"
            continue
        last, value = begun.groups()
        if last in _OWN:
            raise ValueError(f"--slurm {last}=... is set by the job script itself; leave it out.")
        options[last] = value
    return options


def submit_to_slurm(plan: Plan, *, numbers: Sequence[int] | None = None) -> str:
    """Hand the job script over with ``sbatch``; return the number of the job.

    `numbers`: of the shards that are to run; None for all that are neither done nor under way.

    Raises
    ------
    StoreError
        If there is no ``sbatch``, it does not answer, the queue refuses, or the plan lies where other
        machines cannot see it. The plan stays, and can be submitted again.
    """
    _check_shared(plan)
    script = plan.folder / SCRIPT_NAME
    n_tasks = _count_tasks(script)
    wanted = split_missing(plan)[0] if numbers is None else numbers
    tasks = sorted({number % n_tasks for number in wanted})
    array = ",".join(map(str, tasks)) + _limit(plan)
    answer = run_program(["sbatch", "--parsable", f"--array={array}", str(script)], seconds=_SBATCH_SECONDS)
    if answer.outcome != "done":
        raise StoreError(_TROUBLES[answer.outcome].format(why=answer.text.rstrip(". "), script=script))
    job = answer.text.strip().partition(";")[0]
    note_job(plan, job, n_tasks)
    return job


def run_locally(plan: Plan) -> int:
    """Run all shards that are not done in as many processes as the plan wants, and return an exit code."""
    n_processes = max(1, min(plan.at_once or 1, len(list_missing(plan))))
    command = [*_program(), "work", str(plan.folder / PLAN_NAME), "--step", str(n_processes)]
    workers = [
        subprocess.Popen([*command, "--shard", str(number)], env=environment)
        for number, environment in enumerate(_share_machine(plan, n_processes))
    ]
    try:
        codes = [worker.wait() for worker in workers]
    except KeyboardInterrupt:
        for worker in workers:
            worker.terminate()
        codes = [worker.wait() for worker in workers]
        raise
    return WRONG_PLAN if WRONG_PLAN in codes else max((abs(code) for code in codes), default=0)


def _share_machine(plan: Plan, n_processes: int) -> list[dict[str, str]]:
    """Return the environment of each process: an equal share of the threads, and one of the GPUs in turn.

    Processes see all GPUs where the command names one by its number.
    """
    threads = max(1, cpu_count() // n_processes)
    shared = {"OMP_NUM_THREADS": str(threads), **os.environ}
    gpus = [] if any("cuda:" in argument for argument in plan.arguments) else list_gpus()
    if len(gpus) < 2:
        return [shared] * n_processes
    return [{**shared, _GPUS: gpus[number % len(gpus)]} for number in range(n_processes)]


def list_gpus() -> list[str]:
    """Return the names of the GPUs that CUDA may use here: those it is told of, or all that there are."""
    if _GPUS in os.environ:
        return [name for name in os.environ[_GPUS].split(",") if name.strip() not in ("", "-1")]
    return re.findall(r"^GPU (\d+):", ask_program(["nvidia-smi", "-L"]), re.MULTILINE)


def submit_again(plan: Plan, numbers: Sequence[int]) -> str:
    """Hand some shards over as `submit_to_slurm` does; their failures are forgotten once the queue has them.

    A task that starts at once counts its tries anew.
    """
    retry(plan, numbers)
    job = submit_to_slurm(plan, numbers=numbers)
    for number in numbers:
        note_handed_over(plan, plan.shards[number])
    return job


def retry(plan: Plan, numbers: Sequence[int]) -> None:
    """Count the tries of some shards anew; what became of earlier ones is told until they begin again."""
    for number in numbers:
        ask_again(plan, plan.shards[number])


def _limit(plan: Plan) -> str:
    """Return what an array's numbers end with where tasks at once are limited."""
    return f"%{plan.at_once}" if plan.at_once else ""


def _program() -> list[str]:
    return [sys.executable, "-m", "fernet_neuro"]


def _check_place(plan: Plan) -> None:
    """Raise if a result, or a plan of other work, is where this one is to be."""
    if (plan.folder / PLAN_NAME).is_file():
        other = Plan.read(plan.folder)
        if (other.command, other.shards, other.inputs) != (plan.command, plan.shards, plan.inputs):
            raise StoreError(
                f"{plan.folder} holds a plan of other work; choose another --out, or remove that folder."
            )
        changes = other.list_changes()
        if changes and len(list_missing(other)) < len(other.shards):
            raise StoreError(
                f"shards in {plan.folder} were made with other code: {name_some(changes)}; install that, or "
                f"choose another --out."
            )
        return
    if plan.target.exists() and (plan.target.is_file() or any(plan.target.iterdir())):
        raise StoreError(f"--out {plan.out} is already there; choose another name.")


def _check_shared(plan: Plan) -> None:
    folder = plan.folder.resolve()
    for own in (Path(tempfile.gettempdir()), Path("/dev/shm")):
        if folder.is_relative_to(own.resolve()) and "FERNET_NEURO_SHARED" not in os.environ:
            raise StoreError(
                f"{folder} lies on this machine's own disk, which other machines do not see; choose an --out "
                f"on a shared disk (or set FERNET_NEURO_SHARED=1 if this one is)."
            )


def _find_array_size() -> int:
    """Return how many tasks one array may have, as SLURM tells, or its usual limit."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", ask_program(["scontrol", "show", "config"]))
    return max(1, int(found[1])) if found else _ARRAY_SIZE


def _count_tasks(script: Path) -> int:
    """Return how many tasks the job script shares the shards out to, whatever SLURM's limit is now."""
    text = script.read_text(encoding="utf-8") if script.is_file() else ""
    found = re.search(r" --step (\d+) &$", text, re.MULTILINE)
    if found is None:
        raise StoreError(f"{script} is gone or was changed; write it again with fernet-neuro submit.")
    return int(found[1])
