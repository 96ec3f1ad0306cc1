"""Ports that several processes of ours listen on, and nobody else."""

import os
import socket

from unstuck.errors import SetupError


def reserve(host: str, port: int, what: str, flag: str) -> socket.socket:
    """Binds a port without listening on it, so that this process's children may, and no other server can.

    Bound without SO_REUSEPORT, which would let a second server of the same user have the port as well and take half of
    the requests in silence. The option is read whenever somebody else binds, so it can be set afterwards.

    Args:
        host: the address to bind.
        port: 0 for any free one.
        what: ``REST`` or ``gRPC``, for the error.
        flag: the name of the flag that chooses the port.

    Raises:
        SetupError: the port is taken, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections are no other server
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise SetupError(
            f"The {what} port {host}:{port} cannot be used: {os.strerror(error.errno) if error.errno else error}.",
            hint=f"Choose another with --{flag}=PORT, or let the server pick one: --{flag}=auto.",
        ) from None
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return bound
