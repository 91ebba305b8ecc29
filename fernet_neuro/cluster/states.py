"""Where the shards of a plan stand, by their files and, where there is one, the queue.

What belongs here: a table with a row per shard; done is what left its whole result.
"""

import pandas as pd

from fernet_neuro.cluster.kinds import find_kind
from fernet_neuro.cluster.plan import Plan, Shard
from fernet_neuro.cluster.queue import ask_queue
from fernet_neuro.cluster.work import Notes, is_running, recall

#: SLURM's words for tasks that are still to begin, for the first time or again.
_TO_COME = (
    "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD",
)  # fmt: skip
#: SLURM's words for tasks that have begun, and may be queued again.
_BEGUN = ("RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "STAGE_OUT", "RESIZING", "SIGNALING")


def list_states(plan: Plan) -> pd.DataFrame:
    """Return a row per shard: ``shard, about, state, attempts, seconds, message``.

    States: ``done``; ``running``; ``failed`` (or killed, or stopped so often that it is given up);
    ``stopped`` by the scheduler, to go on when it is started again; ``queued``, where the queue holds a task
    that will try it, whatever came before; ``waiting``, where no queue says so.
    """
    queue = ask_queue(plan)
    rows = []
    for shard in plan.shards:
        notes = recall(plan, shard)
        state, message = _hear(queue.get(shard.number, ""), _find_state(plan, shard, notes), notes)
        rows.append(
            {
                "shard": shard.number,
                "about": shard.about,
                "state": state,
                "attempts": notes.attempts,
                "seconds": notes.seconds,
                "message": message,
            }
        )
    return pd.DataFrame(rows)


def split_missing(plan: Plan) -> tuple[list[int], list[int]]:
    """Return the shards that are neither done nor under way, and those that are queued or running."""
    states = list_states(plan)
    is_held = states["state"].isin(("queued", "running"))
    is_open = ~is_held & (states["state"] != "done")
    return states.loc[is_open, "shard"].tolist(), states.loc[is_held, "shard"].tolist()


def _find_state(plan: Plan, shard: Shard, notes: Notes) -> str:
    if find_kind(plan.command).is_done(plan, shard):
        return "done"
    if is_running(plan, shard):
        return "running"
    if not notes.attempts:
        return "waiting"
    return "stopped" if notes.was_stopped and not notes.is_given_up else "failed"


def _hear(word: str, state: str, notes: Notes) -> tuple[str, str]:
    """Return state and message of a shard, of whose task SLURM says `word`."""
    if _is_held(word.partition(" ")[0], state, notes):
        return "queued", word
    if state == "failed" and not notes.message:  # its attempt came to its end
        return state, "what it left is gone or damaged"
    if word and (state == "waiting" or (state == "failed" and notes.was_killed)):
        return state, "; ".join(filter(None, (notes.message, f"SLURM says {word}")))
    return state, notes.message


def _is_held(word: str, state: str, notes: Notes) -> bool:
    """Return whether a task that SLURM has will try a shard that is in `state`."""
    if state in ("waiting", "stopped"):
        return word in (*_TO_COME, *_BEGUN)
    if state != "failed" or (notes.is_given_up and not notes.is_asked_again):
        return False
    # A task that goes on has left its failures behind, but not an attempt that was killed with it.
    return word in _TO_COME or (notes.was_killed and word in _BEGUN)
