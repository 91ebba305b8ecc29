"""Which device a name means here.

What belongs here: the choice alone; moving tensors is up to those who own them.
"""

import torch


def pick_device(device: str) -> str:
    """Return the torch device that `device` means; "auto" is an accelerator where there is one.

    Raises
    ------
    ValueError
        If the device is not there.
    """
    available = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device == "auto":
        return available.type if available is not None else "cpu"
    if device != "cpu" and (available is None or available.type != device):
        here = "'cpu'" if available is None else f"'cpu' or {available.type!r}"
        raise ValueError(f"device={device!r} is not available here; use 'auto', {here}.")
    return device
