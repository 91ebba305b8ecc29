"""How time grows with stimuli, units, layers, subjects and models; and the plan of a million images.

Run ``python benchmarks/bench_growth.py``: each main step at three sizes of one thing, the others held fixed,
in processor seconds of this process, so that other programs on the machine matter less; the exponent is the
slope of log time on log size between the two largest. Then the plan that ``extract --dry-run`` prints for a
table of a million rows and all layers of a ResNet-50, raw and reduced. Prints two tables and a JSON object.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fernet_neuro.activations.array import Activations
from fernet_neuro.embedding.comparison import plan_comparison
from fernet_neuro.embedding.maps import compute_map
from fernet_neuro.embedding.quality import compute_quality
from fernet_neuro.extraction.extract import estimate_extraction, extract_activations
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.probes.evaluate import evaluate_probe
from fernet_neuro.rsa.analysis.run import RSASettings, infer_models
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli

Work = Callable[[], Any]

#: The step that has to be linear.
PROBE = "probe, 512 units, 1,000 permutations"


def make_table(n_stimuli: int) -> StimulusTable:
    """Return a table of seven expressions of as many people as it takes."""
    people, expressions = np.divmod(np.arange(n_stimuli), 7)
    names = [f"s{row}" for row in range(n_stimuli)]
    frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names]})
    return StimulusTable.from_frame(
        frame.assign(identity=[f"p{n}" for n in people], expression=[f"e{n}" for n in expressions])
    )


def make_layer(n_stimuli: int, n_units: int) -> Activations:
    """Return a layer of noise."""
    values = np.random.default_rng(0).normal(size=(n_stimuli, n_units)).astype(np.float32)
    return Activations(values, make_table(n_stimuli).stimulus_ids, "layer")


def plan_probe(n_stimuli: int, n_units: int) -> Work:
    """Return a ridge probe with 1,000 permutations."""
    table, layer = make_table(n_stimuli), make_layer(n_stimuli, n_units)
    folds = make_folds(table, "identity", n_folds=10)
    return lambda: evaluate_probe(
        layer, table, target="expression", folds=folds, holdout="identity", n_permutations=1000
    )


def plan_rsa(n_subjects: int, n_stimuli: int, n_models: int) -> Work:
    """Return all tests of an RSA by variance components."""
    rng = np.random.default_rng(0)
    n_pairs, ids = math.comb(n_stimuli, 2), np.array([f"s{row}" for row in range(n_stimuli)])
    models = rng.random((n_models, n_pairs))
    brain = models[0] + rng.random((n_subjects, n_pairs))
    names = pd.DataFrame({"name": [f"m{row}" for row in range(n_models)]})
    subjects = pd.DataFrame({"subject": [f"u{row}" for row in range(n_subjects)], "roi": "FFA"})
    settings = RSASettings("rho_a", "both", 10, 0, inference="components")
    return lambda: infer_models(RDMSet(models, ids, names), RDMSet(brain, ids, subjects), settings)


def plan_extraction(folder: Path, n_stimuli: int, n_layers: int) -> Work:
    """Return an extraction of a small network at 64 px, images included."""
    network, faces = resolve_model("resnet10-slim", size=64), read_stimuli("builtin")
    rows = np.arange(n_stimuli)
    layers = list(network.layers)[-n_layers:]
    out = folder / f"{n_stimuli}-{n_layers}"
    return lambda: extract_activations(network, faces[rows], layers, out)


def plan_rdm(n_stimuli: int) -> Work:
    """Return the RDM of a layer."""
    layer = make_layer(n_stimuli, 512)
    return lambda: compute_rdms(layer)


def plan_quality(n_stimuli: int) -> Work:
    """Return what a map of two dimensions keeps of expression, with 1,000 permutations."""
    layer, comparison = make_layer(n_stimuli, 2), plan_comparison(make_table(n_stimuli), "expression")
    return lambda: compute_quality(layer.values, comparison)


def plan_map(n_stimuli: int) -> Work:
    """Return a t-SNE."""
    layer = make_layer(n_stimuli, 50)
    return lambda: compute_map(layer.values, layer.stimulus_ids)


def list_work(folder: Path) -> Iterator[tuple[str, str, int, Work]]:
    """Yield what is timed: step, what grows, its size, and the work."""
    steps: list[tuple[str, str, tuple[int, ...], Callable[[int], Work]]] = [
        ("extract, 4 layers", "stimuli", (63, 126, 252), lambda n: plan_extraction(folder, n, 4)),
        ("extract, 189 stimuli", "layers", (1, 2, 4), lambda n: plan_extraction(folder, 189, n)),
        (PROBE, "stimuli", (1001, 2002, 4004), lambda n: plan_probe(n, 512)),
        ("probe, 490 stimuli, 1,000 permutations", "units", (512, 2048, 8192), lambda n: plan_probe(490, n)),
        ("RDM, 512 units", "stimuli", (250, 500, 1000), plan_rdm),
        ("rsa, 60 stimuli, 10 models, rho_a", "subjects", (10, 20, 40), lambda n: plan_rsa(n, 60, 10)),
        ("rsa, 20 subjects, 10 models, rho_a", "stimuli", (30, 60, 120), lambda n: plan_rsa(20, n, 10)),
        ("rsa, 20 subjects, 60 stimuli, rho_a", "models", (5, 10, 20), lambda n: plan_rsa(20, 60, n)),
        ("quality of a map, 1,000 permutations", "stimuli", (1001, 2002, 4004), plan_quality),
        ("t-SNE, 50 units", "stimuli", (500, 1000, 2000), plan_map),
    ]
    for step, what, sizes, plan in steps:
        for size in sizes:
            yield step, what, size, plan(size)


def time_all(folder: Path) -> pd.DataFrame:
    """Return processor seconds of all work."""
    rows = []
    for step, what, size, work in list_work(folder):
        start = time.process_time()
        work()
        seconds = time.process_time() - start
        rows.append({"step": step, "what grows": what, "size": size, "seconds": seconds})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def summarise(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row per step: the sizes, their seconds, and the exponent between the two largest."""
    rows = []
    for (step, what), part in found.groupby(["step", "what grows"], sort=False):
        sizes, seconds = part["size"].to_numpy(), part["seconds"].to_numpy()
        rows.append(
            {
                "step": step,
                "what grows": what,
                "sizes": ", ".join(f"{size:,}" for size in sizes),
                "processor seconds": ", ".join(f"{value:.2f}" for value in seconds),
                "exponent": round(
                    float(np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2])), 2
                ),
            }
        )
    return pd.DataFrame(rows)


