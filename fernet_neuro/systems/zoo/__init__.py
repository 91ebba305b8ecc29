"""Published face networks whose weights `fernet-neuro models fetch` brings."""
