"""`simulate_brain`: people who look at stimuli in the scanner, with known geometry.

What belongs here: what a simulation takes from the pictures; the simulation is in `fernet_neuro.brain`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fernet_neuro._utils.config import fill_settings
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.brain.simulation.dataset import SimulatedGroup, simulate_group
from fernet_neuro.brain.simulation.settings import SimulationSettings
from fernet_neuro.stimuli.table import read_stimuli
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from fernet_neuro.extraction.sources import Stimuli


def simulate_brain(
    stimuli: "Stimuli",
    out: PathLike,
    settings: SimulationSettings | Mapping[str, Any] | PathLike | None = None,
    *,
    n_jobs: int = 1,
    verbose: bool = False,
    overwrite: bool = False,
    **changes: Any,
) -> SimulatedGroup:
    """Simulate a group that looks at stimuli in the scanner; write the BIDS data set `out`, or nothing.

    Six regions tell the stimuli apart by known shares of their pixels, view, identity and expression, so that
    an analysis can be judged by what it recovers. What is planted is a premise, not a finding.

    Parameters
    ----------
    stimuli : StimulusTable, DataFrame or path
        Three or more.
    out : path
        Folder of the BIDS data set.
    settings : SimulationSettings, mapping or path, default=None
        None for the defaults; a path is of a YAML file.
    n_jobs : int, default=1
        People at a time; the files do not depend on it.
    verbose : bool, default=False
        Whether to show a progress bar.
    overwrite : bool, default=False
        Whether to replace a folder that is there and not empty.
    **changes
        Settings by name, such as ``subjects=12`` or ``snr=0.3``.

    Raises
    ------
    StimulusError, StoreError, ValueError
        As `simulate_group`.

    Examples
    --------
    >>> import tempfile
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     group = fn.simulate_brain(faces, f"{folder}/bids", subjects=1, runs=2, voxel_size=8)
    >>> group.shares["FFA"]
    {'identity': 0.8, 'pixels': 0.2}
    """
    recipe = fill_settings(SimulationSettings, settings, changes)
    table = read_stimuli(stimuli)
    is_named = any(region.shares.get("pixels") for region in recipe.regions.values())
    features = {"pixels": compute_pixels(table).values} if is_named and "pixels" not in table else {}
    return simulate_group(
        table, recipe, out, features=features, n_jobs=n_jobs, verbose=verbose, overwrite=overwrite
    )
