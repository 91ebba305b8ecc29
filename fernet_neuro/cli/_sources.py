"""What a command's SOURCE is: an activation store, a network on disk, or a network by name.

What belongs here: questions about a SOURCE that several commands ask.
"""

from pathlib import Path

#: What a folder with a network in it, finished or not, holds; any other folder is taken for a store.
_NETWORK_FILES = ("model", "model.json", "recipe.yaml", "checkpoints")


def is_store(source: str) -> bool:
    """Return whether `source` is a folder that holds, or should hold, activations rather than a network."""
    folder = Path(source)
    return folder.is_dir() and not any((folder / name).exists() for name in _NETWORK_FILES)


def check_source_exists(source: str) -> None:
    """Refuse a mistyped path here, or the search for a network of that name blames the wrong thing."""
    names_function = ":" in Path(source).name or "@" in source
    if "/" in source and not names_function and not Path(source).exists():
        raise FileNotFoundError(
            f"SOURCE {source!r}: no such folder. Name an activation store, a run folder or a known network."
        )


def missing_stimuli(source: str) -> ValueError:
    """Return the error of a SOURCE that is no store where no stimuli are given to show a network."""
    what = "is a network" if Path(source).exists() else "is no store here, so it must be a network's name"
    return ValueError(f"SOURCE {source!r} {what}; a network needs the pictures to see: add --stimuli TABLE.")
