"""A whole RSA, from its inputs to its folder of results, and its calibration."""
