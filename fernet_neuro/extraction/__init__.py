"""Extraction: one pass of a network over a stimulus table, its layers streamed to an activation store."""
