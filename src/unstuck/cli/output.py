"""Standard output, whose reader may have seen enough."""

import os
import sys


def write(text: str) -> None:
    """Prints ``text``, what UTF-8 cannot hold replaced; that the reader left early, as head does, is no error."""
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
