"""Local paths and URLs of stores, and what of a URL is secret."""

from pathlib import Path

import pytest

from unstuck.core.locations import RemotePath, location, named_parts


@pytest.mark.parametrize(
    ("url", "shown", "protocol"),
    [
        ("s3://bucket/models/half/", "s3://bucket/models/half", "s3"),
        ("hf://someone/half@main/exports", "hf://someone/half@main/exports", "hf"),
        ("sftp://me:secret@host:22/half?token=hidden", "sftp://host:22/half", "sftp"),
        (
            "abfs://container@account.dfs.core.windows.net/half",
            "abfs://container@account.dfs.core.windows.net/half",
            "abfs",
        ),
        ("simplecache::s3://key:secret@bucket/half", "simplecache::s3://bucket/half", "s3"),
        ("memory://", "memory:", "memory"),
    ],
)
def test_what_is_shown_of_a_url(url, shown, protocol):
    remote = location(url)
    assert isinstance(remote, RemotePath)
    assert (str(remote), remote.protocol) == (shown, protocol)
    assert "secret" not in repr(remote)


def test_secrets_are_hidden_in_the_errors_of_others():
    remote = RemotePath("sftp://me:secret@host/half?token=hidden")
    said = "no answer from sftp://me:secret@host/half?token=hidden: password 'secret' is wrong"
    assert remote.hidden_in(said) == "no answer from sftp://…@host/half?…: password '…' is wrong"
    assert RemotePath("s3://bucket/half").hidden_in("of s3") == "of s3"


def test_local_paths_stay_paths():
    assert location("/models/half") == Path("/models/half")
    assert named_parts(Path("/models/half")).name == "half"
    assert named_parts(RemotePath("s3://bucket/half/7")).parent.name == "half"
