"""The manager with loaders that load nothing: states, retries, broken versions, leases, labels."""

import gc
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from unstuck.core.models import ModelSpec, State
from unstuck.errors import LoadFailed, NotFound, NotReady, SetupError, UnknownLabel
from unstuck.lifecycle import leases
from unstuck.lifecycle.harness import Accepted
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.options import ManagerOptions
from unstuck.lifecycle.policies import resource_preserving
from unstuck.lifecycle.source import VersionPath

WAIT_S = 10


class Models:
    """A manager, and what happens when it loads a version: by default, ``servable of m 1``.

    Attributes:
        outcomes: by name and version, what loading gives: a servable, an error, or a list with one for each attempt.
        doors: by name and version, an event that loading waits for.
        loads: every version whose load began, in order.
        unloads: every version that was unloaded, in order.
        changes: every change of a state that was observed, in order.
    """

    def __init__(self, folder, **options):
        self.folder = folder
        self.outcomes = {}
        self.doors = {}
        self.refused = {}
        self.loads, self.unloads, self.changes = [], [], []
        self.manager = Manager(self.loader_of, self.accept, ManagerOptions(**options), [self])

    def loader_of(self, name, found):
        def load():
            self.loads.append((name, found.version))
            if (name, found.version) in self.doors:
                assert self.doors[name, found.version].wait(WAIT_S)
            outcome = self.outcomes.get((name, found.version), f"servable of {name} {found.version}")
            if isinstance(outcome, list):
                outcome = outcome.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return SimpleNamespace(load=load, unload=lambda: self.unloads.append((name, found.version)))

    def accept(self, name, found, servable):
        if (name, found.version) in self.refused:
            raise self.refused[name, found.version]
        return Accepted(frozenset({f"proven {servable}"}))

    def version_changed(self, name, status):
        self.changes.append((name, status.version, status.state))

    def path(self, name, version):
        path = self.folder / name / str(version)
        path.mkdir(parents=True, exist_ok=True)
        return VersionPath(version, path)

    def want(self, name, *versions):
        """Makes these the wanted versions of ``name``, beside the other models there are."""
        self.manager.set_models({*self.manager.statuses(), name})
        self.manager.aspire(name, [self.path(name, version) for version in versions])

    def serve(self, name, *versions):
        self.want(name, *versions)
        self.manager.wait_until_settled([name])

    def states(self, name="m"):
        return {each.version: each.state for each in self.manager.status(name)}

    def error(self, name="m", version=1):
        return self.manager.status(name, version)[0].error

    def until(self, condition):
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, (self.changes, self.manager.statuses())
            time.sleep(0.002)


@pytest.fixture
def make(tmp_path):
    made = []

    def of(**options):
        made.append(Models(tmp_path, **options))
        return made[-1]

    yield of
    for each in made:
        for door in each.doors.values():
            door.set()
        each.manager.stop(0)


@pytest.fixture
def models(make):
    return make()


# One version


def test_a_version_goes_from_start_through_loading_to_available(models):
    assert not models.manager.ready
    models.serve("m", 1)
    assert models.changes == [("m", 1, State.START), ("m", 1, State.LOADING), ("m", 1, State.AVAILABLE)]
    found = models.manager.find(ModelSpec("m"))
    assert (found.name, found.version, found.servable) == ("m", 1, "servable of m 1")
    assert found.mergeable == {"proven servable of m 1"}
    assert models.manager.ready


def test_while_it_loads_it_is_not_ready(models):
    models.doors["m", 1] = threading.Event()
    models.want("m", 1)
    models.until(lambda: models.states() == {1: State.LOADING})
    with pytest.raises(NotReady, match=r"Model 'm' version 1 is not available yet: it is LOADING\."):
        models.manager.find(ModelSpec("m"))
    models.doors["m", 1].set()
    models.manager.wait_until_settled(["m"])
    assert models.manager.find(ModelSpec("m", 1)).version == 1


