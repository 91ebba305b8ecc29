"""Noise precision for distances: the names of `fernet_neuro.brain.noise`, beside the distances that use them.

What belongs here: those names, and nothing else.
"""

from fernet_neuro.brain.noise import COVARIANCES, compute_covariance, compute_precision, invert_covariance

__all__ = ["COVARIANCES", "compute_covariance", "compute_precision", "invert_covariance"]
