"""The commands of ``fernet-neuro stimuli``; the group itself is in `app`."""
