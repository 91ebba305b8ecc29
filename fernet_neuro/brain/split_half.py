"""Do patterns of one half of the runs look like those of the other half? Split-half correlations.

What belongs here: correlations of mean patterns; decoding is in `fernet_neuro.probes.decoding`.
"""

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import format_options
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import StimulusError


def compute_split_half(patterns: BrainPatterns, *, centre: bool = True) -> pd.DataFrame:
    """Return the correlations of the mean patterns of odd and even runs, as in [1]_.

    Runs are counted in the order in which they occur first; the first is odd.

    Parameters
    ----------
    patterns : BrainPatterns
    centre : bool, default=True
        Take the mean over stimuli off each voxel in each half: what all stimuli share says nothing of any.

    Returns
    -------
    DataFrame of shape (n_stimuli, n_stimuli)
        Pearson correlations, rows of odd and columns of even runs, labelled by stimulus.

    Raises
    ------
    StimulusError
        If there are fewer than two runs or stimuli, or a half lacks a stimulus.

    References
    ----------
    .. [1] Haxby, Gobbini, Furey, Ishai, Schouten & Pietrini (2001), Distributed and overlapping
       representations of faces and objects in ventral temporal cortex, Science 293.

    Examples
    --------
    >>> signal = np.array([[1.0, 0, 2], [0, 3, 1]])
    >>> patterns = BrainPatterns(np.tile(signal, (2, 1)), ["a", "b"] * 2, ["1", "1", "2", "2"], "V1", "01")
    >>> compute_split_half(patterns).round(2).to_numpy().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    names, stimuli = patterns.run_names, patterns.stimuli
    if len(names) < 2 or len(stimuli) < 2:
        raise StimulusError(
            f"split halves need two or more runs and stimuli; {patterns.roi} of subject {patterns.subject} "
            f"has {len(names)} and {len(stimuli)}."
        )
    halves = [_average_half(patterns, names[start::2], stimuli) for start in (0, 1)]
    if centre:
        halves = [half - half.mean(axis=0) for half in halves]
    unit = [half - half.mean(axis=1, keepdims=True) for half in halves]
    lengths = [np.linalg.norm(half, axis=1) for half in unit]
    values = unit[0] @ unit[1].T / np.outer(*lengths)
    return pd.DataFrame(values, index=stimuli, columns=stimuli)


def _average_half(patterns: BrainPatterns, runs: list[str], stimuli: list[str]) -> np.ndarray:
    """Return the mean over runs of each stimulus's mean in each, shape (n_stimuli, n_voxels)."""
    means = []
    for stimulus in stimuli:
        parts = [
            patterns.values[(patterns.runs == run) & (patterns.stimulus_ids == stimulus)] for run in runs
        ]
        present = [part.mean(axis=0) for part in parts if len(part)]
        if not present:
            raise StimulusError(
                f"{patterns.roi} of subject {patterns.subject} has no pattern of {stimulus!r} in runs "
                f"{format_options(runs)}."
            )
        means.append(np.mean(present, axis=0))
    return np.array(means)
