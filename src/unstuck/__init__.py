"""Unstuck: a model server that speaks TensorFlow Serving's API and never gives the same prediction in silence."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unstuck.client import AsyncClient, Client, Prediction

__version__ = "0.1.0"

__all__ = ["AsyncClient", "Client", "Prediction", "__version__"]


def __getattr__(name: str) -> object:
    """The client library, imported when it is first asked for."""
    if name in __all__:
        from unstuck import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
