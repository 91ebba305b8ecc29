"""Figures of the transfer experiment."""
