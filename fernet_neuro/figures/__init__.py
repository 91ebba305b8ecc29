"""Figures by name: results in a folder become PDF, PNG and source-data CSV."""