def test_the_newest_available_version_answers_unless_one_is_named(models):
    models.doors["m", 11] = threading.Event()
    models.serve("m", 3, 10, 9)
    models.want("m", 3, 9, 10, 11)
    assert models.manager.find(ModelSpec("m")).servable == "servable of m 10"
    assert models.manager.find(ModelSpec("m", 3)).servable == "servable of m 3"


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        (
            ModelSpec("halfplus"),
            NotFound,
            "model 'halfplus'; the models served are 'broken', 'half_plus', 'loading'. Did",
        ),
        (ModelSpec("halfplus"), NotFound, "Did you mean 'half_plus'?"),
        (ModelSpec("xyz", 3), NotFound, "model 'xyz'; the models served are"),
        (
            ModelSpec("half_plus", 9),
            NotFound,
            "model 'half_plus' version 9; its versions are 2 (AVAILABLE), 1 (AVAILABLE).",
        ),
        (ModelSpec("loading"), NotReady, "Model 'loading' version 4 is not available yet: it is LOADING."),
        (ModelSpec("loading", 4), NotReady, "version 4 is not available yet"),
        (ModelSpec("loading", 5), NotFound, "its versions are 4 (LOADING)"),
        (
            ModelSpec("broken"),
            NotFound,
            "model 'broken' version 6 has ended: Model 'broken' version 6 cannot be served: ",
        ),
        (ModelSpec("broken", 6), NotFound, "the file is cut off"),
        (ModelSpec("half_plus", label="stable"), UnknownLabel, "label 'stable' of model 'half_plus'"),
        (ModelSpec("xyz", label="stable"), UnknownLabel, "label 'stable' of model 'xyz'"),
    ],
)
def test_a_version_that_does_not_serve(models, spec, error, says):
    models.outcomes["broken", 6] = LoadFailed("the file is cut off")
    models.doors["loading", 4] = threading.Event()
    models.serve("half_plus", 1, 2)
    models.serve("broken", 6)
    models.want("loading", 4)
    models.until(lambda: models.states("loading") == {4: State.LOADING})
    with pytest.raises(error, match=re.escape(says)):
        models.manager.find(spec)


def test_a_model_whose_versions_cannot_be_found_says_why(models):
    models.manager.set_models(["m"])
    with pytest.raises(NotReady, match="its versions are being looked for"):
        models.manager.find(ModelSpec("m"))
    models.manager.report_problem("m", SetupError("/models/m is not a folder."))
    with pytest.raises(NotFound, match=r"model 'm' has no version: /models/m is not a folder\."):
        models.manager.find(ModelSpec("m"))
    assert models.manager.statuses() == {"m": []}
    assert not models.manager.ready


@pytest.mark.parametrize("version", [None, 5])
def test_status_of_an_unknown_model(models, version):
    models.serve("half_plus", 1)
    with pytest.raises(NotFound, match=re.escape("Did you mean 'half_plus'?")):
        models.manager.status("half_plis", version)


def test_status_of_one_version(models):
    models.serve("m", 1, 2)
    assert [(each.version, each.state) for each in models.manager.status("m", 2)] == [(2, State.AVAILABLE)]
    assert models.manager.statuses()["m"] == models.manager.status("m")
    with pytest.raises(NotFound, match="version 3"):
        models.manager.status("m", 3)


# Broken versions


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (LoadFailed("no graph", hint="export again"), "Model 'm' version 1 cannot be served: no graph export again"),
        (SetupError("no TensorFlow"), "Model 'm' version 1 cannot be served: no TensorFlow"),
        (ValueError("odd"), "Model 'm' version 1 cannot be served: ValueError('odd')"),
        (FileNotFoundError("x"), "Model 'm' version 1 cannot be served: FileNotFoundError('x')"),
    ],
)
def test_a_failing_load_ends_its_version_at_once_and_says_why(make, failure, says):
    models = make(load_retries=5)
    models.outcomes["m", 1] = failure
    models.serve("other", 1)
    models.serve("m", 1)
    assert models.loads.count(("m", 1)) == 1
    assert models.states() == {1: State.END}
    assert str(models.error()) == says
    assert models.error().__traceback__ is None, "its frames would hold what was loaded"
    assert models.manager.find(ModelSpec("other")), "the others serve"


def test_a_version_that_is_not_accepted_is_unloaded_and_says_why(models):
    models.refused["m", 1] = LoadFailed("golden row 3 differs")
    models.serve("m", 1)
    assert models.states() == {1: State.END}
    assert "golden row 3 differs" in str(models.error())
    assert models.unloads == [("m", 1)]
    with pytest.raises(NotFound, match="golden row 3"):
        models.manager.find(ModelSpec("m"))


