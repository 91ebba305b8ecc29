"""Tests and intervals of models and noise ceilings of which it is known how they vary.

What belongs here: the columns that every inference reports; the arithmetic is in `random_effects`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from fernet_neuro.rsa.inference.random_effects import (
    Variation,
    compute_interval,
    compute_p_values,
    compute_t,
    load_contrasts,
)


@dataclass(frozen=True, eq=False)
class Estimates:
    """Values of models, then of the lower and of the upper noise ceiling, and how they vary.

    `values` (n_models + 2,). `level`: coverage of the intervals.
    """

    values: np.ndarray
    variation: Variation
    level: float

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.values) - 2

    def describe_models(self, rng: np.random.Generator) -> dict[str, np.ndarray | float | int]:
        """Return the columns of the estimates: tests against 0 and against the lower ceiling, one-sided.

        Both are also corrected over all models.
        """
        axes = np.eye(self.n_models + 2)
        contrasts = axes[: self.n_models]
        measured = found, errors, dof = self._measure(contrasts)
        low, high = compute_interval(found, errors, dof, self.level)
        gaps = axes[-2] - contrasts
        below = self._p_values(gaps, self._measure(gaps), rng.spawn(1)[0], two_sided=False)
        return {
            "estimate": found,
            "standard_error": errors,
            "low": low,
            "high": high,
            **self._p_values(contrasts, measured, rng, two_sided=False),
            **{f"p_ceiling{name.removeprefix('p').removesuffix('_value')}": p for name, p in below.items()},
            "noise_ceiling_lower": float(self.values[-2]),
            "noise_ceiling_upper": float(self.values[-1]),
            "dof": dof,
        }

    def describe_pairs(
        self, names: Sequence[str], rng: np.random.Generator
    ) -> dict[str, np.ndarray | list[str]]:
        """Return the columns of pairs of models: the first less the second, tested on two sides."""
        pairs = list(combinations(range(self.n_models), 2))
        axes = np.eye(self.n_models + 2)
        contrasts = np.array([axes[one] - axes[other] for one, other in pairs]).reshape(-1, len(axes))
        measured = found, errors, dof = self._measure(contrasts)
        low, high = compute_interval(found, errors, dof, self.level)
        return {
            "model_1": [names[one] for one, _ in pairs],
            "model_2": [names[other] for _, other in pairs],
            "difference": found,
            "standard_error": errors,
            "low": low,
            "high": high,
            **self._p_values(contrasts, measured, rng, two_sided=True),
        }

    def describe_ceilings(self) -> dict[str, float]:
        """Return the lower ceiling with its interval and test against 0, and the upper one."""
        lower, errors, dof = self._measure(np.eye(self.n_models + 2)[-2:-1])
        low, high = compute_interval(lower, errors, dof, self.level)
        return {
            "lower": float(self.values[-2]),
            "lower_low": float(low[0]),
            "lower_high": float(high[0]),
            "upper": float(self.values[-1]),
            "p_value": float(stats.t.sf(compute_t(lower, errors), dof)[0]),
        }

    def _measure(self, contrasts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return values, standard errors and their degrees of freedom, (n_contrasts,) each."""
        # Ceilings may be NaN where models are not.
        values = contrasts @ np.nan_to_num(self.values)
        return values, self.variation.compute_errors(contrasts), self.variation.compute_dof(contrasts)

    def _p_values(
        self,
        contrasts: np.ndarray,
        measured: tuple[np.ndarray, np.ndarray, np.ndarray],
        rng: np.random.Generator,
        *,
        two_sided: bool,
    ) -> dict[str, np.ndarray]:
        """Return the p values of contrasts, of what `_measure` says of them."""
        values, errors, dof = measured
        loadings = load_contrasts(self.variation.joint, contrasts)
        return compute_p_values(compute_t(values, errors), loadings, dof, rng, two_sided=two_sided)
