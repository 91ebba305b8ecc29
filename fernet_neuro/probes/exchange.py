"""What may be exchanged under the null: photographs that share a label, as one, inside a factor's values.

What belongs here: exchangeable units and labellings drawn from them; scoring the labellings is in `readout`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stats.resampling import permute_within
from fernet_neuro.stimuli.near_copies import find_clips
from fernet_neuro.stimuli.splits import Fold
from fernet_neuro.stimuli.table import StimulusTable

#: The other factor of a photograph's item: an identity with an expression, in whatever view and session.
_PARTNER = {"expression": "identity", "identity": "expression"}


@dataclass(frozen=True, eq=False)
class Exchange:
    """Units that keep one label, and the groups inside which units trade labels.

    `unit_of` (n_stimuli,): unit of each stimulus. `unit_labels` (n_units,): class of each unit. `unit_groups`
    (n_units,): group of each unit; labels never leave it. `within`: factor that the groups are the values of;
    None where all units trade. `units`: what a unit is, in words. `is_quantity`: whether labels are ranks of
    numbers, not names.
    """

    unit_of: np.ndarray
    unit_labels: np.ndarray
    unit_groups: np.ndarray
    within: str | None
    units: str
    is_quantity: bool = False

    def check(self) -> None:
        """Raise if no exchange can change a score.

        Raises StimulusError if no group holds two labels, or an exchange only renames the classes.
        """
        where = f"within {self.within}" if self.within else "freely"
        advice = "exchange within another factor (permute_within=FACTOR), or test nothing (n_permutations=0)"
        groups = [self.unit_labels[self.unit_groups == group] for group in np.unique(self.unit_groups)]
        if not any(len(set(labels.tolist())) > 1 for labels in groups):
            raise StimulusError(
                f"exchanging labels {where} changes nothing, for each group has one label; {advice}."
            )
        if not self.is_quantity and np.bincount(self.unit_labels).max() == 1:
            raise StimulusError(
                f"exchanging labels {where} only renames the classes, for each is one unit ({self.units}); "
                f"{advice}."
            )

    @property
    def _dtype(self) -> type[np.integer]:
        return np.int32 if self.is_quantity else np.int16

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n` labellings of the units, integers of shape (n, n_units)."""
        if n == 0:
            return np.empty((0, len(self.unit_labels)), dtype=self._dtype)
        return permute_within(self.unit_labels, self.unit_groups, rng, n).astype(self._dtype)


def plan_exchange(
    table: StimulusTable, target: str, holdout: str | None = None, permute_within: str | None = "auto"
) -> Exchange:
    """Return which labels of `target` may be exchanged when there is no effect.

    ======================= ==================== =========================================================
    target, held out        units with one label exchanged
    ======================= ==================== =========================================================
    expression, anything    identity x expression within identity
    identity, view          identity x view       within view
    identity, anything else identity x expression within expression (else session, else view)
    another factor          identity x value      within identity; freely if constant in each
    ======================= ==================== =========================================================

    A unit holds all near-duplicates (sessions, and views where they are not held out), so a read-out that
    only recognises a photograph's twin scores as high on the exchanged labels as on the true ones. Where the
    factor named here does not vary in the table, labels are exchanged freely between identities (expression)
    or single stimuli and clips (identity); the plan says so in `units` and `within`. "Freely" is inside each
    test part, once folds are known: see `keep_class_counts`.

    `table`: the stimuli. `target`: factor that is read out. `holdout`: what the folds hold out.
    `permute_within`: a factor: units are its values crossed with the target's, exchanged within it. None:
    units are photographs of one item, exchanged freely. Raises StimulusError if a factor that decides is
    missing or has empty rows, or a unit would hold several classes.
    """
    classes = table.factor(target).astype(str)
    within = _choose_within(table, target, holdout) if permute_within == "auto" else permute_within
    if within == target:
        raise StimulusError(f"permute_within={within!r} is the target itself; name another factor.")
    # Photographs of one person that "auto" finds no factor to exchange within have no item in common.
    is_free = permute_within == "auto" and target == "identity"
    partner = within or (None if is_free else _complete(table, _PARTNER.get(target, "identity")))
    if partner is None:
        unit_of, units = _cross_clips(table, classes)
    else:
        unit_of, units = _cross(table.factor(partner).astype(str), classes), f"{partner} x {target}"
    first = np.unique(unit_of, return_index=True)[1]
    labels = np.unique(classes, return_inverse=True)[1][first]
    groups = np.zeros(len(first), int) if within is None else _codes(table.factor(within).astype(str))[first]
    return Exchange(unit_of, labels, groups, within, units)


