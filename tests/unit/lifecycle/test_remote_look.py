"""Which versions of a store are taken, and when: whole ones, and those that stand still."""

import pytest
from remote_memory import BASE, recognises

from unstuck.core.models import AllVersions, Latest, ModelConfig, ModelSpec, Specific, State
from unstuck.errors import SetupError
from unstuck.lifecycle import remote_look
from unstuck.lifecycle.harness import Accepted
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.polling import Source
from unstuck.lifecycle.remote import RemoteModels
from unstuck.lifecycle.remote_look import RemoteLook
from unstuck.lifecycle.remote_store import Store, Unreachable

WAIT_S = 60
NEWEST = Latest()


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


class Looks:
    """A look each ``WAIT_S``, without waiting."""

    def __init__(self, store, monkeypatch, wait_s=WAIT_S):
        self.clock = Clock()
        self.look = RemoteLook(store.models, wait_s)
        monkeypatch.setattr(remote_look, "time", self.clock)

    def __call__(self, choice=NEWEST, *, after_s=WAIT_S, name="m"):
        """The versions, or what is wrong."""
        self.clock.now += after_s
        try:
            _, versions = self.look.look(ModelConfig(name, BASE, choice), BASE)
        except Unreachable:
            return "unreachable"
        except SetupError as error:
            return str(error)
        return [each.version for each in versions]


@pytest.fixture
def looks(store, monkeypatch):
    return Looks(store, monkeypatch)


@pytest.mark.parametrize(
    ("choice", "versions"),
    [
        (Latest(), [10]),
        (Latest(0), [10]),
        (Latest(2), [9, 10]),
        (Latest(9), [1, 9, 10]),
        (AllVersions(), [1, 9, 10]),
        (Specific(frozenset({1, 9, 77})), [1, 9]),
        (Specific(frozenset({77})), []),
    ],
)
def test_the_versions_that_are_there_at_the_first_look_are_taken(store, looks, choice, versions):
    for version in (1, 10, 9):
        store.version(version)
    store.put("11/variables/variables.index")
    assert looks(choice) == versions


def test_a_version_that_comes_later_is_taken_once_it_has_a_model_and_stands_still(store, looks):
    store.version(1)
    assert looks() == [1]
    store.put("2/variables/variables.index")
    assert looks() == looks() == [1]
    store.put("2/saved_model.pb")
    assert looks() == [1]
    store.put("2/variables/variables.data-0")
    assert looks() == [1]
    assert looks(after_s=0.1) == [1], "a reload looks in between"
    assert looks() == [2]


def test_so_is_one_that_was_uploaded_half_at_the_first_look(store, looks):
    store.put("1/variables/variables.index")
    assert "version 1 is not whole: it has no saved_model.pb" in looks()
    store.version(1)
    assert "its files still change" in looks()
    assert looks() == [1]


def test_what_was_taken_stays_whatever_happens_to_its_files(store, looks):
    store.version(1)
    assert looks() == [1]
    store.put("1/saved_model.pb", b"other")
    assert looks() == [1]
    store.remove("1/saved_model.pb")
    assert looks() == [1]


def test_the_version_before_is_taken_again_when_the_newest_is_removed(store, looks):
    for version in (1, 2):
        store.version(version)
    assert looks() == [2]
    store.remove("2")
    assert looks() == [1]


def test_a_base_path_that_comes_later_is_looked_at_with_the_same_care(store, looks):
    assert "does not exist" in looks()
    store.version(1)
    assert "is not whole" in looks()
    assert looks() == [1]


def test_a_first_look_that_failed_counts_for_nothing(store, looks, monkeypatch):
    store.version(1)
    with monkeypatch.context() as down:
        down.setattr(Store, "names", fail)
        assert looks() == "unreachable"
    assert looks() == [1]


def fail(self):
    raise Unreachable("down")


def test_who_looks_once_only_takes_what_is_there(store, monkeypatch):
    looks = Looks(store, monkeypatch, wait_s=0)
    store.version(1)
    assert looks() == [1]
    store.version(2)
    assert looks() == [2]


def test_the_calls_of_looking(store, looks, monkeypatch):
    calls = []
    for name in ("names", "files"):
        real = getattr(Store, name)
        monkeypatch.setattr(Store, name, lambda *rest, real=real, name=name: (calls.append(name), real(*rest))[1])
    for version in range(1, 100):
        store.version(version)
    looks()
    assert calls == ["names", "files"]
    calls.clear()
    looks()
    assert calls == ["names"]


