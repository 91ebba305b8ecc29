"""Trained networks that others published: fetched once into the user's cache, checked, then there by name.

What belongs here: how a `Published` gets here; which ones there are, systems say. What is
fetched lies like a run (`record.json`, `model/`), so that whatever takes a run takes its name.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from fernet_neuro._utils.atomic import atomic_folder, write_text
from fernet_neuro._utils.cache import cache_folder
from fernet_neuro._utils.download import check_url, download_all, is_there
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.shipped import is_fetched, place_fetched
from fernet_neuro._utils.validation import check_range, suggest
from fernet_neuro.exceptions import MissingDependencyError, StoreError
from fernet_neuro.models.entry import PUBLISHED, Published, describe_published
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.libraries import fetch_from_library, is_library_name, prepare_library_model
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import check_state, save_model
from fernet_neuro.typing import PathLike


def fetch_network(
    name: str,
    *,
    source: PathLike | None = None,
    base_url: str | None = None,
    timeout: float = 30.0,
    verbose: bool = False,
) -> dict[str, Any]:
    """Get a published network into the user's cache, and return what is known of it.

    A broken download goes on where it ended, at the next call. The cache gets the network complete or not at
    all; one that is there is left alone.

    Parameters
    ----------
    name : str
        In `PUBLISHED`; or ``NAME@WEIGHTS`` of torchvision (``resnet50@IMAGENET1K_V2``, ``resnet50@DEFAULT``),
        or ``timm:NAME@pretrained``.
    source : path, default=None
        A file that was downloaded before, with the others of the release beside it; or their folder.
    base_url : str, default=None
        Of a mirror with the same paths; https, or http on this machine.
    timeout : float, default=30
        Seconds without a byte after which a connection counts as broken.
    verbose : bool, default=False
        Show progress.

    Returns
    -------
    dict
        ``name``, ``folder``, ``licence``, ``citation``, ``learnt`` and ``files`` (SHA-256 by name).

    Raises
    ------
    ValueError
        If there is no such network, or its files cannot be had without `source`.
    StoreError
        If a file cannot be had, is another than the published one, or does not fit the network.
    """
    check_range("timeout", timeout, minimum=0.1)
    if is_fetched(name):
        return read_fetched(name)
    if "@" in name:
        model, known = fetch_from_library(name, source)
        return _keep(name, model, known, ())
    if name not in PUBLISHED:
        raise ValueError(
            f"no published network is called {name!r}.{suggest(name, PUBLISHED)} There are: "
            f"{', '.join(PUBLISHED)}; and NAME@WEIGHTS of torchvision, timm:NAME@pretrained."
        )
    entry, downloads = PUBLISHED[name], cache_folder() / "downloads" / name
    model = _prepare(entry)
    files = (
        _download(entry, downloads, base_url, timeout, verbose)
        if source is None
        else _find_files(entry, Path(source))
    )
    state = entry.read(files)
    check_state(model.module, state, str(files[0]))
    model.module.load_state_dict(state, strict=False)
    known = {key: getattr(entry, key) for key in ("licence", "citation", "learnt")}
    known["files"] = {path.name: hash_file(path) for path in files}
    found = _keep(name, model, known, entry.classes)
    shutil.rmtree(downloads, ignore_errors=True)
    return found


def _prepare(entry: Published) -> LayeredModel:
    """Return the network with the card of the trained one, before its weights are there."""
    card = {"training_data": entry.learnt, "licence": entry.licence, "source": entry.page}
    return build_model(entry.network).with_card(seed=None, **card)


def preview_network(name: str) -> tuple[LayeredModel | None, dict[str, Any]] | None:
    """Return a network that could be fetched, as it would be, and what is known of it; None for any other.

    The network has the card and layers of the trained one, and random weights; it is None where a package is
    missing that builds it. Beside it: ``learnt``, ``licence``, ``citation``, ``page`` (where its files are),
    ``megabytes`` (None where nobody says), and ``fetch``, the command; ``input`` where its authors say it.

    Raises ValueError if a library has no such weights.
    """
    if is_fetched(name):
        return None
    command = f"fernet-neuro models fetch {name}"
    if name in PUBLISHED:
        entry = PUBLISHED[name]
        command += "" if entry.address else f" --from {entry.files[0].name}"
        try:
            model = _prepare(entry)
        except MissingDependencyError:
            model = None
        return model, {**describe_published(name), "fetch": command}
    if Path(name).exists() or not is_library_name(name):
        return None
    model, known = prepare_library_model(name)
    size = sum(item.numel() * item.element_size() for item in model.module.state_dict().values()) / 1e6
    return model, {**known, "page": model.card.source, "megabytes": size, "fetch": command}


def read_fetched(name: str) -> dict[str, Any]:
    """Return what is known of a network that was fetched."""
    folder = place_fetched(name)
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        return {"name": name, "folder": str(folder), **record["published"]}
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{folder} is damaged; delete it, and fetch {name} again.") from None


def _download(
    entry: Published, folder: Path, base_url: str | None, timeout: float, verbose: bool
) -> list[Path]:
    root = base_url or entry.address
    if not root:
        raise ValueError(
            f"these weights have no address to download from: get {_name(entry)} from {entry.page}, "
            f"and give it with --from FILE."
        )
    check_url(root)
    missing = [file for file in entry.files if not is_there(folder / file.name, file)]
    download_all(missing, root.rstrip("/"), folder, timeout, verbose)
    return [folder / file.name for file in entry.files]


def _find_files(entry: Published, source: Path) -> list[Path]:
    if not source.exists():
        raise StoreError(f"{source} does not exist.")
    if len(entry.files) == 1 and source.is_file():
        files = [source]
    else:
        names = {file.name for file in entry.files}
        if source.is_file() and source.name not in names:
            raise StoreError(
                f"{source} is called otherwise than these files, which belong together: {_name(entry)}."
            )
        folder = source if source.is_dir() else source.parent
        files = [folder / file.name for file in entry.files]
    for path, file in zip(files, entry.files, strict=True):
        if not path.is_file():
            raise StoreError(f"{path} does not exist; these files belong together: {_name(entry)}.")
        if file.sha256 and hash_file(path) != file.sha256:
            raise StoreError(
                f"{path} is not the published file {file.name} (its SHA-256 differs), or is cut off; get "
                f"it again from {entry.page}."
            )
    return files


def _name(entry: Published) -> str:
    return ", ".join(file.name for file in entry.files)


def _keep(name: str, model: LayeredModel, known: dict[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """Write the network into the cache, in the form of a run."""
    task = {"factor": "expression", "classes": list(classes)} if classes else {}
    record = {
        "status": "complete",
        "published": known,
        "settings": {"task": "expression" if classes else "", "model": model.card.name, "variant": ""},
        "seed": None,
        "task": task,
        "digests": {"weights": model.weight_digest()},
    }
    with atomic_folder(place_fetched(name)) as folder:
        save_model(model, folder / "model")
        write_text(folder / "record.json", json.dumps(record, indent=2) + "\n")
    return read_fetched(name)
