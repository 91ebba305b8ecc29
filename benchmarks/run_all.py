"""Run every benchmark of this folder, one after the other, and keep what each prints.

    make bench

Each ``bench_*.py`` prints one JSON object on its last line, with ``passed`` where there is a target. It is
written to ``benchmarks/results/NAME.json``. A benchmark that fails or misses its target is named, and the
exit code is then 1.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run_benchmark(script: Path) -> dict | None:
    """Return the JSON object that `script` prints last, or None if it fails."""
    done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return None
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{script.stem}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def main() -> int:
    """Run all, print a line for each, and return the exit code."""
    failed = []
    for script in sorted(HERE.glob("bench_*.py")):
        print(f"== {script.name}", flush=True)
        result = run_benchmark(script)
        print(json.dumps(result), flush=True)
        if result is None or not result.get("passed", False):
            failed.append(script.name)
    if failed:
        print(f"failed, or short of the target: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
