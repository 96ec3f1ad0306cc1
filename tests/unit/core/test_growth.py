import pytest

from unstuck.core import growth
from unstuck.core.growth import Growth


@pytest.fixture
def status(tmp_path, monkeypatch):
    """Writes /proc/self/status, in KiB: what is its own, what is of files, and the most that both were."""
    monkeypatch.setattr(growth, "STATUS", tmp_path / "status")
    monkeypatch.setattr(growth, "CLEAR_REFS", tmp_path / "clear_refs")

    def write(anonymous, file, peak):
        (tmp_path / "status").write_text(
            f"VmHWM: {peak} kB\nRssAnon: {anonymous} kB\nRssFile: {file} kB\nRssShmem: 0 kB"
        )
        return tmp_path

    return write


def test_files_that_are_mapped_are_not_counted(status):
    folder = status(100, 50, 150)
    grown = Growth()
    assert (folder / "clear_refs").read_text() == "5", "the peak begins anew"
    status(130, 500, 630)
    assert (grown.now(), grown.peak()) == (30 << 10, 30 << 10)


def test_the_peak_is_more_than_what_stays(status):
    status(100, 50, 150)
    grown = Growth()
    status(120, 50, 400)
    assert (grown.now(), grown.peak()) == (20 << 10, 250 << 10)


def test_an_older_peak_does_not_count(status):
    status(100, 50, 900)
    grown = Growth()
    status(120, 50, 900)
    assert grown.peak() == 20 << 10


def test_it_is_never_less_than_nothing(status):
    status(100, 50, 150)
    grown = Growth()
    status(90, 50, 150)
    assert (grown.now(), grown.peak()) == (0, 0)


def test_this_process_grows_by_what_it_takes():
    grown = Growth()
    held = bytearray(b"x" * (32 << 20))
    assert grown.now() > 24 << 20
    assert grown.peak() >= len(held) * 3 // 4
