"""A version that breaks while it serves: it is taken out of service, loaded again, and comes back."""

import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeServable, signature, spec

from unstuck.acceptance.version_check import VersionCheck
from unstuck.codecs.golden_json import PLACE
from unstuck.core.dtypes import FLOAT
from unstuck.core.models import ModelSpec, State
from unstuck.core.servables import Servable
from unstuck.errors import Code, EngineError, LoadFailed, NotFound, Quarantined
from unstuck.inference.predict import Bound, prepare
from unstuck.lifecycle.harness import Accepted, AvailableVersion
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.source import VersionPath
from unstuck.monitor.events import EventHistory
from unstuck.server.quarantine import Operator, Quarantines

WAIT_S = 10
KNOWN = signature(spec("x", FLOAT, (None,)), outputs=(spec("y", FLOAT, (None,)),))


class Weighted(FakeServable):
    """y = x / 2 + 2, until its function is set to another."""

    run_all = Servable.run_all

    def __init__(self):
        super().__init__(lambda inputs: {"y": inputs["x"] / 2 + 2}, {KNOWN.name: KNOWN})

    def breaks(self, function):
        self.function = function


def nan(inputs):
    return {"y": inputs["x"] * np.nan}


def wrong(inputs):
    return {"y": inputs["x"] / 2 + 3}


def failing(code, limit=0.0):
    """Fails for what is above ``limit``."""

    def run(inputs):
        if (inputs["x"] > limit).any():
            raise EngineError("something is broken", code=code)
        return {"y": inputs["x"] / 2 + 2}

    return run


class Server:
    """What of a server is needed.

    Attributes:
        loaded: every copy, in order.
        fresh: what loading gives next: a function, or None for a sound one.
    """

    def __init__(self, folder, *, interval_s=0.0, golden=True):
        self.folder, self.loaded, self.fresh = folder, [], None
        self.history = EventHistory()
        self.quarantines = Quarantines(self.history, interval_s, "check")
        self.manager = self.quarantines.manager = Manager(
            self._loader_of, self._accept, observers=[self.history, self.quarantines]
        )
        self.quarantines.start()
        for name in ("m", "other"):
            path = folder / name / "1"
            (path / PLACE).parent.mkdir(parents=True)
            if golden:
                line = {"inputs": {"x": [2.0, 4.0]}, "outputs": {"y": [3.0, 4.0]}}
                (path / PLACE).write_text(json.dumps(line))
        self.manager.set_models(["m", "other"])
        for name in ("m", "other"):
            self.manager.aspire(name, [VersionPath(1, folder / name / "1")])
        self.manager.wait_until_settled(["m", "other"])

    def _loader_of(self, name, found):
        def load():
            servable = Weighted()
            if self.fresh is not None:
                servable.breaks(self.fresh)
            self.loaded.append((name, servable))
            return servable

        return SimpleNamespace(load=load, unload=lambda: None)

    def _accept(self, name, found, servable):
        guarded = self.quarantines.guarded(name, found.version, servable)
        VersionCheck(warmup_iterations=0, golden_rows="check").check(
            AvailableVersion(name, found.version, guarded), found.path
        )
        self.quarantines.accept(name, found.version, found.path, guarded)
        return Accepted(servable=guarded)

    @property
    def copy(self):
        """The latest of ``m``."""
        return next(servable for name, servable in reversed(self.loaded) if name == "m")

    @property
    def loads(self):
        return sum(name == "m" for name, _ in self.loaded)

    def predict(self, *x, name="m"):
        request = Bound("", {"x": np.array(x, np.float32)})
        return prepare(self.manager, ModelSpec(name), request).run(lambda outputs: outputs["y"].tolist())

    def fails(self, *x):
        with pytest.raises(EngineError):
            self.predict(*x)

    def until(self, condition):
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, (self.history.latest(), self.manager.statuses())
            time.sleep(0.002)

    def is_refused(self):
        """Whether a call to ``m`` is told that it is in quarantine; no other error will do."""
        try:
            self.predict(2)
        except Quarantined:
            return True
        except EngineError:
            pass
        return False

    def back(self):
        self.until(lambda: self.manager.ready and not self.is_refused())
        assert self.predict(2, 4) == [3, 4]

    def counts(self, name):
        (family,) = [each for each in self.quarantines.families() if each.name == name]
        return {tuple(sample.labels.values()): sample.value for sample in family.samples}

    def stop(self):
        self.quarantines.stop()
        self.manager.stop(0)


@pytest.fixture
def make(tmp_path):
    made = []

    def of(**options):
        made.append(Server(tmp_path, **options))
        return made[-1]

    yield of
    for each in made:
        each.stop()


def hold_reloads(server):
    """Has the next reload wait for the event that this returns."""
    door, accept = threading.Event(), server.manager._accept

    def later(*arguments):
        assert door.wait(WAIT_S)
        return accept(*arguments)

    server.manager._accept = later
    return door


