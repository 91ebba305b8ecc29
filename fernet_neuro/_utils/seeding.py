"""Independent random streams from one seed and the names of what they are for."""

import zlib

import numpy as np


def make_rng(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator for the stream called `names` under `seed`.

    Streams of different names are independent, so adding one never changes the draws of another.

    Examples
    --------
    >>> bool(make_rng(0, "pose").random() == make_rng(0, "pose").random())
    True
    >>> bool(make_rng(0, "pose").random() == make_rng(0, "light").random())
    False
    """
    keys = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    # The count ends the key: NumPy pads keys with zeros, so ("pose",) and ("pose", 0) would be one stream.
    return np.random.default_rng(np.random.SeedSequence([seed, *keys, len(keys)]))
