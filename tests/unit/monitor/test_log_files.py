import os
import re
from pathlib import Path

import pytest

from unstuck.data.columns import DataError
from unstuck.data.tfrecord import CutOff, records
from unstuck.monitor import log_files
from unstuck.monitor.log_files import LogFiles


def read(folder: Path) -> list[list[bytes]]:
    return [[each.data for each in records(path)] for path in sorted(folder.iterdir())]


def test_records_of_one_file_and_its_name(tmp_path):
    files = LogFiles(tmp_path / "logs" / "req", "a b/c", 1 << 30)
    files.write([b"one", b""])
    assert read(tmp_path / "logs") == [[b"one", b""]]  # without a close
    files.write([b"three"])
    files.close()
    (path,) = (tmp_path / "logs").iterdir()
    assert re.fullmatch(rf"req\.a%20b%2Fc\.\d{{8}}T\d{{6}}Z\.{os.getpid()}-\d{{6}}\.tfrecord", path.name)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read(tmp_path / "logs") == [[b"one", b"", b"three"]]


def test_a_file_that_would_grow_too_large_is_followed_by_another(tmp_path):
    files = LogFiles(tmp_path / "req", "m", 400)  # 100 a file
    for at in range(9):
        files.write([b"%d" % at * 30])  # 46 bytes as a record
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 400
    assert read(tmp_path) == [[b"2" * 30, b"3" * 30], [b"4" * 30, b"5" * 30], [b"6" * 30, b"7" * 30], [b"8" * 30]]
    files.write([b"x" * 300])  # more than a file takes has one of its own
    assert read(tmp_path) == [[b"8" * 30], [b"x" * 300]]


def test_the_oldest_of_this_model_go_first_and_nothing_else_does(tmp_path):
    others = ["req.n.20200101T000000Z.1-000001.tfrecord", "req.m.txt", "req.m.20200101T000000Z.1-000001.tfrecord.bak"]
    for name in others:
        (tmp_path / name).write_bytes(b"x" * 1000)
    old = tmp_path / "req.m.20200101T000000Z.1-000001.tfrecord"
    old.write_bytes(b"x" * 250)
    newer = tmp_path / "req.m.20210101T000000Z.1-000001.tfrecord"
    newer.write_bytes(b"x" * 100)
    LogFiles(tmp_path / "req", "m", 400).write([b"a"])
    assert not old.exists()
    assert newer.exists()
    assert all((tmp_path / name).exists() for name in others)


def test_a_file_of_an_hour_is_followed_by_another(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(log_files.time, "monotonic", lambda: now[0])
    files = LogFiles(tmp_path / "req", "m", 1 << 30)
    for second in (0, 3599, 3601, 3602):
        now[0] = float(second)
        files.write([b"%d" % second])
    assert read(tmp_path) == [[b"0", b"3599"], [b"3601", b"3602"]]


def test_a_file_that_somebody_deleted_is_followed_by_another(tmp_path):
    files = LogFiles(tmp_path / "req", "m", 1 << 30)
    files.write([b"one"])
    (path,) = tmp_path.iterdir()
    path.unlink()
    files.write([b"two"])
    assert read(tmp_path) == [[b"two"]]


def test_a_torn_end_is_said_after_the_whole_records(tmp_path):
    files = LogFiles(tmp_path / "req", "m", 1 << 30)
    files.write([b"one", b"two", b"three"])
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for cut in range(len(whole) - 1, len(whole) - 21, -1):  # 16 around "three"
        path.write_bytes(whole[:cut])
        found: list[bytes] = []
        with pytest.raises(CutOff, match=r"record 3: the file ends in it.*the records before are whole"):
            found.extend(each.data for each in records(path))
        assert found == [b"one", b"two"]
    path.write_bytes(whole[:-2] + b"??")
    with pytest.raises(DataError, match="checksum"):
        list(records(path))


def test_several_processes_stay_within_the_limit_together(tmp_path):
    writers = [LogFiles(tmp_path / "req", "m", 1600, writers=4) for _ in range(4)]  # 100 a file
    for at in range(200):
        writers[at % 4 if at % 3 else 0].write([b"x" * 30])  # 46 bytes as a record
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1600
    for each in writers:
        each.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 800
