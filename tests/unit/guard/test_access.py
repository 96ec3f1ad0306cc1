"""Who may call what, once a credential is known, and who may administer a server without keys."""

import math
import time

import pytest

from unstuck.errors import Code, NotPermitted, Unauthenticated
from unstuck.guard.access import ALL_MODELS, Access, Grant, is_local

KEY = "unstuck_a"


class OneKey:
    """Knows KEY; counts how often it is asked."""

    kind = "an API key"

    def __init__(self, **rights):
        self.expires_at = math.inf
        self.rights = rights
        self.asked = 0

    def verify(self, credential):
        self.asked += 1
        return Grant("alice", self.rights, self.expires_at) if credential == KEY else None


def headers(key=KEY):
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("right", "model", "may"),
    [
        ("predict", "churn", True),
        ("predict", "fraud-2", True),
        ("predict", "Churn", False),
        ("predict", "churn2", False),
        ("predict", ALL_MODELS, False),
        ("status", "anything", True),
        ("status", ALL_MODELS, True),
        ("admin", "churn", False),
    ],
)
def test_a_right_is_of_the_models_that_its_patterns_name(right, model, may):
    grant = Grant("alice", {"predict": ("churn", "fraud-*"), "status": ("*",)})
    assert [grant.has(right, model) for _ in range(2)] == [may, may]
    if not may:
        with pytest.raises(NotPermitted, match="'alice' may not use") as caught:
            grant.check(right, model)
        assert caught.value.code is Code.PERMISSION_DENIED


def test_what_is_missing_is_said():
    grant = Grant("alice", {"predict": ("a", "b*")})
    with pytest.raises(NotPermitted, match=r"'predict' of the model 'c'; it may of a, b\*\."):
        grant.check("predict", "c")
    with pytest.raises(NotPermitted, match=r"'status' of the whole server; it may of no model\."):
        grant.check_any("status")
    grant.check_any("predict")


@pytest.mark.parametrize(
    "given",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"x-api-key": KEY},
        {"authorization": "Basic dTpw", "x-api-key": KEY},
    ],
)
def test_a_key_comes_in_either_header(given):
    access = Access([OneKey(predict=("m",))])
    assert not access.allows(given, "predict", "m")  # not known yet
    access.check(given, "predict", "m")
    assert access.allows(given, "predict", "m") == (given.get("authorization") != "Basic dTpw")
    assert not access.allows(given, "predict", "n")
    assert not access.allows({}, "predict", "m")
    with pytest.raises(NotPermitted):
        access.check(given, "predict", "n")


@pytest.mark.parametrize(
    ("given", "says", "challenge"),
    [
        ({}, "there is none", 'Bearer realm="unstuck"'),
        ({"authorization": "Basic dTpw"}, "there is none", 'Bearer realm="unstuck"'),
        (headers("unstuck_wrong"), "none of this server's", 'Bearer realm="unstuck", error="invalid_token"'),
    ],
)
def test_who_has_no_valid_key_is_told_so_without_it(given, says, challenge):
    with pytest.raises(Unauthenticated, match=says) as caught:
        Access([OneKey()]).check(given, "predict", "m")
    assert caught.value.code is Code.UNAUTHENTICATED
    assert caught.value.http_status == 401
    assert caught.value.challenge == challenge
    assert "unstuck_wrong" not in str(caught.value)
    assert "an API key" in caught.value.hint


def test_a_key_is_verified_once_until_keys_change():
    keys = OneKey(predict=("*",))
    access = Access([keys])
    for _ in range(3):
        access.check(headers(), "predict", "m")
    assert keys.asked == 1
    keys.rights = {}
    access.forget()
    assert not access.allows(headers(), "predict", "m")
    with pytest.raises(NotPermitted):
        access.check(headers(), "predict", "m")


def test_wrong_keys_are_not_remembered():
    access = Access([OneKey()])
    for number in range(10):
        with pytest.raises(Unauthenticated):
            access.caller(headers(f"unstuck_{number}"))
    assert access._verified == {}


def test_a_key_expires_while_it_is_remembered(monkeypatch):
    keys = OneKey(predict=("*",))
    keys.expires_at = time.time() + 100
    access = Access([keys])
    access.check(headers(), "predict", "m")
    assert access.allows(headers(), "predict", "m")
    later = time.time() + 101
    monkeypatch.setattr("unstuck.guard.access.time", lambda: later)
    assert not access.allows(headers(), "predict", "m")
    with pytest.raises(Unauthenticated, match="of 'alice' has expired"):
        access.check(headers(), "predict", "m")


LOCAL = [
    *("unix:", "unix:/run/x.sock", "ipv4:127.0.0.1:50", "ipv4:127.1.2.3:50", "ipv6:[::1]:50", "ipv6:%5B::1%5D:50"),
    *("ipv6:[::ffff:127.0.0.1]:50", "127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"),
]
REMOTE = [
    *("", "None", "ipv4:10.0.0.1:50", "ipv4:192.168.127.1:1", "ipv6:[2001:db8::1]:50", "ipv6:%5B2001:db8::1%5D:50"),
    *("10.0.0.1:80", "[2001:db8::1]:80", "127.0.0.1.evil.example:80", "ipv4:127.evil:1", "0.0.0.0:80"),
]


@pytest.mark.parametrize("peer", LOCAL)
def test_loopback_and_unix_sockets_are_local(peer):
    assert is_local(peer)
    Access().check_admin(None, peer, "Reload")


@pytest.mark.parametrize("peer", REMOTE)
def test_nobody_else_is(peer):
    assert not is_local(peer, {"x-forwarded-for": "127.0.0.1"})
    with pytest.raises(NotPermitted, match="Reload is taken from clients on the server's own machine") as caught:
        Access().check_admin({"x-forwarded-for": "127.0.0.1"}, peer, "Reload")
    assert "--allow_remote_admin" in caught.value.hint
    Access(allow_remote_admin=True).check_admin(None, peer, "Reload")


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "origin"])
def test_what_a_local_proxy_or_a_page_in_a_browser_sends_is_not_local(name):
    with pytest.raises(NotPermitted):
        Access().check_admin({name: "127.0.0.1"}, "127.0.0.1:80", "Reload")


@pytest.mark.parametrize("remote", [True, False])
def test_where_there_are_keys_administration_needs_one_from_wherever(remote):
    access = Access([OneKey(admin=("*",))], allow_remote_admin=remote)
    access.check_admin(headers(), "ipv4:10.0.0.1:50", "Reload")
    for given in (None, {}, headers("unstuck_b")):
        with pytest.raises(Unauthenticated):
            access.check_admin(given, "unix:", "Reload")
    with pytest.raises(NotPermitted, match="'admin' of the whole server"):
        Access([OneKey(admin=("m",), predict=("*",))]).check_admin(headers(), "unix:", "Reload")
    Access([OneKey(admin=("m",))]).check_admin(headers(), "unix:", "Quarantine", "m")
