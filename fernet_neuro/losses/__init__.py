"""Losses as pure functions of tensors, one family per file."""
