"""Who may call what: a key or a token becomes a grant once, and each call asks the grant. Without keys, anybody may."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv6Address, ip_address
from time import time
from typing import Literal, Protocol
from urllib.parse import unquote

from unstuck.core.observers import Headers
from unstuck.errors import NotPermitted, Unauthenticated

Right = Literal["predict", "status", "admin"]
RIGHTS: tuple[Right, ...] = ("predict", "status", "admin")
ALL_MODELS = "*"  # asked of what concerns the whole server: granted by the pattern * alone

REMEMBERED_CALLERS = 4096
REMEMBERED_MODELS = 1024
BEARER = "bearer "
# Of requests that a proxy has passed on, or a page in somebody's browser has made: where they come from says nothing.
_NOT_FROM_HERE = ("x-forwarded-for", "forwarded", "x-real-ip", "via", "origin")


@dataclass(slots=True)
class Grant:
    """What the holder of a key or a token may do.

    Attributes:
        name: of the holder, for messages.
        rights: by right, patterns of the models' names (``*`` for all).
        expires_at: until when, in seconds since 1970.
    """

    name: str
    rights: Mapping[str, Sequence[str]]
    expires_at: float = math.inf
    _known: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]], repr=False, compare=False)

    def has(self, right: Right, model: str) -> bool:
        """Whether it has ``right`` for ``model``."""
        if (right, model) in self._known:  # for every call
            return True
        patterns = self.rights.get(right, ())
        if not any(fnmatchcase(model, pattern) for pattern in patterns):
            return False
        if len(self._known) < REMEMBERED_MODELS:  # clients make names up
            self._known.add((right, model))
        return True

    def check(self, right: Right, model: str) -> None:
        """Raises NotPermitted: it has no such right."""
        if not self.has(right, model):
            patterns = ", ".join(self.rights.get(right, ())) or "no model"
            what = "the whole server" if model == ALL_MODELS else f"the model {model!r}"
            raise NotPermitted(
                f"{self.name!r} may not use {right!r} of {what}; it may of {patterns}.",
                hint="Ask whoever runs the server for a key with that right.",
            )

    def check_any(self, right: Right) -> None:
        """Raises NotPermitted: it has ``right`` of no model at all."""
        if not self.rights.get(right):
            self.check(right, ALL_MODELS)


class Verifier(Protocol):
    """Knows one kind of credential. Thread-safe."""

    @property
    def kind(self) -> str:
        """What it takes, for messages: ``an API key``."""
        ...

    def verify(self, credential: str) -> Grant | None:
        """The grant; None for what is not of its kind. Raises Unauthenticated: it is, and is not valid."""
        ...


class Access:
    """Thread-safe. What is verified is remembered until it expires, or until ``forget``."""

    def __init__(self, verifiers: Sequence[Verifier] = (), *, allow_remote_admin: bool = False) -> None:
        """What decides.

        Args:
            verifiers: of keys and tokens; without any, nobody needs one.
            allow_remote_admin: whether other machines may administer a server without keys.
        """
        self._verifiers = tuple(verifiers)
        self._allow_remote_admin = allow_remote_admin
        self._verified: dict[str, Grant] = {}

    @property
    def is_open(self) -> bool:
        """Whether calls need no key."""
        return not self._verifiers

    def forget(self) -> None:
        """Verifies everything anew from now on: keys have changed."""
        self._verified = {}

    def allows(self, headers: Headers, right: Right, model: str) -> bool:
        """Whether it is known already that a call may be made; False says nothing: ask ``check``. For every call."""
        grant = self._verified.get(headers.get("authorization") or headers.get("x-api-key") or "")
        return grant is not None and grant.expires_at > time() and grant.has(right, model)

    def caller(self, headers: Headers) -> Grant:
        """Whose call it is. Raises Unauthenticated."""
        verified = self._verified  # the one to remember it in, whoever replaces it meanwhile
        grant = verified.get(headers.get("authorization") or headers.get("x-api-key") or "")
        if grant is None or grant.expires_at <= time():
            given, credential = _given(headers)
            grant = self._verify(credential)
            if grant.expires_at <= time():
                raise Unauthenticated(f"The key or token of {grant.name!r} has expired.", hint="Ask for a new one.")
            if len(verified) >= REMEMBERED_CALLERS:
                verified.clear()
            verified[given] = grant
        return grant

    def check(self, headers: Headers, right: Right, model: str) -> None:
        """Raises Unauthenticated or NotPermitted where a call may not be made."""
        self.caller(headers).check(right, model)

    def check_admin(self, headers: Headers | None, peer: str, what: str, model: str = ALL_MODELS) -> None:
        """Whether a call may change the server.

        Where there are keys, one with the right ``admin`` is needed, from wherever: behind a proxy on the same
        machine every client is local. Where there are none, clients on this machine may.

        Args:
            headers: of the request; None where they are not known.
            peer: the client's address, as gRPC or REST writes it.
            what: the method, for messages.
            model: the model that is changed.

        Raises:
            Unauthenticated: no key, or not a valid one.
            NotPermitted: a key without that right, or a client on another machine.
        """
        if not self.is_open:
            self.check({} if headers is None else headers, "admin", model)
        elif not self._allow_remote_admin and not is_local(peer, headers):
            raise NotPermitted(
                f"{what} is taken from clients on the server's own machine; this one is {peer}"
                + ("." if is_local(peer) else ", which is another."),
                hint="Send it there directly, not by a proxy or a browser, or start the server with "
                "--allow_remote_admin, or better with --api_keys_file and a key that has the right admin.",
            )

    def _verify(self, credential: str) -> Grant:
        kinds = " or ".join(each.kind for each in self._verifiers)
        hint = f"Send {kinds} as Authorization: Bearer KEY, or an API key as X-API-Key; over gRPC as metadata."
        if not credential:
            raise Unauthenticated("This server takes calls with a key only, and there is none.", hint=hint, given=False)
        for verifier in self._verifiers:
            if grant := verifier.verify(credential):
                return grant
        raise Unauthenticated("The key is none of this server's.", hint=hint)


def is_local(peer: str, headers: Headers | None = None) -> bool:
    """Whether a request was made on this machine: by its socket alone, and not if it says that it was passed on.

    Args:
        peer: ``127.0.0.1:80`` or ``[::1]:80``, with or without gRPC's ``ipv4:`` or ``ipv6:``; or ``unix:…``.
        headers: of the request, where they are known.
    """
    if headers is not None and any(headers.get(name) for name in _NOT_FROM_HERE):
        return False
    if peer.startswith("unix:"):
        return True
    host = unquote(peer.removeprefix("ipv4:").removeprefix("ipv6:")).rpartition(":")[0].strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _given(headers: Headers) -> tuple[str, str]:
    """The header that has the key or token, and that alone; two empty texts where there is none."""
    header = headers.get("authorization") or ""
    if header[: len(BEARER)].lower() == BEARER:
        return header, header[len(BEARER) :].strip()
    key = headers.get("x-api-key") or ""
    return key, key
