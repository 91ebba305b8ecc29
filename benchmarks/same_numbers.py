"""Do the recipes of the demo and of the papers give the same numbers as in another checkout?

    python benchmarks/same_numbers.py --before PATH_OF_CHECKOUT
    python benchmarks/same_numbers.py --before-results FOLDER --only demo --only crpn/table3

Every recipe runs at a very small size, on one core: in the checkout before (once; its results stay in
``--before-results``), and in the present one. Then all tables, arrays and trained weights are compared,
value by value. Prints what differs, with the largest absolute difference, and one JSON object on the last
line. The exit code is 1 if anything differs that no line of the changelog explains (`EXPLAINED`). Times,
paths, versions and digests of settings are not compared.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from fernet_neuro._utils.config import read_recipe

ROOT = Path(__file__).resolve().parents[1]
#: Where recipes lie in a checkout, from the newest shape to the oldest.
RECIPES = (
    "fernet_neuro/systems/{system}/recipes/{name}.yaml",
    "fernet_neuro/recipes/{case}.yaml",
    "configs/{case}.yaml",
)
#: What recipes are called today, by the name of their case.
RENAMED = {"demo": "transfer/rendered"}
#: Differences that are meant: (file, column) as patterns, and the words of CHANGELOG.md that explain them.
EXPLAINED: dict[tuple[str, str], str] = {
    ("crpn/table1/table.*", "(text)"): 'the note below costs says "without what training alone needs"',
    ("*/record.json", "digests.pairs"): "fixed pairs of verification are now `verification.pairs`",
    ("*/record.json", "digests.val_pairs"): "fixed pairs of verification are now `verification.pairs`",
    ("demo/rsa/summary.json", "settings.n_assignments"): "`summary.json` names `n_assignments`",
    ("demo/runs/perceptual/*/record.json", "digests.bank"): "and the concept bank in `banks/`",
}
#: Files, columns and keys of recipes that are called otherwise now: (pattern, replacement).
RENAMED_FILES: tuple[tuple[str, str], ...] = (
    (r"/figures/crpn-table\.", "/figures/grid."),
    (r"^demo/pathways/", "demo/beside/"),
    (r"^demo/runs/perceptual/(seed\d+)/bank/", r"demo/banks/conceptual/\1/"),
    (r"^(crpn/table\d)/stimuli/identity\.csv$", r"\1/stimuli/identity_stimuli.csv"),
)
RENAMED_COLUMNS: tuple[tuple[str, str], ...] = ((r"^stage$", "network"),)
RENAMED_KEYS: tuple[tuple[str, str], ...] = (
    (r"^(identity|expression|concepts|perception|readout)\.", r"networks.\1."),
    (r"^identity_stimuli\.", "sets.identity_stimuli."),
    (r"^dual_pathway\.concepts\.", "networks.conceptual."),
    (r"^dual_pathway\.perception\.", "networks.perceptual."),
    (r"^dual_pathway\.maps", "beside.conceptual.maps"),
)
IGNORED_FILES = (
    "*/recipe.yaml",
    "*/settings.yaml",
    "*/checkpoints/*",
    "*/rendered/*",
    "*/bids/*",
    "*/images/*",
)
#: What is asked, where, when and with which versions, as FILE:COLUMN.
IGNORED_COLUMNS = re.compile(
    r"record\.json:settings\.|settings\.json:asked\.|manifest\.json:(key|identity\.|.*(sha256|crc32|created))"
    r"|:(.*\.)?(versions|commit|platform|n_threads|inputs_digest|store_key|stores|seconds|duration_s|images_per_s)(\.|$)"
    r"|:.*(milliseconds|time[_ ]ratio)",
    re.IGNORECASE,
)
#: Parts of values that name a place: the folder of results, and digests of settings in names of runs.
PLACES = r"{folder}/?|(?<=-)[0-9a-f]{{12}}\b"


def faces(key: str, identities: int, **more: Any) -> list[str]:
    """Return overrides that make a set of rendered faces small."""
    changes = {"identities": identities, "expressions": "[anger,happiness,neutral]", "size": 32, **more}
    return [f"{key}.{name}={value}" for name, value in changes.items()]


def epochs(number: int, *stages: str) -> list[str]:
    """Return overrides of how long stages train."""
    return [f"{stage}.epochs={number}" for stage in stages]


PLAIN = {"expression_weights": "null"}
TABLE = [
    *faces("stimuli", 12, sessions=2, **PLAIN),
    *faces("identity_stimuli", 10, sessions=1),
    *faces("tests.people.stimuli", 6, sessions=2, **PLAIN),
    *epochs(2, "identity", "expression", "concepts", "perception"),
    "seeds=[0,1]",
]
FIGURE = [
    "seeds=[0,1]",
    "maps.permutations=19",
    "maps.perplexity=4",
    *epochs(2, "identity"),
    *epochs(1, "concepts"),
]
FIG3 = [*FIGURE, *faces("train", 10), *faces("test", 5)]
FIG4 = [*FIGURE, *faces("stimuli", 10), *faces("people", 4), *epochs(1, "readout")]
DEMO = [
    *faces("stimuli", 16, sessions=1),
    *epochs(2, *(f"networks.{name}" for name in ("identity", "verification", "expression"))),
    *epochs(2, "dual_pathway.concepts", "dual_pathway.perception"),
    "probe_share=0.4",
    "probes=[{target: expression, holdout: identity, permutations: 19, n_folds: 2},"
    " {target: identity, holdout: view, permutations: 19}]",
    "dual_pathway.maps={permutations: 19, perplexity: 5}",
    "brain.identities=4", "brain.bootstraps=20", "brain.permutations=19",
    "brain.simulation={subjects: 3, runs: 2, voxel_size: 8, seed: 0}",
]  # fmt: skip
CASES = {
    "demo": DEMO,
    **{f"crpn/table{number}": TABLE for number in (1, 2, 3, 4)},
    "crpn/fig2": [*FIGURE, *faces("stimuli", 10), *faces("test", 5)],
    "crpn/fig3": FIG3,
    "crpn/fig3_hard": [*FIG3, "train.sessions=1", "train.expression_weights=null", "test.sessions=1",
                       "test.expression_weights=null"],
    "crpn/fig4": FIG4,
    "crpn/fig4_hard": [*FIG4, "stimuli.sessions=1", "stimuli.expression_weights=null"],
}  # fmt: skip


# --- running


def find_recipe(checkout: Path, case: str) -> Path:
    """Return the path of a recipe in a checkout of any shape, under today's name or an earlier one."""
    places = []
    for known in dict.fromkeys((RENAMED.get(case, case), case)):
        system, _, name = known.rpartition("/")
        parts = {"case": known, "system": system or "transfer", "name": name}
        places += [checkout / form.format(**parts) for form in RECIPES]
    found = [place for place in places if place.is_file()]
    if not found:
        sys.exit(f"{checkout} has no recipe {case}")
    return found[0]


