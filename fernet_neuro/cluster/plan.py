"""What is to be done in how many shards, as a JSON file: command lines, digests of their inputs, versions.

What belongs here: the plan and whether it still holds; how commands are split is in `kinds`, what carries out
a shard in `work`.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fernet_neuro._utils.atomic import clear_leftovers, write_text
from fernet_neuro._utils.hashing import hash_file, hash_json
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.record import list_versions as list_packages
from fernet_neuro._utils.shown import name_some
from fernet_neuro.activations.manifest import MANIFEST_NAME
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

_FORMAT, _FORMAT_VERSION = "fernet-neuro plan", 1
PLAN_NAME = "plan.json"
#: How often a shard may fail, and be stopped from outside, before it is left to its owner.
MOST_FAILURES, MOST_STOPS = 3, 20
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Shard:
    """One piece of the work.

    Parameters
    ----------
    number : int
        Its place among all, from 0.
    about : str
        What it does, for people, such as ``"rows 0:640"``.
    arguments : tuple of str
        The command line behind ``fernet-neuro`` that does it.
    result : str
        Where what it makes lies, from the folder in which the plan was made.
    key : str
        Of a store: what it has to be asked for (`hash_request`).
    """

    number: int
    about: str
    arguments: tuple[str, ...]
    result: str
    key: str = ""

    @property
    def name(self) -> str:
        """Its number with leading zeros, for files."""
        return f"{self.number:05d}"


@dataclass(frozen=True)
class Plan:
    """One command in many shards.

    Parameters
    ----------
    command : str
        ``extract``, ``probe``, ``calibrate`` or ``run``.
    arguments : tuple of str
        What was given to the command.
    out : str
        Where the result of all comes to lie, from `start`.
    start : str
        Folder in which the command was given: paths start there.
    shards : tuple of Shard
    inputs : dict of str to str
        Digests of the files and folders that the command reads.
    stamps : dict of str to str
        What their sizes and times come to: where these are as they were, nothing is read to check the plan.
    versions : dict of str to str
        Of packages, and the digest of this package's own code.
    facts : dict
        What putting the shards together needs.
    needs : dict
        What was estimated, for people.
    cluster : str
        Where it runs: ``slurm`` or ``local``.
    at_once : int or None
        Most shards at once; None for one on this machine, and for as many as the queue gives.
    """

    command: str
    arguments: tuple[str, ...]
    out: str
    start: str
    shards: tuple[Shard, ...]
    inputs: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    needs: dict[str, Any] = field(default_factory=dict)
    cluster: str = "slurm"
    at_once: int | None = None

    @property
    def folder(self) -> Path:
        """Where the plan, its logs and what shards leave behind lie."""
        return name_folder(self.place_of(self.out))

    @property
    def target(self) -> Path:
        """Where the result of all comes to lie."""
        return self.place_of(self.out)

    def place_of(self, path: str) -> Path:
        """Return a path of the plan as one that holds in any folder."""
        return Path(self.start) / path

    def write(self) -> Path:
        """Write the plan into its folder, and return its path."""
        content = {"format": _FORMAT, "format_version": _FORMAT_VERSION, **asdict(self)}
        path = self.folder / PLAN_NAME
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return path

    @classmethod
    def read(cls, path: PathLike) -> "Plan":
        """Read a plan from its file, its folder, or by the place where its result comes to lie.

        Raises
        ------
        StoreError
            If there is none, or it is damaged, of another version, or was moved.
        """
        places = [Path(path), Path(path) / PLAN_NAME, name_folder(Path(path)) / PLAN_NAME]
        file = next((place for place in places if place.is_file() and place.name == PLAN_NAME), None)
        if file is None:
            raise StoreError(f"{path} holds no plan; make one with fernet-neuro submit.")
        try:
            content = read_json(file)
            kind, version = content.pop("format"), content.pop("format_version")
            shards = tuple(
                Shard(**{**item, "arguments": tuple(item["arguments"])}) for item in content["shards"]
            )
            content |= {"arguments": tuple(content["arguments"]), "shards": shards}
            plan = cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{file} is damaged ({error}); make the plan again.") from None
        if (kind, version) != (_FORMAT, _FORMAT_VERSION):
            raise StoreError(f"{file} is a plan of another version; make it again with fernet-neuro submit.")
        if not (plan.folder.is_dir() and plan.folder.samefile(file.parent)):
            raise StoreError(
                f"{file.parent} was {plan.folder} when the plan was made, and its paths start there; move it "
                f"back, or submit again to another --out."
            )
        clear_leftovers(plan.target.parent)  # a merge that was killed may have moved all shards away
        return plan

    def check(self, *, accept_version: bool = False) -> None:
        """Raise if code or inputs are others than when the plan was made.

        `accept_version`: go on with other code.

        Raises
        ------
        StoreError
            Naming what differs, with both digests or versions.
        """
        changes = self.list_changes()
        if changes and not accept_version:
            raise StoreError(
                f"the plan was made with other code: {name_some(changes)}; install that, or go on with "
                f"--accept-version."
            )
        for path, digest in self.inputs.items():
            place = self.place_of(path)
            if self.stamps.get(path) == stamp(place):
                continue
            found = fingerprint(place)
            if found != digest:
                raise StoreError(
                    f"{path} has changed since the plan was made (digest {_short(digest)}, now "
                    f"{_short(found)}); put it back, or submit again to another --out."
                )

    def list_changes(self) -> list[str]:
        """Return each package that is another than when the plan was made, with both versions."""
        before, now = self.versions, list_versions()
        return [
            f"{name} {_short(before.get(name))} -> {_short(now.get(name))}"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]


def name_folder(out: Path) -> Path:
    """Return the folder of the plan whose result lies at `out`."""
    return out.with_name(f"{out.name}.jobs")


@cache
def list_versions() -> dict[str, str]:
    """Return versions of what can change a number, and the digest of this package's files."""
    files = sorted(path for path in _PACKAGE.rglob("*") if path.suffix in (".py", ".yaml"))
    code = {path.relative_to(_PACKAGE).as_posix(): hash_file(path) for path in files}
    return {**list_packages(), "code": hash_json(code)}


