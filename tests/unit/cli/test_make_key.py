"""``unstuck make-key``: the key is printed once, its hash kept, and a file of keys stays right."""

import stat

import pytest

from unstuck.cli.main import main
from unstuck.guard.api_keys import KeyFile, hash_of, parse


def made(capsys, *arguments):
    status = main(["make-key", *arguments])
    said = capsys.readouterr()
    return status, said.out.strip(), said.err


def test_the_entry_is_printed_beside_the_key(capsys):
    status, key, said = made(capsys, "alice", "--models=a, b*", "--methods=predict,status", "--expires=2999-01-31")
    assert status == 0
    assert key.startswith("unstuck_")
    assert key not in said
    ((digest, grant),) = parse(said.partition("\n\n")[2].encode(), "printed")
    assert digest == hash_of(key).encode()
    assert (grant.name, grant.rights) == ("alice", {"predict": ("a", "b*"), "status": ("a", "b*")})


def test_it_is_added_to_the_file(capsys, tmp_path):
    file = tmp_path / "keys.yaml"
    _, first, said = made(capsys, "alice", f"--file={file}")
    assert f"Added to {file}" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    file.write_text("# ours\n" + file.read_text().rstrip("\n"))
    _, second, _ = made(capsys, "bob", "--methods=admin", f"--file={file}")
    keys = KeyFile(file)
    assert keys.verify(first).rights == {"predict": ("*",), "status": ("*",)}
    assert keys.verify(second).rights == {"admin": ("*",)}
    assert file.read_text().startswith("# ours\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Expected one NAME, got 0"),
        (["a", "b"], "Expected one NAME, got 2"),
        (["a", "--methods=read"], "methods: expected some of predict, status, admin, got 'read'"),
        (["a", "--models=,"], "models: expected a list of texts"),
        (["a", "--expires=soon"], "expires: expected a date or a time"),
        (["a", "--file=/none/keys.yaml"], "cannot be added to"),
    ],
)
def test_mistakes_make_no_key(capsys, arguments, says):
    status, key, said = made(capsys, *arguments)
    assert (status, key) == (1, "")
    assert says in said


def test_a_name_that_is_taken_changes_nothing(capsys, tmp_path):
    file = tmp_path / "keys.yaml"
    made(capsys, "alice", f"--file={file}")
    before = file.read_text()
    status, key, said = made(capsys, "alice", f"--file={file}")
    assert (status, key) == (1, "")
    assert "two keys are called 'alice'" in said
    assert file.read_text() == before


def test_a_broken_file_is_left_alone(capsys, tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text("keys: []\n")
    status, _, said = made(capsys, "alice", f"--file={file}")
    assert status == 1
    assert "is not YAML" in said
    assert file.read_text() == "keys: []\n"
