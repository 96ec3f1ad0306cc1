import logging
import resource

from unstuck.guard import open_files
from unstuck.guard.open_files import connections, raise_limit


def test_as_many_files_as_may_be_had_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert raise_limit() == 4096
    assert asked == [(4096, 4096)]


def test_what_cannot_be_had_is_done_without(monkeypatch):
    def refuse(_, __):
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 1024


def test_connections_are_as_many_as_there_is_room_for_and_it_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert connections(16_384, 1 << 20) == 16_384
        assert connections(16_384, 20_000) == 14_808
        assert not caplog.records
        assert connections(16_384, 1024) == int((1024 - open_files.RESERVED) * open_files.SHARE)
    assert caplog.messages == [
        "At most 576 connections to REST instead of 16384: the process may open 1024 files (ulimit -n)."
    ]
    assert connections(16_384, 100) == 16
