"""What the lab's system brings."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="lab",
    title="expressions around trainable centres",
    paper="Wen et al. (2016), A discriminative feature learning approach for deep face recognition, ECCV",
    licence="BSD-3-Clause",
    networks={"lab-net": "lab_system.training:LAB_NET"},
    tasks={"lab-expression": "lab_system.training:LAB_EXPRESSION"},
    figures={"lab-arms": "lab_system.figure:SPEC"},
    sections={"lab-spread": "lab_system.figure:show_spread"},
    recipes="lab_system",
)
