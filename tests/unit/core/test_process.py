import pytest

from unstuck.core import process
from unstuck.core.process import resident_bytes


def test_resident_memory_grows_with_what_is_held():
    before = resident_bytes()
    held = b"x" * (64 << 20)
    assert resident_bytes() - before > 32 << 20
    del held


@pytest.mark.parametrize("statm", ["", "12", "a b c"])
def test_resident_memory_is_zero_where_the_system_does_not_say(statm, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "STATM", tmp_path / "statm")
    assert resident_bytes() == 0
    (tmp_path / "statm").write_text(statm)
    assert resident_bytes() == 0
