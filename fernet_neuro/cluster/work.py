"""Carrying out shards of a plan in this process, and what is noted of each attempt.

What belongs here: one task's share of the shards, signals, and the notes that `states` reads.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from fernet_neuro._utils.claims import claiming, is_claimed
from fernet_neuro._utils.json_files import append_line, read_lines
from fernet_neuro.cluster.kinds import find_kind
from fernet_neuro.cluster.plan import MOST_FAILURES, MOST_STOPS, Plan, Shard
from fernet_neuro.cluster.queue import note_own_job
from fernet_neuro.exceptions import FernetError

#: What ends a process and means: all is done, a shard failed, the plan is wrong, start me again.
DONE, FAILED, WRONG_PLAN, AGAIN = 0, 1, 2, 75
#: Exit code of a command that was interrupted.
_INTERRUPTED = 130
#: Carries out a command line, writes to standard output and error, and returns its exit code.
Execute = Callable[[list[str]], int]


def work(plan: Plan, first: int, step: int, execute: Execute, *, accept_version: bool = False) -> int:
    """Carry out the shards `first`, `first` + `step`, ...; return an exit code.

    Shards that are done, that another process works on, or that failed too often are left as they are. A
    SIGUSR1 or SIGTERM ends the work so that it can go on later: what is finished is kept.

    Parameters
    ----------
    plan : Plan
    first, step : int
        Numbers of shards.
    execute : callable
        Carries out a command line.
    accept_version : bool, default=False
        Whether to go on with other code than the plan was made with.

    Returns
    -------
    int
        0 done, 1 a shard failed, 75 stopped by a signal.

    Raises
    ------
    StoreError
        If code or inputs are others than when the plan was made.
    """
    with _stoppable() as stop:
        try:
            note_own_job(plan, first, step)  # even where the plan no longer holds
            plan.check(accept_version=accept_version)
            return _work(plan, plan.shards[first::step], execute, stop)
        except KeyboardInterrupt:  # between two shards
            if not stop:
                raise
            return AGAIN


def _work(plan: Plan, shards: Sequence[Shard], execute: Execute, stop: list[str]) -> int:
    code = DONE
    for shard in shards:
        if find_kind(plan.command).is_done(plan, shard):
            continue
        with claiming(_claim_of(plan, shard)) as is_ours:
            if not is_ours:
                continue
            if read_notes(plan, shard).is_given_up:
                code = FAILED
                continue
            outcome = _carry_out(plan, shard, execute, stop)
        if stop:  # even where the shard came to its end: there is no time for another
            return AGAIN
        code = code if outcome == "done" else FAILED
    return code


class Notes:
    """What was noted of the attempts at one shard, between two times that its owner asked to try again.

    `is_asked_again`: whether its owner has asked since, so that its tries count anew.
    """

    def __init__(self, lines: list[dict[str, Any]], *, is_asked_again: bool = False) -> None:
        self.is_asked_again = is_asked_again
        lines = [line for line in lines if line["event"] in ("start", "end")]
        self.ends = [line for line in lines if line["event"] == "end"]
        self.attempts = sum(line["event"] == "start" for line in lines)
        self.was_killed = bool(lines) and lines[-1]["event"] == "start"
        outcomes = [line["outcome"] for line in self.ends]
        self.stops = outcomes.count("stopped")
        # An attempt without an end was killed: by the system, for want of memory, or by a person.
        self.failures = outcomes.count("failed") + self.attempts - len(self.ends)
        self.was_stopped = outcomes[-1:] == ["stopped"] and not self.was_killed

    @property
    def is_given_up(self) -> bool:
        """Whether it is left to its owner: it failed or was stopped too often."""
        return self.failures >= MOST_FAILURES or self.stops >= MOST_STOPS

    @property
    def seconds(self) -> float:
        """Of all attempts that ended."""
        return float(sum(line["seconds"] for line in self.ends))

    @property
    def message(self) -> str:
        """Why the last attempt failed; empty where it did not."""
        if self.was_stopped and self.is_given_up:
            return f"given up: stopped {self.stops} times before its end; make shards smaller, or time longer"
        if self.was_killed:
            return "ended from outside, perhaps for want of memory"
        return str(self.ends[-1]["message"]) if self.ends else ""


def read_notes(plan: Plan, shard: Shard) -> Notes:
    """Return what was noted of a shard since its owner last asked to try again: its tries so far.

    Half a line, of a process that was killed, does not count.
    """
    return Notes(_read_parts(plan, shard)[-1])


def recall(plan: Plan, shard: Shard) -> Notes:
    """Return what is told of a shard: as `read_notes`, or what was before where nothing has come of that."""
    parts = _read_parts(plan, shard)
    told: list[dict[str, Any]] = next((part for part in reversed(parts) if part), [])
    return Notes(told, is_asked_again=told is not parts[-1])


def ask_again(plan: Plan, shard: Shard) -> None:
    """Forget earlier failures of a shard, once it is handed over or begins."""
    _note(plan, shard, {"event": "retry"})


def note_handed_over(plan: Plan, shard: Shard) -> None:
    """Note that the queue has taken a shard that was asked for again."""
    _note(plan, shard, {"event": "submitted"})


def log_of(plan: Plan, shard: Shard) -> Path:
    """Return where a shard's commands write what they say."""
    return plan.folder / "logs" / f"{shard.name}.log"


