"""Reads folders of RSA results for figures: tables, RDMs as compared, and pictures of the stimuli.

What belongs here: where the folders lie and how their columns are read. No plots.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.activations.network import say_model
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.specs import RSA_FILES
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import read_part, read_settings, say_inference, say_words
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable

#: What comparisons are called on an axis; all are unitless.
COMPARISON_LABELS = {
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "kendall_tau_a": "Kendall's $\\tau_a$",
    "rho_a": "Rank correlation $\\rho_a$",
    "cosine": "Cosine similarity",
    "whitened_pearson": "Whitened correlation",
    "whitened_cosine": "Whitened cosine",
}
#: Columns that may name the network of a layer, in order of preference.
_NETWORK_COLUMNS = ("network", "source", "store")
#: Factors that order the stimuli, in order of preference.
_FACTORS = ("expression", "category", "identity", "view")
_PIXELS = 96
#: What the one region of files that name none is called.
NAMELESS = "brain"


def say_comparison(name: str) -> str:
    """Return what a comparison is called in a sentence.

    Examples
    --------
    >>> say_comparison("whitened_pearson"), say_comparison("rho_a")
    ('whitened correlation', 'rank correlation rho-a')
    """
    words = COMPARISON_LABELS[name].replace("$\\tau_a$", "tau-a").replace("$\\rho_a$", "rho-a")
    return words if words.startswith(("Pearson", "Spearman", "Kendall")) else words[0].lower() + words[1:]


@dataclass(frozen=True, eq=False)
class Analysis:
    """One folder of RSA results.

    Each table is read when it is first asked for, so that one that is damaged costs no figure that does not
    need it. `name`: the folder's name where there are several, else empty.
    """

    name: str
    folder: Path

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What was asked for."""
        return read_settings(self.folder)

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """One row per ROI and model."""
        return read_part(self.folder, "estimates")

    def read(self, table: str) -> pd.DataFrame:
        """Return another table of an `RSAResult`, by the attribute's name."""
        return read_part(self.folder, table)

    def select_roi(self, roi: str) -> pd.DataFrame:
        """Return the estimates of one ROI.

        Raises StoreError if there are none.
        """
        rows = self.estimates[self.estimates["roi"] == roi]
        if rows.empty:
            raise StoreError(
                f"{self.folder / 'results.csv'} has no rows of the region {roi!r}; make it again."
            )
        return rows

    @property
    def words(self) -> dict[str, str]:
        """The models as a reader is told of them, by their names."""
        return say_words(self.estimates)

    @property
    def level_percent(self) -> float:
        """The level of the intervals in %."""
        return 100 * float(self.settings.get("level", 0.95))

    def describe_intervals(self, *, of_shares: bool = False) -> str:
        """Return what the intervals are: level, method and what they generalise to.

        `of_shares`: of variance, whose intervals are by the bootstrap whatever those of estimates are by.
        """
        settings = self.settings
        over = {"both": "subjects and stimuli", "subjects": "subjects", "stimuli": "stimuli"}
        to = over.get(str(settings.get("generalise_to", "both")), str(settings.get("generalise_to")))
        is_drawn = of_shares or say_inference(self.settings) == "bootstrap"
        by = "a bootstrap" if is_drawn else "variance components"
        text = f"{self.level_percent:g} % intervals from {by} over {to}"
        if is_drawn and settings.get("n_bootstraps"):
            text += f" (N = {settings['n_bootstraps']})"
        if settings.get("over_seeds"):
            text += " and the spread of training seeds"
        return text + self._describe_blocks(is_drawn)

    def _describe_blocks(self, is_drawn: bool) -> str:
        """Return which stimuli vary together; nothing where each varies alone, or none does."""
        settings = self.settings
        n_blocks, column = settings.get("n_blocks"), settings.get("identity_blocks")
        if not n_blocks or settings.get("generalise_to") == "subjects":
            return ""
        how = "drawn as wholes" if is_drawn else "each of which varies as a whole"
        return f", stimuli in {n_blocks} blocks{f' ({column})' if column else ''}, {how}"


