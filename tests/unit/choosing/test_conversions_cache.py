import json
import os
import threading
import time

import pytest

from unstuck.choosing import cache
from unstuck.choosing.cache import Conversions, key_of
from unstuck.choosing.conversion import Cancelled, Limits, NotConverted
from unstuck.errors import SetupError

LIMITS = Limits(memory_bytes=1000)
NEVER = threading.Event()


@pytest.fixture
def kept(tmp_path):
    return Conversions(tmp_path / "onnx")


def saved_model(folder, weights=b"w", **files):
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.data").write_bytes(weights)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_what_was_made_is_made_once(kept):
    made = []

    def make(path):
        made.append(path)
        path.write_bytes(b"model")

    first = kept.get("k", LIMITS, make, NEVER)
    assert kept.get("k", LIMITS, make, NEVER) == first
    assert first.read_bytes() == b"model"
    assert len(made) == 1
    assert [each.name for each in first.parent.iterdir() if "partial" in each.name] == []


def test_what_failed_is_remembered_with_its_reason(kept):
    calls = []

    def fail(path):
        calls.append(path)
        path.write_bytes(b"half")
        raise NotConverted("there is no such op")

    for expected in ("there is no such op", "there is no such op (as it was found before)"):
        with pytest.raises(NotConverted) as caught:
            kept.get("k", LIMITS, fail, NEVER)
        assert str(caught.value) == expected
    assert len(calls) == 1
    kept.get("other", LIMITS, lambda path: path.write_bytes(b"model"), NEVER)


def test_what_may_be_otherwise_next_time_is_not_remembered(kept):
    def fail(path):
        raise NotConverted("too little is free", is_lasting=False)

    with pytest.raises(NotConverted):
        kept.get("k", LIMITS, fail, NEVER)
    kept.get("k", LIMITS, lambda path: path.write_bytes(b"model"), NEVER)


def test_what_took_too_much_memory_is_tried_again_with_twice_as_much(kept):
    def fail(path):
        raise NotConverted("too large", memory_bytes=1000)

    with pytest.raises(NotConverted):
        kept.get("k", LIMITS, fail, NEVER)
    with pytest.raises(NotConverted, match="as it was found before"):
        kept.get("k", Limits(memory_bytes=1999), lambda path: path.write_bytes(b"model"), NEVER)
    assert kept.get("k", Limits(memory_bytes=2000), lambda path: path.write_bytes(b"model"), NEVER).is_file()


def test_one_server_waits_for_another_that_makes_it(kept):
    making, go_on = threading.Event(), threading.Event()

    def slow(path):
        making.set()
        assert go_on.wait(10)
        path.write_bytes(b"model")

    first = threading.Thread(target=kept.get, args=("k", LIMITS, slow, NEVER))
    first.start()
    assert making.wait(10)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        kept.get("k", LIMITS, slow, cancelled)
    threading.Timer(0.1, go_on.set).start()
    assert kept.get("k", LIMITS, lambda path: pytest.fail("made twice"), NEVER).read_bytes() == b"model"
    first.join(10)


def test_what_nobody_used_for_long_is_removed(kept):
    old = kept.get("old", LIMITS, lambda path: path.write_bytes(b"model"), NEVER)
    used = kept.get("used", LIMITS, lambda path: path.write_bytes(b"model"), NEVER)
    long_ago = time.time() - cache.KEPT_UNUSED_S - 60
    os.utime(old, (long_ago, long_ago))
    kept.get("new", LIMITS, lambda path: path.write_bytes(b"model"), NEVER)
    assert not old.exists()
    assert used.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"Conversions cannot be kept in .*file"):
        Conversions(tmp_path / "file" / "onnx").get("k", LIMITS, lambda path: None, NEVER)


def test_the_key_depends_on_files_signature_tags_and_tools(tmp_path):
    model = saved_model(tmp_path / "a")
    tools = {"tf2onnx": "1"}
    key = key_of(model, ["serve"], "s", tools)
    assert key == key_of(saved_model(tmp_path / "b", other=b"ignored"), ["serve"], "s", tools)
    others = [
        key_of(saved_model(tmp_path / "c", weights=b"W"), ["serve"], "s", tools),
        key_of(model, ["serve", "gpu"], "s", tools),
        key_of(model, ["serve"], "t", tools),
        key_of(model, ["serve"], "s", {"tf2onnx": "2"}),
    ]
    assert len({key, *others}) == 5


def test_refusals_are_readable(kept, tmp_path):
    def fail(path):
        raise NotConverted("why")

    with pytest.raises(NotConverted):
        kept.get("k", LIMITS, fail, NEVER)
    assert json.loads((tmp_path / "onnx" / "k.json").read_text()) == {"reason": "why", "memory_bytes": 0}
