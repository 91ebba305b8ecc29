"""Stimuli: tables of labelled face images, splits that keep groups apart, adapters, and rendered faces."""
