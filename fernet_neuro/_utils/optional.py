"""Late import of optional packages, with a message that says what for and how to install."""

from importlib import import_module
from types import ModuleType

from fernet_neuro.exceptions import MissingDependencyError


def import_optional(module: str, purpose: str, package: str) -> ModuleType:
    """Import `module`, or raise with the ``pip`` command that installs its package.

    `module`: such as ``"cv2"``. `purpose`: what it is needed for, in the words of the message. `package`:
    what ``pip`` calls the package. Raises MissingDependencyError if the package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs the package {module.split('.')[0]!r}; install it with: pip install {package}"
        ) from error
