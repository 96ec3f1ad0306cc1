"""TLS settings, from a file with tensorflow.serving.SSLConfig as text proto."""

import ssl
import tempfile
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


def read_tls_config(path: Path, flag: str = "ssl_config_file") -> TlsConfig:
    """The settings in ``path``, which is the value of ``flag``.

    Raises:
        SetupError: no such file, not an SSLConfig, or without key or certificate.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--{flag}={path} cannot be read: {error}.") from None
    try:
        config = text_format.Parse(text, SSLConfig())
    except text_format.ParseError as error:  # which quotes the line that it cannot read: it may be the key
        raise SetupError(
            f"--{flag}={path} is not a text proto of SSLConfig: line {error.GetLine()}, column "
            f"{error.GetColumn()} cannot be read.",
            hint='Expected: server_key: "<PEM>" server_cert: "<PEM>" custom_ca: "<PEM>" client_verify: true',
        ) from None
    fields = {"server_key": config.server_key, "server_cert": config.server_cert}
    if config.custom_ca:
        fields["custom_ca"] = config.custom_ca
    for name, pem in fields.items():
        if not pem.lstrip().startswith("-----BEGIN"):
            raise SetupError(
                f"--{flag}={path}: expected PEM text in {name}, got {'nothing' if not pem else 'other text'}.",
                hint="Put the file's content there, not its path: it begins with -----BEGIN.",
            )
    if config.client_verify and not config.custom_ca:
        raise SetupError(f"--{flag}={path}: client_verify needs custom_ca, the authority of the clients' certificates.")
    authority = config.custom_ca.encode() or None
    return TlsConfig(config.server_key.encode(), config.server_cert.encode(), authority, config.client_verify)


def checked_tls_config(path: Path, flag: str) -> TlsConfig:
    """As ``read_tls_config``, and whether OpenSSL can use the key and the certificates."""
    config = read_tls_config(path, flag)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, pem in (("server_cert", config.certificate), ("custom_ca", config.client_authority)):
        try:
            if pem:
                context.load_verify_locations(cadata=pem.decode())
        except (ssl.SSLError, ValueError) as error:
            raise SetupError(f"--{flag}={path}: {name} is not a certificate: {_why(error)}.") from None
    with tempfile.TemporaryDirectory() as folder:  # what OpenSSL reads keys from are files
        try:
            context.load_cert_chain(*write_pem(config, Path(folder)))
        except ssl.SSLError as error:
            if "MISMATCH" in (error.reason or ""):
                why = "server_key is not the key of the certificate in server_cert"
            else:
                why = f"server_key is not a private key: {_why(error)}"
            raise SetupError(f"--{flag}={path}: {why}.") from None
    return config


def write_pem(config: TlsConfig, folder: Path) -> tuple[Path, Path]:
    """Writes the certificate and the key to files in ``folder``, which nobody else must be able to read."""
    certificate, key = folder / "server.crt", folder / "server.key"
    certificate.write_bytes(config.certificate)
    key.write_bytes(config.key)
    return certificate, key


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", "") or str(error)
    return reason.replace("_", " ").lower()