def test_it_is_said_what_looking_costs(store, looks, caplog):
    caplog.set_level("INFO", "unstuck.versions")
    looks.look.set_models([ModelConfig("m", BASE), ModelConfig("n", BASE)])
    assert "(2) are listed every 60 s: about 87,660 calls a month (--remote_poll_wait_seconds)" in caplog.text
    caplog.clear()
    looks.look.set_models([ModelConfig("m", BASE)])
    looks.look.set_models([])
    assert caplog.text == ""


# With a manager


class Loader:
    def __init__(self, path):
        self.path = path

    def load(self):
        graph = (self.path / "saved_model.pb").read_bytes()
        if graph == b"broken":
            raise SetupError("broken")
        return graph

    def unload(self):
        pass


class Serving:
    """Models of a store, served as a server does; the looks are made by the test."""

    def __init__(self, store, folder):
        self.manager = Manager(lambda name, found: Loader(found.path), lambda *_: Accepted())
        self.source = Source(self.manager, recognises, 1, RemoteLook(RemoteModels(recognises, folder), 0))

    def serve(self, choice=NEWEST):
        self.source.set_models([ModelConfig("m", BASE, choice)])
        return self.look()

    def look(self):
        """What is wrong, and the states once they have settled."""
        problems = {name: str(problem) for name, problem in self.source.poll().items()}
        self.manager.wait_until_settled(["m"])
        return problems, {each.version: each.state for each in self.manager.status("m")}

    @property
    def answer(self):
        return self.manager.find(ModelSpec("m")).servable


@pytest.fixture
def serving(store, tmp_path):
    serving = Serving(store, tmp_path / "served")
    yield serving
    serving.manager.stop()


def test_versions_come_and_go_and_so_do_their_copies(store, serving, tmp_path):
    store.version(1, b"one")
    assert serving.serve() == ({}, {1: State.AVAILABLE})
    assert serving.answer == b"one"
    store.version(2, b"two")
    serving.look()
    assert serving.answer == b"two"
    serving.manager.stop(1)
    serving.look()
    assert [each.parent.name.partition("-")[0] for each in (tmp_path / "served").rglob("[0-9]")] == ["2"]


@pytest.mark.parametrize("what", ["the base path", "the store", "every version"])
def test_what_cannot_be_seen_any_more_is_served_on(store, serving, monkeypatch, what):
    store.version(1, b"one")
    serving.serve()
    if what == "the base path":
        store.remove()
    elif what == "every version":
        store.put("readme")
        store.remove("1")
    else:
        monkeypatch.setattr(Store, "names", fail)
    problems, states = serving.look()
    assert list(problems) == ["m"]
    assert states == {1: State.AVAILABLE}
    assert serving.answer == b"one"


def test_versions_that_are_named_and_removed_are_served_no_more(store, serving):
    for version in (1, 2):
        store.version(version)
    choice = Specific(frozenset({1}))
    assert serving.serve(choice) == ({}, {1: State.AVAILABLE})
    store.remove("1")
    problems, _ = serving.look()
    assert "has none of the versions 1 that model_version_policy names; it has 2." in problems["m"]


def test_a_broken_version_is_loaded_once_it_is_mended(store, serving):
    store.version(1, b"broken")
    assert serving.serve() == ({}, {1: State.END})
    assert serving.look() == ({}, {1: State.END})
    store.version(1, b"mended")
    assert serving.look() == ({}, {1: State.END}), "its files may still change"
    assert serving.look() == ({}, {1: State.AVAILABLE})
    assert serving.answer == b"mended"


def test_a_copy_that_failed_is_tried_again_with_later_looks(store, serving, monkeypatch):
    store.version(1, b"one")
    with monkeypatch.context() as down:
        down.setattr(Store, "get", lambda *_: fail(None))
        assert serving.serve() == ({}, {1: State.END})
        assert "m' version 1 cannot be served: down" in str(serving.manager.status("m")[0].error)
    serving.look()
    serving.look()
    assert serving.answer == b"one"


def test_a_local_model_beside_a_store_that_fails(store, serving, monkeypatch, tmp_path):
    (tmp_path / "local" / "3").mkdir(parents=True)
    (tmp_path / "local" / "3" / "saved_model.pb").write_bytes(b"three")
    monkeypatch.setattr(Store, "names", fail)
    serving.source.set_models([ModelConfig("m", BASE), ModelConfig("local", tmp_path / "local")])
    assert list(serving.source.poll()) == ["m"]
    serving.manager.wait_until_settled(["local"])
    assert serving.manager.find(ModelSpec("local")).servable == b"three"


def test_a_mistyped_base_path_is_told_at_the_start_and_an_unreachable_one_later(store, serving, monkeypatch):
    with pytest.raises(SetupError, match="does not exist"):
        serving.source.check(ModelConfig("m", BASE))
    monkeypatch.setattr(Store, "names", fail)
    serving.source.check(ModelConfig("m", BASE))
