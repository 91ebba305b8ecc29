"""What the transfer experiment brings: read by `catalogue`, imports nothing else."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="transfer",
    title="linear transfer between identity and expression",
    paper="Schwartz, O'Nell & Anzellotti (2020), Vision Sciences Society; "
    "Schwartz et al. (2023), Challenging the classical view, Brain Sciences",
    licence="BSD-3-Clause",
    networks={"densenet": "fernet_neuro.systems.transfer.entries:DENSENET"},
    figures={
        "transfer-bars": "fernet_neuro.systems.transfer.figures.specs:BARS",
        "diets": "fernet_neuro.systems.transfer.figures.specs:DIETS",
        "architecture": "fernet_neuro.systems.transfer.figures.specs:ARCHITECTURE",
    },
    experiments={
        "identity-to-expression": "fernet_neuro.systems.transfer.run:EXPERIMENT",
        "diets": "fernet_neuro.systems.transfer.diets.run:EXPERIMENT",
    },
)
