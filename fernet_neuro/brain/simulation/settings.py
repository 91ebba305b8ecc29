"""What a simulated group is: its regions and their geometry, the task, the scanner and its noise.

What belongs here: settings and their checks; what they mean is in the modules beside this one.
"""

import re

from pydantic import Field, field_validator, model_validator

from fernet_neuro._utils.config import Settings

#: By how much shares may add up to something else than 1.
_ROUNDING = 1e-6


class RegionSettings(Settings):
    """One region: where it lies, and what shares of its geometry come from which factor.

    Parameters
    ----------
    centre : tuple of float
        x, y, z, mm in MNI space.
    radius : float
        Of the sphere, mm.
    shares : dict of str to float
        By factor: a column of the stimulus table, or features given beside it, such as ``pixels``. They add
        up to 1; factors that are not named have a share of 0.
    """

    centre: tuple[float, float, float]
    radius: float = Field(10.0, gt=0)
    shares: dict[str, float] = Field(min_length=1)

    @field_validator("shares")
    @classmethod
    def _check_shares(cls, shares: dict[str, float]) -> dict[str, float]:
        negative = [name for name, share in shares.items() if not share >= 0]
        if negative:
            raise ValueError(f"the share of {negative[0]!r} is {shares[negative[0]]}; it must be 0 or more")
        if abs(sum(shares.values()) - 1) > _ROUNDING:
            raise ValueError(f"shares must add up to 1; they add up to {sum(shares.values()):g}")
        return shares


def default_regions() -> dict[str, RegionSettings]:
    """Return regions of the right hemisphere's face network, from early visual cortex to the amygdala.

    Centres are round numbers within the range that group studies of the core and extended network report;
    shares follow its division of labour [1]_: invariant features in the ventral stream, changeable ones in
    the superior temporal sulcus, emotion in the amygdala. They are a premise of the simulation, no finding.

    References
    ----------
    .. [1] Haxby, Hoffman & Gobbini (2000), The distributed human neural system for face perception, Trends in
       Cognitive Sciences 4(6).
    """
    regions = {
        "EVC": ((10, -92, 0), 12, {"pixels": 0.8, "view": 0.2}),
        "OFA": ((40, -78, -10), 10, {"pixels": 0.4, "view": 0.2, "identity": 0.4}),
        "FFA": ((42, -52, -20), 10, {"identity": 0.8, "pixels": 0.2}),
        "pSTS": ((52, -46, 8), 10, {"expression": 0.7, "view": 0.3}),
        "aSTS": ((54, -8, -16), 10, {"expression": 0.8, "identity": 0.2}),
        "amygdala": ((20, -4, -18), 10, {"expression": 1.0}),
    }
    return {
        name: RegionSettings(centre=centre, radius=radius, shares=shares)
        for name, (centre, radius, shares) in regions.items()
    }


class SimulationSettings(Settings):
    """A simulated group.

    Parameters
    ----------
    subjects, runs : int
        People, and runs of each; every run shows every stimulus once.
    regions : dict of str to RegionSettings
        By name (letters and digits).
    snr : float
        Standard deviation over stimuli of a voxel's responses (at their peak), in standard deviations of its
        noise over time.
    individual : float
        Share of the variance of response patterns whose geometry is a person's own, in [0, 1); the regions'
        shares divide the rest.
    response : float
        Mean response to a stimulus in all voxels of all regions, in standard deviations of the noise.
    duration : float
        Of each stimulus, seconds.
    gap : tuple of float
        Shortest and longest time between two stimuli, seconds; spread evenly between them.
    t_r : float
        Repetition time, seconds.
    voxel_size : float
        Edge of the voxels, mm.
    noise : float
        Standard deviation of the noise over time, per cent of the mean signal.
    autocorrelation : float
        Correlation of the noise of one volume with that of the next (first-order autoregressive), in [0, 1).
    smoothness : float
        Full width at half maximum of the noise in space, mm.
    drift : float
        Standard deviation of slow drifts (below 0.01 Hz), in standard deviations of the noise.
    task : str
        Its BIDS label.
    seed : int
    """

    subjects: int = Field(12, ge=1, le=999)
    runs: int = Field(6, ge=2, le=99)
    regions: dict[str, RegionSettings] = Field(default_factory=default_regions, min_length=1)
    snr: float = Field(0.5, ge=0)
    individual: float = Field(0.2, ge=0, lt=1)
    response: float = 1.0
    duration: float = Field(1.0, gt=0)
    gap: tuple[float, float] = (2.0, 4.0)
    t_r: float = Field(2.0, gt=0)
    voxel_size: float = Field(4.0, gt=0)
    noise: float = Field(1.0, gt=0, le=10)
    autocorrelation: float = Field(0.3, ge=0, lt=1)
    smoothness: float = Field(5.0, ge=0)
    drift: float = Field(1.0, ge=0)
    task: str = Field("faces", pattern="^[a-zA-Z0-9]+$")
    seed: int = Field(0, ge=0)

    @field_validator("regions")
    @classmethod
    def _check_names(cls, regions: dict[str, RegionSettings]) -> dict[str, RegionSettings]:
        wrong = [name for name in regions if not re.fullmatch("[a-zA-Z0-9]+", name)]
        if wrong:
            raise ValueError(f"region {wrong[0]!r} must be of letters and digits, as in names of BIDS files")
        return regions

    @model_validator(mode="after")
    def _check_gap(self) -> "SimulationSettings":
        low, high = self.gap
        if not 0 <= low <= high:
            raise ValueError(
                f"gap must be the shortest and the longest, 0 or more; got {low:g} and {high:g}."
            )
        return self
