"""What the engines raise for odd inputs and for NaN, and that none of it condemns a sound model."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unstuck.engines.onnx import OnnxEngine
from unstuck.engines.tensorflow import TensorFlowEngine
from unstuck.engines.tflite import TfLiteEngine
from unstuck.errors import EngineError, Quarantined
from unstuck.lifecycle.harness import Accepted, AvailableVersion
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.source import VersionPath
from unstuck.monitor.events import EventHistory
from unstuck.server.quarantine import Quarantines
from unstuck.testing import models, onnx_models, tflite_models

WAIT_S = 20
ENGINES = {
    "tensorflow": (TensorFlowEngine, models.half_plus_two),
    "onnx": (OnnxEngine, onnx_models.half_plus_two),
    "tflite": (TfLiteEngine, tflite_models.half_plus_two),
}


class Served:
    """One version, as a server has it."""

    def __init__(self, engine: Any, folder: Path) -> None:
        self.quarantines = Quarantines(EventHistory(), 0, "check")
        self.manager = self.quarantines.manager = Manager(
            lambda name, found: engine.loader(found.path), self._accept, observers=[self.quarantines]
        )
        self.manager.set_models(["m"])
        self.manager.aspire("m", [VersionPath(int(folder.name), folder)])
        self.manager.wait_until_settled(["m"])
        (version,) = self.manager.available()
        self.signature = version.servable.signatures["serving_default"]
        (self.alias,) = self.signature.inputs

    def _accept(self, name: str, found: VersionPath, servable: Any) -> Accepted:
        guarded = self.quarantines.guarded(name, found.version, servable)
        self.quarantines.accept(name, found.version, found.path, guarded)
        return Accepted(servable=guarded)

    @property
    def version(self) -> AvailableVersion:
        (version,) = self.manager.available()
        return version

    def run(self, x: Any) -> Any:
        return self.version.servable.run(self.signature, {self.alias: x})

    def checks(self) -> float:
        families = {each.name: each for each in self.quarantines.families()}
        return sum(each.value for each in families["unstuck_canaries_total"].samples)

    def stop(self) -> None:
        self.quarantines.stop()
        self.manager.stop(0)


@pytest.fixture(params=list(ENGINES))
def served(request, tmp_path):
    engine, export = ENGINES[request.param]
    served = Served(engine(), export(tmp_path / "m"))
    yield served
    served.stop()


def until(condition: Any) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


ONE = np.ones((1, 1), np.float32)


def test_odd_inputs_have_it_checked_and_no_more(served):
    right = served.run(ONE)
    failed = 0
    for odd in [np.ones((1, 1, 7, 2), np.float32), np.ones((0, 5), np.float32), np.ones((3, 9), np.float32)] * 10:
        try:
            served.run(odd)
        except EngineError:
            failed += 1
    if failed == 30:  # as its graph has a shape to insist on
        until(served.checks)
    assert served.run(np.full((1, 1), np.nan, np.float32))
    assert served.checks()
    again = served.run(ONE)
    assert all(np.array_equal(again[alias], right[alias]) for alias in right)
    assert not served.manager.quarantined


def test_one_that_gives_nan_for_what_it_answered_before_answers_nothing(served):
    served.run(ONE)
    inner, alias = served.version.servable.inner, next(iter(served.signature.outputs))
    sound = inner.run
    inner.run = lambda signature, inputs: {**sound(signature, inputs), alias: np.full((1, 1), np.nan, np.float32)}
    with pytest.raises(Quarantined):
        served.run(ONE)
    until(lambda: served.manager.ready)
    assert np.isfinite(served.run(ONE)[alias]).all()
