"""Intervals and tests of models against brains."""
