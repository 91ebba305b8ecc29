"""What the lightweight network (LFNSB) brings: read by `catalogue`, imports nothing else."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="lfnsb",
    title="lightweight network with spatial bias, and its relatives",
    paper="Chen & Huang (2024), A lightweight model enhancing facial expression recognition with spatial "
    "bias and cosine-harmony loss",
    licence="BSD-3-Clause",
    networks={
        "mobilefacenet": "fernet_neuro.systems.lfnsb.entries:MOBILEFACENET_ENTRY",
        "mfn": "fernet_neuro.systems.lfnsb.entries:MFN_ENTRY",
        "ddamfn": "fernet_neuro.systems.lfnsb.entries:DDAMFN_ENTRY",
        "lfn": "fernet_neuro.systems.lfnsb.entries:LFN_ENTRY",
        "lfnsb": "fernet_neuro.systems.lfnsb.entries:LFNSB_ENTRY",
        "lfnsb-tiny": "fernet_neuro.systems.lfnsb.entries:LFNSB_TINY",
    },
    tasks={"lightweight": "fernet_neuro.systems.lfnsb.settings:LIGHTWEIGHT"},
    figures={
        "lfnsb-fig1": "fernet_neuro.systems.lfnsb.figures.specs:FIG1",
        "lfnsb-fig2": "fernet_neuro.systems.lfnsb.figures.specs:FIG2",
        "lfnsb-fig3": "fernet_neuro.systems.lfnsb.figures.specs:FIG3",
        "lfnsb-fig4": "fernet_neuro.systems.lfnsb.figures.specs:FIG4",
        "lfnsb-fig5": "fernet_neuro.systems.lfnsb.figures.specs:FIG5",
        "lfnsb-fig6": "fernet_neuro.systems.lfnsb.figures.specs:FIG6",
        "lfnsb-table1": "fernet_neuro.systems.lfnsb.figures.specs:TABLE1",
        "lfnsb-table2": "fernet_neuro.systems.lfnsb.figures.specs:TABLE2",
    },
    trained="fernet_neuro.systems.lfnsb",
)
