"""Figure 3 of the dual-pathway network: faces of two styles under networks trained on either.

What belongs here: the order of its stages and where each leaves its files.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from fernet_neuro.experiments.evaluation import evaluate_runs
from fernet_neuro.experiments.graph import STIMULI, order_networks
from fernet_neuro.experiments.maps import (
    check_maps,
    check_people,
    describe_network,
    finish,
    map_networks,
    select_scores,
    write_scores,
)
from fernet_neuro.experiments.plan import PlannedRun
from fernet_neuro.experiments.recipes import Experiment
from fernet_neuro.experiments.work import Work, plan_named
from fernet_neuro.stimuli.table import StimulusTable, concat_tables
from fernet_neuro.systems.crpn.recipes import StylesSettings

logger = logging.getLogger(__name__)

#: The layer that is mapped, and the column that names the style of a face.
LAYER, STYLE = "emotion", "style"
#: What maps are judged by.
FACTORS = ("expression", STYLE)
_PARTS: tuple[Literal["train", "test"], ...] = ("train", "test")


def run_styles(settings: StylesSettings, work: Work) -> Path:
    """Make Figure 3 and return the path of its ``index.html``.

    The folder gets ``stimuli/ runs/ evaluation/``, ``styles/accuracies.csv`` (every network on every style),
    ``styles/maps/seed<k>/``, ``figures/``, ``index.html``.

    Raises StimulusError if a test shows people of training stimuli, or the styles cannot be mapped together.
    """
    logger.info("1/5 stimuli")
    train, test = (
        {name: work.open(settings.find_style(name, part), f"{name}-{part}") for name in settings.domains}
        for part in _PARTS
    )
    others = work.open_sets(settings)
    check_people((*train.values(), *others.values()), test.values(), settings.networks.values())
    joined = join_styles(test)
    check_maps(joined, list(settings.domains), FACTORS, settings.maps)
    runs: dict[str, dict[int, Path]] = {name: {} for name in settings.domains}
    for seed in settings.seeds:
        for name in settings.domains:
            logger.info("2/5 training on %s faces, seed %d", name, seed)
            tables = {STIMULI: train[name], **others}
            run = plan_style(settings, name, seed, tables)
            work.train([run], tables)
            runs[name][seed] = run.find_place(work.store)
    logger.info("3/5 accuracies")
    _cross(work, runs, test)
    logger.info("4/5 maps")
    for seed in settings.seeds:
        _map_styles(work, settings, {name: runs[name][seed] for name in runs}, joined, seed)
    logger.info("5/5 figure and page")
    lead = f"Networks trained on {' or '.join(settings.domains)} faces, tested on both."
    return finish(work, "crpn-fig3", "Expressions across two styles of faces", lead)


def join_styles(tables: Mapping[str, StimulusTable]) -> StimulusTable:
    """Return faces of several styles in one table, whose column ``style`` names the domain.

    Stimulus ids begin with it. People keep their names: whom two styles call alike is one person, whose faces
    of another style do not count as another person's.
    """
    parts = []
    for name, table in tables.items():
        ids = [f"{name}/{stimulus_id}" for stimulus_id in table.stimulus_ids]
        frame = table.frame.assign(**{"stimulus_id": ids, STYLE: name})
        parts.append(StimulusTable.from_frame(frame, root=table.root))
    return concat_tables(parts)


def plan_style(
    settings: StylesSettings, domain: str, seed: int, tables: Mapping[str, StimulusTable]
) -> PlannedRun:
    """Return the run of a domain's pathway; networks that learn from no style are the same for all."""
    networks = settings.networks
    styled = [
        name
        for name in networks
        if STIMULI in {networks[needed].learns_from for needed in order_networks(networks, [name])}
    ]
    return plan_named(networks, "concepts", seed, tables, {name: f"{domain}-{name}" for name in styled})


def _cross(work: Work, runs: Mapping[str, Mapping[int, Path]], tests: Mapping[str, StimulusTable]) -> None:
    """Test the networks of each style on both, and write ``styles/accuracies.csv``."""
    frames = []
    for trained, by_seed in runs.items():
        variant = describe_network(next(iter(by_seed.values())))["variant"]
        for tested, table in tests.items():
            place = work.folder / "evaluation" / f"{trained}-on-{tested}"
            report = evaluate_runs(
                [str(run) for run in by_seed.values()], table, place, factor="expression", epoch="last",
                device=work.device, verbose=work.verbose,
            )  # fmt: skip
            report.save(place)
            frames.append(select_scores(report.metrics, trained=trained, tested=tested, variant=variant))
    write_scores(frames, work.folder / "styles" / "accuracies.csv")


def _map_styles(
    work: Work, settings: StylesSettings, runs: Mapping[str, Path], joined: StimulusTable, seed: int
) -> None:
    place = work.folder / "styles" / "maps" / f"seed{seed}"
    features = {}
    for name, run in runs.items():
        store = work.extract(run, joined, [LAYER], place / "stores" / name)
        features[name] = np.array(store.load(LAYER).values)
    map_networks(work, runs, features, joined, place, factors=FACTORS, maps=settings.maps)


EXPERIMENT = Experiment(StylesSettings, run_styles)
