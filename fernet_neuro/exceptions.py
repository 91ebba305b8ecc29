"""The errors that fernet-neuro raises on purpose; everything else is a plain ``ValueError`` or ``TypeError``.

Each message names the argument, what was got, and what is wanted or what to do next.
"""


class FernetError(Exception):
    """Base of all errors raised on purpose by fernet-neuro."""


class AlignmentError(FernetError, ValueError):
    """Two labelled objects do not speak of the same stimuli in the same order."""


class StimulusError(FernetError, ValueError):
    """A stimulus is missing, unreadable, duplicated or wrongly labelled."""


class FernetWarning(UserWarning):
    """Something that may make numbers wrong, and that only the user can know; the command line notes it."""


class LayerNotFoundError(FernetError, KeyError):
    """A layer name that the network does not have."""

    def __str__(self) -> str:
        # KeyError quotes its argument, which makes a sentence unreadable.
        return str(self.args[0]) if self.args else ""


class StoreError(FernetError, OSError):
    """A store, checkpoint or result on disk is incomplete, damaged or of another format."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MissingDependencyError(FernetError, ImportError):
    """An optional package is needed and not installed."""
