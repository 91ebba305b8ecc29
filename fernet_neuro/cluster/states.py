"""Where the shards of a plan stand, from files alone.

What belongs here: a table with a row per shard; done is what left its whole result.
"""

import pandas as pd

from fernet_neuro.cluster.kinds import find_kind
from fernet_neuro.cluster.plan import Plan, Shard
from fernet_neuro.cluster.work import Notes, is_running, read_notes


def list_states(plan: Plan) -> pd.DataFrame:
    """Return a row per shard: ``shard, about, state, attempts, seconds, message``.

    States: ``done``; ``running``; ``failed`` (or killed, or stopped so often that it is given up);
    ``stopped`` by the scheduler, to go on when it is started again; ``waiting``.
    """
    rows = []
    for shard in plan.shards:
        notes = read_notes(plan, shard)
        rows.append(
            {
                "shard": shard.number,
                "about": shard.about,
                "state": _find_state(plan, shard, notes),
                "attempts": notes.attempts,
                "seconds": notes.seconds,
                "message": notes.message,
            }
        )
    return pd.DataFrame(rows)


def _find_state(plan: Plan, shard: Shard, notes: Notes) -> str:
    if find_kind(plan.command).is_done(plan, shard):
        return "done"
    if is_running(plan, shard):
        return "running"
    if not notes.attempts:
        return "waiting"
    return "stopped" if notes.was_stopped and not notes.is_given_up else "failed"
