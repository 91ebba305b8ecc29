"""Where the shards of a plan stand, from files alone.

What belongs here: a table with a row per shard; done is what has left its whole result, and nothing else counts.
"""

import pandas as pd

from fernet_neuro.cluster.kinds import find_kind
from fernet_neuro.cluster.plan import MOST_FAILURES, MOST_STOPS, Plan, Shard
from fernet_neuro.cluster.work import Notes, is_running, read_notes


def list_states(plan: Plan) -> pd.DataFrame:
    """Return a row per shard: ``shard, about, state, attempts, seconds, message``.

    States: ``done``; ``running``; ``failed`` (too often, until asked again); ``stopped`` (goes on when it is
    started again); ``waiting``.
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
    if notes.failures >= MOST_FAILURES or notes.stops >= MOST_STOPS:
        return "failed"
    return "stopped" if notes.attempts else "waiting"
