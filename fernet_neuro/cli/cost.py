"""``fernet-neuro cost``: parameters, multiply-adds and operations of a network, for one image."""

from pathlib import Path
from typing import Annotated

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import show


def show_cost(
    name: opt.Network,
    size: opt.Size = None,
    input: opt.Input = None,
    variant: Annotated[str | None, opt.text("A published form, where there are several.")] = None,
    n_classes: Annotated[int | None, opt.count("Number of outputs.", None, "--classes")] = None,
    settings: opt.Settings = [],
    as_json: opt.Json = False,
) -> None:
    """Count the parameters and the operations that one image takes in a network.

    params_used: weights that the output depends on; macs: multiply-adds of convolutions and linear layers;
    flops: two per multiply-add; flops_torchstat: the convention of many published tables, which also counts
    biases, batch normalisation and ReLU. "In use" leaves out what training alone needs.

    Examples
    --------
        fernet-neuro cost resnet18 --size 112
        fernet-neuro cost resnet50-vggface2 --json
        fernet-neuro cost densenet --classes 1503
        fernet-neuro cost lfnsb --set sb_mode=concat
        fernet-neuro cost e2n-swin_t
    """
    from fernet_neuro._utils.shipped import find_trained
    from fernet_neuro.activations.network import describe_network
    from fernet_neuro.models.cost import compute_cost
    from fernet_neuro.models.entry import MODELS
    from fernet_neuro.models.resolve import resolve_model

    given = {"variant": variant, "n_classes": n_classes, **opt.list_model_options(size, input, settings)}
    if Path(name).is_dir() or find_trained(name):  # saved: measured at any size, with options of its own
        given.pop("size", None)
    given = {key: value for key, value in given.items() if value is not None}
    model = resolve_model(name, **given)
    cost = compute_cost(model, size)
    in_use = MODELS[name].in_use if name in MODELS else {}
    if in_use:
        used = compute_cost(resolve_model(name, **given | in_use), size)
        cost |= {f"{key}_in_use": used[key] for key in ("params", "macs")}
    side = size or model.card.preprocessing.size
    about = describe_network(name, model.card.to_dict())
    cost["weights"] = about["weights"]
    named = ", ".join(filter(None, (str(cost["variant"]), about["weights"])))
    lines = [f"{cost['model']} ({named}), one image of {side} x {side} px"]
    lines += [
        f"  {key:<16}{cost[key]:>18,}"
        for key in (
            "params",
            "params_used",
            "macs",
            "flops",
            "flops_torchstat",
            "params_in_use",
            "macs_in_use",
        )
        if key in cost
    ]
    show(lines, as_json=as_json, values=cost)
