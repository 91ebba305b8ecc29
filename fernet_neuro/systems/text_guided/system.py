"""What text-guided recognition brings: read by `catalogue`, imports nothing else."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="text_guided",
    title="text-guided recognition with an emotional-to-neutral transformation",
    paper="Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024), "
    "arXiv:2409.08598, IEEE Transactions on Multimedia 2025",
    licence="BSD-3-Clause",
    networks={
        "e2n-resnet18": "fernet_neuro.systems.text_guided.networks:RESNET18",
        "e2n-swin_t": "fernet_neuro.systems.text_guided.networks:SWIN_T",
        "e2n-vit_b_16": "fernet_neuro.systems.text_guided.networks:VIT_B_16",
        "e2n-resnet10-slim": "fernet_neuro.systems.text_guided.networks:RESNET10_SLIM",
    },
    tasks={
        "text-guided": "fernet_neuro.systems.text_guided.settings:TEXT_GUIDED",
        "zero-shot": "fernet_neuro.systems.text_guided.settings:ZERO_SHOT",
    },
    figures={
        "text-guided-fig1": "fernet_neuro.systems.text_guided.figures.maps:FIG1",
        "text-guided-fig2": "fernet_neuro.systems.text_guided.figures.diagram:SPEC",
        "text-guided-fig3": "fernet_neuro.systems.text_guided.figures.maps:FIG3",
        "text-guided-fig4": "fernet_neuro.systems.text_guided.figures.arms:FIG4",
        "text-guided-fig5": "fernet_neuro.systems.text_guided.figures.arms:FIG5",
        "text-guided-zero-shot": "fernet_neuro.systems.text_guided.figures.zero_shot:SPEC",
    },
    sections={"texts": "fernet_neuro.systems.text_guided.page:show_guided"},
)