def test_a_broken_new_version_leaves_the_old_one_serving(models):
    models.outcomes["m", 2] = LoadFailed("broken")
    models.serve("m", 1)
    models.serve("m", 2)
    assert models.states() == {1: State.AVAILABLE, 2: State.END}
    assert models.manager.find(ModelSpec("m")).version == 1
    assert models.manager.ready
    models.serve("m", 1)  # the broken one's folder is deleted
    models.serve("m", 3)
    models.until(lambda: models.states() == {1: State.END, 2: State.END, 3: State.AVAILABLE})
    assert "broken" in str(models.error("m", 2)), "its error stays in the status"
    assert models.error("m", 1) is None
    assert models.loads == [("m", 1), ("m", 2), ("m", 3)]


def test_a_broken_version_is_tried_again_once_its_files_have_changed_and_rest(models):
    models.outcomes["m", 1] = [LoadFailed("cut off"), LoadFailed("cut off"), "whole"]
    models.serve("m", 1)
    models.serve("m", 1)
    assert models.loads == [("m", 1)], "nothing has changed"
    for content in ("half", "whole"):
        (models.folder / "m" / "1" / "saved_model.pb").write_text(content)
        attempts = len(models.loads)
        models.serve("m", 1)
        assert len(models.loads) == attempts, "it may still be being written"
        models.serve("m", 1)
        assert len(models.loads) == attempts + 1
    assert models.manager.find(ModelSpec("m")).servable == "whole"
    assert models.error() is None


# Retries


@pytest.mark.parametrize("failure", [MemoryError(), OSError("stale"), LoadFailed("busy", may_pass=True)], ids=repr)
def test_what_may_pass_is_tried_again(make, failure, caplog):
    models = make(load_retries=2, load_retry_interval_s=0)
    models.outcomes["m", 1] = [failure, TimeoutError(), "servable"]
    models.serve("m", 1)
    assert models.states() == {1: State.AVAILABLE}
    assert models.loads == [("m", 1)] * 3
    assert models.changes.count(("m", 1, State.END)) == 0
    assert "Trying again in 0 s (1 of 2)" in caplog.text


def test_retries_come_to_an_end(make):
    models = make(load_retries=2, load_retry_interval_s=-1)
    models.outcomes["m", 1] = [MemoryError() for _ in range(9)]
    models.serve("m", 1)
    assert models.states() == {1: State.END}
    assert models.loads == [("m", 1)] * 3


def test_a_version_that_waits_for_its_retry_holds_up_no_other_and_can_be_given_up(make):
    models = make(load_retries=5, load_retry_interval_s=3600)
    models.outcomes["m", 1] = [MemoryError(), "late"]
    models.want("m", 1)
    models.serve("other", 1)
    models.until(lambda: models.loads == [("m", 1), ("other", 1)])
    assert models.states() == {1: State.LOADING}
    models.serve("m", 2)
    assert models.states() == {1: State.END, 2: State.AVAILABLE}
    assert "MemoryError" in str(models.error())


# Swaps


def test_a_new_version_takes_over_without_a_gap(models):
    models.serve("m", 1)
    models.doors["m", 2] = threading.Event()
    models.want("m", 2)
    models.until(lambda: ("m", 2) in models.loads)
    assert models.manager.find(ModelSpec("m")).version == 1
    models.doors["m", 2].set()
    models.until(lambda: models.states() == {1: State.END, 2: State.AVAILABLE})
    assert models.manager.find(ModelSpec("m")).version == 2
    with pytest.raises(NotFound, match="version 1 has ended"):
        models.manager.find(ModelSpec("m", 1))
    assert models.unloads == [("m", 1)]
    order = [change for change in models.changes if change[2] in (State.AVAILABLE, State.UNLOADING)]
    assert order == [("m", 1, State.AVAILABLE), ("m", 2, State.AVAILABLE), ("m", 1, State.UNLOADING)]


def test_to_preserve_resources_the_old_version_goes_first(make):
    models = make(policy=resource_preserving)
    models.serve("m", 1)
    models.want("m", 2)
    models.until(lambda: models.states() == {1: State.END, 2: State.AVAILABLE})
    assert models.changes.index(("m", 1, State.END)) < models.changes.index(("m", 2, State.LOADING))


