"""A simulated group on disk: `simulate_group` draws people and scans them into a BIDS data set.

What belongs here: the loop over people and their files; the texts beside them are in `sidecars`.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_folder, check_empty
from fernet_neuro._utils.config import write_settings
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.shown import Shown, name_some
from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import check_range
from fernet_neuro.brain.images import write_image
from fernet_neuro.brain.simulation import sidecars
from fernet_neuro.brain.simulation.design import compute_responses, draw_design, make_events
from fernet_neuro.brain.simulation.geometry import PlantedGeometry, draw_patterns, plant_geometry
from fernet_neuro.brain.simulation.scanner import Volume, build_volume, scan_run
from fernet_neuro.brain.simulation.settings import SimulationSettings
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

#: NIfTI's code for the space of the MNI template.
_MNI = 4


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedGroup(Shown):
    """What was simulated.

    Parameters
    ----------
    folder : Path
        The BIDS data set.
    shares : dict of str to dict of str to float
        By region and factor, as planted.
    notices : tuple of str
        What differs from what was asked for.
    n_voxels : dict of str to int
        By region.
    n_scans : int
        Of each run.

    Examples
    --------
    >>> SimulatedGroup(Path("bids"), {"FFA": {"identity": 1.0}}, (), {"FFA": 33}, 120)
    SimulatedGroup: regions FFA, 120 scans a run, in bids
    """

    folder: Path
    shares: dict[str, dict[str, float]]
    notices: tuple[str, ...]
    n_voxels: dict[str, int]
    n_scans: int

    @property
    def frame(self) -> pd.DataFrame:
        """One row per region: its voxels and the planted share of each factor."""
        shares = pd.DataFrame(self.shares).T.fillna(0.0)
        shares.insert(0, "n_voxels", pd.Series(self.n_voxels))
        return shares.rename_axis("roi").reset_index()

    def describe(self) -> str:
        """Return which regions were planted, and where the data set lies."""
        return f"regions {name_some(self.shares, 6)}, {self.n_scans} scans a run, in {self.folder}"


@dataclass(frozen=True, eq=False)
class _Group:
    """What all people of a group share."""

    table: StimulusTable
    settings: SimulationSettings
    geometry: PlantedGeometry
    volume: Volume
    folder: Path


def simulate_group(
    table: StimulusTable,
    settings: SimulationSettings,
    out: PathLike,
    *,
    features: Mapping[str, np.ndarray] | None = None,
    n_jobs: int = 1,
    verbose: bool = False,
    overwrite: bool = False,
) -> SimulatedGroup:
    """Simulate a group that looks at stimuli in the scanner; write the BIDS data set `out`, or nothing.

    Every region's patterns have a known geometry (`geometry.plant_geometry`), which each person's voxels show
    in their own way, mixed with a geometry of the person's own. Volumes already lie in MNI space: no anatomy
    and no head motion is simulated. ``derivatives/rois`` holds the masks of the regions and of the brain,
    ``code`` the settings and the shares as planted. The same settings give the same files.

    Parameters
    ----------
    table : StimulusTable
        Three or more stimuli.
    settings : SimulationSettings
    out : path
    features : mapping from factor to ndarray of shape (n_stimuli, n_features)
        See `geometry.plant_geometry`.
    n_jobs : int
        Threads; the files do not depend on it.
    verbose : bool
        Show a progress bar.
    overwrite : bool
        Replace a folder that is there and not empty.

    Returns
    -------
    SimulatedGroup

    Raises
    ------
    StimulusError, AlignmentError
        If the stimuli cannot have that geometry.
    StoreError
        If `out` is a file, or a folder that is not empty and `overwrite` is off.
    ValueError
        If regions are empty or overlap.
    """
    check_range("n_jobs", n_jobs, 1)
    check_empty(out, overwrite)
    geometry = plant_geometry(table, settings, features)
    volume = build_volume(settings)
    with atomic_folder(out) as folder:
        group = _Group(table, settings, geometry, volume, folder)
        _write_masks(group)
        counts = list(_in_order(group, n_jobs, verbose))
        sidecars.write_texts(folder, settings, geometry, len(table), sidecars.find_labels(table))
        write_settings(settings, folder / sidecars.SETTINGS)
    n_voxels = {name: int(inside.sum()) for name, inside in volume.regions.items()}
    return SimulatedGroup(Path(out), geometry.shares, geometry.notices, n_voxels, counts[0])


def _in_order(group: _Group, n_jobs: int, verbose: bool) -> Iterator[int]:
    """Scan all people and yield how many volumes a run has."""
    numbers = range(1, group.settings.subjects + 1)
    # One thread per product, so that sums do not depend on how many people are scanned at once.
    with limit_threads(1), ThreadPoolExecutor(n_jobs) as pool:
        scanned = pool.map(lambda number: _scan_subject(group, number), numbers)
        yield from track(scanned, "people", total=len(numbers), verbose=verbose)


def _scan_subject(group: _Group, number: int) -> int:
    settings, volume = group.settings, group.volume
    patterns = {
        name: settings.response + settings.snr * draw_patterns(
            group.geometry.mix(name), int(inside.sum()), settings.individual,
            make_rng(settings.seed, "patterns", name, number),
        )
        for name, inside in volume.regions.items()
    }  # fmt: skip
    n_scans = 0
    for run in range(1, settings.runs + 1):
        design = draw_design(len(group.table), settings, make_rng(settings.seed, "design", number, run))
        responses = compute_responses(design, settings)
        signal = {name: responses @ values for name, values in patterns.items()}
        series = scan_run(volume, signal, settings, make_rng(settings.seed, "noise", number, run))
        stem = sidecars.name_run(settings, number, run)
        write_image(group.folder / f"{stem}_bold.nii.gz", _build_image(series, volume.affine, settings.t_r))
        events = make_events(design, group.table, settings)
        sidecars.write_tsv(group.folder / f"{stem}_events.tsv", events)
        n_scans = design.n_scans
    return n_scans


def _write_masks(group: _Group) -> None:
    """Write the regions once, and for each person the brain, which is in the same place in all."""
    place = group.folder / "derivatives" / "rois"
    brain = _build_image(group.volume.mask.astype(np.uint8), group.volume.affine)
    for number in range(1, group.settings.subjects + 1):
        write_image(place / f"{sidecars.name_brain_mask(group.settings, number)}.nii.gz", brain)
    for name, inside in group.volume.regions.items():
        image = _build_image(inside.astype(np.uint8), group.volume.affine)
        write_image(place / f"label-{name}_mask.nii.gz", image)


def _build_image(values: np.ndarray, affine: np.ndarray, t_r: float | None = None) -> "Nifti1Image":
    import nibabel

    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, _MNI)
    image.set_qform(affine, _MNI)
    image.header.set_xyzt_units("mm", None if t_r is None else "sec")
    if t_r is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
    return image
