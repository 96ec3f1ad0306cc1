"""What a client needs for TLS: whom it trusts, and how it proves who it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.errors import InvalidRequest

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files with PEM.

    Attributes:
        ca_file: certificates to trust instead of the system's.
        cert_file: this client's own certificate, with its chain; None to show none.
        key_file: its private key.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        """Raises InvalidRequest where certificate or key is given without the other."""
        if bool(self.cert_file) != bool(self.key_file):
            raise InvalidRequest("cert_file and key_file belong together, and only one of them is given.")

    def context(self) -> "ssl.SSLContext":
        """For OpenSSL. Raises InvalidRequest where a file cannot be read."""
        import ssl  # which a client without TLS does without

        self.read()
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except ssl.SSLError as error:
            given = ", ".join(file for file in (self.ca_file, self.cert_file, self.key_file) if file)
            raise InvalidRequest(f"The TLS files ({given}) cannot be used: {error.reason or error}.") from None
        return context

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The contents of authority, key and certificate. Raises InvalidRequest where a file cannot be read."""
        return _read("ca_file", self.ca_file), _read("key_file", self.key_file), _read("cert_file", self.cert_file)


def _read(name: str, file: str | None) -> bytes | None:
    if not file:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{name}={file!r} cannot be read: {error.strerror}.") from None
