"""Extraction to disk against the bare forward loop, and peak memory against the number of stimuli.

Run ``python benchmarks/bench_extraction.py``: eight ResNet-18 blocks at 112 px. Speeds are measured in turns
within one process, each turn of the extraction between two of the bare loop over images decoded before; the
target is a ratio of at least 0.8. Memory is that of fresh processes with one and four times the stimuli.
Then peak memory alone (``--only-peaks``): 200 pictures of 224 px, 64 a batch, through a ResNet-18, in a
process each: a bare loop, which decodes a batch, runs it and drops what comes out; the same with hooks that
hold the blocks' answers to a batch, as an extraction by hand would; the bare one that keeps freed memory for
the next batch, as an extraction does; and extractions.
Prints one JSON object.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageFilter

from fernet_neuro._utils.memory import keeping_memory
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable

BLOCKS = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
SIZE = 112
BATCH_SIZE = 64
#: Pictures and side of the comparison of peak memory.
N_PEAK, PEAK_SIZE = 200, 224
#: What is compared by peak memory; an extraction by its layers and what it stores of them.
LOOPS = ("bare loop", "loop with hooks", "bare loop that keeps freed memory")
EXTRACTIONS = {
    "extraction of avgpool": (["avgpool"], "none"),
    "extraction of 8 blocks, means of channels": (BLOCKS, "mean"),
    "extraction of 8 blocks": (BLOCKS, "none"),
}


def write_noise_faces(folder: Path, n_stimuli: int, size: int = SIZE) -> StimulusTable:
    """Write smooth noise, which as PNG is about as large as a photograph, and its table."""
    rng = np.random.default_rng(0)
    for row in range(n_stimuli):
        noise = Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8))
        noise.filter(ImageFilter.GaussianBlur(2)).save(folder / f"{row:05d}.png")
    names = [f"{row:05d}" for row in range(n_stimuli)]
    frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names]})
    return StimulusTable.from_frame(frame, root=folder)


def time_bare_loop(model: LayeredModel, batches: list[torch.Tensor]) -> tuple[float, float]:
    """Return wall and processor seconds of the forward passes alone."""
    model.module.eval()
    start, start_cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for batch in batches:
            model.module(model.card.preprocessing.normalise(batch))
    return time.perf_counter() - start, time.process_time() - start_cpu


def time_extraction(model: LayeredModel, table: StimulusTable, out: Path) -> tuple[float, float]:
    """Return wall and processor seconds of all: digests, decoding, forward passes, writing, flushing."""
    start, start_cpu = time.perf_counter(), time.process_time()
    extract_activations(model, table, BLOCKS, out, batch_size=BATCH_SIZE)
    seconds = time.perf_counter() - start, time.process_time() - start_cpu
    shutil.rmtree(out)
    return seconds


def compare_speed(folder: Path, n_stimuli: int, n_turns: int) -> dict[str, object]:
    """Return images/s of both and the median of the turns' ratios."""
    table, model = write_noise_faces(folder, n_stimuli), build_model("resnet18", size=SIZE)
    images = [model.card.preprocessing.resize_and_crop(load_image(path)) for path in table.paths()]
    batches = [torch.stack(images[row : row + BATCH_SIZE]) for row in range(0, n_stimuli, BATCH_SIZE)]
    time_bare_loop(model, batches[:2])
    time_extraction(model, table.select(np.arange(2 * BATCH_SIZE)), folder / "warm")
    bare, ours = [time_bare_loop(model, batches)], []
    for _ in range(n_turns):
        ours.append(time_extraction(model, table, folder / "store"))
        bare.append(time_bare_loop(model, batches))
    neighbours = (np.array(bare[:-1]) + np.array(bare[1:])) / 2
    ratios = neighbours / np.array(ours)
    return {
        "n_stimuli": n_stimuli,
        "bare_images_per_second": n_stimuli / float(np.median(np.array(bare)[:, 0])),
        "extraction_images_per_second": n_stimuli / float(np.median(np.array(ours)[:, 0])),
        "ratio": float(np.median(ratios[:, 0])),
        "ratios": ratios[:, 0].tolist(),
        # The ratio of processor time, which other programs on the machine disturb less.
        "cpu_ratio": float(np.median(ratios[:, 1])),
    }