def plan_number_exchange(
    table: StimulusTable, codes: np.ndarray, permute_within: str | None = "auto"
) -> Exchange:
    """Return which numbers may be exchanged when there is no effect.

    A unit is all photographs of one person (frames of one clip, where nobody is known) with one number.
    Numbers are exchanged within identity where some person shows several, else freely: an age is one unit per
    person. With `permute_within` units are its values crossed with the numbers, exchanged within it; None
    exchanges freely.

    `codes` (n_stimuli,): rank of each stimulus's number. Raises StimulusError if a factor that decides is
    missing or has empty rows.
    """
    partner = _complete(table, "identity")
    within = permute_within
    if permute_within == "auto":
        people = None if partner is None else _codes(table.factor(partner).astype(str))
        varies = people is not None and len(np.unique(_cross(people, codes))) > people.max() + 1
        within = partner if varies else None
    partner = within or partner
    if partner is None:
        unit_of, units = _cross_clips(table, codes)
    else:
        unit_of, units = _cross(table.factor(partner).astype(str), codes), f"{partner} x number"
    first = np.unique(unit_of, return_index=True)[1]
    groups = np.zeros(len(first), int) if within is None else _codes(table.factor(within).astype(str))[first]
    return Exchange(unit_of, codes[first], groups, within, units, is_quantity=True)


def keep_class_counts(exchange: Exchange, folds: Sequence[Fold]) -> Exchange:
    """Return an exchange that leaves each test part as many units of each class as it has.

    Folds are drawn so that each shows all classes. Labels that left their fold would leave some without a
    class, as the true labels never do: such a null is too wide, and by chance too narrow. Given the folds,
    labellings with the counts of the true one are equally likely where there is no effect [1]_. Units that
    lie in the test parts of several folds, or of none, are exchanged as before.

    Parameters
    ----------
    exchange : Exchange
    folds : sequence of Fold
        The probe's own.

    References
    ----------
    .. [1] Lehmann, E. L. and Romano, J. P. (2005). Testing Statistical Hypotheses, 3rd ed., section 15.2.
       Springer.
    """
    times = np.zeros((len(folds), len(exchange.unit_labels)), dtype=bool)
    for number, fold in enumerate(folds):
        times[number, exchange.unit_of[fold.test]] = True
    if not (times.sum(axis=0) == 1).all():
        return exchange
    groups = _codes(exchange.unit_groups * len(folds) + times.argmax(axis=0))
    if groups.max() == exchange.unit_groups.max():
        return exchange  # groups lie in one fold each, as people do whose expressions are exchanged
    within = "fold" if exchange.within is None else f"{exchange.within} and fold"
    return replace(exchange, unit_groups=groups, within=within)


def plan_control_task(table: StimulusTable, target: str) -> Exchange | None:
    """Return the labellings of a control task [1]_: an arbitrary label per item, the same in all photographs.

    Items are identity x expression; their labels are exchanged within identity (expression) or within
    expression (identity), so that each person still shows each label as often as before. None where the table
    has no items with two labels to exchange.

    References
    ----------
    .. [1] Hewitt, J. and Liang, P. (2019). Designing and interpreting probes with control tasks.
       EMNLP-IJCNLP, 2733-2743.
    """
    partner = _complete(table, _PARTNER.get(target, "identity"))
    if partner is None:
        return None
    plan = plan_exchange(table, target, permute_within=partner)
    return plan if _varies(plan.unit_labels, plan.unit_groups) else None


def check_permute_within(table: StimulusTable, value: str | None) -> str | None:
    """Return `value` if it is ``"auto"``, None or a factor of the table.

    Raises ValueError if it is another name; the message suggests the closest.
    """
    return value if value in (None, "auto") else check_option("permute_within", value, table.frame.columns)


def _choose_within(table: StimulusTable, target: str, holdout: str | None) -> str | None:
    options = ("expression", "session", "view") if target == "identity" else ("identity",)
    if (target, holdout) == ("identity", "view"):
        options = ("view",)
    labels = _codes(table.factor(target).astype(str))
    for factor in options:
        if _complete(table, factor) and _varies(labels, _codes(table.factor(factor).astype(str))):
            return factor
    return None


def _varies(labels: np.ndarray, groups: np.ndarray) -> bool:
    """Return whether a group holds two labels and a label occurs in two groups."""
    pairs = np.unique(np.column_stack([labels, groups]), axis=0)
    return bool(np.bincount(pairs[:, 1]).max() > 1 and np.bincount(pairs[:, 0]).max() > 1)


def _complete(table: StimulusTable, factor: str) -> str | None:
    """Return `factor` if the table knows it; where some rows alone lack it, no other rule can stand in."""
    if factor not in table.frame or (table.factor(factor, complete=False).astype(str) == "").all():
        return None
    table.factor(factor)
    return factor


def _cross_clips(table: StimulusTable, classes: np.ndarray) -> tuple[np.ndarray, str]:
    """Return units of stimuli that have nothing in common but, at most, the clip that they are frames of."""
    clips = find_clips(table)
    has_clips = len(np.unique(clips)) < len(table)
    return _cross(clips, classes), "clip x value" if has_clips else "single stimuli"


def _codes(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1]


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return one number per pair of values that occurs."""
    codes = _codes(first)
    return _codes(codes * (int(_codes(second).max()) + 1) + _codes(second))


def plan_strata(table: StimulusTable, target: str) -> np.ndarray:
    """Return groups that an inner fold keeps whole where the outer folds cannot serve, shape (n_stimuli,).

    Identities where expression is read out, expressions where identity is; single stimuli and clips where the
    table knows no such factor.
    """
    partner = _complete(table, _PARTNER.get(target, "identity"))
    codes = find_clips(table) if partner is None else _codes(table.factor(partner).astype(str))
    return codes if codes.max() > 0 else np.arange(len(table))
