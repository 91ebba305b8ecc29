"""What the dual-pathway network (CRPN) brings: read by `catalogue`, imports nothing else."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="crpn",
    title="dual-pathway network with concept-regularised coding",
    paper="Lu, Zhuang & Luo (2024), A brain-inspired way of reducing the network complexity via "
    "concept-regularized coding for emotion recognition, AAAI",
    licence="BSD-3-Clause",
    networks={
        "crpn-conceptual": "fernet_neuro.systems.crpn.entries:CONCEPTUAL",
        "crpn-perceptual": "fernet_neuro.systems.crpn.entries:PERCEPTUAL",
    },
    tasks={
        "concepts": "fernet_neuro.systems.crpn.settings:CONCEPTS",
        "perception": "fernet_neuro.systems.crpn.settings:PERCEPTION",
        "identity-readout": "fernet_neuro.systems.crpn.settings:READOUT",
    },
    figures={
        "crpn-fig1": "fernet_neuro.systems.crpn.figures.specs:FIG1",
        "crpn-fig2": "fernet_neuro.systems.crpn.figures.specs:FIG2",
        "crpn-fig3": "fernet_neuro.systems.crpn.figures.specs:FIG3",
        "crpn-fig4": "fernet_neuro.systems.crpn.figures.specs:FIG4",
    },
    experiments={
        "crpn-fig2": "fernet_neuro.systems.crpn.features:EXPERIMENT",
        "crpn-fig3": "fernet_neuro.systems.crpn.styles:EXPERIMENT",
        "crpn-fig4": "fernet_neuro.systems.crpn.identity:EXPERIMENT",
    },
    sections={"pathways": "fernet_neuro.systems.crpn.page:show_pathways"},
)
