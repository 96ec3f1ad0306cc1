"""Checks of the stage *model*: one cause, one file."""