def plan_million(folder: Path, n_stimuli: int) -> pd.DataFrame:
    """Return the plan of a table of `n_stimuli` rows for all layers of a ResNet-50, by what is stored."""
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    frame = pd.DataFrame({"stimulus_id": [f"s{row}" for row in range(n_stimuli)], "path": "noise.png"})
    table, network = StimulusTable.from_frame(frame, root=folder), resolve_model("resnet50")
    rows = []
    for pool, dtype in (
        ("none", "float32"),
        ("srp:2048", "float16"),
        ("mean", "float32"),
        ("mean", "float16"),
    ):
        needed = estimate_extraction(network, table, pool=pool, dtype=dtype, n_measured=16, batch_size=16)
        rows.append(
            {
                "stored": f"--pool {pool} --dtype {dtype}",
                "layers": len(needed["layers"]),
                "units": sum(item["n_units"] for item in needed["layers"]),
                "GB on disk": round(needed["disk_bytes"] / 1e9, 1),
                "MB of memory": round(needed["memory_bytes"] / 1e6),
                "hours here": round(needed["seconds"] / 3600, 1),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Run all and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table that is planned")
    asked = parser.parse_args()
    os.environ.setdefault("FERNET_NEURO_CACHE", tempfile.mkdtemp())
    with tempfile.TemporaryDirectory() as place:
        growth = summarise(time_all(Path(place)))
        million = plan_million(Path(place), asked.rows)
    for table in (growth, million):
        print("\n| " + " | ".join(table) + " |\n|" + "---|" * len(table.columns))
        for row in table.itertuples(index=False):
            print("| " + " | ".join(map(str, row)) + " |")
    worst = growth.set_index("step")["exponent"].to_dict()
    found = {"exponents": worst, "plan": million.to_dict("records")}
    print(json.dumps({**found, "passed": worst[PROBE] <= 1.1}))


if __name__ == "__main__":
    main()