def test_a_model_that_turns_to_nan_gives_not_a_single_answer(make):
    server = make()
    assert server.predict(2, 4) == [3, 4]
    server.copy.breaks(nan)
    door = hold_reloads(server)
    for _ in range(3):
        with pytest.raises(Quarantined, match=r"in quarantine since .*, not finite: golden row of line 1, row \d"):
            server.predict(2, 4)
    assert not server.manager.ready
    assert server.predict(2, name="other") == [3]
    assert server.counts("unstuck_quarantined") == {("m", "1"): 1, ("other", "1"): 0}
    assert server.counts("unstuck_quarantines_total") == {("m", "1", "not finite"): 1}
    door.set()
    server.back()
    assert server.loads == 2
    assert server.counts("unstuck_quarantined") == {("m", "1"): 0, ("other", "1"): 0}
    what = [event.what for event in server.history.latest() if event.model == "m"]
    assert what[3:] == [
        "quarantined: not finite",
        *("UNLOADING", "END", "START", "LOADING", "AVAILABLE", "out of quarantine"),
    ]


def test_an_input_that_gives_nan_condemns_nobody(make):
    server = make()
    for _ in range(50):
        assert str(server.predict(np.nan, 4)) == "[nan, 4.0]"
    assert server.manager.ready
    assert server.loads == 1
    assert len(server.copy.runs) < 2 * 50 + 1, "it is not checked each time"


def test_a_broken_engine_is_found_by_its_first_error(make):
    server = make()
    door = hold_reloads(server)
    server.copy.breaks(failing(Code.INTERNAL))
    server.fails(2, 4)
    server.until(server.is_refused)
    server.copy.breaks(None)
    door.set()
    server.back()
    assert server.counts("unstuck_quarantines_total") == {("m", "1", "engine error"): 1}


@pytest.mark.parametrize("code", sorted(set(Code) - {Code.OK}, key=lambda code: code.number))
def test_no_input_takes_a_model_down_whatever_it_makes_the_engine_say(make, code):
    server = make()
    server.copy.breaks(failing(code, limit=100))
    for _ in range(60):
        server.fails(1000)
    server.until(lambda: server.counts("unstuck_canaries_total").get(("m", "1", "passed")))
    assert server.predict(2, 4) == [3, 4]
    assert server.loads == 1


def test_errors_of_inputs_alone_are_checked_once_nothing_else_is_heard(make):
    server = make()
    server.copy.breaks(failing(Code.INVALID_ARGUMENT))
    for _ in range(20):
        server.fails(2)
    server.until(lambda: server.loads == 2)
    server.back()


@pytest.mark.parametrize("golden", [True, False])
def test_what_may_pass_is_asked_again_before_it_condemns(make, monkeypatch, golden):
    monkeypatch.setattr("unstuck.server.quarantine.AGAIN_S", 0.01)
    server = make(golden=golden)
    assert server.predict(2, 4) == [3, 4]
    server.copy.breaks(failing(Code.RESOURCE_EXHAUSTED))
    server.fails(2)
    server.until(lambda: server.loads == 2)
    server.back()
    assert server.counts("unstuck_canaries_total")["m", "1", "failed"] == 3


def test_a_version_that_answers_wrongly_is_found_while_it_is_called(make):
    server = make(interval_s=0.02)
    door = hold_reloads(server)
    server.copy.breaks(wrong)
    server.until(server.is_refused)
    with pytest.raises(Quarantined, match=r"canary: golden row of line 1, row ., .*: expected .*, got"):
        server.predict(2)
    door.set()
    server.back()


def test_one_that_nobody_calls_is_not_asked(make):
    server = make(interval_s=0.02)
    server.predict(2)
    server.until(lambda: server.counts("unstuck_canaries_total"))
    asked = len(server.copy.runs)
    time.sleep(0.2)
    assert len(server.copy.runs) == asked
    assert ("other", "1", "passed") not in server.counts("unstuck_canaries_total")


def test_calls_that_had_begun_when_a_canary_fails_get_no_answer(make):
    server = make()
    running, go_on = threading.Event(), threading.Event()

    def slow(inputs):
        running.set()
        assert go_on.wait(WAIT_S)
        return wrong(inputs)

    server.copy.breaks(slow)
    outcome = []

    def call():
        try:
            outcome.append(server.predict(8))
        except Quarantined as error:  # which itself holds what it was raised in
            outcome.append(error.kind)

    thread = threading.Thread(target=call)
    thread.start()
    assert running.wait(WAIT_S)
    server.copy.breaks(failing(Code.INTERNAL))
    server.fails(2)
    server.until(server.is_refused)
    go_on.set()
    thread.join(WAIT_S)
    assert outcome == ["engine error"]
    server.back()


# Without golden rows


def test_without_golden_rows_an_input_that_worked_is_asked(make):
    server = make(golden=False)
    assert server.predict(2, 4) == [3, 4]
    server.copy.breaks(nan)
    with pytest.raises(Quarantined, match="an input that it answered before"):
        server.predict(6)
    server.back()


