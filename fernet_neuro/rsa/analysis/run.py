"""RSA from what was read to a folder of results: fixed or fitted models, with all that a rerun needs.

What belongs here: the settings of an analysis, which engine answers them, and the folder; inputs are in
`inputs` and `models`, the calibration of the same pipeline in `calibration`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.shown import name_some
from fernet_neuro._utils.validation import check_option
from fernet_neuro.activations.network import hint_at_weights
from fernet_neuro.rsa.analysis.inputs import check_comparable
from fernet_neuro.rsa.compare import default_comparison, find_attainable
from fernet_neuro.rsa.inference.fitted import infer_flexible
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.layers import choose_layers, find_network_column
from fernet_neuro.rsa.inference.partition import infer_partition
from fernet_neuro.rsa.inference.regions import open_regions
from fernet_neuro.rsa.inference.seeds import infer_seeds
from fernet_neuro.rsa.inference.settings import InferenceSettings, settle
from fernet_neuro.rsa.models.flexible import MODEL_KINDS, FlexibleModel
from fernet_neuro.rsa.models.partition import MOST_MODELS
from fernet_neuro.rsa.rdms import NO_LABEL, RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.rsa.store_rdms import list_random
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

SUMMARY = "summary.json"
#: What a folder of results holds besides the tables of `RSAResult`.
MODELS, BRAIN, STIMULI = "models.npz", "brain.npz", "stimuli.csv"
_CEILINGS = "ceilings.csv"
#: Variance is measured in the space of a cosine; for ranks that allow for ties, in that of Spearman's ranks.
_PARTITION_SPACES = {"rho_a": "spearman", "kendall_tau_a": "spearman"}


#: Largest comparisons below these are listed, and warned of; of so many models at once.
_NEARLY_ONE, _HELD_BACK, _MOST_NAMED = 0.9995, 0.9, 5
#: Settings that change nothing in the results.
_NOT_KEPT = ("n_jobs", "verbose")


@dataclass(frozen=True)
class RSASettings(InferenceSettings):
    """How models and brains are compared, and what of the models.

    Parameters
    ----------
    fit : str, default="fixed"
        A name in ``rsa.models.MODEL_KINDS``. With another than ``fixed``, the RDMs of each source make one
        more model whose parameters are fitted, and all models are scored in the same folds.
    over_seeds : bool, default=False
        Whether RDMs of one ``model`` are training seeds (column ``seed``) of it, over which estimates are
        means and which every interval takes into account.
    comparison, generalise_to, n_bootstraps, n_permutations, n_assignments, blocks, level, engine, inference
        As in `InferenceSettings`, and so are ``seed``, ``n_jobs`` and ``verbose``.

    Raises
    ------
    ValueError
        If a setting is not known, or fits or seeds are to be done by rsatoolbox or together.
    """

    fit: str = "fixed"
    over_seeds: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("fit", self.fit, MODEL_KINDS)
        if self.fit != "fixed":
            self.check_own_engine(f"fit={self.fit!r}")
        if self.over_seeds and (self.fit, self.engine) != ("fixed", "own"):
            raise ValueError("training seeds are for fixed models and engine='own'.")

    @property
    def is_closed(self) -> bool:
        """Whether variance components may be used and have a closed form; not of fitted models."""
        return super().is_closed and self.fit == "fixed"

    def to_summary(self) -> dict[str, Any]:
        """Return what the results depend on as plain values."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_KEPT}

    @classmethod
    def from_summary(cls, settings: dict[str, Any]) -> "RSASettings":
        """Return the settings that a summary holds among others; those of older versions are by bootstrap."""
        known = {"inference": "bootstrap", **settings}
        return cls(**{item.name: known[item.name] for item in fields(cls) if item.name in known})


