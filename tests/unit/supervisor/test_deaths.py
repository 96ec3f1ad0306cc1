import signal

import pytest

from unstuck.core.process import Limits
from unstuck.supervisor import deaths


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (3, "ended with status 3"),
        (-signal.SIGSEGV, "was killed by SIGSEGV (a native crash: an op or a library used memory that is not its own)"),
        (-signal.SIGTERM, "was killed by SIGTERM (somebody stopped it)"),
        (-signal.SIGUSR1, "was killed by SIGUSR1"),
        (-60, "was killed by signal 60"),
    ],
)
def test_a_status_in_words(status, said):
    assert deaths.in_words(status, "", 0) == said


@pytest.mark.parametrize(
    ("oom_kills", "limit", "said"),
    [
        (1, 2 << 30, "as memory ran out; the container's limit is 2,048 MiB"),
        (0, 2 << 30, "by somebody, or by the system as memory ran out; the container's limit is 2,048 MiB"),
        (0, None, "by somebody, or by the system as memory ran out"),
    ],
)
def test_what_may_have_killed_it(monkeypatch, oom_kills, limit, said):
    monkeypatch.setattr(deaths, "limits", lambda: Limits(None, limit))
    assert deaths.in_words(-signal.SIGKILL, "", oom_kills) == f"was killed by SIGKILL ({said})"


def test_what_we_killed_it_for():
    assert deaths.in_words(-signal.SIGKILL, "did not answer for 1.5 s", 0) == "did not answer for 1.5 s, and was killed"
