"""Representational dissimilarity matrices: made, compared, and tested."""
