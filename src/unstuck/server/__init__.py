"""The composition root: a configuration in, a running server out. The only package that knows everyone."""

from unstuck.server.server import Server

__all__ = ["Server"]
