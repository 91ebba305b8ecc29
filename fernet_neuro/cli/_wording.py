"""Messages of the package in the words of the command line: ``labelled_only=True`` is ``--labelled-only``.

What belongs here: the one place that knows how an argument in Python is called as an option. Messages name
arguments as Python has them; whoever gave a command reads its options.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

#: An argument with a value, or with none after the sign; no part of a path, nor a setting of a recipe.
_GIVEN = re.compile(
    r"""(?<!--set )(?<![\w./'"-])([a-z]\w*)=('[^']*'|"[^"]*"|(?:[\w.:/+-]*\w)?)(?![\w(\[{])"""
)
#: An argument by its name, where it has the form of one.
_NAMED = re.compile(r"""(?<![\w./'"=-])([a-z]+_\w+)(?![\w./'"(=-])""")
#: An argument that a message begins with.
_FIRST = re.compile(r"^([a-z]\w*)(?= (?:must|may have) )")
#: A call in Python, which stays as it is.
_CALL = re.compile(r"(?<![\w./-])([a-zA-Z_][\w.]*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))")
#: What says the same twice, since the message had both forms.
_TWICE = re.compile(r"(--[\w-]+(?: [\w.]+)?)(?: \(\1\)|, \1)")


#: What the system refuses, and what helps.
_REFUSALS: dict[type[OSError], str] = {
    FileExistsError: "is there, and is no folder; name another place",
    NotADirectoryError: "would lie in a file, where a folder is needed; name another place",
    IsADirectoryError: "is a folder, where a file is needed; name a file",
    FileNotFoundError: "does not exist",
    PermissionError: "may not be read or written by you; name another place, or change its rights",
}


def say_plainly(error: Exception) -> str:
    """Return what went wrong; what only the system named, as a sentence about the file.

    Examples
    --------
    >>> say_plainly(NotADirectoryError(20, "Not a directory", "notes.txt/out"))
    'notes.txt/out would lie in a file, where a folder is needed; name another place.'
    """
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    refusal = next((text for kind, text in _REFUSALS.items() if isinstance(error, kind)), None)
    if refusal is None or error.filename is None:
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{os.strerror(error.errno)}."
    return f"{error.filename} {refusal}."


def say_as_typed(message: str, root: Any, words: Sequence[str]) -> str:
    """Return a message with the options of the command in place of Python's arguments.

    Parameters
    ----------
    message : str
    root : command group
        All commands.
    words : sequence of str
        What was typed after the programme's name; it tells which command was meant.
    """
    known = _list_options(_find_command(root, words))
    parts = _CALL.split(message)
    parts[::2] = [_say_words(part, known, is_first=not place) for place, part in enumerate(parts[::2])]
    return _TWICE.sub(r"\1", "".join(parts))


def _say_words(words: str, known: dict[str, Any], *, is_first: bool) -> str:
    """Return words between calls in Python with options in place of arguments."""
    said = _GIVEN.sub(lambda found: _say_given(found, known), words)
    for pattern in (_NAMED, _FIRST) if is_first else (_NAMED,):
        said = pattern.sub(lambda found: known[found[1]].opts[0] if found[1] in known else found[0], said)
    return said


def _find_command(root: Any, words: Sequence[str]) -> Any:
    command = root
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    return command


def _list_options(command: Any) -> dict[str, Any]:
    """Return the options of a command by what Python may call them: with ``n_`` in front of a count."""
    known: dict[str, Any] = {}
    for option in command.params:
        if option.opts[0].startswith("--"):
            flag = option.opts[0].removeprefix("--").replace("-", "_")
            count = {f"n_{flag}"} if option.metavar == "N" else set()
            for name in {flag, option.name, *count}:
                known.setdefault(name, option)
    return known


def _say_given(found: re.Match[str], known: dict[str, Any]) -> str:
    """Return ``--name value`` for ``name=value``, and for a switch its own form."""
    name, value = found[1], found[2]
    if name not in known:
        return found[0]
    option = known[name]
    if value in ("True", "False"):
        forms = option.opts if value == "True" else option.secondary_opts
        return forms[0] if forms and getattr(option, "is_flag", False) else found[0]
    bare = value[1:-1] if value[:1] in ("'", '"') and " " not in value and len(value) > 2 else value
    return f"{option.opts[0]} {bare}".rstrip()
