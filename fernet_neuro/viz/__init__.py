"""Plot functions: a result in, Matplotlib axes out."""

from fernet_neuro.viz.bars import plot_transfer_bars
from fernet_neuro.viz.diagrams import plot_diagram
from fernet_neuro.viz.maps import plot_map, plot_map_quality
from fernet_neuro.viz.matrices import plot_confusion
from fernet_neuro.viz.profiles import plot_layer_profile
from fernet_neuro.viz.sheets import plot_stimulus_sheet
from fernet_neuro.viz.style import PALETTE, colour_of, figure_size, label_of, style

__all__ = [
    "PALETTE",
    "colour_of",
    "figure_size",
    "label_of",
    "plot_confusion",
    "plot_diagram",
    "plot_layer_profile",
    "plot_map",
    "plot_map_quality",
    "plot_stimulus_sheet",
    "plot_transfer_bars",
    "style",
]