def test_a_version_comes_back_that_is_on_its_way_out(models):
    models.serve("m", 1)
    held = models.manager.find(ModelSpec("m"))
    models.serve("m", 2)
    models.until(lambda: models.states()[1] is State.UNLOADING)
    models.serve("m", 1)
    assert models.states() == {1: State.UNLOADING, 2: State.AVAILABLE}, "the old one is not replaced while it answers"
    del held
    models.until(lambda: models.states() == {1: State.AVAILABLE, 2: State.END})
    assert models.loads == [("m", 1), ("m", 2), ("m", 1)]


def test_the_same_version_at_another_path_is_swapped_without_a_gap(models):
    models.serve("m", 1)
    elsewhere = models.folder / "elsewhere"
    elsewhere.mkdir()
    models.outcomes["m", 1] = "the other one"
    models.manager.aspire("m", [VersionPath(1, elsewhere)])
    models.until(lambda: models.unloads == [("m", 1)])
    assert models.manager.find(ModelSpec("m", 1)).servable == "the other one"
    assert models.states() == {1: State.AVAILABLE}


def test_models_that_are_removed_are_unloaded_and_stay_listed(models):
    models.serve("a", 1)
    models.serve("b", 1)
    models.manager.set_models(["b"])
    models.until(lambda: models.states("a") == {1: State.END})
    with pytest.raises(NotFound, match="has ended"):
        models.manager.find(ModelSpec("a"))
    assert models.manager.ready
    models.manager.aspire("a", [models.path("a", 2)])  # a look that began before
    assert models.states("a") == {1: State.END}


def test_a_model_that_is_added_does_not_make_the_server_unready(models):
    models.serve("a", 1)
    models.doors["b", 1] = threading.Event()
    models.want("b", 1)
    assert models.manager.ready
    models.doors["b", 1].set()
    models.serve("b", 1)
    models.want("b")
    models.until(lambda: models.states("b") == {1: State.END})
    assert not models.manager.ready, "it served, and does no more"


def test_several_versions_load_at_once_on_several_threads(make):
    models = make(load_threads=2)
    both = threading.Barrier(2)
    for version in (1, 2):
        models.doors["m", version] = SimpleNamespace(wait=lambda s: both.wait(s) >= 0, set=lambda: None)
    models.serve("m", 1, 2)
    assert models.states() == {1: State.AVAILABLE, 2: State.AVAILABLE}


def test_several_versions_unload_at_once_on_several_threads(make):
    models = make(unload_threads=2)
    models.serve("m", 1, 2)
    both = threading.Barrier(2)
    models.unloads = SimpleNamespace(append=lambda version: both.wait(WAIT_S))
    models.serve("m", 3)
    models.until(lambda: models.states() == {1: State.END, 2: State.END, 3: State.AVAILABLE})
    assert not both.broken


# Leases


def test_a_version_is_unloaded_only_after_its_last_call(models):
    models.serve("m", 1)
    calls = [models.manager.find(ModelSpec("m")) for _ in range(2)]
    models.serve("m", 2)
    models.until(lambda: models.states()[1] is State.UNLOADING)
    for _ in range(2):
        time.sleep(0.05)
        assert models.unloads == []
        assert calls[-1].servable == "servable of m 1"
        calls.pop()
    models.until(lambda: models.states() == {1: State.END, 2: State.AVAILABLE})
    assert models.unloads == [("m", 1)]


def test_a_call_whose_error_leads_back_to_itself_holds_its_version_no_longer_than_a_moment(models, monkeypatch):
    monkeypatch.setattr(leases, "FIRST_LOOK_S", 0.05)

    def call():
        version = models.manager.find(ModelSpec("m"))
        try:
            raise ValueError(version.version)
        except ValueError as error:
            kept = error  # the frame holds the error, whose traceback holds the frame
            return kept.args

    gc.disable()
    try:
        models.serve("m", 1)
        call()
        models.serve("m", 2)
        models.until(lambda: models.unloads == [("m", 1)])
    finally:
        gc.enable()


def test_lookups_during_swaps_always_find_a_version_that_is_not_unloaded(make):
    """Twenty swaps under lookups from four threads: none fails, and nothing is unloaded that somebody holds."""
    models = make()
    models.outcomes = {("m", number): SimpleNamespace(number=number) for number in range(1, 22)}
    models.serve("m", 1)
    failures, done, seen = [], threading.Event(), set()

    def look():
        while not done.is_set():
            try:
                version = models.manager.find(ModelSpec("m"))
                time.sleep(0.0005)
                if ("m", version.version) in models.unloads:
                    failures.append(version.version)
                seen.add(version.version)
                del version
            except Exception as error:  # noqa: BLE001 - it is what must not happen
                failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 22):
        models.serve("m", number)
        time.sleep(0.005)
    done.set()
    for thread in threads:
        thread.join()
    models.until(lambda: len(models.unloads) == 20)
    assert failures == []
    assert sorted(models.unloads) == [("m", number) for number in range(1, 21)]
    assert len(seen) > 10


