"""Flags and files to frozen values."""
