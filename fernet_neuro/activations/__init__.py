"""Activations on disk and in memory, labelled by stimulus; NumPy only."""
