"""Activations of trained networks beside their untrained twins, and what is read out of them.

What belongs here: steps that all networks of an experiment go through, each of which goes on where it was
interrupted.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.experiments.settings import ProbeSettings
from fernet_neuro.experiments.work import Work
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.registry import untrained_twin
from fernet_neuro.models.weights import load_model
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.probes.result import ProbeReport, summarise_seeds
from fernet_neuro.stimuli.table import StimulusTable

logger = logging.getLogger(__name__)


def find_run(folder: Path, name: str, seed: int) -> Path:
    """Return the run folder of a network."""
    return folder / "runs" / name / f"seed{seed}"


def find_store(folder: Path, name: str, seed: int, kind: str) -> Path:
    """Return the store of a network, ``"trained"`` or ``"untrained"``."""
    return folder / "stores" / name / f"seed{seed}-{kind}"


def extract_stores(
    work: Work, name: str, seed: int, table: StimulusTable, layers: Sequence[str] | None
) -> None:
    """Keep what the layers of a trained network, and of its untrained twin, answer to a table.

    `name`, `seed`: of the run. `layers`: None takes all that the network lists.
    """
    model = load_model(find_run(work.folder, name, seed))
    # The twin's seed differs from the network's, so that it is not the network's own starting point.
    for kind, network in (("trained", model), ("untrained", untrained_twin(model, seed + 1000))):
        logger.info("    %s network, seed %d, %s", name, seed, kind)
        place = find_store(work.folder, name, seed, kind)
        extract_activations(network, table, layers, place, verbose=work.verbose, device=work.device)


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
    for probe in probes:
        place = out / name / probe.target
        if (place / "summary.json").is_file():
            continue
        logger.info("    %s from the %s network, %s held out", probe.target, name, probe.holdout)
        reports = [_probe_once(work, probe, name, seed, split_seed) for seed in seeds]
        (reports[0] if len(reports) == 1 else summarise_seeds(reports, seeds)).save(place)


def _probe_once(work: Work, probe: ProbeSettings, name: str, seed: int, split_seed: int) -> ProbeReport:
    trained, untrained = (
        ActivationStore.open(find_store(work.folder, name, seed, kind)) for kind in ("trained", "untrained")
    )
    return run_probe(
        trained,
        target=probe.target,
        holdout=probe.holdout,
        readouts=probe.readouts,
        n_permutations=probe.permutations,
        untrained_store=untrained,
        n_folds=probe.n_folds,
        seed=split_seed,
        n_jobs=work.n_jobs,
        verbose=work.verbose,
    )
