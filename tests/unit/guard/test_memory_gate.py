import logging
import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from unstuck.core.allowance import Allowance, MemoryBound
from unstuck.errors import NotEnoughMemory
from unstuck.guard import memory_gate, memory_records
from unstuck.guard.memory_gate import SPARE, MemoryGate
from unstuck.guard.memory_records import MemoryRecords, key_of

MEBIBYTE = 1 << 20


@dataclass
class Asks:
    """A loader that asks for so many MiB."""

    mebibytes: int | None

    def estimate(self):
        return None if self.mebibytes is None else self.mebibytes * MEBIBYTE


@dataclass
class Folder:
    path: Path
    version: int = 1


@dataclass
class Grown:
    """What the process takes more, as a load finds it."""

    after: int = 0
    most: int = 0

    def now(self):
        return self.after

    def peak(self):
        return self.most


class World:
    """A gate in a container of 1000 MiB, of which ``left`` are left."""

    def __init__(self, folder, monkeypatch, check="refuse", **options):
        self.left = 500
        self.grown = Grown()
        self.path = folder / "model"
        self.path.mkdir(exist_ok=True)
        (self.path / "weights").write_bytes(b"x" * 100)
        self.records = MemoryRecords(folder / "cache")
        monkeypatch.setattr(memory_gate, "Growth", lambda: self.grown)
        options = {"unloads_first": False, **options}
        self.gate = MemoryGate(check, self.records, allowed=self.allowed, **options)

    def allowed(self):
        container = MemoryBound("the container", 1000 * MEBIBYTE, (1000 - self.left) * MEBIBYTE, "cgroup v2")
        return Allowance((container, replace(container, owner="the machine", limit=9 << 30, kind="")), 2, "", None)

    def check(self, mebibytes, version=1, beside=()):
        self.gate.check("m", Folder(self.path, version), Asks(mebibytes), beside)

    def enter(self, mebibytes, version=1, beside=()):
        return self.gate.enter("m", Folder(self.path, version), Asks(mebibytes), beside)


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def test_what_fits_is_loaded_and_what_does_not_is_refused(world):
    with world.enter(500):
        pass
    with pytest.raises(NotEnoughMemory, match=r"needs 501 MiB .* 500 MiB left of the container's 1000 MiB"):
        world.enter(501).__enter__()


def test_what_nothing_is_known_of_is_loaded(world):
    world.left = 0
    with world.enter(None):
        pass


def test_loads_at_the_same_time_do_not_count_on_the_same_memory(world):
    with world.enter(300), pytest.raises(NotEnoughMemory, match=r"200 MiB left .* 300 MiB are promised"):
        world.enter(201, version=2).__enter__()
    with world.enter(500, version=2):
        pass


def test_what_a_load_has_taken_of_its_promise_is_counted_once(world):
    with world.enter(300):
        world.left = 200  # it has all of it now
        with world.enter(200, version=2):
            pass
        assert not world.gate.has(1), "the second's promise stands while the first one loads"


def test_threads_at_once_are_promised_no_more_than_there_is(world):
    refused, entered, done = [], ExitStack(), threading.Barrier(20)

    def load(version):
        context = world.enter(90, version)
        try:
            context.__enter__()
            entered.push(context)
        except NotEnoughMemory as error:
            refused.append(error)
        done.wait(30)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    entered.close()
    assert len(refused) == 15, "five times 90 of 500"


def test_a_failed_load_gives_its_promise_back(world):
    with pytest.raises(RuntimeError), world.enter(400):
        raise RuntimeError
    with world.enter(500):
        pass


def test_the_old_version_s_part_is_said(world):
    world.grown = Grown(after=290 * MEBIBYTE)
    with world.enter(300):
        pass
    with pytest.raises(NotEnoughMemory, match="version 1 holds 290 MiB") as caught:
        world.enter(600, version=2, beside=(1,)).__enter__()
    assert "resource_preserving" in caught.value.hint


def test_it_is_asked_whether_one_fits_in_the_place_of_others(world):
    world.grown = Grown(after=290 * MEBIBYTE)
    with world.enter(300):
        pass
    world.check(790, version=2, beside=(1,))
    with pytest.raises(NotEnoughMemory, match=r"500 MiB left .* version 1 holds 290 MiB, which would not be enough"):
        world.check(791, version=2, beside=(1,))
    with world.enter(100, version=3), pytest.raises(NotEnoughMemory, match=r"400 MiB left .* 100 MiB are promised"):
        world.check(691, version=2, beside=(1,))
    with pytest.raises(NotEnoughMemory, match="500 MiB left"):
        world.check(501, version=2)


