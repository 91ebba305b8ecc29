"""Small helpers that every package may use and that know nothing of faces."""
