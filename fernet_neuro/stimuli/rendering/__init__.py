"""Rendered faces with known factors: face models, action units, rasteriser and factorial designs."""