@dataclass(frozen=True, eq=False)
class RSAFolder:
    """The results of an analysis with all that it compared.

    Parameters
    ----------
    result : RSAResult
    models, brain : RDMSet
        As compared: aligned, one row per model, and per region, subject and session.
    stimuli : StimulusTable or None
    """

    result: RSAResult
    models: RDMSet
    brain: RDMSet
    stimuli: StimulusTable | None = None

    @property
    def settings(self) -> RSASettings:
        """How models and brains were compared."""
        return RSASettings.from_summary(self.result.settings)

    def claim(self, out: PathLike) -> Path:
        """Make the folder `out` known for an RSA's, wherever writing is interrupted."""
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SUMMARY).unlink(missing_ok=True)
        (folder / _CEILINGS).touch()
        return folder

    def save(self, out: PathLike) -> Path:
        """Write all into the folder `out`, the summary last: where it lies, the folder is whole."""
        folder = self.claim(out)
        self.models.save(folder / MODELS)
        self.brain.save(folder / BRAIN)
        if self.stimuli is None:
            (folder / STIMULI).unlink(missing_ok=True)
        else:
            self.stimuli.write(folder / STIMULI, inside=False)
        return self.result.save(folder)

    @classmethod
    def load(cls, out: PathLike) -> "RSAFolder":
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        folder = Path(out)
        result = RSAResult.load(folder)
        models, brain = RDMSet.load(folder / MODELS), RDMSet.load(folder / BRAIN)
        place = folder / STIMULI
        table = StimulusTable.read(place, inside=False) if place.is_file() else None
        return cls(result, models, brain, table)


def run_rsa(
    models: RDMSet,
    brain: RDMSet,
    settings: RSASettings | None = None,
    *,
    partition: Sequence[str] = (),
    notes: dict[str, Any] | None = None,
    **changes: Any,
) -> RSAResult:
    """Compare models with brains, and infer.

    Parameters
    ----------
    models : RDMSet
        With unique names.
    brain : RDMSet
        With a column ``subject``; of the same stimuli in the same order.
    settings : RSASettings or None
        None for the defaults; the comparison is then ``whitened_pearson`` for crossnobis distances.
    partition : sequence of str, default=()
        Names of models between which explained variance is split.
    notes : dict or None
        Plain values to keep beside the settings, such as where the inputs come from.
    **changes
        Single settings by their names, such as ``blocks=identities`` or ``n_jobs=4``.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If an RDM is constant, a region has too few subjects for what is asked, or an option is not known.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids = np.array([f"face{row}" for row in range(9)])
    >>> models = RDMSet(rng.uniform(size=(2, 36)), ids, pd.DataFrame({"model": ["shape", "other"]}))
    >>> noisy = models.dissimilarities[0] + 0.2 * rng.normal(size=(5, 36))
    >>> brain = RDMSet(noisy, ids, pd.DataFrame({"subject": list("abcde")}))
    >>> result = run_rsa(models, brain, comparison="pearson", n_bootstraps=50, partition=["shape", "other"])
    >>> result.partition["models"].tolist()
    ['shape', 'other', 'shape & other', 'shape + other']
    """
    chosen = settle(settings, changes, RSASettings(default_comparison(brain)))
    _check_partition(partition, models, chosen)
    drawn = replace(chosen, inference="bootstrap")  # what peaks and shares are by, which needs more stimuli
    if partition:
        open_regions(models, brain, drawn)
    result = infer_models(models, brain, chosen)
    described = {**result.settings, **chosen.to_summary(), "partition": list(partition), **(notes or {})}
    described["attainable"] = list_attainable(models, chosen.comparison)
    described["random_weights"] = list_random(models)
    described["notes"] = [
        *result.settings.get("notes", []), *_note_random(described), *_note_attainable(described)
    ]  # fmt: skip
    more: dict[str, pd.DataFrame] = {}
    layers = select_layers(models)
    if result.settings["used_inference"] == "components" and (layers is not None or partition):
        described["notes"].append("intervals of peaks and of shares of variance are by the bootstrap.")
    if layers is not None:
        more |= _find_peaks(layers, brain, drawn, described["notes"])
    if partition:
        parts = models.take([models.names.index(name) for name in partition])
        space = _PARTITION_SPACES.get(chosen.comparison, chosen.comparison)
        described["partition_comparison"] = space
        more["partition"] = infer_partition(parts, brain, drawn, comparison=space)
    return replace(result, settings=described, **more)


def _check_partition(partition: Sequence[str], models: RDMSet, settings: RSASettings) -> None:
    if partition and settings.over_seeds:
        raise ValueError("shares of variance are of single models, not of means over training seeds.")
    for name in partition:
        check_option("partition", name, models.names)
    if partition and not 2 <= len(set(partition)) <= MOST_MODELS:
        raise ValueError(
            f"variance is split between 2 to {MOST_MODELS} different models (--partition MODEL --partition "
            f"MODEL); got {len(set(partition))}: {', '.join(dict.fromkeys(partition))}."
        )


