"""What text-guided recognition brings: read by `catalogue`, imports nothing else."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="text_guided",
    title="text-guided recognition with an emotional-to-neutral transformation",
    paper="Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024), "
    "arXiv:2409.08598, IEEE Transactions on Multimedia 2025",
    licence="BSD-3-Clause",
    networks={
        "e2n-resnet18": "fernet_neuro.systems.text_guided.entries:RESNET18",
        "e2n-swin_t": "fernet_neuro.systems.text_guided.entries:SWIN_T",
        "e2n-vit_b_16": "fernet_neuro.systems.text_guided.entries:VIT_B_16",
        "e2n-resnet10-slim": "fernet_neuro.systems.text_guided.entries:RESNET10_SLIM",
    },
    tasks={
        "text-guided": "fernet_neuro.systems.text_guided.settings:TEXT_GUIDED",
        "zero-shot": "fernet_neuro.systems.text_guided.settings:ZERO_SHOT",
    },
    figures={
        "text-guided-fig1": "fernet_neuro.systems.text_guided.figures.specs:FIG1",
        "text-guided-fig2": "fernet_neuro.systems.text_guided.figures.specs:FIG2",
        "text-guided-fig3": "fernet_neuro.systems.text_guided.figures.specs:FIG3",
        "text-guided-fig4": "fernet_neuro.systems.text_guided.figures.specs:FIG4",
        "text-guided-fig5": "fernet_neuro.systems.text_guided.figures.specs:FIG5",
        "text-guided-zero-shot": "fernet_neuro.systems.text_guided.figures.specs:ZERO_SHOT",
    },
    sections={"texts": "fernet_neuro.systems.text_guided.page:show_guided"},
)
