"""Which device a name means here: one rule for every command and function.

What belongs here: only the choice; moving tensors is up to those who own them.
"""

import torch


def pick_device(device: str) -> torch.device:
    """Return the device that `device` names, after checking that it is there.

    Parameters
    ----------
    device : str
        ``"cpu"``; ``"cuda"`` (the current GPU); ``"cuda:1"`` (the second one); ``"mps"``, or any other
        accelerator by its name in torch; ``"auto"``: the accelerator that torch finds, otherwise the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If the name means nothing, or the device is not there.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device == "auto":
        return torch.device("cpu" if here is None else here.type)
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device={device!r} is not known; use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'."
        ) from None
    if found.type == "cpu":
        return torch.device("cpu")
    count = torch.accelerator.device_count() if here is not None and found.type == here.type else 0
    if (found.index or 0) >= count:
        raise ValueError(
            f"device={device!r} is not available here; {_describe_accelerators(here)}; use 'auto' or 'cpu'."
        )
    return found


def _describe_accelerators(here: torch.device | None) -> str:
    """Return what torch finds beside the CPU, in words."""
    if here is None:
        return "torch finds no accelerator"
    count = torch.accelerator.device_count()
    first = f"'{here.type}:0'" if count > 1 else f"{here.type!r}"
    return f"torch finds {first}" + (f" to '{here.type}:{count - 1}'" if count > 1 else "")


def list_devices() -> list[str]:
    """Return the devices that are here, in words; the CPU first.

    Examples
    --------
    >>> list_devices()[0]
    'cpu'
    """
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if here is None:
        return ["cpu"]
    places = [f"{here.type}:{number}" for number in range(torch.accelerator.device_count())]
    if here.type == "cuda":
        places = [f"{place} ({torch.cuda.get_device_name(place)})" for place in places]
    return ["cpu", *places]