def test_and_it_comes_back_once_that_input_works_again(make, monkeypatch):
    monkeypatch.setattr("unstuck.guard.quarantine.FIRST_RELOAD_S", 0.01)
    server = make(golden=False)
    server.predict(2, 4)
    server.fresh = nan
    server.copy.breaks(nan)
    with pytest.raises(Quarantined):
        server.predict(6)
    server.until(lambda: server.loads >= 4)
    with pytest.raises(Quarantined, match=r"loaded again .* in vain: .*what it was taken out of service for has not"):
        server.predict(6)
    server.fresh = None
    server.back()


def test_of_which_no_run_was_ever_right_nothing_is_held_against_the_errors(make):
    server = make(golden=False)
    server.copy.breaks(failing(Code.INTERNAL))
    for _ in range(50):
        server.fails(2)
    assert server.manager.ready
    assert server.loads == 1


# Reloads


def test_reloads_come_ever_later_while_it_breaks_again(make, monkeypatch):
    waits = []
    timer = threading.Timer
    monkeypatch.setattr(threading, "Timer", lambda wait_s, *rest: waits.append(wait_s) or timer(0, *rest))
    server = make()
    for load in range(4):
        server.copy.breaks(nan)
        with pytest.raises(Quarantined):
            server.predict(2)
        server.until(lambda load=load: server.loads == load + 2)
        server.back()
    assert waits == [0, 1, 2, 4]


def test_a_version_that_is_gone_is_loaded_no_more(make):
    server = make()
    door = hold_reloads(server)
    server.copy.breaks(nan)
    with pytest.raises(Quarantined):
        server.predict(2)
    server.manager.aspire("m", [])
    door.set()
    server.until(lambda: server.manager.status("m", 1)[0].state is State.END)
    server.until(lambda: server.manager.ready or server.manager.status("m", 1)[0].error is None)
    assert not server.manager.quarantined


# An operator's


def test_an_operators_quarantine_lasts_until_it_is_released(make):
    server = make()
    operator = Operator(server.quarantines, None)
    operator.quarantine("m", 1, "answers look odd")
    with pytest.raises(Quarantined, match=r"operator: answers look odd\. .*--release"):
        server.predict(2)
    server.until(lambda: server.manager.status("m", 1)[0].state is State.END)
    operator.quarantine("m", 1, "once more")
    time.sleep(0.05)
    assert server.loads == 1
    operator.release("m", 1)
    server.back()
    assert server.loads == 2
    assert server.counts("unstuck_quarantines_total") == {("m", "1", "operator"): 1}


def test_what_broke_by_itself_does_not_come_back_while_an_operator_holds_it(make, monkeypatch):
    monkeypatch.setattr("unstuck.guard.quarantine.FIRST_RELOAD_S", 0.05)
    server = make()
    server.fresh = nan
    server.copy.breaks(nan)
    with pytest.raises(Quarantined):
        server.predict(2)
    server.until(lambda: getattr(server.manager.status("m", 1)[0].error, "attempts", 0) >= 1)
    operator = Operator(server.quarantines, None)
    operator.quarantine("m", 1, "let me look")
    server.fresh = None
    server.until(lambda: server.manager.status("m", 1)[0].state is State.END)
    loads = server.loads
    time.sleep(0.2)
    assert server.loads == loads
    with pytest.raises(Quarantined, match="operator: let me look"):
        server.predict(2)
    operator.release("m", 1)
    server.back()


def test_calls_that_had_begun_get_no_answer_either(make):
    server = make()
    held = server.manager.find(ModelSpec("m"))
    Operator(server.quarantines, None).quarantine("m", 1, "…")
    with pytest.raises(Quarantined):
        held.servable.run(KNOWN, {"x": np.ones(1, np.float32)})


def test_a_version_that_there_is_not_cannot_be_held(make):
    operator = Operator(make().quarantines, None)
    for ask in (lambda: operator.quarantine("m", 7, "…"), lambda: operator.release("n", 1)):
        with pytest.raises(NotFound):
            ask()


def test_a_release_has_what_broke_by_itself_loaded_at_once(make):
    server = make()
    server.fresh = nan
    server.copy.breaks(nan)
    with pytest.raises(Quarantined):
        server.predict(2)
    server.until(lambda: server.loads >= 1 and getattr(server.manager.status("m", 1)[0].error, "attempts", 0) >= 1)
    server.fresh = None
    Operator(server.quarantines, None).release("m", 1)
    server.back()


def test_golden_rows_that_still_fail_keep_it_out(make):
    server = make()

    def refuse(*_):
        raise LoadFailed("1 of 2 golden rows fail.")

    server.manager._accept = refuse
    server.copy.breaks(nan)
    with pytest.raises(Quarantined):
        server.predict(2)
    server.until(lambda: getattr(server.manager.status("m", 1)[0].error, "attempts", 0) >= 1)
    assert server.is_refused()
    assert not server.manager.ready
