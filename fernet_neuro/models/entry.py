"""What is known of networks, and of published weights, without building them: `MODELS` and `PUBLISHED`.

What belongs here: nothing that loads torch, so that networks can be listed without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fernet_neuro._utils.download import RemoteFile
from fernet_neuro._utils.shipped import is_fetched
from fernet_neuro.catalogue import Entries, Later

if TYPE_CHECKING:
    from torch import Tensor

    from fernet_neuro.models.blueprint import Blueprint

BSD, MIT, OURS = "BSD-3-Clause (torchvision)", "MIT", "BSD-3-Clause (fernet-neuro)"
_READ_ONE = Later("fernet_neuro.models.weights:read_one")


@dataclass(frozen=True)
class ModelEntry:
    """One registered network.

    Parameters
    ----------
    build : callable
        Takes the options (and ``variant`` where there are several) and returns a `Blueprint`.
    description : str
        One line.
    options : dict
        Names and default values of the options.
    variants : tuple of str
        Published forms; the first is the default.
    in_use : dict
        Options of the trained network in use, without what only training needs.
    licence, source, paper : str
        Of the architecture; weights have their own.
    """

    build: Callable[..., Blueprint]
    description: str
    options: dict[str, Any] = field(default_factory=dict)
    variants: tuple[str, ...] = ("recommended",)
    licence: str = OURS
    source: str = ""
    paper: str = ""
    in_use: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """Weights of one network, as their authors published them.

    Parameters
    ----------
    network : str
        What `build_model` takes.
    files : tuple of RemoteFile
        What is downloaded; one without SHA-256 is only noted, not checked.
    address : str
        Where the files lie; empty where the keeper asks for terms to be accepted first.
    page : str
        Where a person finds them.
    learnt : str
        What the network was trained on, and for what.
    licence, citation : str
    read : callable
        From the files to the weights by name.
    input : str
        What its pictures must be, in words.
    classes : tuple of str
        Expressions in the order of the outputs; empty for a network that names none.
    """

    network: str
    files: tuple[RemoteFile, ...]
    address: str
    page: str
    learnt: str
    licence: str
    citation: str
    input: str
    read: Callable[[list[Path]], dict[str, Tensor]] = _READ_ONE
    classes: tuple[str, ...] = field(default=())


#: All networks that have a name, those of systems too.
MODELS: Mapping[str, ModelEntry] = Entries("networks", ModelEntry)
#: All published weights by name.
PUBLISHED: Mapping[str, Published] = Entries("weights", Published)
#: What is told of published weights.
_TOLD = ("network", "learnt", "input", "licence", "citation", "page")


def describe_published(name: str) -> dict[str, Any]:
    """Return what published weights learnt, their licence, input and size, and whether they were fetched.

    Examples
    --------
    >>> describe_published("face-api-expression")["licence"]
    'MIT (face-api)'
    """
    entry = PUBLISHED[name]
    size = sum(file.size for file in entry.files) / 1e6 or None
    told = {key: getattr(entry, key) for key in _TOLD}
    return {"name": name, "is_here": is_fetched(name), "megabytes": size, **told}
