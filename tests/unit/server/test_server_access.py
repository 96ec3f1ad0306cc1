"""What the flags of access come to: verifiers, warnings, and what is said where something is missing."""

import builtins
import logging
from pathlib import Path

import pytest

from unstuck.config.settings import ServerConfig
from unstuck.errors import NotPermitted, SetupError
from unstuck.server.access import ServerAccess, plaintext_ports

PEM = Path("ssl.pbtxt")


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text("[]")
    return file


def test_without_files_anybody_may_call():
    access = ServerAccess(ServerConfig()).access
    assert access.is_open
    with pytest.raises(NotPermitted):
        access.check_admin(None, "10.0.0.1:80", "Reload")
    ServerAccess(ServerConfig(allow_remote_admin=True)).access.check_admin(None, "10.0.0.1:80", "Reload")


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ({}, ["REST", "gRPC"]),
        ({"host": "127.0.0.1"}, []),
        ({"host": "::1"}, []),
        ({"host": "localhost"}, []),
        ({"host": "::"}, ["REST", "gRPC"]),
        ({"rest_tls_config_file": PEM}, ["gRPC"]),
        ({"rest_tls_config_file": PEM, "ssl_config_file": PEM}, []),
        ({"rest_port": 0}, ["gRPC"]),
        ({"grpc_port": 0}, ["REST"]),
    ],
)
def test_keys_in_plaintext_are_warned_of(keys, caplog, settings, ports):
    config = ServerConfig(api_keys_file=keys, **settings)
    assert [each.split()[1] for each in plaintext_ports(config)] == ports
    ServerAccess(config)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(ports)
    assert all("in plaintext" in warning for warning in warnings)


def test_nobody_is_warned_where_there_are_no_keys(caplog):
    ServerAccess(ServerConfig())
    assert not caplog.records


def test_a_file_with_mistakes_is_an_error_at_start(keys):
    keys.write_text("- name: x")
    with pytest.raises(SetupError, match="models: expected a list of texts, got None"):
        ServerAccess(ServerConfig(api_keys_file=keys))


def test_tokens_need_a_library(monkeypatch, tmp_path):
    real = builtins.__import__

    def missing(name, *arguments, **named):
        if name == "unstuck.guard.tokens":
            raise ModuleNotFoundError("No module named 'jwt'", name="jwt")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SetupError, match="needs PyJWT with cryptography") as caught:
        ServerAccess(ServerConfig(jwt_config_file=tmp_path / "jwt.yaml"))
    assert caught.value.hint == 'Run: pip install "unstuck[jwt]"'
