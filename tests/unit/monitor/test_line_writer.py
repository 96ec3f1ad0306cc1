"""Lines to a stream that takes nothing at times, or only a part."""

import errno
import io
from typing import Any

import pytest

from unstuck.monitor.line_writer import LineWriter, writer_to


def test_a_stream_that_was_closed_fails_nobody(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        writer = LineWriter(stream)
        writer.write("one")
    writer.write("two")
    assert (tmp_path / "log").read_text() == "one\n"


class Disk(io.RawIOBase):
    """Takes ``room`` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.data += taken
        return len(taken)


@pytest.mark.parametrize(
    ("room", "kept"),
    [(0, ""), (4, "one\n"), (6, "one\ntwo\n"), (7, "one\ntwo\n"), (8, "one\ntwo\n")],
)
def test_lines_are_whole_once_there_is_room_again(room, kept):
    disk = Disk(room)
    writer = LineWriter(io.TextIOWrapper(io.BufferedWriter(disk)))
    for line in ("one", "two", "three"):
        writer.write(line)
    disk.room = 5  # the rest, and not all of what there is to say
    writer.write("four")
    disk.room = 1000
    for line in ("five", "six"):
        writer.write(line)
    lines = disk.data.decode().removeprefix(kept).splitlines()
    note = "Lines that belong here could not be written: No space left on device."
    assert set(lines) - {note} <= {"three", "five", "six"}
    assert note in lines
    assert lines[-2:] == ["five", "six"]


def test_a_pipe_that_takes_no_more_for_now_loses_lines_and_blocks_nobody():
    class Full(Disk):
        def write(self, data: Any) -> Any:
            return None if not self.room else super().write(data)

    disk = Full(0)
    writer = LineWriter(io.TextIOWrapper(io.BufferedWriter(disk)))
    writer.write("lost")
    disk.room = 1000
    writer.write("kept", missing=lambda why: f"<{why}>")
    assert disk.data == b"<Resource temporarily unavailable>\nkept\n"


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_however_it_is_buffered(tmp_path, buffering):
    with (tmp_path / "log").open("wb", buffering=buffering) as file:
        stream: Any = io.TextIOWrapper(file, write_through=True)
        assert writer_to(stream) is writer_to(stream)
        writer_to(stream).write("é \ud800")
        assert (tmp_path / "log").read_text() == "é \\ud800\n", "at once"


def test_a_stream_of_text_alone():
    stream = io.StringIO()
    writer_to(stream).write("one")
    assert stream.getvalue() == "one\n"
