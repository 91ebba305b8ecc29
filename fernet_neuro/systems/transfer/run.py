"""The transfer experiment, stage by stage: faces, networks, activations, read-outs, figures, page.

What belongs here: the order of the stages and where each leaves its files. Every stage is a call into its
package, and each goes on where it was interrupted.
"""

import logging
from pathlib import Path

from fernet_neuro.experiments.brain import check_brain, run_brain
from fernet_neuro.experiments.page import write_report
from fernet_neuro.experiments.probes import extract_stores, probe_network
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.results_folder import claim_folder, freeing_folder, open_stimuli
from fernet_neuro.experiments.work import Work
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.stimuli.splits import check_disjoint, split_table
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.beside import check_pathways, run_pathways
from fernet_neuro.systems.transfer.recipe import TransferSettings
from fernet_neuro.typing import PathLike

#: What the results of this experiment can show, and what those of a dual pathway and of brains can.
_FIGURES = ("transfer-bars", "layer-profile", "confusion", "stimulus-sheet", "architecture")
_PATHWAY_FIGURES = ("crpn-fig2",)
_BRAIN_FIGURES = ("rsa-layer-roi",)

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
        Results folder: ``stimuli/ runs/ stores/ probes/ figures/ index.html``, with a dual pathway
        ``evaluation/ pathways/ maps/``, and with brains ``brain/ rsa/``.
    resume : bool
        Go on in a folder that the same recipe began; finished stages are not run again.

    Raises
    ------
    StoreError
        If `out` holds something and `resume` is off, or was begun with another recipe.
    StimulusError
        If an identity is in both the training and the probe stimuli, or the dual pathway cannot be judged on
        the latter, or they are not what a group is to look at.
    ValueError
        If the dual pathway cannot be built, or the group not be simulated.
    """
    folder = Path(out)
    is_new = claim_folder(folder, settings, resume)
    work = Work(folder, n_jobs, verbose, device)
    logger.info("1/8 stimuli")
    with freeing_folder(folder, is_new=is_new):
        train, probe = _prepare_stimuli(settings, folder, n_jobs, verbose)
        if settings.dual_pathway is not None:
            check_pathways(settings.dual_pathway, train, probe)
        if settings.brain is not None:
            check_brain(settings.brain, probe)
    logger.info("2/8 training: %s", ", ".join(settings.networks))
    _train_networks(settings, work, train)
    logger.info("3/8 activations")
    _extract_stores(settings, work, probe)
    logger.info("4/8 read-outs")
    _probe_networks(settings, work)
    logger.info("5/8 dual pathway" if settings.dual_pathway else "5/8 dual pathway: not asked for")
    if settings.dual_pathway is not None:
        run_pathways(settings, work, train, probe)
    logger.info("6/8 brains" if settings.brain else "6/8 brains: not asked for")
    if settings.brain is not None:
        run_brain(settings, work, probe)
    logger.info("7/8 figures")
    for name in _list_figures(settings):
        build_figure(name, folder, folder / "figures")
    logger.info("8/8 page")
    return write_report(folder)


def _list_figures(settings: TransferSettings) -> list[str]:
    return [
        *_FIGURES,
        *(_PATHWAY_FIGURES if settings.dual_pathway else ()),
        *(_BRAIN_FIGURES if settings.brain else ()),
    ]


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


def _train_networks(settings: TransferSettings, work: Work, train: StimulusTable) -> None:
    for name in settings.networks:
        for seed in settings.seeds:
            logger.info("    %s network, seed %d", name, seed)
            work.train(settings.networks[name].model_copy(update={"seed": seed}), train, name)


def _probe_networks(settings: TransferSettings, work: Work) -> None:
    for name in settings.networks:
        probe_network(
            settings, work.folder, name, work.folder / "probes", n_jobs=work.n_jobs, verbose=work.verbose
        )


def _extract_stores(settings: TransferSettings, work: Work, probe: StimulusTable) -> None:
    for name in settings.networks:
        for seed in settings.seeds:
            extract_stores(
                work.folder, name, seed, probe, settings.layers, verbose=work.verbose, device=work.device
            )


EXPERIMENT = Experiment(TransferSettings, run_transfer)
