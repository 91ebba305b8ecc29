"""The front door's own functions: each takes a network, or what it answered, all the way to a result.

What belongs here: joining rooms that may not know each other; how anything is computed stays in its room.
"""
