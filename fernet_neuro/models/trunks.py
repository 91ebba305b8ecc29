"""Trained weights for the trunk of a larger network.

What belongs here: taking a trunk out of what was saved, whatever stood around it, without its classifier.
"""

from pathlib import Path

from torch import Tensor, nn

from fernet_neuro._utils.shipped import find_trained
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing, list_differences
from fernet_neuro.models.weights import check_state, load_model, read_state_dict


def load_trunk(
    model: LayeredModel,
    trunk: nn.Module,
    source: str,
    *,
    part: str = "trunk",
    places: tuple[str, ...] = ("trunk.",),
) -> LayeredModel:
    """Put trained weights into a part of a network, and return the network with a card that says so.

    Parameters
    ----------
    model : LayeredModel
        Has `trunk` in it, which is changed, all of it or, on an error, nothing.
    trunk : nn.Module
        A network less its classifier.
    source : str
        A run folder, a saved network's folder, a trained network of the package, or a weight file (see
        `weights.read_state_dict`).
    part : str
        What the card calls the trunk.
    places : tuple of str
        Where the trunk may lie in a larger network, as prefixes of names, the likeliest first.

    Raises
    ------
    ValueError
        If `source` is neither folder nor file, or a saved network prepares its images differently (their size
        may differ).
    StoreError
        If the source cannot be read or its weights do not fit; the message names the first that do not.
    """
    training_data, place = "see source", Path(find_trained(source) or source)
    if place.is_dir():
        saved = load_model(place)
        _check_source(source, saved.card.preprocessing, model.card.preprocessing)
        state, training_data = saved.module.state_dict(), saved.card.training_data
    elif place.is_file():
        state = read_state_dict(place)
    else:
        raise ValueError(f"there is no run, saved network or weight file {source} to take a trunk from.")
    state = _select_trunk(trunk, places, state)
    check_state(trunk, state, source)
    trunk.load_state_dict(state, strict=False)
    card = model.card
    return model.with_card(
        source=f"{card.source}; {part}: {place.resolve().name}",
        training_data=f"{card.training_data}; {part}: {training_data}",
    )


def _check_source(source: str, saved: Preprocessing, own: Preprocessing) -> None:
    differences = list_differences(saved, own, but=("size", "resize"))
    if differences:
        raise ValueError(
            f"the network in {source} prepares images otherwise than this one: {differences}; "
            f"its weights would see the wrong input."
        )


def _select_trunk(trunk: nn.Module, places: tuple[str, ...], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` less the prefix of a larger network around the trunk, and less its classifier."""
    own = trunk.state_dict()
    for prefix in places:
        inside = {name.removeprefix(prefix): item for name, item in state.items() if name.startswith(prefix)}
        if inside and not any(name.startswith(prefix) for name in own):
            state = inside
            break
    # Where a network had its classifier, a trunk has an identity.
    removed = {name for name, item in trunk.named_modules() if isinstance(item, nn.Identity)}
    return {name: item for name, item in state.items() if name.rpartition(".")[0] not in removed}
