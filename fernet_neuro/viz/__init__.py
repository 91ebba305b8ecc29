"""Plot functions: a result in, Matplotlib axes out."""

from fernet_neuro.viz.bars import plot_transfer_bars
from fernet_neuro.viz.brain_maps import plot_glass_map, plot_map_slices
from fernet_neuro.viz.diagrams import plot_diagram
from fernet_neuro.viz.dots import plot_arm_dots, plot_printed_dots
from fernet_neuro.viz.geometry import plot_arrangement, plot_rdm
from fernet_neuro.viz.maps import plot_map, plot_map_quality
from fernet_neuro.viz.matrices import plot_confusion
from fernet_neuro.viz.model_dots import plot_model_dots, plot_pairwise
from fernet_neuro.viz.profiles import plot_layer_profile
from fernet_neuro.viz.rsa_profiles import plot_rsa_profile
from fernet_neuro.viz.shares import plot_shares
from fernet_neuro.viz.sheets import plot_stimulus_sheet
from fernet_neuro.viz.style import PALETTE, colour_of, figure_size, label_of, style

__all__ = [
    "PALETTE", "colour_of", "figure_size", "label_of", "plot_arm_dots", "plot_arrangement",
    "plot_confusion", "plot_diagram", "plot_glass_map", "plot_layer_profile", "plot_map",
    "plot_map_quality", "plot_map_slices", "plot_model_dots", "plot_pairwise", "plot_printed_dots",
    "plot_rdm", "plot_rsa_profile", "plot_shares", "plot_stimulus_sheet", "plot_transfer_bars", "style",
]  # fmt: skip