def adapt_key(override: str, recipe: dict[str, Any]) -> str:
    """Return an override with the key that this recipe knows it by: the first whose parents are there."""
    key, _, value = override.partition("=")
    names = [key, *(re.sub(pattern, new, key) for pattern, new in RENAMED_KEYS)]
    known = [name for name in names if _has_parents(name, recipe)]
    return f"{(known or names)[0]}={value}"


def _has_parents(key: str, inside: Any) -> bool:
    for part in key.split(".")[:-1]:
        if not isinstance(inside, dict) or part not in inside:
            return False
        inside = inside[part]
    return True


def run_case(checkout: Path, case: str, folder: Path) -> None:
    """Run one recipe of a checkout, small, into its place below `folder`."""
    recipe = find_recipe(checkout, case)
    values = read_recipe(recipe)
    changes = [adapt_key(override, values) for override in CASES[case]]
    if "table" in case:
        changes.append(f"shared={folder / 'shared'}")
    out = folder / case
    words = [part for change in changes for part in ("--set", change)]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    environment["FERNET_NEURO_CACHE"] = str(folder / "cache")
    command = [sys.executable, "-m", "fernet_neuro", "run"]
    options = {"cwd": checkout, "env": environment, "text": True}
    help_text = subprocess.run([*command, "--help"], check=True, capture_output=True, **options).stdout
    jobs = "--jobs" if "--jobs" in help_text else "--n-jobs"
    command += [str(recipe), "--out", str(out), jobs, "1", "--device", "cpu", "--quiet", *words]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        sys.exit(f"{case} failed in {checkout}:\n{done.stdout[-3000:]}")


