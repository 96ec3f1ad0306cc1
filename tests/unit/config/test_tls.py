"""--ssl_config_file: what is read from it, and what is said of one that is not right."""

import json
import re

import pytest

from unstuck.config.tls import TlsConfig, read_tls_config
from unstuck.errors import Code, SetupError

KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IQ==\n-----END PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nY2VydA==\n-----END CERTIFICATE-----\n"
AUTHORITY = CERTIFICATE.replace("Y2VydA", "YXV0aA")
SECRET = "c2VjcmV0IQ"
RIGHT = {"server_key": KEY, "server_cert": CERTIFICATE}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ssl.textproto"


def read(path, text):
    path.write_text(text)
    return read_tls_config(path)


def written(**fields):
    """A text proto with these fields, which are those of TensorFlow Serving's ssl_config.proto."""
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items())


@pytest.mark.parametrize(
    ("fields", "authority", "verify"),
    [
        ({}, None, False),
        ({"client_verify": False}, None, False),
        ({"custom_ca": AUTHORITY}, AUTHORITY.encode(), False),
        ({"custom_ca": AUTHORITY, "client_verify": True}, AUTHORITY.encode(), True),
    ],
)
def test_the_fields_are_read(path, fields, authority, verify):
    config = read(path, written(**RIGHT, **fields))
    assert config == TlsConfig(KEY.encode(), CERTIFICATE.encode(), authority, verify)


@pytest.mark.parametrize(
    "text",
    [
        f"server_key: {KEY!r} server_cert: {CERTIFICATE!r}",
        "server_key:"
        + "".join(f"\n  {line!r}" for line in KEY.splitlines(keepends=True))
        + f" server_cert:{CERTIFICATE!r}",
        f"# mine\nserver_cert: {CERTIFICATE!r}, server_key: {KEY!r};",
    ],
    ids=["one line", "joined strings", "comments"],
)
def test_a_text_proto_may_be_written_in_many_ways(path, text):
    config = read(path, text)
    assert (config.key, config.certificate) == (KEY.encode(), CERTIFICATE.encode())


def test_space_around_pem_is_no_matter(path):
    assert read(path, written(server_key="\n " + KEY, server_cert=CERTIFICATE)).key.strip() == KEY.strip().encode()


def test_the_key_is_not_shown(path):
    assert SECRET not in repr(read(path, written(**RIGHT)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"server_cert": CERTIFICATE}, "expected PEM text in server_key, got nothing"),
        ({"server_key": KEY}, "expected PEM text in server_cert, got nothing"),
        ({**RIGHT, "server_key": "/etc/key.pem"}, "expected PEM text in server_key, got other text"),
        ({**RIGHT, "server_cert": "/etc/cert.pem"}, "expected PEM text in server_cert, got other text"),
        ({**RIGHT, "custom_ca": "/etc/ca.pem"}, "custom_ca"),
        ({**RIGHT, "custom_ca": "/etc/ca.pem", "client_verify": True}, "custom_ca"),
        ({**RIGHT, "client_verify": True}, "client_verify needs custom_ca"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(path, fields, says):
    with pytest.raises(SetupError, match=re.escape(f"--ssl_config_file={path}")) as caught:
        read(path, written(**fields))
    assert says in caught.value.message
    assert SECRET not in str(caught.value)


def test_an_empty_file_has_no_key(path):
    with pytest.raises(SetupError, match="server_key, got nothing"):
        read(path, "")


@pytest.mark.parametrize(
    "text", ["server_key", "server_keys: 'x'", "client_verify: 3", "-----BEGIN PRIVATE KEY-----", '{"server_key": 1}']
)
def test_a_file_of_another_form_is_told_what_is_expected(path, text):
    with pytest.raises(SetupError, match=re.escape(f"--ssl_config_file={path} is not a text proto")) as caught:
        read(path, text)
    assert "server_key:" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        f"server_key {KEY!r}",
        f"server_key: {KEY!r} server_cert: {CERTIFICATE!r}".replace("'", "", 1),
        f"server_key: {KEY!r}".rstrip("'"),
        f"server_key: {KEY!r}".replace("IQ==", r"IQ==\xzz"),
        KEY,
        KEY.replace("\n", ""),
        f"server_key: '{KEY}'",
    ],
    ids=["no colon", "no first quote", "no last quote", "a bad escape", "the key itself", "in one line", "line breaks"],
)
def test_a_key_that_cannot_be_read_is_not_shown_either(path, text):
    with pytest.raises(SetupError) as caught:
        read(path, text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "a folder", "not text"])
def test_a_file_that_cannot_be_read_is_named(path, kind):
    if kind == "a folder":
        path.mkdir()
    elif kind == "not text":
        path.write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match=re.escape(f"--ssl_config_file={path} cannot be read: ")) as caught:
        read_tls_config(path)
    assert caught.value.code is Code.FAILED_PRECONDITION
