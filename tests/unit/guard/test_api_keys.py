"""The file of API keys: what it may say, what is said of mistakes, and what happens when it changes."""

import logging
import time
from datetime import UTC, datetime

import pytest
import yaml

from unstuck.errors import SetupError
from unstuck.guard.api_keys import KeyFile, entry_text, hash_of, new_key, parse

KEY = new_key()
ENTRY = {"name": "alice", "hash": hash_of(KEY), "models": ["m", "a*"], "methods": ["predict", "status"]}


def parsed(*entries):
    return parse(yaml.safe_dump(list(entries)).encode(), "keys.yaml")


def without(field):
    return {name: value for name, value in ENTRY.items() if name != field}


def test_keys_are_random_and_long():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("unstuck_") and len(key) == 51 for key in keys)


def test_what_make_key_writes_can_be_read_back():
    text = entry_text("bob", KEY, ["*", "a: b"], ["admin"], "2027-01-31")
    ((digest, grant),) = parse(text.encode(), "keys.yaml")
    assert digest == hash_of(KEY).encode()
    assert (grant.name, grant.rights) == ("bob", {"admin": ("*", "a: b")})
    assert grant.expires_at == datetime(2027, 2, 1, tzinfo=UTC).timestamp()
    assert KEY not in text


@pytest.mark.parametrize(
    ("expires", "at"),
    [
        ("2027-01-31", datetime(2027, 2, 1, tzinfo=UTC)),
        ("2027-01-31T12:00:00", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_date_or_a_time(expires, at):
    ((_, grant),) = parsed({**ENTRY, "expires": expires})
    assert grant.expires_at == at.timestamp()
    ((_, unquoted),) = parse(
        f"[{{name: a, hash: '{hash_of(KEY)}', models: [m], methods: [predict], expires: {expires}}}]".encode(), "f"
    )
    assert unquoted.expires_at == at.timestamp()


def test_a_file_without_keys_lets_nobody_in():
    assert parse(b"", "keys.yaml") == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", r"keys\.yaml is not YAML \(line 1\)"),
        (b"\xff", "is not YAML"),
        (b"keys: []", "expected a list of keys, got dict"),
        (b"- a", "entry 1: expected name, hash, models and methods, got str"),
    ],
)
def test_a_file_of_something_else_is_refused(content, says):
    with pytest.raises(SetupError, match=says):
        parse(content, "keys.yaml")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (without("name"), "entry 1: name: expected text, got None"),
        ({**ENTRY, "name": ""}, "name: expected text"),
        (without("hash"), r"entry 1 \('alice'\): hash: expected sha256: and 64"),
        ({**ENTRY, "hash": KEY}, "hash: expected sha256:"),
        ({**ENTRY, "hash": hash_of(KEY).upper()}, "hash: expected sha256:"),
        (without("models"), "models: expected a list of texts, got None"),
        ({**ENTRY, "models": "m"}, "models: expected a list of texts, got 'm'"),
        ({**ENTRY, "models": [1]}, "models: expected a list of texts"),
        ({**ENTRY, "methods": []}, "methods: expected a list of texts"),
        ({**ENTRY, "methods": ["read"]}, "methods: expected some of predict, status, admin, got 'read'"),
        ({**ENTRY, "expires": "soon"}, "expires: expected a date or a time"),
        ({**ENTRY, "expires": 5}, "expires: expected a date or a time"),
        ({**ENTRY, "model": ["m"]}, "there is no field 'model'. Did you mean 'models'"),
    ],
)
def test_an_entry_with_a_mistake_is_refused_by_its_field_and_never_shows_a_key(entry, says):
    with pytest.raises(SetupError, match=says) as caught:
        parsed(entry)
    assert KEY not in str(caught.value)


def test_two_keys_of_one_name_are_refused():
    with pytest.raises(SetupError, match="two keys are called 'alice'"):
        parsed(ENTRY, {**ENTRY, "hash": hash_of(new_key())})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text(yaml.safe_dump([ENTRY]))
    return path


def test_a_key_is_known_by_its_hash(file):
    keys = KeyFile(file)
    assert keys.verify(KEY).name == "alice"
    assert keys.verify(new_key()) is None
    assert keys.verify("") is None
    assert keys.verify(hash_of(KEY)) is None


def test_there_must_be_a_file(tmp_path):
    with pytest.raises(SetupError, match=r"--api_keys_file=.*cannot be read: No such file"):
        KeyFile(tmp_path / "none.yaml")


def test_changes_are_taken_over(file, caplog):
    changes = []
    keys = KeyFile(file, lambda: changes.append(1))
    assert keys.watch.look()
    assert changes == [1]
    other = new_key()
    file.write_text(yaml.safe_dump([{**ENTRY, "hash": hash_of(other)}]))
    with caplog.at_level(logging.INFO, "unstuck.access"):
        assert keys.watch.look()
    assert keys.verify(KEY) is None
    assert keys.verify(other).name == "alice"
    assert changes == [1, 1]
    assert "is in force as it is now" in caplog.text


@pytest.mark.parametrize("broken", ["- name: x", None], ids=["mistake", "gone"])
def test_a_file_that_breaks_keeps_the_old_keys_and_says_so_once(file, caplog, broken):
    keys = KeyFile(file)
    good = file.read_text()
    file.unlink() if broken is None else file.write_text(broken)
    for _ in range(3):
        assert not keys.watch.look()
    assert keys.verify(KEY).name == "alice"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "what it said before stays in force" in caplog.text
    file.write_text(good)
    assert keys.watch.look()
    assert keys.verify(KEY).name == "alice"


def test_its_thread_takes_changes_over(file):
    keys = KeyFile(file)
    keys.watch._every_s = keys.watch._retry_s = 0.01
    keys.watch.start()
    other = new_key()
    file.write_text(yaml.safe_dump([{**ENTRY, "hash": hash_of(other)}]))
    try:
        while keys.verify(other) is None:
            time.sleep(0.01)
        assert keys.verify(KEY) is None
    finally:
        keys.watch.stop()
