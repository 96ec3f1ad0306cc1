"""The exit status of commands whose 1 is what they found."""

import sys
from collections.abc import Callable

from unstuck.errors import UnstuckError


def exit_status(command: str, run: Callable[[], int]) -> int:
    """What ``run`` returns; 2 where it could not be done, and standard error says why."""
    try:
        return run()
    except UnstuckError as error:
        print(f"unstuck {command}: {error}", file=sys.stderr)
        return 2
