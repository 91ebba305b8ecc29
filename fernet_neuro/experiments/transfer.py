"""The transfer experiment, stage by stage: faces, networks, activations, read-outs, figures, page.

What belongs here: the order of the stages and where each leaves its files. Every stage is a call into its
package, and each goes on where it was interrupted.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.experiments.config import ProbeSettings, TransferSettings
from fernet_neuro.experiments.report import write_report
from fernet_neuro.experiments.results_folder import claim_folder, open_stimuli
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.models.registry import untrained_twin
from fernet_neuro.models.weights import load_model
from fernet_neuro.probes.evaluate import run_probe
from fernet_neuro.probes.result import ProbeReport, summarise_seeds
from fernet_neuro.stimuli.splits import check_disjoint, split_table
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.fit import fit
from fernet_neuro.typing import PathLike

#: What the results of this experiment can show.
_FIGURES = ("transfer-bars", "layer-profile", "confusion", "stimulus-sheet", "architecture")

logger = logging.getLogger(__name__)


def run_transfer(
    settings: TransferSettings,
    out: PathLike,
    *,
    resume: bool = False,
    n_jobs: int = 1,
    verbose: bool = False,
    device: str = "auto",
) -> Path:
    """Run all stages into the folder `out` and return the path of its ``index.html``.

    Parameters
    ----------
    settings : TransferSettings
        The recipe; kept as ``recipe.yaml``.
    out : path
        Results folder: ``stimuli/ runs/ stores/ probes/ figures/ index.html``.
    resume : bool
        Go on in a folder that the same recipe began; finished stages are not run again.

    Raises
    ------
    StoreError
        If `out` holds something and `resume` is off, or was begun with another recipe.
    StimulusError
        If an identity is in both the training and the probe stimuli.
    """
    folder = Path(out)
    claim_folder(folder, settings, resume)
    logger.info("1/6 stimuli")
    train, probe = _prepare_stimuli(settings, folder, n_jobs, verbose)
    logger.info("2/6 training: %s", ", ".join(settings.networks))
    _train_networks(settings, folder, train, verbose, device)
    logger.info("3/6 activations")
    _extract_stores(settings, folder, probe, verbose, device)
    logger.info("4/6 read-outs")
    _probe_networks(settings, folder, n_jobs, verbose)
    logger.info("5/6 figures")
    for name in _FIGURES:
        build_figure(name, folder, folder / "figures")
    logger.info("6/6 page")
    return write_report(folder)


def _prepare_stimuli(
    settings: TransferSettings, folder: Path, n_jobs: int, verbose: bool
) -> tuple[StimulusTable, StimulusTable]:
    place = folder / "stimuli"
    table = open_stimuli(settings.stimuli, place / "faces", n_jobs, verbose)
    if settings.probe_stimuli is None:
        train, probe = split_table(
            table, by="identity", test_share=settings.probe_share, seed=settings.split_seed
        )
    else:
        train, probe = table, StimulusTable.read(settings.probe_stimuli)
    check_disjoint(train.factor("identity"), probe.factor("identity"), "identity")
    for name, part in (("train", train), ("probe", probe)):
        part.write(place / f"{name}.csv")
    return StimulusTable.read(place / "train.csv"), StimulusTable.read(place / "probe.csv")


def _each_run(settings: TransferSettings, folder: Path) -> Iterator[tuple[str, int, Path]]:
    for name in settings.networks:
        for seed in settings.seeds:
            yield name, seed, folder / "runs" / name / f"seed{seed}"


def _train_networks(
    settings: TransferSettings, folder: Path, train: StimulusTable, verbose: bool, device: str
) -> None:
    for name, seed, run in _each_run(settings, folder):
        logger.info("    %s network, seed %d", name, seed)
        recipe = settings.networks[name].model_copy(update={"seed": seed})
        fit(recipe, run, table=train, resume=run.exists(), verbose=verbose, device=device)


def _extract_stores(
    settings: TransferSettings, folder: Path, probe: StimulusTable, verbose: bool, device: str
) -> None:
    for name, seed, run in _each_run(settings, folder):
        model = load_model(run)
        # The twin's seed differs from the network's, so that it is not the network's own starting point.
        for kind, network in (("trained", model), ("untrained", untrained_twin(model, seed + 1000))):
            logger.info("    %s network, seed %d, %s", name, seed, kind)
            place = _store(folder, name, seed, kind)
            extract_activations(network, probe, settings.layers, place, verbose=verbose, device=device)


def _store(folder: Path, name: str, seed: int, kind: str) -> Path:
    return folder / "stores" / name / f"seed{seed}-{kind}"


def _probe_networks(settings: TransferSettings, folder: Path, n_jobs: int, verbose: bool) -> None:
    for name in settings.networks:
        for probe in settings.probes:
            place = folder / "probes" / name / probe.target
            if (place / "summary.json").is_file():
                continue
            logger.info("    %s from the %s network, %s held out", probe.target, name, probe.holdout)
            reports = [
                _probe_once(settings, probe, folder, name, seed, n_jobs, verbose) for seed in settings.seeds
            ]
            (reports[0] if len(reports) == 1 else summarise_seeds(reports, settings.seeds)).save(place)


def _probe_once(
    settings: TransferSettings,
    probe: ProbeSettings,
    folder: Path,
    name: str,
    seed: int,
    n_jobs: int,
    verbose: bool,
) -> ProbeReport:
    return run_probe(
        ActivationStore.open(_store(folder, name, seed, "trained")),
        target=probe.target,
        holdout=probe.holdout,
        readouts=probe.readouts,
        n_permutations=probe.permutations,
        untrained_store=ActivationStore.open(_store(folder, name, seed, "untrained")),
        n_folds=probe.n_folds,
        seed=settings.split_seed,
        n_jobs=n_jobs,
        verbose=verbose,
    )
