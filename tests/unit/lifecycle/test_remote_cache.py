"""Copies shared by servers: made whole or not at all, kept while they are used, removed when they are not."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from remote_memory import tree

from unstuck.errors import SetupError
from unstuck.lifecycle import remote_cache
from unstuck.lifecycle.remote_cache import ModelCache

BASE = "s3://bucket/half"
FILES = (("saved_model.pb", 5, "tag"),)
OTHER_FILES = (("saved_model.pb", 5, "other tag"),)


def make(folder: Path) -> None:
    (folder / "variables").mkdir()
    (folder / "variables" / "data").write_bytes(b"data")
    (folder / "saved_model.pb").write_bytes(b"graph")


def never(folder: Path) -> None:
    raise AssertionError("it is copied again")


def no_wait() -> None:
    raise AssertionError("another is copying")


@pytest.fixture
def cache(tmp_path):
    return ModelCache(tmp_path / "cache")


def copy(cache, version=1, files=FILES, make=make, base=BASE):
    return cache.copy(base, version, files, make, no_wait)


def slots(tmp_path):
    """Of each copy its base path's name and its version."""
    return sorted(
        f"{slot.parent.name.rpartition('-')[0]}/{slot.name.partition('-')[0]}"
        for slot in (tmp_path / "cache").glob("*/*")
    )


def test_a_copy_is_found_again_by_base_path_version_and_files(cache, tmp_path):
    found = copy(cache)
    assert (found.version, tree(found.path)) == (1, {"saved_model.pb": b"graph", "variables/data": b"data"})
    assert copy(ModelCache(tmp_path / "cache"), make=never) == found
    others = [copy(cache, 2), copy(cache, base="s3://elsewhere/half"), copy(cache, files=OTHER_FILES)]
    assert len({each.path for each in (found, *others)}) == 4
    assert slots(tmp_path) == ["half/1", "half/1", "half/1", "half/2"]


def test_what_cannot_be_made_leaves_nothing(cache, tmp_path):
    def fail(folder):
        make(folder)
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        copy(cache, make=fail)
    assert tree(tmp_path) == {}
    copy(cache)


def test_a_killed_server_leaves_only_a_temporary_folder_that_the_next_removes(cache, tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from unstuck.lifecycle.remote_cache import ModelCache\n"
        "def make(folder):\n"
        "    (folder / 'saved_model.pb').write_bytes(b'gra'); print('copying', flush=True); time.sleep(60)\n"
        f"ModelCache(Path(sys.argv[1])).copy({BASE!r}, 1, {FILES!r}, make, print)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "cache")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"copying\n"
        waits = []

        def wait():
            waits.append(1)
            if len(waits) == 2:
                other.send_signal(signal.SIGKILL)
                other.wait()
                assert [Path(name).parts[-2:] for name in tree(tmp_path)] == [("partial", "saved_model.pb")]

        found = cache.copy(BASE, 1, FILES, make, wait)
    assert len(waits) >= 2, "it waited for the other's copy"
    assert tree(found.path)["saved_model.pb"] == b"graph"
    assert not list(tmp_path.rglob("partial"))


def test_a_copy_that_another_makes_is_taken(cache, tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    def slowly(folder):
        begun.set()
        assert go_on.wait(10)
        make(folder)

    thread = threading.Thread(target=copy, args=(cache, 1, FILES, slowly))
    thread.start()
    assert begun.wait(10)
    found = ModelCache(tmp_path / "cache").copy(BASE, 1, FILES, never, go_on.set)
    thread.join(10)
    assert tree(found.path)["saved_model.pb"] == b"graph"


def test_only_what_nobody_uses_and_nobody_wants_is_removed(cache, tmp_path):
    used = copy(cache, 1)
    for version in (2, 3):
        copy(cache, version)
    copy(cache, 9, base="s3://bucket/other")
    gc.collect()
    cache.tidy({BASE: [3]})
    assert slots(tmp_path) == ["half/1", "half/3", "other/9"]
    assert tree(used.path)
    del used
    gc.collect()
    cache.tidy({BASE: [3]})
    assert slots(tmp_path) == ["half/3", "other/9"]
    cache.tidy({BASE: []})
    assert slots(tmp_path) == ["other/9"]


def test_what_nobody_wanted_for_a_week_is_removed(cache, tmp_path):
    for version in (1, 2):
        copy(cache, version)
    gc.collect()
    for slot in (tmp_path / "cache").glob("*/*"):
        os.utime(slot, (0, time.time() - remote_cache.KEPT_UNUSED_S - 60))
    cache.tidy({BASE: [2]})
    cache.tidy({})
    assert slots(tmp_path) == ["half/2"], "it was wanted just now"


def test_an_older_copy_of_a_version_goes_once_it_is_not_used(cache, tmp_path):
    old = copy(cache)
    copy(cache, files=OTHER_FILES)
    assert len(slots(tmp_path)) == 2
    del old
    gc.collect()
    copy(cache, files=OTHER_FILES)
    assert len(slots(tmp_path)) == 1


def test_what_else_is_in_the_folder_is_left_alone(cache, tmp_path):
    kept = ["half/1/notes", "half-0123456789abcdef/notes/1", "half-0123456789abcdef/1-x/notes", "1-0123456789abcdef"]
    for name in kept:
        (tmp_path / "cache" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / name).write_bytes(b"")
        os.utime(tmp_path / "cache" / name, (0, 0))
    copy(cache)
    cache.tidy({})
    assert {*kept} <= {*tree(tmp_path / "cache")}


def test_a_cache_that_cannot_be_written_names_the_flag(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SetupError, match="cannot be written: Not a directory") as caught:
        copy(ModelCache(tmp_path / "file"))
    assert "--model_cache_dir=FOLDER" in caught.value.hint


def test_where_copies_are_without_a_flag(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert copy(ModelCache(None)).path.is_relative_to(tmp_path / "xdg" / "unstuck")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert copy(ModelCache(None)).path.is_relative_to(tmp_path / "home" / ".cache" / "unstuck")


def test_many_servers_that_copy_and_tidy_at_once_never_see_half_a_copy(tmp_path):
    """Each wants one of three versions again and again, and removes the others."""
    script = (
        "import random, sys, time; from pathlib import Path; from unstuck.lifecycle.remote_cache import ModelCache\n"
        "def make(folder):\n"
        "    for name in 'abc':\n"
        "        (folder / name).write_bytes(b'x'); time.sleep(0.002)\n"
        "cache = ModelCache(Path(sys.argv[1])); end = time.monotonic() + 2; turns = 0\n"
        "while time.monotonic() < end:\n"
        "    version = random.randrange(3)\n"
        f"    found = cache.copy({BASE!r}, version, {FILES!r}, make, lambda: None)\n"
        "    time.sleep(0.002); names = sorted(each.name for each in found.path.iterdir())\n"
        "    assert names == ['a', 'b', 'c'], names\n"
        f"    cache.tidy({{{BASE!r}: [version]}}); turns += 1\n"
        "print(turns)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "cache")]
    servers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(*server.communicate(timeout=60), server.returncode) for server in servers]
    for out, err, code in ended:
        assert (code, err) == (0, "")
        assert int(out) > 5