def measure_memory(n_stimuli: int) -> float:
    """Return the peak resident memory of a fresh process that extracts `n_stimuli`, in MB."""
    command = [sys.executable, __file__, "--memory-of", str(n_stimuli)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def extract_and_report(n_stimuli: int) -> None:
    """Extract in this process and print its peak resident memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        table = write_noise_faces(Path(folder), n_stimuli)
        extract_activations(
            build_model("resnet18", size=SIZE), table, BLOCKS, Path(folder) / "store", batch_size=16
        )
    print(read_peak())


def read_peak() -> float:
    """Return the peak resident memory of this process until now, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def run_loop(model: LayeredModel, table: StimulusTable, *, with_hooks: bool) -> None:
    """Decode and run one batch after the other, and drop what comes out; with hooks, at the batch's end."""
    preprocessing, paths, held = model.card.preprocessing, table.paths(), {}
    for block in BLOCKS if with_hooks else ():
        module = model.module.get_submodule(block)
        module.register_forward_hook(lambda _, __, output, name=block: held.update({name: output}))
    model.module.eval()
    with torch.inference_mode():
        for row in range(0, len(table), BATCH_SIZE):
            pictures = [
                preprocessing.resize_and_crop(load_image(path)) for path in paths[row : row + BATCH_SIZE]
            ]
            model.module(preprocessing.normalise(torch.stack(pictures)))
            held.clear()


def compare_one_peak(name: str) -> None:
    """Print MB before the first picture, peak MB and processor seconds of one contender in this process."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = write_noise_faces(folder, N_PEAK, PEAK_SIZE)
        model = build_model("resnet18", size=PEAK_SIZE)
        before, start = read_peak(), time.process_time()
        if name in EXTRACTIONS:
            layers, pool = EXTRACTIONS[name]
            extract_activations(model, table, layers, folder / "store", batch_size=BATCH_SIZE, pool=pool)
        else:
            with keeping_memory() if name == LOOPS[2] else nullcontext():
                run_loop(model, table, with_hooks=name == LOOPS[1])
        seconds = time.process_time() - start
    peak = read_peak()
    found = {"before_mb": before, "peak_mb": peak, "above_mb": peak - before, "seconds": seconds}
    print(json.dumps({key: round(value, 1) for key, value in found.items()}))


def compare_peaks() -> dict[str, dict[str, float]]:
    """Return peak memory of each contender, of a fresh process, and how far it is above the bare loop's."""
    found = {}
    for name in (*LOOPS, *EXTRACTIONS):
        command = [sys.executable, __file__, "--peak-of", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        found[name]["above_bare_loop_mb"] = round(found[name]["peak_mb"] - found[LOOPS[0]]["peak_mb"], 1)
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Parse the arguments and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stimuli", type=int, default=512, help="images per turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of the extraction")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only-peaks", action="store_true", help="only peak memory against a bare loop's")
    parser.add_argument("--peak-of", choices=(*LOOPS, *EXTRACTIONS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        extract_and_report(arguments.memory_of)
        return
    if arguments.peak_of:
        compare_one_peak(arguments.peak_of)
        return
    if arguments.only_peaks:
        print(json.dumps({"benchmark": "peak memory of extraction", "peaks": compare_peaks()}))
        return
    # Memory first: a child's peak starts at its parent's, which must still be small.
    once, four_times, peaks = measure_memory(128), measure_memory(512), compare_peaks()
    with tempfile.TemporaryDirectory() as folder:
        speed = compare_speed(Path(folder), arguments.stimuli, arguments.turns)
    memory = {"128_stimuli": once, "512_stimuli": four_times, "growth": four_times / once}
    passed = speed["ratio"] >= 0.8 and memory["growth"] <= 1.1
    print(
        json.dumps(
            {
                "benchmark": "extraction",
                "target": 0.8,
                "passed": passed,
                "speed": speed,
                "peak_memory_mb": memory,
                "peaks": peaks,
            }
        )
    )


if __name__ == "__main__":
    main()