def find_inputs(values: Iterable[Any], start: Path) -> dict[str, str]:
    """Return the digest of each file and folder among `values` of a command's parameters, by its path."""
    found: dict[str, str] = {}
    for value in values:
        for item in value if isinstance(value, list | tuple) else [value]:
            for text in _list_paths(item):
                digest = fingerprint(start / text)
                if digest is not None:
                    found[text] = digest
    return found


def fingerprint(path: Path) -> str | None:
    """Return the digest of a file, or of all files of a folder; None if nothing is there.

    A store counts by its manifest, which holds the checksums of its values.
    """
    if not path.exists():
        return None
    files = _list_files(path)
    if path.is_file() or files[:1] == [path / MANIFEST_NAME]:
        return hash_file(files[0])
    return hash_json({file.relative_to(path).as_posix(): hash_file(file) for file in files})


def stamp(path: Path) -> str:
    """Return a digest of the sizes and times of what `fingerprint` reads: quick, and tells most changes."""
    looks = {file.relative_to(path).as_posix(): file.stat() for file in _list_files(path)}
    return hash_json({name: [look.st_size, look.st_mtime_ns] for name, look in looks.items()})


def _list_files(path: Path) -> list[Path]:
    """Return the files that count: a file itself, the manifest of a store, all files of another folder."""
    if path.is_file():
        return [path]
    manifest = path / MANIFEST_NAME
    return [manifest] if manifest.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _list_paths(value: Any) -> list[str]:
    """Return what may be paths in a parameter: itself, the file of ``FILE:function`` and ``NAME@FILE``."""
    if isinstance(value, os.PathLike):
        return [os.fspath(value)]
    if not isinstance(value, str) or not value:
        return []
    parts = (value, value.partition(":")[0], value.rpartition("@")[2])
    return [part for part in dict.fromkeys(parts) if part]


def _short(value: str | None) -> str:
    return "absent" if value is None else value[:12]
