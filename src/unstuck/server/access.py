"""Who may call, as the flags say: keys and tokens, read again while the server runs."""

import logging
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.config.settings import ServerConfig
from unstuck.errors import SetupError
from unstuck.guard.access import Access, Verifier

if TYPE_CHECKING:
    from unstuck.guard.reread import Reread
    from unstuck.guard.tokens import Tokens

log = logging.getLogger("unstuck.access")


class ServerAccess:
    """``start`` and ``stop`` once each.

    Attributes:
        access: decides.
    """

    def __init__(self, config: ServerConfig) -> None:
        """Reads the files of keys. Raises SetupError: mistakes in them, or a library that is not installed."""
        verifiers: list[Verifier] = []
        self._watches: list[Reread] = []
        self.access = Access()
        if config.api_keys_file:
            from unstuck.guard.api_keys import KeyFile  # here, as it imports PyYAML

            keys = KeyFile(config.api_keys_file, self._forget)
            verifiers.append(keys)
            self._watches.append(keys.watch)
        if config.jwt_config_file:
            tokens = _tokens(config.jwt_config_file, self._forget)
            verifiers.append(tokens)
            self._watches.append(tokens.watch)
        self.access = Access(verifiers, allow_remote_admin=config.allow_remote_admin)
        if verifiers:
            log.setLevel(logging.INFO)
            for port in plaintext_ports(config):
                log.warning("%s takes keys in plaintext: whoever is in between can read and use them.", port)

    def start(self) -> None:
        """Notices changes from now on."""
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        for watch in self._watches:
            watch.stop()

    def _forget(self) -> None:
        self.access.forget()


def plaintext_ports(config: ServerConfig) -> list[str]:
    """The ports that other machines reach without TLS."""
    if _is_loopback(config.host):
        return []
    ports = {
        "REST": (config.rest_port, config.rest_tls_config_file),
        "gRPC": (config.grpc_port, config.ssl_config_file),
    }
    return [f"The {name} port on {config.host}" for name, (port, tls) in ports.items() if port and not tls]


def _tokens(path: Path, changed: Callable[[], None]) -> "Tokens":
    try:
        from unstuck.guard.tokens import Tokens
    except ModuleNotFoundError as error:
        if error.name not in ("jwt", "cryptography"):
            raise
        raise SetupError(
            f"--jwt_config_file={path} needs PyJWT with cryptography, which is not installed.",
            hint='Run: pip install "unstuck[jwt]"',
        ) from None
    return Tokens(path, changed)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
