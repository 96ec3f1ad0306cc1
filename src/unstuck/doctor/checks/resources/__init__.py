"""Checks of the stage *resources*: one cause, one file."""
