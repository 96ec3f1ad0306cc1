"""Versions that are refused for their memory: they end with the reason, and come back once there is room."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from unstuck.core.models import ModelSpec, State
from unstuck.errors import NotEnoughMemory, Quarantined
from unstuck.lifecycle.harness import Accepted
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.options import ManagerOptions
from unstuck.lifecycle.policies import availability_preserving, resource_preserving
from unstuck.lifecycle.room import Room
from unstuck.lifecycle.source import VersionPath

WAIT_S = 10
NEEDED, FREED = 100, 30


class Rooms(Room):
    """Has room for some of the versions of ``m``.

    Attributes:
        full: the versions that it has no room for.
        never: the versions that it would have no room for in the place of others, either.
        asked: each version that asked, and those beside it.
        checked: the same, before others were unloaded.
        within: the versions that are being loaded.
        most: how many were loaded at once.
        looks: how often it was asked whether there is room again.
    """

    def __init__(self):
        self.full, self.never = set(), set()
        self.asked, self.checked, self.within, self.most, self.looks = [], [], [], 0, 0

    def check(self, name, found, loader, beside):
        self.checked.append((found.version, list(beside)))
        if found.version in self.never:
            raise NotEnoughMemory("it needs too much.", hint="Raise the limit.", needed=NEEDED + FREED, freed=FREED)

    @contextmanager
    def enter(self, name, found, loader, beside):
        self.asked.append((found.version, list(beside)))
        if found.version in self.full:
            raise NotEnoughMemory("it needs too much.", hint="Raise the limit.", needed=NEEDED)
        self.within.append(found.version)
        yield
        self.within.remove(found.version)

    def has(self, needed):
        assert needed == NEEDED
        self.looks += 1
        return not self.full and not self.never


class World:
    def __init__(self, folder, **options):
        self.folder, self.room, self.loaded, self.unloaded = folder, Rooms(), [], []
        self.manager = Manager(self.loader_of, self.accept, ManagerOptions(room=self.room, **options))
        self.manager.set_models(["m"])

    def loader_of(self, name, found):
        def load():
            assert found.version in self.room.within
            self.loaded.append(found.version)
            return f"servable {found.version}"

        return SimpleNamespace(load=load, unload=lambda: self.unloaded.append(found.version))

    def accept(self, name, found, servable):
        assert found.version in self.room.within, "what is tried before it serves takes memory, too"
        return Accepted()

    def want(self, *versions):
        found = []
        for version in versions:
            path = self.folder / str(version)
            path.mkdir(exist_ok=True)
            found.append(VersionPath(version, path))
        self.manager.aspire("m", found)
        self.manager.wait_until_settled(["m"])

    def states(self):
        return {each.version: each.state for each in self.manager.status("m")}

    def until(self, condition):
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, self.states()
            time.sleep(0.002)


@pytest.fixture
def make(tmp_path):
    made = []

    def of(**options):
        made.append(World(tmp_path, **options))
        return made[-1]

    yield of
    for each in made:
        each.manager.stop(0)


def test_a_version_without_room_ends_at_once_and_the_old_one_serves(make):
    world = make(load_retries=5, load_retry_interval_s=60)
    world.want(1)
    world.room.full = {2}
    world.want(2)
    assert world.states() == {1: State.AVAILABLE, 2: State.END}
    assert world.manager.find(ModelSpec("m")).version == 1
    assert world.room.asked == [(1, []), (2, [1])]
    assert world.loaded == [1]
    error = world.manager.status("m", 2)[0].error
    assert str(error) == "Model 'm' version 2 cannot be served: it needs too much. Raise the limit."


def test_it_is_tried_again_once_there_is_room_and_not_before(make):
    world = make()
    world.want(1)
    world.room.full = {2}
    for _ in range(5):
        world.want(2)
    assert world.room.asked == [(1, []), (2, [1])]
    assert world.room.looks == 4, "each time that the versions are looked for"
    world.room.full = set()
    world.want(2)
    assert world.manager.find(ModelSpec("m")).version == 2
    world.until(lambda: world.unloaded == [1])


def test_a_version_that_stays_is_not_said_to_make_room(make):
    world = make()
    world.want(1)
    world.want(1, 2)
    assert world.room.asked == [(1, []), (2, [])]


@pytest.mark.parametrize(("policy", "beside"), [(availability_preserving, [1]), (resource_preserving, [])])
def test_the_resource_preserving_policy_makes_room_first(make, policy, beside):
    world = make(policy=policy)
    world.want(1)
    world.want(2)
    world.until(lambda: world.manager.is_available("m", 2))
    assert world.room.asked[-1] == (2, beside)
    world.until(lambda: world.unloaded == [1])


def test_to_preserve_resources_the_old_version_goes_only_once_the_new_one_is_known_to_fit(make):
    world = make(policy=resource_preserving)
    world.want(1)
    world.want(2)
    world.until(lambda: world.manager.is_available("m", 2))
    assert world.room.checked == [(2, [1])], "the first one had nobody to take the place of"
    assert world.room.asked == [(1, []), (2, [])]


def test_to_preserve_resources_the_old_version_serves_on_where_the_new_one_cannot_fit_in_its_place(make):
    world = make(policy=resource_preserving, load_retries=5, load_retry_interval_s=60)
    world.want(1)
    world.room.never = {2}
    for _ in range(5):
        world.want(2)
        assert world.manager.find(ModelSpec("m")).version == 1
    assert world.states() == {1: State.AVAILABLE, 2: State.END}
    assert (world.loaded, world.unloaded) == ([1], [])
    assert world.room.checked == [(2, [1])]
    assert world.room.looks == 4, "each time that the versions are looked for"
    error = world.manager.status("m", 2)[0].error
    assert str(error) == "Model 'm' version 2 cannot be served: it needs too much. Raise the limit."
    world.room.never = set()
    world.want(2)
    world.until(lambda: world.manager.is_available("m", 2))
    world.until(lambda: world.unloaded == [1])


def test_to_preserve_resources_an_older_one_that_fits_takes_the_place_instead(make):
    world = make(policy=resource_preserving)
    world.want(1)
    world.room.never = {3}
    world.want(2, 3)
    world.until(lambda: world.manager.is_available("m", 2))
    assert world.room.checked == [(3, [1]), (2, [1])]
    assert world.states()[3] is State.END


def test_a_version_that_is_not_wanted_any_more_when_it_is_found_to_fit_takes_nobody_s_place(make):
    world = make(policy=resource_preserving)
    world.want(1)
    check, may_answer = world.room.check, threading.Event()

    def later(*asked):
        assert may_answer.wait(WAIT_S)
        check(*asked)

    world.room.check = later
    world.manager.aspire("m", [VersionPath(2, world.folder / "2")])
    (world.folder / "2").mkdir()
    world.until(lambda: 2 in world.states())
    world.manager.aspire("m", [VersionPath(1, world.folder / "1")])
    may_answer.set()
    world.until(lambda: world.states() == {1: State.AVAILABLE, 2: State.END})
    assert (world.loaded, world.unloaded) == ([1], [])


def test_a_version_in_quarantine_while_it_is_asked_for_rests_and_the_old_one_serves(make):
    world = make(policy=resource_preserving)
    world.want(1)
    why = Quarantined("m", 2, "operator", "by hand")
    world.room.check = lambda *_: world.manager.quarantine(why)
    world.want(2)
    assert world.states() == {1: State.AVAILABLE, 2: State.END}
    world.room.check = lambda *_: None
    world.manager.release("m", 2)
    world.until(lambda: world.manager.is_available("m", 2))
    world.until(lambda: world.unloaded == [1])


def test_loads_at_the_same_time_each_ask(make):
    world = make(load_threads=2)
    both = threading.Barrier(2)
    accept = world.accept

    def meet(name, found, servable):
        both.wait(WAIT_S)
        assert sorted(world.room.within) == [1, 2]
        both.wait(WAIT_S)
        return accept(name, found, servable)

    world.manager._accept = meet
    world.want(1, 2)
    assert world.states() == {1: State.AVAILABLE, 2: State.AVAILABLE}