def run_cases(checkout: Path, folder: Path, cases: list[str]) -> None:
    """Run the recipes whose results are not in `folder` yet."""
    for case in cases:
        if not (folder / case / "index.html").is_file():
            print(f"{checkout.name}: {case}", flush=True)
            shutil.rmtree(folder / case, ignore_errors=True)
            run_case(checkout, case, folder)


# --- reading


def list_columns(folder: Path, cases: list[str]) -> dict[tuple[str, str], list[Any] | np.ndarray]:
    """Return every value below a folder of results: by file and column, in order."""
    found: dict[tuple[str, str], list[Any] | np.ndarray] = {}
    names = name_shared_runs(folder, cases)
    places = re.compile(PLACES.format(folder=re.escape(str(folder))))
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        name = _rename(_name_run(relative, names), RENAMED_FILES)
        top = name.split("/")[0]
        if path.suffix not in READERS or not (
            top == "shared" or any(name.startswith(f"{c}/") for c in cases)
        ):
            continue
        if any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED_FILES):
            continue
        for column, values in READERS[path.suffix](path):
            if not IGNORED_COLUMNS.search(f"{name}:{column}"):
                found[name, _rename(column, RENAMED_COLUMNS)] = _strip_places(values, places)
    return found


def name_shared_runs(folder: Path, cases: list[str]) -> dict[str, str]:
    """Return what each shared run, whose folder is named by a digest of its settings, is called here.

    That is by the first arm that uses it, so that keys may move in the settings.
    """
    names: dict[str, str] = {}
    for case in cases:
        if (folder / case / "runs.csv").is_file():
            for row in pd.read_csv(folder / case / "runs.csv").itertuples():
                network = row.network if hasattr(row, "network") else row.stage
                names.setdefault(row.run, f"{case}/{row.arm}/{network}/seed{row.seed}")
    return names


def _strip_places(values: list[Any] | np.ndarray, places: re.Pattern[str]) -> list[Any] | np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    return [places.sub("", value) if isinstance(value, str) else value for value in values]


def _name_run(relative: str, names: dict[str, str]) -> str:
    """Return the path of a file with its shared run's own name, or "" if no recipe asked for uses the run."""
    match = re.fullmatch(r"shared/(runs|banks)/([^/]+/seed\d+)/(.*)", relative)
    if not match:
        return relative
    name = names.get(f"runs/{match[2]}")
    return f"shared/{match[1]}/{name}/{match[3]}" if name else ""


def _rename(name: str, renamed: tuple[tuple[str, str], ...]) -> str:
    for pattern, new in renamed:
        name = re.sub(pattern, new, name)
    return name


def _read_csv(path: Path) -> Iterator[tuple[str, list[str]]]:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, sep="\t" if path.suffix == ".tsv" else ",")
    for column in frame:
        yield str(column), frame[column].tolist()


def _read_json(path: Path) -> Iterator[tuple[str, list[Any]]]:
    columns: dict[str, list[Any]] = {}
    _flatten(json.loads(path.read_text(encoding="utf-8")), "", columns)
    yield from columns.items()


def _flatten(value: Any, place: str, columns: dict[str, list[Any]]) -> None:
    """Append the values of nested JSON to their columns; entries of a list share one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, f"{place}.{key}".strip("."), columns)
    elif isinstance(value, list):
        columns.setdefault(f"{place}[n]", []).append(len(value))
        for inner in value:
            _flatten(inner, f"{place}[]", columns)
    else:
        columns.setdefault(place, []).append(value)


def _read_text_table(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the columns of tables in Markdown or LaTeX by their headings, and the lines between."""
    between_cells = r"\|" if path.suffix == ".md" else r"(?<!\\)&"
    between: list[str] = []
    headings: list[str] = []
    columns: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(between_cells, line)]
        if len(cells) < 3:
            headings = [] if not line or "tabular" in line else headings
            between.append(line)
            continue
        headings = headings or cells
        for heading, cell in zip(headings, cells, strict=True):
            columns.setdefault(heading, []).append(cell)
    yield from columns.items()
    yield "(text)", between


