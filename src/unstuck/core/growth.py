"""How much memory the process takes more than before, by what the system cannot drop: files that are mapped it can."""

from contextlib import suppress
from pathlib import Path

KIBIBYTE = 1 << 10
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
_RESETS_PEAK = "5"


class Growth:
    """Since it was made; of the whole process, so also by what others do meanwhile."""

    def __init__(self) -> None:
        with suppress(OSError):  # where that is not permitted, the peak is an older one, and not told from a new one
            CLEAR_REFS.write_text(_RESETS_PEAK)
        self._peak_before = _kibibytes().get("VmHWM", 0)
        self._before = _kept(_kibibytes())

    def now(self) -> int:
        """In bytes; never less than 0."""
        return max(_kept(_kibibytes()) - self._before, 0)

    def peak(self) -> int:
        """The most that it was at any time."""
        sizes = _kibibytes()
        highest = 0
        if sizes.get("VmHWM", 0) > self._peak_before:
            highest = sizes["VmHWM"] - sizes.get("RssFile", 0) - self._before
        return max(_kept(sizes) - self._before, highest, 0)


def _kept(sizes: dict[str, int]) -> int:
    return sizes.get("RssAnon", 0) + sizes.get("RssShmem", 0)


def _kibibytes() -> dict[str, int]:
    """In bytes, by name; empty where the system does not say."""
    try:
        lines = [line.split() for line in STATUS.read_text(errors="replace").splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): int(line[1]) * KIBIBYTE for line in lines if line[2:] == ["kB"] and line[1].isdigit()}
