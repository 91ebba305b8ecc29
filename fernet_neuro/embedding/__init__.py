"""Two-dimensional maps of activations, and how far to trust them."""
