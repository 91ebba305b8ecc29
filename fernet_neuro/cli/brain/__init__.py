"""The commands of ``fernet-neuro brain``; the group itself is in `app`."""
