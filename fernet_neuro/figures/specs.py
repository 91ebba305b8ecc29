"""The figures that belong to no single system: what each is called and made from.

What belongs here: names, titles and files; how a figure is drawn is in the module that it names.
"""

from pathlib import Path

from fernet_neuro.catalogue import Later
from fernet_neuro.figures.spec import FigureSpec, place_figure

_HERE = "fernet_neuro.figures"
#: Where RSA results may lie in a folder of results; the file is one that only RSA writes.
RSA_FILES = ("ceilings.csv", "rsa/ceilings.csv", "rsa/*/ceilings.csv")
#: A group's searchlight results hold this file.
GROUP_MASK = "group/group_mask.nii.gz"
_PROBE = ("null.npz", "probe/null.npz")


def is_evaluation(results: Path) -> bool:
    """Return whether a folder holds what `evaluate` found; others have some of its files too."""
    return any((results / name).is_file() for name in ("metrics.csv", "calibration.csv"))


PROBE_LAYERS = place_figure(
    f"{_HERE}.probe",
    "layers",
    "probe-layers",
    "Read-out over layers",
    _PROBE,
    Later(f"{_HERE}.probe:is_probe"),
)
PROBE_CONFUSION = place_figure(
    f"{_HERE}.probe",
    "confusion",
    "probe-confusion",
    "Confusions of the read-out",
    _PROBE,
    Later(f"{_HERE}.probe:has_classes"),
)
PROBE_PREDICTIONS = place_figure(
    f"{_HERE}.probe",
    "predictions",
    "probe-predictions",
    "Predicted against true values of a quantity",
    ("predictions.csv", "probe/predictions.csv", "probe/*/predictions.csv"),
    Later(f"{_HERE}.probe:has_predictions"),
)
LAYER_PROFILE = place_figure(
    f"{_HERE}.layer_profile",
    "profile",
    "layer-profile",
    "Read-out of expression and identity over layers",
    ("probes/*/expression/summary.json", "probes/*/identity/summary.json"),
)
CONFUSION = place_figure(
    f"{_HERE}.confusion",
    "confusions",
    "confusion",
    "Confusions of the expression read-out",
    ("probes/*/expression/summary.json", "probes/*/expression/confusion.csv"),
)
STIMULUS_SHEET = place_figure(
    f"{_HERE}.stimulus_sheet",
    "sheet",
    "stimulus-sheet",
    "Stimuli: identities by expressions and views",
    ("stimuli/probe.csv",),
)
EMBEDDING_MAPS = FigureSpec(
    "embedding-maps",
    "Maps of layers by t-SNE or UMAP, and how far neighbours share labels",
    ("coordinates.csv", "maps/coordinates.csv"),
    read=Later(f"{_HERE}.embedding_maps:read_maps"),
    draw=Later(f"{_HERE}.embedding_maps:draw_maps"),
    caption=Later(f"{_HERE}.embedding_caption:caption_maps"),
)
EVALUATION = place_figure(
    f"{_HERE}.evaluation",
    "evaluation",
    "evaluation",
    "Confusions and calibration of trained networks, as evaluated",
    ("metrics.csv", "confusion.csv", "calibration.csv", "predictions.csv", "summary.json"),
    is_evaluation,
)
GRID = place_figure(
    f"{_HERE}.arms",
    "table",
    "grid",
    "Arms of a grid over training seeds, and the published values apart",
    ("published.csv", "summary.csv"),
)
ACCURACY_COST = place_figure(
    f"{_HERE}.accuracy_cost",
    "costs",
    "accuracy-cost",
    "Accuracy against parameters, multiply-adds and time per image",
    ("cost.csv", "summary.csv"),
    Later(f"{_HERE}.accuracy_cost:has_costs"),
)
RSA_LAYER_ROI = place_figure(
    f"{_HERE}.rsa_layer_roi",
    "layers",
    "rsa-layer-roi",
    "Geometry of brain regions over the layers of networks",
    RSA_FILES,
    Later(f"{_HERE}.rsa_results:has_layers"),
)
RSA_MODELS = place_figure(
    f"{_HERE}.rsa_models",
    "models",
    "rsa-models",
    "Models against brain regions, with ceilings and pairwise tests",
    RSA_FILES,
)
RDM_GALLERY = place_figure(
    f"{_HERE}.rdm_gallery",
    "gallery",
    "rdm-gallery",
    "RDMs of brain regions and models with their stimuli",
    RSA_FILES,
    Later(f"{_HERE}.rsa_results:has_rdms"),
)
VARIANCE_PARTITION = place_figure(
    f"{_HERE}.variance_partition",
    "shares",
    "variance-partition",
    "Variance of brain geometry that models explain alone and together",
    RSA_FILES,
    Later(f"{_HERE}.rsa_results:has_partition"),
)
MDS = place_figure(
    f"{_HERE}.mds",
    "arrangements",
    "mds",
    "Arrangements of the stimuli by brain regions and models",
    RSA_FILES,
    Later(f"{_HERE}.rsa_results:has_rdms"),
)
SEARCHLIGHT_MAP = place_figure(
    f"{_HERE}.searchlight_map",
    "map",
    "searchlight-map",
    "Where in the brain the geometry of a model is: a group's searchlight maps",
    (GROUP_MASK, f"searchlight/{GROUP_MASK}"),
)
