"""Activations of trained networks beside their untrained twins, and what is read out of them.

What belongs here: steps that all networks of an experiment go through, each of which goes on where it was
interrupted.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.experiments.cost import build_network
from fernet_neuro.experiments.settings import ProbeSettings, list_twins
from fernet_neuro.experiments.work import Work
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.extraction.sources import TWIN_SEED
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import untrained_twin
from fernet_neuro.models.weights import load_model
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.probes.result import ProbeReport, summarise_seeds
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings

logger = logging.getLogger(__name__)


def find_run(folder: Path, name: str, seed: int) -> Path:
    """Return the run folder of a network."""
    return folder / "runs" / name / f"seed{seed}"


def find_store(folder: Path, name: str, seed: int, kind: str) -> Path:
    """Return the store of a network, ``"trained"`` or ``"untrained"``."""
    return folder / "stores" / name / f"seed{seed}-{kind}"


def find_layers(model: LayeredModel, layers: Sequence[str]) -> dict[str, str]:
    """Return what a network calls layers, which may lie in its trunk; those that it lacks are left out.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> twins = fn.load_model("siamese", trunk="resnet10-slim", size=32)
    >>> find_layers(twins, ["layer4", "avgpool", "fc"])
    {'layer4': 'trunk.layer4', 'avgpool': 'trunk.avgpool'}
    """
    found = {layer: [name for name in model.layers if name.split("trunk.")[-1] == layer] for layer in layers}
    return {layer: names[0] for layer, names in found.items() if names}


def check_layers(networks: Mapping[str, TrainSettings], layers: Sequence[str], *, in_all: bool) -> None:
    """Raise unless networks, as yet untrained, have layers: each of them `in_all`, or any of them.

    Raises ValueError naming the layer, or the network that cannot be built.
    """
    found: dict[str, set[str]] = {}
    for name, network in networks.items():
        try:
            model = build_network(network, n_classes=2)
        except (TypeError, ValueError) as error:
            raise ValueError(f"networks.{name}: {error}") from None
        found[name] = set(find_layers(model, layers))
        if not found[name] or (in_all and found[name] < set(layers)):
            lacks = next(layer for layer in layers if layer not in found[name])
            raise ValueError(f"layers: {name} has no layer {lacks!r}; it has {', '.join(model.layers)}.")
    for layer in layers:
        if not any(layer in names for names in found.values()):
            raise ValueError(f"layers: no network has a layer {layer!r}.")


def extract_stores(
    work: Work,
    name: str,
    seed: int,
    table: StimulusTable,
    layers: Sequence[str] | None,
    twins: Sequence[int],
    dtype: str = "float32",
) -> None:
    """Keep what the layers of a trained network, and of its untrained twins, answer to a table.

    `name`, `seed`: of the run. `layers`: None takes all that the network lists; those of a trunk go by their
    names in it. `twins`: numbers of the twins beside that of the seed itself. `dtype`: on disk.
    """
    model = load_model(find_run(work.folder, name, seed))
    named = None if layers is None else list(find_layers(model, layers).values())
    kinds = [("trained", seed), *(("untrained", twin) for twin in dict.fromkeys([seed, *twins]))]
    for kind, number in kinds:
        logger.info("    %s network, seed %d, %s", name, number, kind)
        # A twin's seed differs from the network's, so that it is not the network's own starting point.
        network = model if kind == "trained" else untrained_twin(model, TWIN_SEED + number)
        place = find_store(work.folder, name, number, kind)
        extract_activations(
            network, table, named, place, dtype=dtype, verbose=work.verbose, device=work.device
        )


def drop_twins(folder: Path, name: str, seeds: Sequence[int]) -> None:
    """Remove what untrained networks answered, but for the twin of each seed: ten fill gigabytes."""
    kept = {find_store(folder, name, seed, "untrained") for seed in seeds}
    for place in (folder / "stores" / name).glob("seed*-untrained"):
        if place not in kept:
            shutil.rmtree(place)


def probe_network(
    work: Work,
    name: str,
    out: Path,
    probes: Sequence[ProbeSettings],
    *,
    seeds: Sequence[int],
    split_seed: int,
) -> None:
    """Read all targets out of a network's stores, into ``out/<name>/<target>``; finished ones are left.

    `seeds`: training seeds. `split_seed`: of folds and permutations.
    """
    open_store = cache(ActivationStore.open)  # all targets read the stimuli of a store once
    for probe in probes:
        place = out / name / probe.target
        if (place / "summary.json").is_file():
            continue
        logger.info("    %s from the %s network, %s held out", probe.target, name, probe.holdout)
        twins = list_twins(seeds, probe.twins)
        reports = [_probe_once(work, probe, name, seed, twins, split_seed, open_store) for seed in seeds]
        (reports[0] if len(reports) == 1 else summarise_seeds(reports, seeds)).save(place)


def _probe_once(
    work: Work,
    probe: ProbeSettings,
    name: str,
    seed: int,
    twins: Sequence[int],
    split_seed: int,
    open_store: Callable[[Path], ActivationStore],
) -> ProbeReport:
    places = [find_store(work.folder, name, number, "untrained") for number in twins]
    return run_probe(
        open_store(find_store(work.folder, name, seed, "trained")),
        target=probe.target,
        holdout=probe.holdout,
        readouts=probe.readouts,
        scale=probe.scale,
        n_permutations=probe.permutations,
        untrained_stores=[open_store(place) for place in places],
        n_folds=probe.n_folds,
        seed=split_seed,
        n_jobs=work.n_jobs,
        verbose=work.verbose,
    )
