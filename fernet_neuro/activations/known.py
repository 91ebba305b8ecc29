"""Stores that were made before, found again by their content: no network runs twice over the same stimuli.

What belongs here: the index in the cache folder. An entry only says where a store was; what lies there is
opened and its key compared, so an entry that no longer holds is ignored.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fernet_neuro._utils.atomic import SCRATCH, write_text
from fernet_neuro._utils.cache import cache_folder
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.json_files import read_json
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.exceptions import FernetError
from fernet_neuro.stimuli.table import StimulusTable


def cache_place(identity: Mapping[str, Any], table: StimulusTable) -> Path:
    """Return the folder in the cache for a store that was given no other place."""
    files = [str(path.absolute()) for path in table.paths()]  # equal pictures elsewhere may outlive these
    return _index_of(identity) / hash_json([identity["layers"], files])[:16]


def remember_store(store: ActivationStore) -> None:
    """Note where a store lies, so that `find_store` finds it, unless it is gone when the command ends."""
    if store.path.absolute().parent.name.startswith(SCRATCH):
        return
    entry = _index_of(store.manifest["identity"]) / f"{store.key}.json"
    # A cache that cannot be written to costs time later, and nothing else.
    with contextlib.suppress(OSError):
        write_text(entry, json.dumps({"path": str(store.path.absolute())}))


def find_store(identity: Mapping[str, Any], table: StimulusTable) -> ActivationStore | None:
    """Return a store of these image files that was made before with what `identity` asks for, or None.

    A store of more layers will do: those asked for are taken from it, under the key of those alone.
    """
    for entry in sorted(_index_of(identity).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, FernetError):
            store = ActivationStore.open(read_json(entry)["path"])
            found = store.take(identity["layers"])
            if found.key == hash_json(identity) and found.stimuli == table:
                return found
    return None


def _index_of(identity: Mapping[str, Any]) -> Path:
    """Return the folder of all stores that differ in their layers only."""
    shared = {name: value for name, value in identity.items() if name != "layers"}
    return cache_folder() / "stores" / hash_json(shared)[:16]
