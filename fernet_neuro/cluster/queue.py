"""What SLURM says of the tasks of a plan, where it can be asked.

What belongs here: the numbers of jobs that were handed over, and the words of squeue and sacct for each
shard; what follows from them is in `states`.
"""

import re

from fernet_neuro._utils.claims import name_task
from fernet_neuro._utils.json_files import append_line, read_lines
from fernet_neuro._utils.programs import ask_program
from fernet_neuro.cluster.plan import Plan

_JOBS = "submitted.jsonl"
#: What squeue writes of each task: numbers of job and task, state, and why it waits.
_QUEUED = re.compile(r"(\d+) (\d+) (\w+) (.*)")
#: What sacct writes of tasks that began or ended; what waits stands together as 77_[3-5], and is left out.
_ENDED = re.compile(r"(\d+)_(\d+)\|(.+)")


def note_job(plan: Plan, job: str, n_tasks: int) -> None:
    """Note that a job of `n_tasks` was handed over, each task of which has every `n_tasks`-th shard.

    A job that is known is not noted again.
    """
    if job not in _read_jobs(plan):
        append_line(plan.folder / _JOBS, {"job": job, "n_tasks": n_tasks})


def note_own_job(plan: Plan, first: int, n_tasks: int) -> None:
    """Note the array that this process is a task of, which a person may have handed over with ``sbatch``.

    `first`: the shard that the process begins with. Where the task has another number, the array is not of
    the job script: nothing is noted, since what SLURM says of its tasks would be told of the wrong shards.
    """
    job, _, task = (name_task() or "").partition("_")
    if plan.cluster == "slurm" and task == str(first):
        note_job(plan, job, n_tasks)


def ask_queue(plan: Plan) -> dict[int, str]:
    """Return SLURM's last word on each shard's task, such as ``PENDING (Priority)`` or ``OUT_OF_MEMORY``.

    Shards of which it says nothing are left out: all, where nothing was handed over or no queue answers.
    """
    jobs = _read_jobs(plan)
    if not jobs:
        return {}
    numbers = ",".join(jobs)
    words = {}
    for line in ask_program(["sacct", "-n", "-X", "-P", "-j", numbers, "-o", "JobID,State"]).splitlines():
        if found := _ENDED.fullmatch(line.strip()):
            words[found[1], int(found[2])] = found[3]
    for line in ask_program(["squeue", "-h", "-r", "-j", numbers, "-o", "%F %K %T %r"]).splitlines():
        if found := _QUEUED.fullmatch(line.strip()):
            words[found[1], int(found[2])] = f"{found[3]} ({found[4]})" if found[4] != "None" else found[3]
    said = {}
    for job, n_tasks in jobs.items():  # the last one that knows a shard counts
        for shard in plan.shards:
            if word := words.get((job, shard.number % n_tasks)):
                said[shard.number] = word
    return said


def _read_jobs(plan: Plan) -> dict[str, int]:
    """Return how many tasks each job has that was noted, by its number, oldest first."""
    return {str(line["job"]): int(line["n_tasks"]) for line in read_lines(plan.folder / _JOBS)}
