"""What is found out of a version while it is loaded, for people and their tools."""

import time
from dataclasses import dataclass
from typing import Any

from fakes import FakeServable

from unstuck.lifecycle.harness import Accepted, Harness
from unstuck.lifecycle.room import AnyRoom
from unstuck.lifecycle.source import VersionPath

HELD = 64 << 20


@dataclass
class SlowLoader:
    """Takes its time and memory."""

    held: Any = None

    def load(self) -> Any:
        time.sleep(0.05)
        self.held = b"x" * HELD
        return FakeServable(lambda inputs: {}, {})

    def unload(self) -> None:
        self.held = None


def loaded(tmp_path, accepted):
    loader = SlowLoader()
    harness = Harness("m", VersionPath(3, tmp_path))
    _, version = harness.load(lambda name, found: loader, lambda *_: accepted, AnyRoom(), ())
    return version


def test_the_load_is_measured(tmp_path):
    facts = loaded(tmp_path, Accepted(facts={"engine": "fake"})).facts
    assert (facts["engine"], 0.05 <= facts["load_s"] < 10) == ("fake", True)
    assert HELD // 2 < facts["memory_growth_bytes"] < 4 * HELD


def test_facts_stay_as_they_were_found_and_notices_may_change(tmp_path):
    facts, notices = {"engine": "fake"}, {}
    version = loaded(tmp_path, Accepted(facts=facts, notices=notices))
    facts["engine"] = "other"
    notices["serving_default"] = "said with each answer"
    assert version.facts["engine"] == "fake"
    assert version.notices == {"serving_default": "said with each answer"}