def find_folders(results: Path) -> list[Path]:
    """Return the folders of RSA results: `results` itself, ``rsa`` in it, or all folders in that.

    Raises StoreError if there is none.
    """
    for need in RSA_FILES:
        found = sorted(path.parent for path in Path(results).glob(need))
        if found:
            return found
    raise StoreError(
        f"{Path(results) / 'rsa' / 'ceilings.csv'} does not exist; make it with: "
        f"fernet-neuro rsa --models FILE --brain FILE --out {Path(results) / 'rsa'}"
    )


def read_analyses(results: Path) -> list[Analysis]:
    """Return the RSA results of a folder, not yet read; several are named by their folders.

    Raises StoreError if there is none.
    """
    folders = find_folders(results)
    return [Analysis(folder.name if len(folders) > 1 else "", folder) for folder in folders]


def has_layers(results: Path) -> bool:
    """Return whether a model of one of the RSAs is a layer of a network."""
    return any((read_estimates(item)["layer"] != "").any() for item in read_analyses(results))


def has_partition(results: Path) -> bool:
    """Return whether one of the RSAs has partitioned variance."""
    return any(len(item.read("partition")) for item in read_analyses(results))


def has_rdms(results: Path) -> bool:
    """Return whether the RDMs that were compared lie beside the results."""
    try:
        return any((folder / "brain.npz").is_file() for folder in find_folders(results))
    except StoreError:
        return False


def read_estimates(analysis: Analysis) -> pd.DataFrame:
    """Return the estimates with ``analysis``, ``network``, ``layer`` (or empty) and ``level_percent``.

    The network of a layer is a column of the models' table, else the folder's name.
    """
    return name_networks(analysis.estimates, analysis).assign(level_percent=analysis.level_percent)


