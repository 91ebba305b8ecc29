"""Which confounds of a run are in its model: columns, patterns of columns, or a strategy by name.

What belongs here: the choice; reading and checking a table is in `tables`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import check_option
from fernet_neuro.brain.bids import RunFiles
from fernet_neuro.brain.tables import MOTION, match_columns, read_confounds, read_confounds_table
from fernet_neuro.exceptions import StimulusError

#: The six of head motion, and the strategies of nilearn for fMRIPrep's tables [1]_.
#:
#: .. [1] Wang, Meisler, Sharmarke, et al. (2024), Continuous evaluation of denoising strategies in
#:    resting-state fMRI connectivity using fMRIPrep and Nilearn, PLoS Computational Biology 20.
STRATEGIES = ("motion", "simple", "scrubbing", "compcor", "ica_aroma")


def read_run_confounds(
    item: RunFiles, columns: Sequence[str] | None, strategy: str, n_scans: int
) -> pd.DataFrame | None:
    """Return the confounds of a run, shape (n_scans, n_confounds), or None for none.

    Volumes that a strategy leaves out, such as those of strong motion, have a regressor of their own each,
    which comes to the same.

    Parameters
    ----------
    item : RunFiles
    columns : sequence of str or None
        Names and patterns; None takes the six of head motion where there is a table.
    strategy : str
        A name in `STRATEGIES` in place of columns, or empty.
    n_scans : int

    Raises
    ------
    StimulusError
        If there is no table of confounds where one is asked for, or nilearn cannot follow the strategy.
    StoreError, ValueError
        As `tables.read_confounds`.
    """
    wanted = MOTION if columns is None or strategy == "motion" else columns
    if (columns or strategy) and not item.confounds:
        raise StimulusError(f"{item.bold} has no table of confounds beside it, and one is asked for.")
    if strategy and strategy != "motion":
        return _load_strategy(item.bold, check_option("confounds", strategy, STRATEGIES), n_scans)
    if not item.confounds or not wanted:
        return None
    return read_confounds(item.confounds, wanted, n_scans)


def check_patterns(paths: Iterable[str], columns: Sequence[str]) -> None:
    """Raise if a pattern of columns means none in the tables of all runs: it is misspelt.

    Raises
    ------
    ValueError
        Naming the pattern.
    """
    tables = {path: read_confounds_table(path) for path in paths}
    for pattern in columns:
        if tables and not any(match_columns(pattern, frame, path) for path, frame in tables.items()):
            raise ValueError(f"no run has a confound column {pattern!r}; see the heading of {min(tables)}.")


def _load_strategy(bold: str, strategy: str, n_scans: int) -> pd.DataFrame:
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    image = bold.split(",") if "," in bold else bold
    try:
        found, kept = load_confounds_strategy(image, denoise_strategy=strategy)
    except (ValueError, OSError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())
        if isinstance(error, KeyError):
            said = f"their table or its sidecar (.json) has no {said}"
        raise StimulusError(f"the confounds of {bold} do not allow {strategy}: {said}") from error
    if len(found) != n_scans:
        raise StimulusError(f"the confounds of {bold} have {len(found)} rows, it has {n_scans} volumes.")
    left_out = np.setdiff1d(np.arange(n_scans), np.arange(n_scans) if kept is None else kept)
    spikes = pd.DataFrame(np.eye(n_scans)[:, left_out], columns=[f"left_out{volume}" for volume in left_out])
    return pd.concat([found.reset_index(drop=True), spikes], axis=1)
