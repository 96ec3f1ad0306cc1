import time

from unstuck.core.models import State, VersionStatus
from unstuck.errors import LoadFailed
from unstuck.monitor import events
from unstuck.monitor.events import EventHistory


def test_states_and_what_else_was_noticed_are_kept_in_order():
    history = EventHistory()
    history.version_changed("m", VersionStatus(1, State.AVAILABLE))
    history.noticed("m", 1, "constant answers", "why")
    history.version_changed("m", VersionStatus(2, State.END, LoadFailed("no such op", hint="Install it.")))
    found = [(each.model, each.version, each.what, each.error) for each in history.latest()]
    assert found == [
        ("m", 1, "AVAILABLE", ""),
        ("m", 1, "constant answers", "why"),
        ("m", 2, "END", "no such op Install it."),
    ]
    times = [each.time for each in history.latest()]
    assert times == sorted(times)
    assert time.time() - 60 < times[0] <= time.time()


def test_since_when_a_version_is_in_its_state():
    history = EventHistory()
    history.version_changed("m", VersionStatus(1, State.LOADING))
    first = history.since("m", 1)
    history.version_changed("m", VersionStatus(1, State.AVAILABLE))
    history.noticed("m", 1, "something")
    assert first <= history.since("m", 1) == history.latest()[1].time
    assert history.since("m", 2) is None


def test_only_the_latest_are_kept():
    history = EventHistory()
    for number in range(events.KEPT + 10):
        history.noticed("m", 1, str(number))
    assert [each.what for each in history.latest()] == [str(number) for number in range(10, events.KEPT + 10)]
