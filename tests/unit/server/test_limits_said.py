"""What a server says of its limits: metrics, and the page of its status."""

import pytest

from unstuck.api.rest import limits as page
from unstuck.config.settings import ServerConfig
from unstuck.core.allowance import Allowance, MemoryBound
from unstuck.core.cgroups import Pressure
from unstuck.server import memory
from unstuck.server.memory import LimitMetrics, memory_gate

CONTAINER = MemoryBound("the container", 1000, 600, "cgroup v2")
MACHINE = MemoryBound("the machine", 9000, 2000)


def allowed(*bounds, files=100):
    return lambda: Allowance(bounds, 1.5, "the container's quota", files)


def read():
    return {family.name: [sample.value for sample in family.samples] for family in LimitMetrics().families()}


def test_the_limit_and_what_is_left_are_metrics(monkeypatch):
    monkeypatch.setattr(memory, "allowance", allowed(CONTAINER, MACHINE))
    assert read() == {"unstuck_memory_limit_bytes": [1000], "unstuck_memory_left_bytes": [400]}


def test_what_the_system_does_not_say_is_no_metric(monkeypatch):
    monkeypatch.setattr(memory, "allowance", allowed())
    assert read() == {"unstuck_memory_limit_bytes": [], "unstuck_memory_left_bytes": []}


@pytest.mark.parametrize("pressure", [Pressure(1.5, 0.5), None])
def test_the_page(monkeypatch, pressure):
    monkeypatch.setattr(page, "allowance", allowed(CONTAINER, MACHINE))
    monkeypatch.setattr(page, "memory_pressure", lambda: pressure)
    monkeypatch.setattr(page, "oom_kills", lambda: 3)
    said = page.limits_document()
    assert len(said.pop("warnings")) == 2, "of files and of memory"
    assert said == {
        "memory_limit_bytes": 1000,
        "memory_left_bytes": 400,
        "memory": [
            {"source": "the container (cgroup v2)", "limit_bytes": 1000, "used_bytes": 600, "left_bytes": 400},
            {"source": "the machine", "limit_bytes": 9000, "used_bytes": 2000, "left_bytes": 7000},
        ],
        "memory_pressure": {"some": 1.5, "full": 0.5} if pressure else None,
        "oom_kills": 3,
        "cpus": 1.5,
        "cpus_source": "the container's quota",
        "open_files": 100,
    }


def test_without_a_home_nothing_is_remembered_and_loads_are_checked_all_the_same(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless():
        raise RuntimeError

    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert not memory_gate(ServerConfig()).has(1 << 60)
