"""The client library: ``from unstuck import Client, AsyncClient``. It knows servers by their wire, stock ones too.

Nothing here does I/O but the two transports. ``calls`` says what to send and what an answer means, as generators that
yield what is to be done; ``Client`` does it by blocking, ``AsyncClient`` by awaiting.
"""

from unstuck.client.clients import AsyncClient, AsyncSignatureClient, Client, SignatureClient
from unstuck.client.failures import ServerError, Unreachable, UnreadableAnswer
from unstuck.client.messages import ModelMetadata
from unstuck.client.prediction import Prediction

__all__ = [
    "AsyncClient",
    "AsyncSignatureClient",
    "Client",
    "ModelMetadata",
    "Prediction",
    "ServerError",
    "SignatureClient",
    "Unreachable",
    "UnreadableAnswer",
]
