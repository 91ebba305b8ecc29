"""Figures of the lightweight network."""
