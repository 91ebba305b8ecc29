"""What is read out of networks of all diets, beside one set of untrained networks and the pixels.

What belongs here: from stores to `ProbeReport`s; untrained networks and pixels are read out once for all.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import delayed

from fernet_neuro._utils.workers import in_processes
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.experiments.settings import ProbeSettings, list_twins
from fernet_neuro.probes.design import digest_labels, plan_design
from fernet_neuro.probes.evaluate import evaluate_probe
from fernet_neuro.probes.result import ProbeReport, ProbeResult, summarise_seeds
from fernet_neuro.probes.uncertainty import compare_sources, pool_twins
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.transfer.diets.settings import Arm, DietsSettings, place_of

if TYPE_CHECKING:  # the processes that read out need no torch
    from fernet_neuro.experiments.work import Work

logger = logging.getLogger(__name__)


def read_out(
    settings: DietsSettings, work: "Work", arms: Sequence[Arm], test: str, probe: ProbeSettings
) -> None:
    """Read one target out of all networks on a test; finished read-outs are left."""
    missing = [
        arm for arm in arms if not (place_of(work.folder, test, arm.name, probe) / "summary.json").is_file()
    ]
    if not missing:
        return
    logger.info("    %s, %s held out, %s: %d networks", probe.target, probe.holdout, test, len(missing))
    job = _Job(settings, work.folder, work.n_jobs, test, probe)
    pixels = job.evaluate([("pixels", None)])
    for network in dict.fromkeys(arm.network for arm in missing):
        twins = job.evaluate([("untrained", store) for store in job.open(f"{network}-untrained", job.twins)])
        for arm in missing:
            if arm.network == network:
                job.report(arm, twins, pixels).save(place_of(work.folder, test, arm.name, probe))


class _Job:
    """One target, one hold-out, one test: what all networks have in common."""

    def __init__(
        self, settings: DietsSettings, folder: Path, n_jobs: int, test: str, probe: ProbeSettings
    ) -> None:
        self.settings, self.folder, self.n_jobs, self.test, self.probe = settings, folder, n_jobs, test, probe
        self.twins = list_twins(settings.seeds, probe.twins)
        self.table = StimulusTable.read(folder / "stimuli" / f"{test}.csv")
        self.folds = make_folds(
            self.table, probe.holdout, target=probe.target, n_folds=probe.n_folds, seed=settings.split_seed
        )
        self.design = plan_design(
            self.table,
            probe.target,
            probe.holdout,
            self.folds,
            "auto",
            settings.split_seed,
            probe.permutations,
        )

    def open(self, name: str, numbers: Sequence[int]) -> list[ActivationStore]:
        """Return the stores of one network, or of its untrained ones."""
        place = self.folder / "stores" / self.test / name
        return [ActivationStore.open(place / f"seed{number}") for number in numbers]

    def evaluate(self, sources: Sequence[tuple[str, ActivationStore | None]]) -> list[ProbeResult]:
        """Return the read-outs of all layers of all sources, side by side in processes."""
        tasks = [
            (source, store, index, layer)
            for source, store in sources
            for index, layer in enumerate(store.layers if store else ("pixels",))
        ]
        work = in_processes(min(self.n_jobs, len(tasks)))
        return list(work(delayed(self.evaluate_one)(*task) for task in tasks))

    def evaluate_one(self, source: str, store: ActivationStore | None, index: int, layer: str) -> ProbeResult:
        """Return the read-out of one layer; layers go by the names of the recipe."""
        if store is None:
            values, name = compute_pixels(self.table), layer
        else:
            values, name = store.load(layer), self.settings.layers[index]
        return evaluate_probe(
            Activations(values.values, values.stimulus_ids, name),
            self.table,
            target=self.probe.target,
            folds=self.folds,
            readout=self.probe.readouts[0],
            n_permutations=self.probe.permutations if source == "network" else 0,
            seed=self.settings.split_seed,
            holdout=self.probe.holdout,
            source=source,
            layer_index=index if store else -1,
        )

    def report(self, arm: Arm, twins: list[ProbeResult], pixels: list[ProbeResult]) -> ProbeReport:
        """Return the read-outs of all seeds of a network beside its controls."""
        seeds = self.settings.seeds
        reports = []
        for store in self.open(arm.name, seeds):
            results = [*self.evaluate([("network", store)]), *twins, *pixels]
            compare_sources(self.design, results)
            reports.append(ProbeReport.from_results(pool_twins(self.design, results), self.describe(store)))
        return reports[0] if len(reports) == 1 else summarise_seeds(reports, seeds)

    def describe(self, store: ActivationStore) -> dict:
        """Return the settings of a report."""
        probe = self.probe
        return {
            "target": probe.target,
            "holdout": probe.holdout,
            "layers": list(self.settings.layers),
            "readouts": [probe.readouts[0]],
            "n_permutations": {probe.readouts[0]: probe.permutations},
            "permute_within": self.design.exchange.within,
            "n_folds": len(self.folds),
            "seed": self.settings.split_seed,
            "training_seeds": [0],
            "stores": {"network": store.key},
            "stimuli": {"n": len(self.table), "digest": digest_labels(self.table, probe.target)},
        }
