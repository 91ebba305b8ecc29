"""Our training loop against a bare torch loop: images per second of the same steps.

Run ``python benchmarks/bench_training.py``: the same network, batches, optimiser and decoded pictures, in
turns within one process, each turn of ours between two of the bare loop. Ours is `fit` as users call it, with
seeded order, finite-loss check, log and a checkpoint at the end; its steps are timed as log.csv has them. The
target is a ratio of at least 0.9 without augmentation, which the bare loop does not have. Prints one line of
JSON.
"""

import argparse
import csv
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn, optim

from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit

N_CLASSES = 8
SETTINGS = {"task": "expression", "epochs": 1, "val_share": 0.0, "lr": 0.01, "schedule": "constant"}


def write_noise_faces(folder: Path, n_stimuli: int, size: int) -> StimulusTable:
    """Write noise pictures and their table; what they show does not change how long a step takes."""
    rng = np.random.default_rng(0)
    names = [f"{row:05d}" for row in range(n_stimuli)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names]})
    frame["expression"] = [f"e{row % N_CLASSES}" for row in range(n_stimuli)]
    return StimulusTable.from_frame(frame, root=folder)


def time_bare_loop(settings: TrainSettings, table: StimulusTable) -> float:
    """Return images per second of the loop that a tutorial would show."""
    model = build_model(settings.model, n_classes=N_CLASSES, **settings.model_options)
    pictures = [model.card.preprocessing.resize_and_crop(load_image(path)) for path in table.paths()]
    images, labels = torch.stack(pictures), torch.arange(len(table)) % N_CLASSES
    optimiser = optim.SGD(
        model.module.parameters(), settings.lr, settings.momentum, weight_decay=settings.weight_decay
    )
    criterion = nn.CrossEntropyLoss()
    model.module.train()
    n_images = 0
    start = time.perf_counter()
    for index in torch.randperm(len(table)).split(settings.batch_size)[: len(table) // settings.batch_size]:
        optimiser.zero_grad()
        loss = criterion(model.module(model.card.preprocessing.normalise(images[index])), labels[index])
        loss.backward()
        optimiser.step()
        n_images += len(index)
    return n_images / (time.perf_counter() - start)


def time_fit(settings: TrainSettings, table: StimulusTable, out: Path) -> float:
    """Return images per second of our loop."""
    fit(settings, out, table=table)
    with (out / "log.csv").open(encoding="utf-8") as handle:
        return float(next(row for row in csv.DictReader(handle) if row["split"] == "train")["images_per_s"])


def compare(settings: TrainSettings, table: StimulusTable, folder: Path, repeats: int) -> dict[str, object]:
    """Return rates and the median over turns of ours divided by the mean of the bare loops around it."""
    bare = [time_bare_loop(settings, table)]
    ours, ratios = [], []
    for turn in range(repeats):
        ours.append(time_fit(settings, table, folder / f"{settings.model}{len(settings.augment)}_{turn}"))
        bare.append(time_bare_loop(settings, table))
        ratios.append(ours[-1] / statistics.mean(bare[-2:]))
    return {
        "model": settings.model,
        "size": settings.model_options["size"],
        "batch_size": settings.batch_size,
        "augment": list(settings.augment),
        "bare_images_per_s": round(statistics.median(bare), 1),
        "images_per_s": round(statistics.median(ours), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(value, 3) for value in ratios],
    }


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stimuli", type=int, default=1024)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["resnet10-slim", "resnet18"])
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = write_noise_faces(folder, arguments.stimuli, arguments.size)
        for model in arguments.models:
            for augment in ((), ("hflip", "crop", "colour", "erase")):
                options = {"model": model, "model_options": {"size": arguments.size}, "augment": augment}
                settings = TrainSettings(**SETTINGS, **options)
                results.append(compare(settings, table, folder, arguments.repeats))
    plain = [item["ratio"] for item in results if not item["augment"]]
    summary = {
        "benchmark": "training steps against a bare torch loop",
        "n_threads": torch.get_num_threads(),
        "target": 0.9,
        "ratio": min(plain),
        "passed": min(plain) >= 0.9,
        "results": results,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
