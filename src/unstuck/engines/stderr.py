"""Standard error without what a framework's C++ code writes to it whatever its settings say."""

import os
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()  # versions are loaded by several threads; the descriptor is one


@contextmanager
def without(is_banner: Callable[[str], bool]) -> Generator[None]:
    """Holds back file descriptor 2, and passes on each line that is not a banner."""
    with _lock, tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if line.strip() and not is_banner(line):
                    print(line, file=sys.stderr)
