"""What is wrong with the pictures of a table, found before a long run finds it.

What belongs here: the list of faults; decoding is in `images`, the search for copies in `copies`.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.validation import check_range
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.copies import find_copies
from fernet_neuro.stimuli.images import BLACK_BELOW, measure_image, say_fault
from fernet_neuro.stimuli.table import StimulusTable

#: Share of pictures that must have one size before another size is odd.
USUAL_SHARE = 0.9
#: Columns of the frame that `check_images` returns.
FAULT_COLUMNS = ("stimulus_id", "path", "fault", "detail")


def check_images(table: StimulusTable, *, n_jobs: int = 1, verbose: bool = False) -> pd.DataFrame:
    """Decode every picture of `table` and list what is wrong with it.

    Faults are ``missing``, ``unreadable`` (empty, cut short, not a picture), ``almost black`` (mean luminance
    below 16 of 255), ``duplicate`` (the same picture as an earlier stimulus, see `find_copies`), ``changed``
    (the content differs from the table's ``digest``) and ``odd size`` (another size than at least nine tenths
    of the pictures have; where sizes vary more than that, none is odd).

    `table`: what to check. `n_jobs`: number of threads. `verbose`: whether to show a progress bar. Returns a
    DataFrame (n_faults, 4): columns ``stimulus_id, path, fault, detail``, in row order of the table; empty if
    all is well.
    """
    check_range("n_jobs", n_jobs, 1)
    paths = table.paths()
    with ThreadPoolExecutor(n_jobs) as pool:
        found = list(track(pool.map(_inspect, paths), "checking", total=len(paths), verbose=verbose))
    ids, ways = table.stimulus_ids.tolist(), table.ways()
    recorded = table.frame["digest"] if "digest" in table.frame else [""] * len(ids)
    repeats = _describe_repeats(table)
    sizes = _describe_sizes([size for _, size, _ in found])
    rows = []
    for row, (fault, _, digest) in enumerate(found):
        changed = ("changed", "its content is not what it was when the table was made")
        stale = bool(recorded[row] and digest and recorded[row] != digest)
        rows += [
            (ids[row], ways[row], *item)
            for item in (fault, repeats[row], changed if stale else None, sizes[row])
            if item
        ]
    return pd.DataFrame(rows, columns=list(FAULT_COLUMNS), dtype=object)


def _inspect(path: Path) -> tuple[tuple[str, str] | None, tuple[int, int] | None, str]:
    """Return (fault and detail or None, size or None, digest or "") of one file."""
    if not path.is_file():
        return ("missing", "no such file"), None, ""
    digest = hash_file(path)
    try:
        size, luminance = measure_image(path)
    except StimulusError as error:
        return ("unreadable", say_fault(error, path)), None, digest
    if luminance < BLACK_BELOW:
        return ("almost black", f"mean luminance {luminance:.1f} of 255"), size, digest
    return None, size, digest


def _describe_repeats(table: StimulusTable) -> list[tuple[str, str] | None]:
    first: dict[int, str] = {}
    copies = zip(table.stimulus_ids.tolist(), find_copies(table).tolist(), strict=True)
    known = [first.setdefault(code, name) for name, code in copies]
    return [
        None if other == name else ("duplicate", f"same content as {other!r}")
        for other, name in zip(known, table.stimulus_ids.tolist(), strict=True)
    ]


def _describe_sizes(sizes: Sequence[tuple[int, int] | None]) -> list[tuple[str, str] | None]:
    counts = Counter(size for size in sizes if size is not None)
    usual, most = counts.most_common(1)[0] if counts else (None, 0)
    if usual is None or most < USUAL_SHARE * counts.total():
        return [None] * len(sizes)
    wanted = f"most are {usual[0]} x {usual[1]}"
    return [
        None if size is None or size == usual else ("odd size", f"{size[0]} x {size[1]} pixels; {wanted}")
        for size in sizes
    ]
