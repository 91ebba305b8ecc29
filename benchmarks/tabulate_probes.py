"""Print probes of trained networks as one table, each layer against the network's ten untrained twins.

A cell holds the balanced accuracy with its interval, the difference from the mean of the twins with the
interval of one more such network, and its p value; then the p value after Holm's correction over the layers
of that network. Accuracies and differences are in per cent.

    python benchmarks/tabulate_probes.py identity=demo/probes/identity/expression \
        verification=demo/probes/verification/expression
"""

import argparse
import json
from pathlib import Path

import numpy as np

from fernet_neuro._utils.p_values import format_p
from fernet_neuro.stats.multiple import adjust_holm


def read_layers(folder: Path) -> dict[str, dict]:
    """Return what the summary of a probe says of each of the network's layers, in order.

    The one trunk of a Siamese network has its layers under their own names.
    """
    lines = json.loads((folder / "summary.json").read_text())["layers"]
    return {line["layer"].removeprefix("trunk."): line for line in lines if line["source"] == "network"}


def format_cells(layers: dict[str, dict]) -> dict[str, str]:
    """Return the two cells of each layer: accuracy, and difference from the twins."""
    corrected = adjust_holm(np.array([line["difference_untrained_p"] for line in layers.values()]))
    cells = {}
    for (layer, line), p_holm in zip(layers.items(), corrected, strict=True):
        score, low, high = (100 * line[f"balanced_accuracy{end}"] for end in ("", "_low", "_high"))
        off, off_low, off_high = (100 * line[f"difference_untrained{end}"] for end in ("", "_low", "_high"))
        cells[layer] = (
            f"{score:.1f} [{low:.1f}, {high:.1f}] | {off:+.1f} [{off_low:.1f}, {off_high:.1f}], "
            f"{format_p(line['difference_untrained_p'])} ({format_p(p_holm)})"
        )
    return cells


def main() -> None:
    """Print the table of the probes that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("probes", nargs="+", metavar="NAME=FOLDER")
    named = dict(probe.split("=", 1) for probe in parser.parse_args().probes)
    columns = {name: format_cells(read_layers(Path(folder))) for name, folder in named.items()}
    print("| layer | " + " | ".join(f"{name} | less its ten twins, p (corrected)" for name in columns) + " |")
    print("|---|" + "---|---|" * len(columns))
    for layer in dict.fromkeys(layer for cells in columns.values() for layer in cells):
        print(f"| {layer} | " + " | ".join(cells.get(layer, " | ") for cells in columns.values()) + " |")


if __name__ == "__main__":
    main()
