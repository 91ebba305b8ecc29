"""The demo's experiment, small, with all of its networks and a simulated group; made once for all files."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from fernet_neuro._utils.config import read_recipe
from fernet_neuro.experiments.recipes import run_experiment
from fernet_neuro.systems.transfer.recipe import TransferSettings

NETWORKS = ("identity", "verification", "expression", "conceptual", "perceptual", "guided")
LAYERS = ("layer1", "layer4", "avgpool")
REGIONS = {
    "OFA": {"centre": [40, -78, -10], "radius": 9, "shares": {"pixels": 0.4, "identity": 0.6}},
    "pSTS": {"centre": [52, -46, 8], "radius": 9, "shares": {"expression": 0.9, "view": 0.1}},
}
#: Twelve people, five of them probed; two epochs of small pictures.
SMALL = (
    "stimuli={identities: 12, expressions: [anger, happiness, neutral], views: 3, sessions: 1, size: 32,"
    " seed: 5}",
    "probe_share=0.4",
    *(f"networks.{name}.epochs=2" for name in NETWORKS),
    *(f"networks.{name}.model_options.size=32" for name in NETWORKS),
    *(f"networks.{name}.model_options.n_features=14" for name in ("conceptual", "perceptual")),
    "networks.perceptual.perception.n_concepts=2",
    f"layers=[{','.join(LAYERS)}]",
    "probes=[{target: expression, holdout: identity, permutations: 19, twins: 2, n_folds: 2},"
    " {target: identity, holdout: view, permutations: 19, twins: 2}]",
    "beside.conceptual.maps.permutations=29",
    "brain.identities=5",
    "brain.expressions=null",
    "brain.bootstraps=99",
    "brain.permutations=49",
)
RECIPE = read_recipe("demo", SMALL)
RECIPE["brain"]["simulation"] = {
    "subjects": 4, "runs": 2, "snr": 1.5, "gap": [1.0, 3.0], "voxel_size": 6, "regions": REGIONS,
}  # fmt: skip
#: What an interruption has left out, here taken away: a training and what hangs on it, and half-done stages.
LEFT_OUT = (
    "runs/perceptual",
    "evaluation/perceptual",
    "beside/probes/perceptual",
    "probes/expression/identity/summary.json",
    "maps/settings.json",
    "brain/patterns/sub-02",
    "rsa/summary.json",
)


def make_settings(**changes) -> TransferSettings:
    """Return the small recipe with changes to its networks, its group (`brain`), or other keys."""
    networks = {**RECIPE["networks"]}
    for name in [name for name in changes if name in networks]:
        networks[name] = {**networks[name], **changes.pop(name)}
    brain = {**RECIPE["brain"], **changes.pop("brain", {})}
    return TransferSettings.model_validate({**RECIPE, "networks": networks, "brain": brain, **changes})


def make_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first to ask makes, whichever process of the session that is."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done = root / name, root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Results folder of the small recipe; never change the files."""
    return make_once(tmp_path_factory, "transfer", lambda folder: run_experiment(make_settings(), folder))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory, finished) -> Path:
    """A copy of these that lost what `LEFT_OUT` names and was gone on with; never change the files."""

    def make(folder: Path) -> None:
        shutil.copytree(finished, folder)
        for name in LEFT_OUT:
            lost = folder / name
            shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
        run_experiment(make_settings(), folder, resume=True)

    return make_once(tmp_path_factory, "transfer-resumed", make)
