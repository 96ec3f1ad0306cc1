"""Where a server is: ``http://host:8501``, ``https://host/behind/a/path``, ``grpc://host:8500``, ``grpcs://host``."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from unstuck.errors import InvalidRequest, did_you_mean

SCHEMES = ("http", "https", "grpc", "grpcs")
GRPC_PORT = 8500  # TensorFlow Serving's


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address.

    Attributes:
        text: as given, without a slash at its end; what errors name.
        is_grpc: gRPC rather than REST.
        is_secure: TLS.
        target: ``host:port``; a REST address that names no port has gRPC's here, which means nothing.
    """

    text: str
    is_grpc: bool
    is_secure: bool
    target: str

    @property
    def is_loopback(self) -> bool:
        """Whether it is one of this machine's own."""
        host = self.target.rsplit(":", 1)[0].strip("[]")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def parse(text: str) -> Address:
    """The address in ``text``.

    Raises:
        InvalidRequest: no scheme, one of no use here, no host, or a part that the scheme has no room for.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise InvalidRequest(
            f"The address {text!r} has no scheme.", hint=f"For REST write 'http://{text}', for gRPC 'grpc://{text}'."
        )
    if scheme not in SCHEMES:
        raise InvalidRequest(
            f"The address {text!r} has the scheme {scheme!r}; expected one of {', '.join(SCHEMES)}.",
            hint=did_you_mean(scheme, SCHEMES),
        )
    parts = urlsplit(text)
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"The address {text!r} cannot be read: {error}.") from None
    is_grpc = scheme.startswith("grpc")
    if not host or parts.query or parts.fragment or (is_grpc and parts.path.strip("/")):
        expected = f"{scheme}://HOST[:PORT]" + ("" if is_grpc else "[/PATH]")
        raise InvalidRequest(f"The address {text!r} cannot be used; expected {expected}.")
    bracketed = f"[{host}]" if ":" in host else host
    target = f"{bracketed}:{GRPC_PORT if port is None else port}"
    return Address(text.rstrip("/"), is_grpc, scheme in ("https", "grpcs"), target)
