"""Tables 1 and 2 of the paper, as far as they are counts: what is printed beside what the networks have.

What belongs here: counting, which needs no training; Tables 2 to 9 with their accuracies are recipes.

References
----------
1. Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
   Cosine-Harmony loss. Preprints 115488.
"""

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fernet_neuro._utils.config import read_recipe
from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.registry import build_model, make_example
from fernet_neuro.systems.lfnsb.networks import LIGHT

#: Expansion factor, channels, repeats and stride of each row of Table 1 [1].
PRINTED = {
    "conv1": ("-", 64, 1, 2), "conv2_dw": ("-", 64, 1, 1), "conv_23": ("2", 64, 1, 2),
    "conv_3": ("2", 128, 9, 1), "conv_34": ("4", 128, 1, 2), "conv_4": ("2", 128, 16, 1),
    "conv_45": ("8", 256, 1, 2), "conv_5": ("2", 256, 6, 1), "conv6_sep": ("-", 256, 1, 1),
    "conv_6_dw": ("-", 256, 1, 1), "linear": ("-", 256, 1, 1),
}  # fmt: skip
#: By network of Table 2: which count is printed, in which unit, and what else is to be said.
_PRINTED_AS = {
    "mobilefacenet": ("params", 2**20, "weights in units of 2^20, FLOPs as torchstat counts"),
    "mfn": ("params_used", 2**20, "weights that are used, in units of 2^20, FLOPs as torchstat counts"),
    "lfnsb": ("params", 10**6, "weights in millions, unused ones too, FLOPs as no convention tried gives"),
}


def list_parts() -> pd.DataFrame:
    """Return Table 1: the parts of `lfn`, printed and as they are.

    Returns
    -------
    DataFrame
        ``part, kernels, expansion_printed, channels_printed, expansion`` (hidden channels over those of the
        input), ``channels, repeats, stride, params, macs`` (multiply-adds at 112 px).

    Examples
    --------
    >>> list_parts()["expansion"].tolist()[2:8]
    ['1.5', '1.5', '3', '1.5', '6', '1.336']
    """
    model = build_model("lfn")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.module(make_example(model.card.preprocessing))
    counts = counter.get_flop_counts()
    stages = {stage.name: stage for stage in LIGHT.stages}
    rows, n_in = [], LIGHT.n_stem
    for part, (expansion, channels, repeats, stride) in PRINTED.items():
        module, stage = model.module.get_submodule(part), stages.get(part)
        n_out = stage.n_out if stage else channels
        rows.append(
            {
                "part": part,
                "kernels": ", ".join(map(str, stage.kernels if stage else _list_kernels(module))),
                "expansion_printed": expansion,
                "channels_printed": channels,
                "expansion": f"{sum(stage.splits) / n_in:.4g}" if stage else "-",
                "channels": n_out,
                "repeats": repeats,
                "stride": stride,
                "params": sum(weight.numel() for weight in module.parameters()),
                "macs": sum(counts[f"LFN.{part}"].values()) // 2,
            }
        )
        n_in = n_out
    return pd.DataFrame(rows)


def _list_kernels(module: nn.Module) -> list[int]:
    return [part.kernel_size[0] for part in module.modules() if isinstance(part, nn.Conv2d)]


def compare_costs() -> pd.DataFrame:
    """Return Table 2: what is printed, and ours in one unit, for 7 expressions at 112 px.

    Returns
    -------
    DataFrame
        ``network, accuracy_printed`` (RAF-DB, %), ``params_printed, flops_printed`` (as text), ``params,
        params_used, macs, flops_torchstat, as_printed`` (weights in the unit printed), ``why``.

    Examples
    --------
    >>> compare_costs()[["params_printed", "params_used", "flops_torchstat"]].values.tolist()[1]
    ['3.973M', 4166063, 550740896]
    """
    published = read_recipe("lfnsb/table2")["published"]
    rows = []
    for name, (counted, unit, why) in _PRINTED_AS.items():
        cost = compute_cost(build_model(name))
        rows.append(
            {
                "network": name,
                "accuracy_printed": published[name]["RAF-DB"],
                "params_printed": published[name]["Parameters"],
                "flops_printed": published[name]["FLOPs"],
                **{key: cost[key] for key in ("params", "params_used", "macs", "flops_torchstat")},
                "as_printed": f"{int(cost[counted]) / unit:.3f}",
                "why": why,
            }
        )
    return pd.DataFrame(rows)
