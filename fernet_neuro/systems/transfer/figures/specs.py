"""The figures of the transfer experiment: what each is called and made from."""

from fernet_neuro.figures.spec import place_figure

_HERE = "fernet_neuro.systems.transfer.figures"
BARS = place_figure(
    f"{_HERE}.bars",
    "transfer",
    "transfer-bars",
    "Identity to expression, and back: one layer of every network, and the published values",
    tuple(
        f"probes/*/{target}/{file}"
        for target in ("expression", "identity")
        for file in ("summary.json", "results.csv")
    ),
)
DIETS = place_figure(
    f"{_HERE}.diets",
    "diets",
    "diets",
    "Which identity networks keep expression: what people showed while the networks learned them",
    ("readouts.csv",),
)
ARCHITECTURE = place_figure(
    f"{_HERE}.architecture", "architecture", "architecture", "The poster's two networks"
)
