"""Identity and expression in face networks and brains."""

__version__ = "0.1.0"
