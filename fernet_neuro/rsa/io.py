"""Files of RDMs under the name that they had before `rsa.files.io`, for code that imports them from here."""

from fernet_neuro.rsa.files.io import read_rdms, write_rdms

__all__ = ["read_rdms", "write_rdms"]
