"""What a look at the base paths makes of them, and when there is one."""

import threading
import time

import pytest

from unstuck.core.models import AllVersions, Latest, ModelConfig, Specific
from unstuck.lifecycle.polling import Repeated, Source
from unstuck.lifecycle.source import chosen, numbered_folders


class Target:
    """Keeps what it is told."""

    def __init__(self):
        self.models = ()
        self.aspired = {}
        self.problems = {}

    def set_models(self, names):
        self.models = tuple(names)

    def aspire(self, name, versions):
        self.problems.pop(name, None)
        self.aspired[name] = [each.version for each in versions]

    def report_problem(self, name, problem):
        self.problems[name] = str(problem)


@pytest.fixture
def target():
    return Target()


def source_of(target, *models, wait_s=0):
    source = Source(target, lambda path: (path / "saved_model.pb").is_file(), wait_s)
    source.set_models(models)
    return source


def folders(path, *names):
    for name in names:
        (path / str(name)).mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("choice", "versions"),
    [
        (Latest(), [10]),
        (Latest(0), [10]),
        (Latest(2), [9, 10]),
        (Latest(9), [1, 2, 9, 10]),
        (AllVersions(), [1, 2, 9, 10]),
        (Specific(frozenset({1, 9, 77})), [1, 9]),
    ],
)
def test_which_versions_are_chosen(tmp_path, target, choice, versions):
    path = folders(tmp_path / "m", 1, 10, "2", 9, "assets")
    assert [each.version for each in chosen(numbered_folders(path), choice)] == versions
    assert source_of(target, ModelConfig("m", path, choice)).poll() == {}
    assert target.aspired == {"m": versions}


def test_of_two_folders_of_one_version_the_plain_number_is_taken(tmp_path):
    path = folders(tmp_path / "m", "007", "7")
    assert [each.path.name for each in numbered_folders(path)] == ["7"]


def test_a_path_that_is_a_version_itself(tmp_path, target):
    path = folders(tmp_path / "m" / "12")
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"")
    source_of(target, ModelConfig("m", path)).poll()
    assert target.aspired == {"m": [12]}


def test_deleting_every_version_unloads_and_deleting_the_base_path_changes_nothing(tmp_path, target):
    path = folders(tmp_path / "m", 1)
    source = source_of(target, ModelConfig("m", path))
    source.poll()
    (path / "1").rmdir()
    assert "has no version folders" in str(source.poll()["m"])
    assert target.aspired == {"m": []}
    (path / "1").mkdir()
    source.poll()
    (path / "1").rmdir()
    path.rmdir()
    assert "is not a folder" in str(source.poll()["m"])
    assert target.aspired == {"m": [1]}
    assert "is not a folder" in target.problems["m"]


def test_versions_that_are_asked_for_and_not_there(tmp_path, target):
    path = folders(tmp_path / "m", 1, 2)
    problems = source_of(target, ModelConfig("m", path, Specific(frozenset({8, 7})))).poll()
    assert str(problems["m"]) == (f"{path} has none of the versions 7, 8 that model_version_policy names; it has 1, 2.")


def test_a_path_that_cannot_be_read_stops_the_look_at_no_other(tmp_path, target):
    path = folders(tmp_path / "good", 3)
    source = source_of(target, ModelConfig("bad", tmp_path / "none"), ModelConfig("good", path))
    assert list(source.poll()) == ["bad"]
    assert target.aspired == {"good": [3]}


def test_a_negative_wait_never_looks(tmp_path, target):
    source = source_of(target, ModelConfig("m", folders(tmp_path / "m", 1)), wait_s=-1)
    assert source.poll() == {}
    source.start()
    assert target.aspired == {}


def test_it_looks_again_and_says_a_new_problem_once(tmp_path, target, caplog):
    path = folders(tmp_path / "m", 1)
    source = source_of(target, ModelConfig("m", path), wait_s=0.01)
    source.poll()
    source.start()
    (path / "2").mkdir()
    until(lambda: target.aspired["m"] == [2])
    (path / "1").rmdir()
    (path / "2").rmdir()
    until(lambda: target.aspired["m"] == [])
    time.sleep(0.1)
    source.stop()
    assert caplog.text.count("has no version folders") == 1


def test_what_fails_is_repeated_all_the_same(caplog):
    calls = []
    done = threading.Event()

    def work():
        calls.append(1)
        if len(calls) == 3:
            done.set()
        raise OSError("stale")

    repeated = Repeated("poll", 0.001, work)
    repeated.start()
    assert done.wait(10)
    repeated.stop()
    assert "stale" in caplog.text


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
