"""How much faster a network is with its batch normalisations folded: one image at a time, in turns.

Run ``python benchmarks/bench_fuse.py``: `lfnsb` at 112 px, two threads. Each ratio is of two turns, one
after the other; the target is a median of at least 1.2. Prints one JSON object.
"""

import argparse
import json

import numpy as np
import torch

from fernet_neuro.models.fuse import fuse
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.timing import measure_run_times


def main() -> None:
    """Measure, and print medians and quartiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="lfnsb")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = build_model(arguments.network)
    both = {"plain": model, "fused": fuse(model)}
    times = measure_run_times(both, n_repeats=arguments.turns, n_passes=3)
    low, ratio, high = np.quantile(times["plain"] / times["fused"], (0.25, 0.5, 0.75))
    milliseconds = {name: round(1000 * float(np.median(values)), 2) for name, values in times.items()}
    result = {
        "network": arguments.network,
        "threads": arguments.threads,
        "milliseconds": milliseconds,
        "fastest": {name: round(1000 * float(values.min()), 2) for name, values in times.items()},
        "ratio": [round(float(value), 3) for value in (low, ratio, high)],
        "target": 1.2,
        "passed": bool(ratio >= 1.2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
