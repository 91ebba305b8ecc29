"""How time grows with stimuli, units, layers, subjects and models; and the plan of a million images.

Run ``python benchmarks/bench_growth.py``: each main step at three sizes of one thing, the others held fixed,
in processor seconds of this process, so that other programs on the machine matter less; the exponent is the
slope of log time on log size between the two largest. Then trainings in processes of their own, with their
images a second and peak memory, and the plan that ``extract --dry-run`` prints for a table of a million rows
and all layers of a ResNet-50, raw and reduced. Prints three tables and a JSON object. ``--only WORD`` times
the steps whose name holds the word (``training`` for the trainings), and nothing else.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench_training import SETTINGS, write_noise_faces
from PIL import Image

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.activations.writer import StoreWriter
from fernet_neuro.door.calibrate import calibrate
from fernet_neuro.door.rsa import rsa
from fernet_neuro.embedding.comparison import plan_comparison
from fernet_neuro.embedding.maps import compute_map
from fernet_neuro.embedding.pipeline import compute_embedding
from fernet_neuro.embedding.quality import compute_quality
from fernet_neuro.extraction.extract import estimate_extraction, extract_activations
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.probes.evaluate import evaluate_probe, run_probe
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, infer_models, run_rsa
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

Work = Callable[[], Any]

#: The step that has to be linear.
PROBE = "probe, 512 units, 1,000 permutations"
#: Images of a training, where decoded ones are kept, and its epochs.
TRAININGS, CACHES, N_EPOCHS = (2000, 4000, 8000), ("memory", "none"), 2


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


def make_rdms(n_subjects: int, n_stimuli: int, n_models: int) -> tuple[RDMSet, RDMSet]:
    """Return models of noise, and brains in which the first one is true."""
    rng = np.random.default_rng(0)
    n_pairs, ids = math.comb(n_stimuli, 2), np.array([f"s{row}" for row in range(n_stimuli)])
    models = rng.random((n_models, n_pairs))
    brain = models[0] + rng.random((n_subjects, n_pairs))
    names = pd.DataFrame({"name": [f"m{row}" for row in range(n_models)]})
    subjects = pd.DataFrame({"subject": [f"u{row}" for row in range(n_subjects)], "roi": "FFA"})
    return RDMSet(models, ids, names), RDMSet(brain, ids, subjects)


def plan_rsa(n_subjects: int, n_stimuli: int, n_models: int) -> Work:
    """Return all tests of an RSA by variance components."""
    models, brain = make_rdms(n_subjects, n_stimuli, n_models)
    settings = RSASettings("rho_a", "both", 10, 0, inference="components")
    return lambda: infer_models(models, brain, settings)


def write_store(folder: Path, n_stimuli: int, n_layers: int, n_units: int = 512) -> ActivationStore:
    """Write a store of layers of noise, or open the one that was written before."""
    out, table, rng = (
        folder / f"noise-{n_stimuli}-{n_layers}",
        make_table(n_stimuli),
        np.random.default_rng(0),
    )
    if not out.exists():
        layers = [f"layer{row}" for row in range(n_layers)]
        values = {layer: rng.normal(size=(n_stimuli, n_units)).astype(np.float32) for layer in layers}
        with StoreWriter(out, table, dict.fromkeys(layers, (n_units,)), {"noise": out.name}) as writer:
            writer.write(values)
            writer.finish()
    return ActivationStore.open(out)


def plan_layers(folder: Path, n_layers: int) -> Work:
    """Return ridge probes of all layers of a store, corrected over them, without controls."""
    store = write_store(folder, 490, n_layers)
    return lambda: run_probe(store, controls=())


def plan_layers_rsa(folder: Path, n_layers: int) -> Work:
    """Return an RSA of the layers of a store as the command does it: RDMs, all tests, and the peak."""
    store, brain = write_store(folder, 60, n_layers), make_rdms(20, 60, 1)[1]
    rsa(write_store(folder, 60, 2), brain, comparison="rho_a")  # loads what it uses, which takes longer
    return lambda: rsa(store, brain, comparison="rho_a")


def plan_embedding(folder: Path, n_stimuli: int) -> Work:
    """Return a whole embedding of one layer: the map, and what it and the features keep of both factors."""
    store = write_store(folder, n_stimuli, 1)
    return lambda: compute_embedding(store, ["layer0"])


def plan_probe_calibration(folder: Path, n_stimuli: int, n_layers: int) -> Work:
    """Return the calibration of a ridge probe on ten data sets."""
    store, out = write_store(folder, n_stimuli, n_layers), folder / f"probe-{n_stimuli}-{n_layers}"
    run_probe(store, controls=(), n_permutations=100).save(out)
    return lambda: calibrate(out, 10, source=store.path)


def plan_rsa_calibration(folder: Path, n_subjects: int) -> Work:
    """Return the calibration of an RSA by variance components, on ten data sets of each kind."""
    models, brain = make_rdms(n_subjects, 60, 10)
    out = folder / f"rsa-{n_subjects}"
    RSAFolder(run_rsa(models, brain, RSASettings("rho_a", "both", 10, 0)), models, brain).save(out)
    return lambda: calibrate(out, 10)


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


def list_work(folder: Path, only: str = "") -> Iterator[tuple[str, str, int, Work]]:
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
        (
            "embed, one layer of 512 units, 2 factors",
            "stimuli",
            (504, 1008, 2016),
            lambda n: plan_embedding(folder, n),
        ),
        (
            "probe, 490 stimuli, layers of 512 units",
            "layers",
            (2, 4, 8),
            lambda n: plan_layers(folder, n),
        ),
        (
            "rsa, 20 subjects, 60 stimuli, rho_a, RDMs and peak included",
            "layers",
            (8, 16, 32),
            lambda n: plan_layers_rsa(folder, n),
        ),
        (
            "calibrate probe, 10 data sets, 512 units, 100 permutations",
            "stimuli",
            (252, 504, 1008, 2016),
            lambda n: plan_probe_calibration(folder, n, 1),
        ),
        (
            "calibrate probe, 10 data sets, 252 stimuli, 100 permutations",
            "layers",
            (1, 2, 4),
            lambda n: plan_probe_calibration(folder, 252, n),
        ),
        (
            "calibrate rsa, 10 data sets, 60 stimuli, 10 models, rho_a",
            "subjects",
            (10, 20, 40),
            lambda n: plan_rsa_calibration(folder, n),
        ),
    ]
    for step, what, sizes, plan in steps:
        for size in sizes if only in step else ():
            yield step, what, size, plan(size)


def time_all(folder: Path, only: str = "") -> pd.DataFrame:
    """Return processor seconds of all work, or of the steps whose name holds `only`."""
    rows = []
    for step, what, size, work in list_work(folder, only):
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


def train_and_report(n_images: int, cache: str) -> None:
    """Train in this process, and print images a second, processor seconds and peak resident memory in MB."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = write_noise_faces(folder, n_images, 64)
        network = {"model": "resnet10-slim", "model_options": {"size": 64}, "cache": cache}
        start, before = time.process_time(), read_peak()
        fit(TrainSettings(**{**SETTINGS, **network, "epochs": N_EPOCHS}), folder / "run", table=table)
        seconds = time.process_time() - start
        log = pd.read_csv(folder / "run" / "log.csv")
    rates = log.loc[log["split"] == "train", "images_per_s"]
    peak = {"MB before": round(before), "peak MB": round(read_peak())}
    print(json.dumps({"images/s": round(rates.median()), "processor seconds": round(seconds, 1), **peak}))