@pytest.mark.parametrize("check", ["warn", "off"])
def test_nobody_stays_where_nothing_is_refused(tmp_path, monkeypatch, check):
    World(tmp_path, monkeypatch, check).check(5000, version=2, beside=(1,))


def test_what_those_hold_that_stay_is_remembered_until_they_go(world):
    world.grown = Grown(after=290 * MEBIBYTE)
    for version in (1, 2):
        with world.enter(300, version):
            pass
    world.check(790, version=3, beside=(1,))


def test_of_very_many_versions_the_latest_are_known(world, monkeypatch):
    monkeypatch.setattr(memory_gate, "MOST_HELD", 2)
    world.grown = Grown(after=90 * MEBIBYTE)
    for version in (1, 2, 1, 3):
        with world.enter(100, version):
            pass
    world.check(680, version=4, beside=(1, 3))
    with pytest.raises(NotEnoughMemory):
        world.check(501, version=4, beside=(2,))


def test_what_its_framework_took_is_not_said_to_go_with_it(world):
    loader = Asks(400)
    world.grown = Grown(after=390 * MEBIBYTE)
    with world.gate.enter("m", Folder(world.path), loader, ()):
        loader.mebibytes = 120  # as it is imported now
    world.left = 300
    with pytest.raises(NotEnoughMemory, match="version 1 holds 120 MiB") as caught:
        world.enter(421, version=2, beside=(1,)).__enter__()
    assert "resource_preserving" not in caught.value.hint, "which would not free enough"


def test_what_it_took_is_expected_the_next_time(world):
    world.grown = Grown(most=50 * MEBIBYTE)
    with world.enter(400):
        pass
    world.left = 60
    with world.enter(400):
        pass
    (world.path / "weights").write_bytes(b"x" * 101)
    with pytest.raises(NotEnoughMemory, match="needs 400 MiB of memory \\(estimated"):
        world.enter(400).__enter__()


def test_loads_at_the_same_time_are_not_measured(world):
    world.grown = Grown(most=5 * MEBIBYTE)
    with world.enter(100), world.enter(100, version=2):
        pass
    assert world.records.needed(key_of(world.path, 100 * MEBIBYTE)) is None
    with world.enter(100):
        pass
    assert world.records.needed(key_of(world.path, 100 * MEBIBYTE))


def test_a_refused_version_can_come_back_once_there_is_some_more_than_it_needs(world):
    assert world.gate.has(500 * MEBIBYTE - SPARE)
    assert not world.gate.has(500 * MEBIBYTE - SPARE + 1)


def test_it_may_only_warn(tmp_path, monkeypatch, caplog):
    world = World(tmp_path, monkeypatch, "warn")
    with caplog.at_level(logging.WARNING), world.enter(501):
        pass
    assert "Model 'm' version 1 is loaded although it needs 501 MiB" in caplog.text


def test_it_may_be_off(tmp_path, monkeypatch, caplog):
    world = World(tmp_path, monkeypatch, "off")
    with world.enter(501):
        pass
    assert not caplog.text
    assert not (tmp_path / "cache").exists()


def test_of_the_latest_loads_the_largest_counts(tmp_path):
    records = MemoryRecords(tmp_path / "cache")
    for peak in (900, 10, 30, 20):
        records.keep("k", tmp_path, peak)
    assert records.needed("k") == 33


def test_a_cache_that_cannot_be_used_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    for records in (MemoryRecords(tmp_path / "file" / "cache"), MemoryRecords(None)):
        records.keep("k", tmp_path, 7)
        assert records.needed("k") is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"peaks": "x"}', '{"peaks": []}', "\0"])
def test_a_broken_record_is_none(tmp_path, text):
    records = MemoryRecords(tmp_path)
    (tmp_path / "k.json").write_text(text)
    assert records.needed("k") is None
    records.keep("k", tmp_path, 100)
    assert records.needed("k") == 110


def test_of_very_many_records_the_older_half_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_records, "MOST", 4)
    records = MemoryRecords(tmp_path)
    for number in range(6):
        records.keep(str(number), tmp_path, 7)
        os.utime(tmp_path / f"{number}.json", (number, number))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["2.json", "3.json", "4.json", "5.json"]


def test_the_key_is_of_the_files_and_of_the_estimate(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"1")
    keys = {key_of(tmp_path, 1), key_of(tmp_path, 2), key_of(file, 1)}
    file.write_bytes(b"22")
    keys.add(key_of(tmp_path, 1))
    assert len(keys) == 4
    assert key_of(tmp_path, 1) == key_of(tmp_path, 1)
