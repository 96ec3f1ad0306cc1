"""Checks of the stage *mapping*: one cause, one file."""