def name_networks(frame: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Return `frame` with the columns ``analysis``, ``network`` and ``layer``."""
    found = next((column for column in _NETWORK_COLUMNS if column in frame), None)
    named = frame[found].astype(str) if found else pd.Series("", index=frame.index, dtype=object)
    layers = frame["layer"].astype(str) if "layer" in frame else pd.Series("", index=frame.index)
    layers = layers.where(~layers.isin(("nan", "None")), "")
    named = named.where(~named.isin(("nan", "None", "")), analysis.name or _name_source(analysis))
    return frame.assign(analysis=analysis.name, network=named, layer=layers)


def _name_source(analysis: Analysis) -> str:
    """Return the name of the one store or file that the models come from."""
    sources = analysis.settings.get("model_sources")
    return Path(str(sources[0])).stem if isinstance(sources, list) and len(sources) == 1 else "network"


def list_panels(rows: pd.DataFrame) -> str:
    """Return what each panel shows, for a caption: "(a) FFA; (b) pSTS", with the analysis if it is named."""
    return "; ".join(
        f"({row.panel}) {row.roi}" + (f", {row.analysis}" if row.analysis else "")
        for row in iterate_rows(rows.drop_duplicates("panel"))
    )


def read_rdms(analysis: Analysis) -> tuple[RDMSet, RDMSet]:
    """Return the brain's RDMs and the models' as they were compared.

    Raises StoreError if they are not there.
    """
    for name in ("brain.npz", "models.npz"):
        if not (analysis.folder / name).is_file():
            raise StoreError(
                f"{analysis.folder / name} does not exist; make it with: "
                f"fernet-neuro rsa --models FILE --brain FILE --out {analysis.folder}"
            )
    return RDMSet.load(analysis.folder / "brain.npz"), RDMSet.load(analysis.folder / "models.npz")


def name_rois(brain: RDMSet) -> RDMSet:
    """Return the RDMs with a column ``roi``: empty, as in the results, where the region has no name."""
    if "roi" in brain.table:
        return brain
    return replace(brain, table=brain.table.assign(roi=""))


def average_rois(brain: RDMSet) -> RDMSet:
    """Return the mean RDM of each ROI over subjects and sessions, first within each subject."""
    rows = name_rois(brain)
    within = rows.mean(by=["roi", "subject"]) if "subject" in rows.table else rows
    return within.mean(by="roi")


class NamedRDM(NamedTuple):
    """One RDM: its name for commands and as it is shown, and its kind, ``brain`` or ``model``."""

    name: str
    shown: str
    kind: str
    rdms: RDMSet


def list_rdms(results: Path) -> tuple[pd.DataFrame, list[NamedRDM], int]:
    """Return the stimuli in the order that is drawn, and each RDM with its name and kind.

    First comes the mean of each ROI (``brain``), then models without layers and then layers (``model``); of
    several analyses, models of the same stimuli, those of one name once.

    Returns `order`: as `order_stimuli` has it. `named`: one RDM each. `n_averaged`: RDMs in the mean of a
    ROI.
    """
    first, *others = read_analyses(results)
    brain, _ = read_rdms(first)
    order = order_stimuli(read_stimuli(first, brain.stimulus_ids), brain.stimulus_ids)
    ids = order["stimulus_id"].tolist()
    means = average_rois(brain).align_to(ids)
    rois = [str(roi) or NAMELESS for roi in means.table["roi"]]
    named = [NamedRDM(roi, roi, "brain", means.take([at])) for at, roi in enumerate(rois)]
    found: dict[str, tuple[str, RDMSet]] = {}
    for analysis in (first, *others):
        models = read_rdms(analysis)[1]
        if set(models.stimulus_ids.tolist()) == set(ids):
            layers = name_networks(models.table, analysis)["layer"]
            for at, name in enumerate(models.names):
                found.setdefault(name, (layers.iloc[at], models.align_to(ids).take([at])))
    ranked = sorted(found.items(), key=lambda item: item[1][0] != "")
    named += [NamedRDM(name, say_model(name, layer), "model", rdms) for name, (layer, rdms) in ranked]
    return order, named, brain.n_rdms // means.n_rdms


def read_stimuli(analysis: Analysis, stimulus_ids: np.ndarray) -> StimulusTable | None:
    """Return the stimuli in the order of `stimulus_ids`, or None where the folder does not know them.

    Raises AlignmentError if ``stimuli.csv`` is of other stimuli.
    """
    path = analysis.folder / "stimuli.csv"
    return StimulusTable.read(path, inside=False).align_to(stimulus_ids) if path.is_file() else None


def choose_factor(table: StimulusTable | None) -> str:
    """Return the factor by which stimuli are ordered: the first of a list with two labels or more, or none.

    A factor with one stimulus per label orders nothing.
    """
    if table is None:
        return ""
    for name in _FACTORS:
        if name in table.frame:
            labels = table.frame[name].astype(str)
            if 1 < labels.nunique() < len(labels) and not (labels == "").any():
                return name
    return ""


def order_stimuli(table: StimulusTable | None, stimulus_ids: np.ndarray) -> pd.DataFrame:
    """Return ``stimulus_id``, ``label`` (of the factor that orders them; else empty), ``factor`` and path.

    Stimuli are sorted by the factor's labels in order of appearance, otherwise as they were.
    """
    factor = choose_factor(table)
    frame = pd.DataFrame({"stimulus_id": stimulus_ids.astype(str)})
    frame["label"] = table.frame[factor].astype(str).to_numpy() if table is not None and factor else ""
    frame["path"] = [str(path) for path in table.paths()] if table is not None else ""
    frame["factor"] = factor
    rank = {label: at for at, label in enumerate(dict.fromkeys(frame["label"]))}
    order = np.argsort([rank[label] for label in frame["label"]], kind="stable")
    return frame.iloc[order].reset_index(drop=True)


def read_pictures(results: Path, stimulus_ids: set[str]) -> dict[str, np.ndarray]:
    """Return small pictures by stimulus id, of those whose files are there and whose table is known.

    Raises StimulusError if a file is there and is not a picture.
    """
    found = {}
    for folder in find_folders(results):
        path = folder / "stimuli.csv"
        if not path.is_file():
            continue
        table = StimulusTable.read(path, inside=False)
        for stimulus_id, picture in zip(table.stimulus_ids.tolist(), table.paths(), strict=True):
            if stimulus_id in stimulus_ids and stimulus_id not in found and picture.is_file():
                image = Image.fromarray(load_image(picture))
                image.thumbnail((_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
                found[stimulus_id] = np.asarray(image)
    return found
