"""Resampling, multiple testing and calibration; knows arrays, not faces."""
