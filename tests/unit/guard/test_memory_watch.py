"""When memory counts as short."""

from unstuck.core.cgroups import Memory
from unstuck.guard.memory import MemoryWatch

GIB = 1 << 30


class Machine:
    def __init__(self):
        self.used, self.stalled = 0.5, 0.0
        self.watch = MemoryWatch(lambda: [Memory(GIB, int(self.used * GIB))], lambda: self.stalled)

    def look(self, used=None, stalled=None):
        self.used = self.used if used is None else used
        self.stalled = self.stalled if stalled is None else stalled
        self.watch.look()
        return self.watch.shortage


def test_near_the_limit_it_is_and_the_figures_are_told():
    machine = Machine()
    assert machine.look(used=0.94) == ""
    assert machine.look(used=0.96) == "983 of the container's 1,024 MiB are used"


def test_it_is_until_there_is_clearly_room_again():
    machine = Machine()
    machine.look(used=0.96)
    assert machine.look(used=0.92)
    assert machine.look(used=0.89) == ""
    assert machine.look(used=0.92) == ""


def test_tasks_that_wait_for_memory_say_it_as_well():
    machine = Machine()
    assert machine.look(stalled=15.0) == ""
    assert "25% of the last 10 s" in machine.look(stalled=25.0)
    assert machine.look(stalled=15.0)
    assert machine.look(stalled=5.0) == ""


def test_where_the_system_says_nothing_it_is_not():
    watch = MemoryWatch(list, lambda: None)
    watch.look()
    assert watch.shortage == ""
