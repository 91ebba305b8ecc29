"""What the lightweight network (LFNSB) brings: read by `catalogue`, imports nothing else."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="lfnsb",
    title="lightweight network with spatial bias, and its relatives",
    paper="Chen & Huang (2024), A lightweight model enhancing facial expression recognition with spatial "
    "bias and cosine-harmony loss",
    licence="BSD-3-Clause",
    networks={
        "mobilefacenet": "fernet_neuro.systems.lfnsb.networks:MOBILEFACENET_ENTRY",
        "mfn": "fernet_neuro.systems.lfnsb.networks:MFN_ENTRY",
        "ddamfn": "fernet_neuro.systems.lfnsb.networks:DDAMFN_ENTRY",
        "lfn": "fernet_neuro.systems.lfnsb.networks:LFN_ENTRY",
        "lfnsb": "fernet_neuro.systems.lfnsb.networks:LFNSB_ENTRY",
        "lfnsb-tiny": "fernet_neuro.systems.lfnsb.networks:LFNSB_TINY",
    },
    tasks={"lightweight": "fernet_neuro.systems.lfnsb.settings:LIGHTWEIGHT"},
    figures={
        "lfnsb-fig1": "fernet_neuro.systems.lfnsb.figures.diagrams:FIG1",
        "lfnsb-fig2": "fernet_neuro.systems.lfnsb.figures.diagrams:FIG2",
        "lfnsb-fig3": "fernet_neuro.systems.lfnsb.figures.diagrams:FIG3",
        "lfnsb-fig4": "fernet_neuro.systems.lfnsb.figures.diagrams:FIG4",
        "lfnsb-fig5": "fernet_neuro.systems.lfnsb.figures.fig5:SPEC",
        "lfnsb-fig6": "fernet_neuro.systems.lfnsb.figures.fig6:SPEC",
        "lfnsb-table1": "fernet_neuro.systems.lfnsb.figures.tables:TABLE1",
        "lfnsb-table2": "fernet_neuro.systems.lfnsb.figures.tables:TABLE2",
    },
    trained="fernet_neuro.systems.lfnsb",
)
