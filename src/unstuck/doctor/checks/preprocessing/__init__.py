"""Checks of the stage *preprocessing*: one cause, one file."""
