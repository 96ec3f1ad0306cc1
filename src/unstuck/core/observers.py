"""What the inner layers report to whoever watches; ``server.py`` ties them together."""

from collections.abc import Sequence
from typing import Protocol

from unstuck.core.models import VersionStatus
from unstuck.core.signatures import Signature, Tensors


class VersionObserver(Protocol):
    """Hears of every change of a version's state, in order."""

    def version_changed(self, name: str, status: VersionStatus) -> None:
        """Called by whichever thread made the change, which waits: it must return at once, and not call back."""
        ...


class RunObserver(Protocol):
    """Hears of every answered run of one version. Thread-safe; it is in each call's way, so it must be quick."""

    def ran(self, signature: Signature, inputs: Tensors, outputs: Tensors, rows: Sequence[int]) -> None:
        """Called by the thread that ran it, once its answer is encoded. Must neither raise nor change the arrays.

        Args:
            signature: the signature called, perhaps narrowed to the outputs that were asked for.
            inputs: by alias, as the signature takes them; for classify and regress, serialised tf.Examples.
            outputs: by alias.
            rows: where several calls were run as one, how many rows of the first dimension each has; else empty.
        """
        ...
