"""What the inner layers report to whoever watches; ``server.py`` ties them together."""

from typing import Protocol

from unstuck.core.models import VersionStatus


class VersionObserver(Protocol):
    """Hears of every change of a version's state, in order."""

    def version_changed(self, name: str, status: VersionStatus) -> None:
        """Called by whichever thread made the change, which waits: it must return at once, and not call back."""
        ...