def is_running(plan: Plan, shard: Shard) -> bool:
    """Return whether a living process works on a shard."""
    return is_claimed(_claim_of(plan, shard))


def _carry_out(plan: Plan, shard: Shard, execute: Execute, stop: list[str]) -> str:
    """Carry out one shard; return how it ended, which is noted. `stop` holds what has stopped it."""
    _note(plan, shard, {"event": "start", "job": os.environ.get("SLURM_JOB_ID")})
    start = time.perf_counter()
    log = log_of(plan, shard)
    code: int | None = None
    message = ""
    with chdir(plan.start), _writing_to(log):
        try:
            plan.place_of(shard.result).parent.mkdir(parents=True, exist_ok=True)
            code = execute(list(shard.arguments))
            if code == DONE:
                find_kind(plan.command).finish(plan, shard)
            elif code == _INTERRUPTED:
                stop.append("interrupted")
        except KeyboardInterrupt:
            stop.append("interrupted")
        except (FernetError, ValueError, OSError) as error:
            message = " ".join(str(error).split())
            sys.stderr.write(f"Error: {message}\n")
        except Exception as error:  # a shard's failure is its own, and is told in its log
            message = f"{type(error).__name__}: {error}"
            traceback.print_exc()
    missed = "stopped" if stop else "failed"
    outcome = "done" if find_kind(plan.command).is_done(plan, shard) else missed
    seconds = round(time.perf_counter() - start, 3)
    message = (message or _last_line(log)) if outcome == "failed" else ""
    end = {"event": "end", "outcome": outcome, "code": code, "seconds": seconds, "message": message}
    _note(plan, shard, end)
    return outcome


@contextmanager
def _stoppable() -> Iterator[list[str]]:
    """Turn the signals of a scheduler into an interruption; yield a list that holds them once they came."""
    came: list[str] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if not came:  # a second one must not cut short what the first began
            came.append(signal.Signals(number).name)
            raise KeyboardInterrupt

    names = [name for name in ("SIGUSR1", "SIGTERM") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield came
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextmanager
def _writing_to(log: Path) -> Iterator[None]:
    """Send what this process and its children write to a file, behind what is there."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as handle:
        _flush()
        kept = {number: os.dup(number) for number in (1, 2)}
        try:
            for number in kept:
                os.dup2(handle.fileno(), number)
            yield
        finally:
            _flush()
            for number, old in kept.items():
                os.dup2(old, number)
                os.close(old)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _note(plan: Plan, shard: Shard, line: dict[str, Any]) -> None:
    path = _notes_of(plan, shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    append_line(path, {**line, "when": when})


def _read_parts(plan: Plan, shard: Shard) -> list[list[dict[str, Any]]]:
    """Return the notes of a shard before, between and after the times that its owner asked to try again."""
    parts: list[list[dict[str, Any]]] = [[]]
    for line in read_lines(_notes_of(plan, shard)):
        if line["event"] == "retry":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _notes_of(plan: Plan, shard: Shard) -> Path:
    return plan.folder / "attempts" / f"{shard.name}.jsonl"


def _claim_of(plan: Plan, shard: Shard) -> Path:
    return plan.folder / "claims" / shard.name


def _last_line(log: Path) -> str:
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - 4096))
        lines = handle.read().decode("utf-8", errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else ""
