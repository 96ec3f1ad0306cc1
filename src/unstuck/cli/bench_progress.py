"""What a person sees while ``bench`` and ``size`` measure: one line, written anew twice a second, and a line a load."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from unstuck.bench.load import Load
from unstuck.bench.report import words
from unstuck.bench.results import Level
from unstuck.bench.tally import Window


class Silence:
    """For a log."""

    def says(self, what: str) -> None: ...

    def begins(self, load: Load, seconds: float) -> None: ...

    def window(self, process: int, window: Window) -> None: ...

    def ended(self, level: Level) -> None: ...


class Progress:
    """On stderr. It is drawn where the generator's loop runs, so it does no more than it must."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True, highlight=False)
        self._live = Live(Text("Reading what the model takes …"), console=console, auto_refresh=False, transient=True)
        self._load, self._seconds = "", 0.0
        self._windows: dict[int, Window] = {}

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def says(self, what: str) -> None:
        """What happens between two loads."""
        self._live.update(Text(what), refresh=True)

    def begins(self, load: Load, seconds: float) -> None:
        self._load, self._seconds = load.name, seconds
        self._windows = {}
        self._live.update(Text(f"{load.name}: warming up …"), refresh=True)

    def window(self, process: int, window: Window) -> None:
        if window.at >= self._seconds:
            return  # what was answered after the end
        self._windows[process] = window
        latest = list(self._windows.values())
        answered = sum(each.latencies.count / each.seconds for each in latest)
        p50 = max(each.latencies.percentile(50) for each in latest)
        p99 = max(each.latencies.percentile(99) for each in latest)
        failed = sum(each.failed for each in latest)
        at = min(window.at + window.seconds, self._seconds)
        said = (
            f"{self._load}: {at:.1f} of {self._seconds:g} s   {words.rate(answered)} answers/s   "
            f"p50 {words.duration(p50)}   p99 {words.duration(p99)}"
        )
        self._live.update(Text(said + (f"   {failed:,} failed" if failed else "")), refresh=True)

    def ended(self, level: Level) -> None:
        said = f"{level.load.name}: {words.rate(level.rate)} answers/s, p99 {words.duration(level.p99_s)}"
        failed = level.tally.failed + level.tally.not_sent
        self._live.console.print(Text(said + (f", {failed:,} failed" if failed else ""), "dim"))


@contextmanager
def watched() -> Generator[Progress | Silence]:
    """Progress where a person looks at standard error."""
    if not sys.stderr.isatty():
        yield Silence()
        return
    with Progress() as progress:
        yield progress