def _read_npy(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    loaded = np.load(path)
    yield from loaded.items() if path.suffix == ".npz" else [("array", loaded)]


READERS = {
    **dict.fromkeys((".csv", ".tsv"), _read_csv),
    **dict.fromkeys((".md", ".tex"), _read_text_table),
    **dict.fromkeys((".npy", ".npz"), _read_npy),
    ".json": _read_json,
    ".safetensors": lambda path: load_file(path).items(),
}


# --- comparing


def describe_difference(before: Any, after: Any) -> str | None:
    """Return in words how two columns differ, or None if they are equal."""
    if before is None or after is None:
        return "only after" if before is None else "only before"
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        if before.shape != after.shape or before.dtype != after.dtype:
            return f"{before.dtype}{before.shape} became {after.dtype}{after.shape}"
        is_float = before.dtype.kind == "f"
        if np.array_equal(before, after, equal_nan=is_float):
            return None
        return f"max abs difference {np.nanmax(np.abs(before - after)):g}" if is_float else "other values"
    differing = [(old, new) for old, new in zip_longest(before, after) if old != new]
    if not differing:
        return None
    if len(before) != len(after):
        return f"{len(before)} rows became {len(after)}"
    try:
        gap = max(abs(float(old) - float(new)) for old, new in differing)
        return f"{len(differing)} of {len(before)} differ, max abs difference {gap:g}"
    except (TypeError, ValueError):
        return (
            f"{len(differing)} of {len(before)} differ, first {differing[0][0]!r} became {differing[0][1]!r}"
        )


def explain(name: str, column: str) -> str | None:
    """Return the words of the changelog that explain a difference, or None."""
    changelog = " ".join((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split())
    for (file, pattern), words in EXPLAINED.items():
        if fnmatch.fnmatch(name, file) and fnmatch.fnmatch(column, pattern):
            if words not in changelog:
                sys.exit(f"CHANGELOG.md does not say {words!r}")
            return words
    return None


def compare(before: Path, after: Path, cases: list[str]) -> dict[str, Any]:
    """Print what differs between two folders of results and return the counts."""
    old, new = (list_columns(folder, cases) for folder in (before, after))
    both = sorted({*old, *new})
    found = {key: describe_difference(old.get(key), new.get(key)) for key in both}
    counts = dict.fromkeys(("equal", "explained", "differing"), 0)
    for name, columns in groupby(both, key=lambda key: key[0]):
        said = set()  # what a whole file lacks is said once
        for column in (column for _, column in columns):
            difference = found[name, column]
            words = explain(name, column) if difference else None
            counts["equal" if not difference else "explained" if words else "differing"] += 1
            if difference and difference not in said:
                print(f"{name}  {column}: {difference}{f' (explained: {words})' if words else ''}")
            if difference in ("only before", "only after"):
                said.add(difference)
    files = {name for name, _ in both}
    passed = counts["differing"] == 0 < counts["equal"]
    return {"recipes": len(cases), "files": len(files), "columns": len(both), **counts, "passed": passed}


def main() -> int:
    """Run what is missing, compare, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="checkout to compare with; run where results are missing")
    parser.add_argument("--before-results", type=Path, help="folder that keeps its results")
    parser.add_argument("--after-results", type=Path, help="compare this folder as it is, and run nothing")
    parser.add_argument("--only", action="append", choices=CASES, help="a recipe; repeatable")
    asked = parser.parse_args()
    kept = ROOT / "benchmarks" / "results" / "same_numbers"
    cases = asked.only or list(CASES)
    before = (asked.before_results or kept / "before").resolve()
    if asked.before:
        run_cases(asked.before.resolve(), before, cases)
    after = (asked.after_results or kept / "after").resolve()
    if not asked.after_results:
        shutil.rmtree(after, ignore_errors=True)
        run_cases(ROOT, after, cases)
    result = compare(before, after, cases)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