def list_attainable(models: RDMSet, comparison: str) -> dict[str, float]:
    """Return the largest comparison that each model can reach, of those whose ties keep it below 1."""
    found = find_attainable(models.dissimilarities, comparison)
    return {name: float(at) for name, at in zip(models.names, found, strict=True) if at < _NEARLY_ONE}


def _note_attainable(settings: dict[str, Any]) -> list[str]:
    """Return a note on models that ties keep from the noise ceiling, if there are any."""
    low = {name: at for name, at in settings["attainable"].items() if at < _HELD_BACK}
    if not low:
        return []
    named = ", ".join(f"{name} {at:.3f}" for name, at in list(low.items())[:_MOST_NAMED])
    more = f" and {len(low) - _MOST_NAMED} more" if len(low) > _MOST_NAMED else ""
    return [
        f"ties keep {settings['comparison']} from 1 however true a model is: at most {named}{more}. The "
        f"noise ceiling does not know that, so p (ceiling) and pairs of these models may say only that they "
        f"have ties; whitened_pearson has no such limit."
    ]


def _note_random(settings: dict[str, Any]) -> list[str]:
    """Return a note on models that are layers of networks with random weights, if there are any."""
    names = settings["random_weights"]
    return [f"{name_some(names)}: {hint_at_weights('')}"] if names else []


def infer_models(models: RDMSet, brain: RDMSet, settings: RSASettings) -> RSAResult:
    """Return estimates, ceilings and all tests: what `run_rsa` does but for peaks and shares of variance."""
    check_comparable(models, brain, settings.comparison)
    if settings.over_seeds:
        return infer_seeds(models, brain, settings, by=["model"])
    if settings.fit == "fixed":
        return infer_rsa(models, brain, settings)
    return infer_flexible(group_models(models, settings.fit), brain, settings)


def select_layers(models: RDMSet) -> RDMSet | None:
    """Return the models that are layers of networks with two or more of them; None where there are none."""
    if "layer" not in models.table:
        return None
    is_layer = ~models.table["layer"].isin(NO_LABEL).to_numpy()
    networks = models.rows_by(find_network_column(models)).values()
    found = [rows[is_layer[rows]] for rows in networks]
    kept = [rows for rows in found if len(models.table["layer"].iloc[rows].unique()) > 1]
    return models.take(np.sort(np.concatenate(kept))) if kept else None


def group_models(models: RDMSet, fit: str) -> dict[str, FlexibleModel]:
    """Return each RDM as a fixed model, and those of each source together as one model of kind `fit`.

    Examples
    --------
    >>> rdms = RDMSet(np.array([[1.0, 2, 4], [0, 1, 0]]), np.array(["a", "b", "c"]))
    >>> list(group_models(rdms, "weighted"))
    ['RDM 0', 'RDM 1', 'weighted']
    """
    groups = {name: FlexibleModel(models.take([row])) for row, name in enumerate(models.names)}
    if fit == "fixed":
        return groups
    sources = models.table["source"].tolist() if "source" in models.table else [""] * models.n_rdms
    for source in dict.fromkeys(sources):
        rows = [row for row, name in enumerate(sources) if name == source]
        if len(rows) > 1:
            groups[f"{source} ({fit})" if source else fit] = FlexibleModel(models.take(rows), fit)
    if len(groups) == models.n_rdms:
        raise ValueError(f"fit={fit!r} needs a source with two or more RDMs; each has one.")
    return groups


def is_rsa(folder: Path) -> bool:
    """Return whether a folder holds an RSA, whole or interrupted."""
    try:
        return read_json(folder / SUMMARY)["kind"] == "rsa"
    except FileNotFoundError:
        # Writing was interrupted: the summary comes last, and no other analysis has this table.
        return (folder / _CEILINGS).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _find_peaks(
    layers: RDMSet, brain: RDMSet, settings: RSASettings, notes: list[str]
) -> dict[str, pd.DataFrame]:
    """Return the table of peaks, or none and a note that says why."""
    try:
        open_regions(layers, brain, settings)
        found = choose_layers(layers, brain, settings)
    except ValueError as error:
        notes.append(f"no interval for the peak layer: {error}")
        return {}
    if found.peaks["nested_score"].isna().any():
        notes.append("stimuli, or blocks of them, are too few for the score of a layer chosen on other ones.")
    return {"peaks": found.peaks}
