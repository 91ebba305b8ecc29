"""Adapters: one file per data set, from its owner's exact layout to a stimulus table."""
