"""Unstuck: a model server that speaks TensorFlow Serving's API and never gives the same prediction in silence."""

__version__ = "0.1.0"
