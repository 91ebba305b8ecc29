"""The tables of one region that every inference fills.

What belongs here: labels of rows, and what stands in place of tests that do not exist; numbers come from
`contrasts`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.rsa.inference.contrasts import Estimates
from fernet_neuro.rsa.inference.regions import Region, has_ceiling_test
from fernet_neuro.rsa.inference.settings import InferenceSettings
from fernet_neuro.rsa.result import ESTIMATE_COLUMNS


def label_models(names: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that say which model a row is of: ``model``, and what the models' table has.

    A column that is called like one of ours goes by ``model_`` and its name.
    """
    frame = pd.DataFrame({"model": list(names)})
    for column in table:
        if column == "model" and table[column].astype(str).tolist() == list(names):
            continue
        values = table[column].to_numpy()
        frame[f"model_{column}" if column in ESTIMATE_COLUMNS else str(column)] = values
    return frame


def fill_tables(
    labels: pd.DataFrame,
    p_permutation: np.ndarray,
    region: Region,
    tests: Estimates,
    values: np.ndarray,
    settings: InferenceSettings,
) -> dict[str, pd.DataFrame]:
    """Return estimates, pairs, subjects and ceilings of one region.

    `labels` has one row per model, with ``model`` and further columns of the estimates; `p_permutation` is
    (n_models,), `values` (n_models, n_subjects).
    """
    rng = make_rng(settings.seed, "maxima", region.roi)
    names = labels["model"].tolist()
    estimates = pd.DataFrame(
        {
            **labels,
            "comparison": settings.comparison,
            "p_permutation": p_permutation,
            "n_stimuli": region.rdms.n_stimuli,
            "roi": region.roi,
            **tests.describe_models(rng),
            "n_subjects": region.n_subjects,
        }
    )
    ceilings = pd.DataFrame([{"roi": region.roi, **tests.describe_ceilings()}])
    if not has_ceiling_test(region, settings):
        estimates[[name for name in estimates.columns.tolist() if name.startswith("p_ceiling")]] = np.nan
        ceilings[["lower_low", "lower_high", "p_value"]] = np.nan
    subjects = pd.DataFrame(
        {
            "roi": region.roi,
            "model": np.repeat(names, region.n_subjects),
            "subject": np.tile(region.subjects, len(names)),
            "value": values.ravel(),
        }
    )
    return {
        "estimates": estimates,
        "pairwise": pd.DataFrame({"roi": region.roi, **tests.describe_pairs(names, rng)}),
        "subjects": subjects,
        "ceilings": ceilings,
    }
