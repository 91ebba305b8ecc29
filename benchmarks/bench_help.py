"""How long ``fernet-neuro --help`` takes, and whether it loads torch.

    python benchmarks/bench_help.py

Best of ten runs of the installed command, in seconds; the target is 0.5 s without torch.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

TARGET_S = 0.5


def main() -> None:
    """Time the command and print one JSON object."""
    command = [str(Path(sys.executable).with_name("fernet-neuro")), "--help"]
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    code = "import fernet_neuro.cli.app, sys; print('torch' in sys.modules)"
    torch = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    loads_torch = torch.stdout.strip() == "True"
    best = min(seconds)
    print(
        json.dumps(
            {
                "benchmark": "help",
                "target_s": TARGET_S,
                "passed": best < TARGET_S and not loads_torch,
                "best_s": round(best, 3),
                "median_s": round(sorted(seconds)[5], 3),
                "loads_torch": loads_torch,
            }
        )
    )


if __name__ == "__main__":
    main()
