"""The task: when which stimulus is shown, and what a voxel that answers to it would show.

What belongs here: events of a run and their haemodynamic regressors.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from fernet_neuro.brain.simulation.settings import SimulationSettings
from fernet_neuro.brain.simulation.sidecars import find_labels
from fernet_neuro.stimuli.table import StimulusTable

#: Seconds before the first stimulus, and after the last, in which its response dies away.
BEFORE, AFTER = 6.0, 16.0
#: Haemodynamic response, by nilearn's name.
HRF_MODEL = "spm"


@dataclass(frozen=True, eq=False)
class RunDesign:
    """One run.

    `order` (n_stimuli,): rows of the table in the order in which they are shown. `onsets` (n_stimuli,):
    seconds from the first volume, in that order.
    """

    order: np.ndarray
    onsets: np.ndarray
    n_scans: int


def draw_design(n_stimuli: int, settings: SimulationSettings, rng: np.random.Generator) -> RunDesign:
    """Return a run that shows every stimulus once, in random order.

    Gaps are spread evenly from the shortest to the longest and shuffled, so that all runs are equally long.
    """
    order = rng.permutation(n_stimuli)
    gaps = rng.permutation(np.linspace(*settings.gap, n_stimuli - 1))
    # Milliseconds, as in the events' file.
    onsets = np.round(BEFORE + np.concatenate([[0.0], np.cumsum(settings.duration + gaps)]), 3)
    seconds = onsets[-1] + settings.duration + AFTER
    return RunDesign(order, onsets, int(np.ceil(seconds / settings.t_r)))


def make_events(design: RunDesign, table: StimulusTable, settings: SimulationSettings) -> pd.DataFrame:
    """Return the events of a run as BIDS has them; empty labels are ``n/a``."""
    shown = table.frame.iloc[design.order]
    frame = pd.DataFrame({"onset": design.onsets, "duration": settings.duration})
    frame["trial_type"] = "face"
    frame["stimulus_id"] = shown["stimulus_id"].to_numpy()
    for name in find_labels(table):
        labels = shown[name].astype(str)
        frame[name] = labels.where(labels != "", "n/a").to_numpy()
    return frame


def compute_responses(design: RunDesign, settings: SimulationSettings) -> np.ndarray:
    """Return the response to each stimulus over time, ndarray of shape (n_scans, n_stimuli).

    Stimuli are in the order of the table; a response to one presentation alone peaks at 1.
    """
    from nilearn.glm.first_level import compute_regressor

    times = np.arange(design.n_scans) * settings.t_r
    responses = np.empty((design.n_scans, len(design.order)))
    for row, onset in zip(design.order, design.onsets, strict=True):
        event = np.array([[onset], [settings.duration], [1.0]])
        responses[:, row] = compute_regressor(event, HRF_MODEL, times)[0][:, 0]
    return responses / _find_peak(settings.duration)


@cache
def _find_peak(duration: float) -> float:
    """Return the largest value of the response to one presentation, sampled every tenth of a second."""
    from nilearn.glm.first_level import compute_regressor

    event = np.array([[0.0], [duration], [1.0]])
    return float(compute_regressor(event, HRF_MODEL, np.arange(0, 32 + duration, 0.1))[0].max())
