"""The published systems: one folder each, with a `system.py` that says what it brings."""
