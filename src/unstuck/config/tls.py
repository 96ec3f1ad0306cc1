"""TLS settings, from a file with tensorflow.serving.SSLConfig as text proto."""

from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format

from unstuck.errors import SetupError
from unstuck.proto.wire.ssl_pb2 import SSLConfig


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Keys and certificates as PEM.

    Attributes:
        key: the server's private key.
        certificate: its certificate, with the chain.
        client_authority: the authority that signed the clients' certificates; None where none are asked for.
        client_verify: whether a client without a valid certificate is refused.
    """

    key: bytes = field(repr=False)
    certificate: bytes
    client_authority: bytes | None
    client_verify: bool


def read_tls_config(path: Path) -> TlsConfig:
    """The settings in ``path``.

    Raises:
        SetupError: no such file, not an SSLConfig, or without key or certificate.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--ssl_config_file={path} cannot be read: {error}.") from None
    try:
        config = text_format.Parse(text, SSLConfig())
    except text_format.ParseError as error:  # which quotes the line that it cannot read: it may be the key
        raise SetupError(
            f"--ssl_config_file={path} is not a text proto of SSLConfig: line {error.GetLine()}, column "
            f"{error.GetColumn()} cannot be read.",
            hint='Expected: server_key: "<PEM>" server_cert: "<PEM>" custom_ca: "<PEM>" client_verify: true',
        ) from None
    fields = {"server_key": config.server_key, "server_cert": config.server_cert}
    if config.custom_ca:
        fields["custom_ca"] = config.custom_ca
    for name, pem in fields.items():
        if not pem.lstrip().startswith("-----BEGIN"):
            raise SetupError(
                f"--ssl_config_file={path}: expected PEM text in {name}, got {'nothing' if not pem else 'other text'}.",
                hint="Put the file's content there, not its path: it begins with -----BEGIN.",
            )
    if config.client_verify and not config.custom_ca:
        raise SetupError(
            f"--ssl_config_file={path}: client_verify needs custom_ca, the authority of the clients' certificates."
        )
    authority = config.custom_ca.encode() or None
    return TlsConfig(config.server_key.encode(), config.server_cert.encode(), authority, config.client_verify)
