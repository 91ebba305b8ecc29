"""What figures of features share: maps of layers and of several networks, and tables of scores.

What belongs here: steps that more than one figure needs, each of which goes on where it was interrupted.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.tables import write_csv
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import ActivationStore, write_store
from fernet_neuro.embedding.maps import default_perplexity
from fernet_neuro.embedding.pipeline import check_embedding, compute_embedding
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.evaluation.result import EvaluationResult
from fernet_neuro.evaluation.seeds import SEEDS, summarise_runs
from fernet_neuro.experiments.page import show_figures, show_material, show_settings, write_sections
from fernet_neuro.experiments.settings import MapSettings
from fernet_neuro.experiments.work import Work, name_run
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.stimuli.splits import check_disjoint
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.folder import RunFolder, find_trained_people
from fernet_neuro.typing import PathLike

logger = logging.getLogger(__name__)

#: Scores that are kept of every test.
METRICS = ("accuracy", "mean_class_accuracy", "macro_f1")
#: A column that only rendered tables have.
_RENDERED_COLUMN = "action_units"


def check_people(
    train: Iterable[StimulusTable | None],
    test: Iterable[StimulusTable],
    networks: Iterable[TrainSettings] = (),
) -> None:
    """Raise if anybody is both trained on and tested on, or was in a run whose place a network starts from.

    Raises StimulusError naming the first.
    """
    trained, tested = (
        {name for table in tables if table is not None for name in table.factor("identity", complete=False)}
        for tables in (train, test)
    )
    check_disjoint(trained - {""}, tested - {""}, "identity")
    for source in dict.fromkeys(place for network in networks for place in network.list_weight_sources()):
        find_trained_people(source, tested).refuse("start from another network, or test on others.")


def describe_network(run: PathLike) -> dict[str, Any]:
    """Return what a figure must say of a run: task, variant, seed, epoch, and how much it was trained on."""
    folder = RunFolder(Path(run))
    record = folder.read_record()
    kept = record.get("kept", "last")
    return {
        "run": name_run(run),
        "task": record["settings"]["task"],
        "mode": record["task"].get("mode", ""),
        "model": record["settings"]["model"],
        "variant": record["settings"]["variant"],
        "seed": record["seed"],
        "epoch": (record.get(kept) or {}).get("epoch"),
        "n_train": record["task"].get("n_train"),
        "weights": record["digests"]["weights"][:12],
    }


def describe_faces(table: StimulusTable) -> str:
    """Return "rendered faces" where the renderer made the table, else "faces"."""
    return "rendered faces" if _RENDERED_COLUMN in table.frame else "faces"


def check_unseen(run: PathLike, table: StimulusTable) -> None:
    """Raise if a run, or one that it started from, was trained on people of `table`.

    Raises StimulusError naming the first.
    """
    people = table.factor("identity", complete=False)
    find_trained_people(run, people).refuse("give faces of others.")


def check_maps(
    table: StimulusTable, layers: Sequence[str], factors: Sequence[str], maps: MapSettings
) -> None:
    """Check all that maps need of a table before networks are trained for hours; see `check_embedding`."""
    perplexity = maps.perplexity or default_perplexity(len(table), maps.method)
    check_embedding(
        table, layers, maps.method, [perplexity], factors, n_pca=maps.n_pca, n_neighbours=maps.n_neighbours
    )


def write_maps(
    store: ActivationStore,
    layers: Sequence[str],
    out: PathLike,
    *,
    factors: Sequence[str],
    maps: MapSettings,
    networks: Mapping[str, Mapping[str, Any]],
    verbose: bool = False,
) -> EmbeddingResult:
    """Return maps of a store's layers, written to `out` together with what is known of each layer's network.

    Maps that lie there, of the same activations and settings, are read instead.
    """
    asked = {"maps": maps.model_dump(mode="json"), "factors": list(factors), "layers": list(layers)}
    said = {"asked": asked, "networks": {name: dict(item) for name, item in networks.items()}}
    said["faces"] = describe_faces(store.stimuli)
    finished = _read_finished(Path(out), {"store_key": store.key, **said})
    if finished is not None:
        return finished
    result = compute_embedding(
        store,
        layers,
        method=maps.method,
        perplexities=() if maps.perplexity is None else (maps.perplexity,),
        factors=factors,
        n_pca=maps.n_pca,
        n_neighbours=maps.n_neighbours,
        n_permutations=maps.permutations,
        seed=maps.seed,
        verbose=verbose,
    )
    result = replace(result, settings={**result.settings, **said})
    result.save(out)
    return result


def map_features(
    run: PathLike,
    table: StimulusTable,
    out: PathLike,
    layers: Sequence[str],
    *,
    factors: Sequence[str] = (),
    maps: MapSettings | None = None,
    verbose: bool = False,
    device: str = "auto",
) -> EmbeddingResult:
    """Map layers of a trained network for stimuli of people whom it has not seen.

    Parameters
    ----------
    run : path
        Complete run folder.
    table : StimulusTable
    out : path
        Folder for the maps, and for the activations in ``store``; maps that are there of the same
        activations and settings are read.
    layers : sequence of str
    factors : sequence of str
        What maps are judged by; expression and identity by default.
    maps : MapSettings, optional

    Raises
    ------
    StimulusError
        If the run was trained on people of `table`, or they cannot be judged by the factors.
    StoreError
        If the run is not complete.
    ValueError
        If the maps' settings do not fit the table.
    """
    maps = maps or MapSettings()
    check_unseen(run, table)
    check_maps(table, layers, factors, maps)
    work = Work(Path(out), verbose=verbose, device=device)
    store = work.extract(Path(run), table, layers, Path(out) / "store")
    networks = dict.fromkeys(layers, describe_network(run))
    return write_maps(store, layers, out, factors=factors, maps=maps, networks=networks, verbose=verbose)


def map_seeds(
    work: Work,
    runs: Mapping[int, Path],
    table: StimulusTable,
    layers: Sequence[str],
    maps: MapSettings | None,
) -> None:
    """Map layers of the run of each seed; maps of all but the lowest lie in ``maps/seed<k>``."""
    for number, seed in enumerate(sorted(runs)):
        logger.info("    maps, seed %d", seed)
        place = work.folder / "maps" / (f"seed{seed}" if number else "")
        map_features(runs[seed], table, place, layers, maps=maps, verbose=work.verbose, device=work.device)


def map_networks(
    work: Work,
    runs: Mapping[str, Path],
    features: Mapping[str, np.ndarray],
    table: StimulusTable,
    out: Path,
    *,
    factors: Sequence[str],
    maps: MapSettings,
) -> None:
    """Map features (n_stimuli, n_units) of several networks to the same stimuli, one map for each."""
    write_maps(
        stack_features(features, table, out / "store"),
        list(features),
        out,
        factors=factors,
        maps=maps,
        networks={name: describe_network(run) for name, run in runs.items()},
        verbose=work.verbose,
    )


def _read_finished(folder: Path, wanted: Mapping[str, Any]) -> EmbeddingResult | None:
    if not (folder / "settings.json").is_file():
        return None
    result = EmbeddingResult.load(folder)
    return result if all(result.settings.get(key) == value for key, value in wanted.items()) else None


def gather_scores(results: Mapping[int, EvaluationResult], units: str, **labels: str) -> pd.DataFrame:
    """Return overall scores by seed, and for several seeds their means, with `labels` as first columns.

    Rows of the seed "mean" occur twice, with their interval over images and over training seeds.

    `results`: by training seed; of the same images, in groups. `units`: what the groups are that intervals
    are over. `**labels`: what tells these rows from others.
    """
    parts = [result.frame.assign(seed=str(seed)) for seed, result in results.items()]
    if len(results) > 1:
        parts.append(summarise_runs(list(results.values())).assign(seed="mean"))
    frame = pd.concat(parts, ignore_index=True)
    named = frame["interval"].where(frame["interval"].isin(("", SEEDS)), units)
    return select_scores(frame.assign(interval=named), **labels)


def select_scores(frame: pd.DataFrame, **labels: str) -> pd.DataFrame:
    """Return the rows of overall scores of `frame`, with `labels` as first columns."""
    rows = frame[(frame["class"] == "") & frame["metric"].isin(METRICS)]
    names = ["seed", "metric", "value", "low", "high", "interval", "n", "n_units", "chance_level"]
    return rows.assign(**labels)[[*labels, *names]]


def write_scores(frames: Sequence[pd.DataFrame], path: Path) -> None:
    """Write tables of scores below one another, complete or not at all."""
    write_csv(pd.concat(frames, ignore_index=True), path)


def finish(work: Work, figure: str, title: str, lead: str) -> Path:
    """Build the figure and write the page of an experiment; return the page's path."""
    build_figure(figure, work.folder, work.folder / "figures")
    sections = [show_figures(work.folder), show_material(work.folder), show_settings(work.folder, figure)]
    return write_sections(work.folder, title, lead, sections)


def stack_features(
    features: Mapping[str, np.ndarray], table: StimulusTable, out: PathLike
) -> ActivationStore:
    """Return a store whose layers are features of several networks to the same stimuli.

    One store, so that the p values of their maps are corrected over all of them.

    `features` (n_stimuli, n_units): by the name of the layer. `table`: the stimuli, in the order of the rows.
    `out`: folder of the store.
    """
    ids = table.stimulus_ids
    layers = [Activations(values, ids, name) for name, values in features.items()]
    return write_store(out, table, layers, overwrite=True)
