"""Plot functions: a result in, Matplotlib axes out."""
