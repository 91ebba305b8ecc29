"""The best frames of each clip: those that a network takes most surely for the clip's own expression.

What belongs here: the rule that chooses frames by probability; the probabilities come from a network above.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import check_range, format_options, suggest
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.table import StimulusTable

#: What a clip of one actor is: frames that agree in these are ranked against each other.
CLIP_FACTORS = ("identity", "expression", "clip")


@dataclass(frozen=True)
class FrameSelection:
    """The chosen frames, the others, and what was chosen per actor, expression and clip.

    `chosen`, `rest`: in the table's order, with the columns ``probability`` (of the clip's own expression)
    and ``rank`` (1 is the most probable frame of its clip). `clips` (n_clips, 7): columns ``identity,
    expression, clip, n_frames, n_chosen, is_short`` (fewer frames than asked for) and ``n_tied``: frames left
    out although their probability is that of the last one chosen.
    """

    chosen: StimulusTable
    rest: StimulusTable
    clips: pd.DataFrame


def select_top_frames(
    table: StimulusTable, probabilities: np.ndarray, classes: Sequence[str], *, top: int = 10
) -> FrameSelection:
    """Keep, per actor, expression and clip, the `top` frames most probably of the clip's own expression.

    Equal probabilities are ranked by frame number, then by stimulus id, so the choice does not depend on the
    order of the rows. A clip with fewer frames gives all it has.

    Parameters
    ----------
    table : StimulusTable
        With the factors ``identity``, ``expression``, ``clip`` and ``frame``.
    probabilities : ndarray of shape (n_stimuli, n_classes)
        Of each class for each row of `table`; rows sum to 1.
    classes : sequence of str
        Names of the columns of `probabilities`; every expression of the table must be one.
    top : int
        Frames per clip.

    Returns
    -------
    FrameSelection

    Raises
    ------
    StimulusError
        If a factor is missing or empty, a frame is not a number, or an expression is not in `classes`.
    ValueError
        If the probabilities have another shape, are not finite, or do not sum to 1; or `top` is below 1.

    Notes
    -----
    The rule by which Lu, Zhuang & Luo (2024), AAAI, section "Datasets", make test frames (10 per clip) of the
    IMAGEN face videos; the frames left are their training data. Neighbouring frames of a clip are all but
    copies of each other, so accuracy on the chosen frames of a network trained on the others does not measure
    generalisation.
    """
    check_range("top", top, 1)
    check_clips(table)
    values = _check_probabilities(probabilities, len(table), classes)
    own = values[np.arange(len(table)), _find_classes(table, classes)]
    clip_of, clips = _group(table)
    # Ids are unique, so this order is total; the last key sorts first.
    order = np.lexsort((table.stimulus_ids, table.factor("frame"), -own, clip_of))
    ranks = np.empty(len(table), dtype=int)
    sizes = np.bincount(clip_of, minlength=len(clips))
    ranks[order] = np.arange(len(table)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    is_chosen = ranks <= top
    ranked = StimulusTable.from_frame(table.frame.assign(probability=own, rank=ranks), root=table.root)
    summary = _summarise(clips, clip_of, own, is_chosen, top)
    return FrameSelection(ranked.select(is_chosen), ranked.select(~is_chosen), summary)


def check_clips(table: StimulusTable) -> None:
    """Raise unless `table` says which actor, expression, clip and frame each picture is.

    Raises StimulusError if a factor is missing or empty, or a frame is not a number.
    """
    for name in CLIP_FACTORS:
        table.factor(name)
    if table.factor("frame").dtype.kind not in "iuf":
        raise StimulusError("the factor 'frame' must be the number of the frame in its clip; got text.")


def _check_probabilities(probabilities: np.ndarray, n_stimuli: int, classes: Sequence[str]) -> np.ndarray:
    values = np.asarray(probabilities, dtype=float)
    if values.shape != (n_stimuli, len(classes)):
        raise ValueError(
            f"probabilities must have shape ({n_stimuli}, {len(classes)}), a row per stimulus and a column "
            f"per class; got {values.shape}."
        )
    if not np.isfinite(values).all() or (values < 0).any() or not np.allclose(values.sum(1), 1, atol=1e-4):
        raise ValueError("probabilities must be finite, from 0 on and sum to 1 in each row.")
    return values


def _find_classes(table: StimulusTable, classes: Sequence[str]) -> np.ndarray:
    """Return the column of each row's own expression."""
    column = {name: number for number, name in enumerate(classes)}
    expressions = table.factor("expression")
    unknown = sorted(set(expressions.tolist()) - set(column))
    if unknown:
        raise StimulusError(
            f"{len(unknown)} expressions of the table are not among the network's classes (first: "
            f"{unknown[0]!r}); it knows: {format_options(classes)}.{suggest(unknown[0], classes)}"
        )
    return np.array([column[name] for name in expressions], dtype=int)


def _group(table: StimulusTable) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the number of each row's clip, and the clips in sorted order."""
    keys = pd.DataFrame({name: table.factor(name) for name in CLIP_FACTORS})
    grouped = keys.groupby(list(CLIP_FACTORS), sort=True)
    return grouped.ngroup().to_numpy(), grouped.size().rename("n_frames").reset_index()


def _summarise(
    clips: pd.DataFrame, clip_of: np.ndarray, own: np.ndarray, is_chosen: np.ndarray, top: int
) -> pd.DataFrame:
    n_chosen = np.bincount(clip_of[is_chosen], minlength=len(clips))
    least = np.full(len(clips), np.inf)
    np.minimum.at(least, clip_of[is_chosen], own[is_chosen])
    is_tied = ~is_chosen & (own == least[clip_of])
    return clips.assign(
        n_chosen=n_chosen,
        is_short=clips["n_frames"] < top,
        n_tied=np.bincount(clip_of[is_tied], minlength=len(clips)),
    )
