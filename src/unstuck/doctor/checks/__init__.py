"""Checks: the path of a file is the code of the cause that it decides on."""
