"""Figures of the dual-pathway network."""