def read_peak() -> float:
    """Return the peak resident memory of this process until now, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure_trainings() -> pd.DataFrame:
    """Return a row per place of decoded images and their number, each of a fresh process."""
    rows = []
    for cache in CACHES:
        for n_images in TRAININGS:
            command = [sys.executable, __file__, "--train", str(n_images), cache]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rows.append({"cache": cache, "images": n_images, **found})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def print_table(table: pd.DataFrame) -> None:
    """Print a table as Markdown."""
    print("\n| " + " | ".join(table) + " |\n|" + "---|" * len(table.columns))
    for row in table.itertuples(index=False):
        print("| " + " | ".join(map(str, row)) + " |")


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
    parser.add_argument("--only", default="", help="steps whose name holds this, or training")
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ.setdefault("FERNET_NEURO_CACHE", tempfile.mkdtemp())
    if asked.train:
        train_and_report(int(asked.train[0]), asked.train[1])
        return
    # Trainings first: a child's peak starts at its parent's, which must still be small.
    trainings = measure_trainings() if asked.only in "training" else pd.DataFrame()
    with tempfile.TemporaryDirectory() as place:
        timed = time_all(Path(place), asked.only)
        growth = summarise(timed) if len(timed) else timed
        million = pd.DataFrame() if asked.only else plan_million(Path(place), asked.rows)
    for table in (growth, trainings, million):
        if len(table):
            print_table(table)
    worst = {} if growth.empty else growth.set_index("step")["exponent"].to_dict()
    found = {"trainings": trainings.to_dict("records"), "plan": million.to_dict("records")}
    print(json.dumps({"exponents": worst, **found, "passed": worst.get(PROBE, 0.0) <= 1.1}))


if __name__ == "__main__":
    main()
