import ctypes
import resource

import pytest

from unstuck.cli.memory import keep_freed_buffers


def test_large_buffers_are_reused():
    """A buffer of 16 MB, freed and made again, touches no new page the second time."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("the C library has no mallopt")
    keep_freed_buffers()
    bytes(16 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        bytearray(b"x") * (16 << 20)
    pages_of_one = (16 << 20) // resource.getpagesize()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 4 * pages_of_one
