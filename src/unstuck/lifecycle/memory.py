"""Gives the memory of an unloaded version back to the system."""

import ctypes
import sys


def give_back_freed_memory() -> None:
    """Returns free pages inside the C heap too, which glibc would keep. Does nothing where the C library is another."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