# Labels


def test_a_label_finds_its_version_and_moves(models):
    models.serve("m", 1, 2)
    models.manager.set_labels({"m": {"stable": 1}}, allow_unavailable=False)
    assert models.manager.find(ModelSpec("m", label="stable")).version == 1
    models.manager.set_labels({"m": {"stable": 2, "old": 1}}, allow_unavailable=False)
    assert models.manager.find(ModelSpec("m", label="stable")).version == 2
    assert models.manager.find(ModelSpec("m", label="old")).version == 1
    with pytest.raises(UnknownLabel, match=r"'stabel'.* its labels are 'old', 'stable'\. Did you mean 'stable'\?"):
        models.manager.find(ModelSpec("m", label="stabel"))


def test_a_refused_label_changes_nothing(models):
    models.serve("m", 1)
    models.manager.set_labels({"m": {"stable": 1}}, allow_unavailable=False)
    with pytest.raises(SetupError, match="'stable' cannot be given to version 7"):
        models.manager.set_labels({"m": {"stable": 7}}, allow_unavailable=True)
    assert models.manager.find(ModelSpec("m", label="stable")).version == 1


def test_a_label_of_a_version_that_is_not_there_is_not_found(models):
    models.manager.set_models(["m"])
    models.manager.set_labels({"m": {"next": 2}}, allow_unavailable=True)
    models.serve("m", 1)
    with pytest.raises(NotFound, match="version 2; its versions are 1"):
        models.manager.find(ModelSpec("m", label="next"))
    models.serve("m", 1, 2)
    assert models.manager.find(ModelSpec("m", label="next")).version == 2


# The end


def test_stopping_unloads_each_version_once_and_loads_no_more(models):
    models.serve("m", 1, 2)
    models.manager.stop()
    models.manager.stop()
    assert sorted(models.unloads) == [("m", 1), ("m", 2)]
    assert models.manager.available() == []
    models.want("m", 3)
    assert models.loads == [("m", 2), ("m", 1)]


def test_stopping_leaves_a_version_alone_that_still_answers(models):
    models.serve("m", 1)
    held = models.manager.find(ModelSpec("m"))
    models.manager.stop(0.05)
    assert models.unloads == []
    assert held.servable == "servable of m 1"


def test_stopping_during_a_load_ends_the_wait_for_it(models):
    models.doors["m", 1] = threading.Event()
    models.want("m", 1)
    models.until(lambda: models.loads == [("m", 1)])
    waiting = threading.Thread(target=models.manager.wait_until_settled, args=[["m"]])
    waiting.start()
    stopping = threading.Thread(target=models.manager.stop)
    stopping.start()
    waiting.join(WAIT_S)
    assert not waiting.is_alive()
    models.doors["m", 1].set()
    stopping.join(WAIT_S)
    assert models.unloads == [("m", 1)]
    assert Path(models.folder / "m" / "1").is_dir()


def test_a_version_is_loaded_in_its_turn(make):
    held: list[str] = []

    @contextmanager
    def turn():
        held.append("begins")
        yield
        held.append("ends")

    models = make(load_turn=turn)
    models.outcomes["m", 2] = LoadFailed("broken")
    models.serve("m", 1, 2)
    models.until(lambda: held == ["begins", "ends"] * 2)
    assert models.states() == {1: State.AVAILABLE, 2: State.END}


def test_a_version_that_waits_for_its_turn_waits_no_longer_than_the_manager(make):
    door = threading.Event()

    @contextmanager
    def turn():
        assert door.wait(WAIT_S)
        yield

    models = make(load_turn=turn)
    models.want("m", 1)
    stopping = threading.Thread(target=models.manager.stop)
    stopping.start()
    models.until(lambda: models.manager._stopping)
    door.set()
    stopping.join(WAIT_S)
    assert not stopping.is_alive()
    assert models.loads == []
