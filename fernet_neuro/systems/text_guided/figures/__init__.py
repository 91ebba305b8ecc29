"""Figures of text-guided recognition."""
