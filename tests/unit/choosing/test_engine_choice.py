import re
import threading
from pathlib import Path

import numpy as np
import pytest

from unstuck.choosing import choice as choosing
from unstuck.choosing.choice import EngineChoice, why_not_converted
from unstuck.choosing.chooser import Chooser, ChoosingLoader, available
from unstuck.choosing.conversion import Cancelled, NotConverted
from unstuck.choosing.switching import SwitchingServable
from unstuck.choosing.timing import Timing
from unstuck.core import dtypes
from unstuck.core.servables import Loader, Servable
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.errors import LoadFailed, SetupError

FASTER, SLOWER = [Timing(1, 10, 5)], [Timing(1, 10, 20)]


def signature(name, dtype=dtypes.FLOAT, shape=(None, 2)):
    return Signature(name, {"x": TensorSpec("x", "x", dtype, shape)}, {"y": TensorSpec("y", "y", dtype, shape)})


class Doubles(Servable):
    """Answers twice the input, times ``factor``; counts its runs."""

    def __init__(self, *signatures, factor=1.0, stateless=True):
        self._signatures = {each.name: each for each in signatures}
        self.factor, self.runs, self._stateless = factor, 0, stateless

    @property
    def signatures(self):
        return self._signatures

    @property
    def stateless(self):
        return frozenset(self._signatures if self._stateless else ())

    def run(self, signature, inputs):
        self.runs += 1
        return {"y": (inputs["x"] * 2 * self.factor).astype(inputs["x"].dtype)}


class Loads(Loader):
    def __init__(self, servable):
        self.servable, self.is_loaded = servable, False

    def load(self):
        self.is_loaded = True
        return self.servable

    def unload(self):
        self.is_loaded = False


class World:
    """A choice for a model of TensorFlow's with two signatures, and what stands in for the rest."""

    def __init__(self, monkeypatch, asked="auto"):
        self.timings = FASTER
        monkeypatch.setattr(choosing, "measure", lambda *runs, batches, cancelled: self.timings)
        self.first = Doubles(signature("s"), signature("t"))
        self.converted = {"s": Doubles(signature("s")), "t": Doubles(signature("t"))}
        self.refused, self.loaders, self.accepts = {}, [], []
        self.choice = EngineChoice(
            "Model 'm' version 1",
            asked,
            SwitchingServable(self.first),
            self.convert,
            self.load,
            {},
            self.accept,
        )

    def accept(self, servable):
        for each in self.accepts:
            each(servable)

    def convert(self, name, cancelled):
        if name in self.refused:
            raise self.refused[name]
        return Path(name)

    def load(self, path):
        self.loaders.append(Loads(self.converted[path.name]))
        return self.loaders[-1]

    def decided(self):
        self.choice.decide()
        return self.choice.document()["signatures"]


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def test_what_is_alike_and_faster_serves(world):
    decided = world.decided()
    assert {name: each["engine"] for name, each in decided.items()} == {"s": "onnx", "t": "onnx"}
    assert decided["s"]["largest_difference"] == 0
    assert decided["s"]["timings"] == [{"batch": 1, "tensorflow_ms": 10, "onnx_ms": 5}]
    assert world.choice.engine() == "onnx"
    before = world.converted["s"].runs, world.first.runs
    answer = world.choice.servable.run(world.first.signatures["s"], {"x": np.ones((1, 2), np.float32)})
    assert answer["y"].tolist() == [[2, 2]]
    assert (world.converted["s"].runs, world.first.runs) == (before[0] + 1, before[1])


def test_what_is_not_faster_stays_and_gives_its_memory_back(world):
    world.timings = SLOWER
    decided = world.decided()
    assert decided["s"]["engine"] == "tensorflow"
    assert decided["s"]["reason"] == "ONNX Runtime is not faster by enough"
    assert decided["s"]["timings"]
    assert [each.is_loaded for each in world.loaders] == [False, False]
    assert world.choice.engine() == "tensorflow"


def test_each_signature_is_decided_by_itself(world):
    world.refused["s"] = NotConverted("there is no such op")
    decided = world.decided()
    assert decided["s"]["reason"] == "there is no such op"
    assert decided["t"]["engine"] == "onnx"
    assert world.choice.engine() == "tensorflow, onnx"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: world.converted.update(s=Doubles(signature("s"), factor=1.01)), "the output 'y' differs by"),
        (lambda world: world.converted.update(s=Doubles(signature("s"), stateless=False)), "draws random numbers"),
        (lambda world: world.converted.update(s=Doubles(signature("s", dtypes.DOUBLE))), "tf2onnx made 'x' a double"),
        (
            lambda world: world.converted.update(
                s=Doubles(Signature("s", {"x:0": TensorSpec("x:0", "", dtypes.FLOAT, None)}, {}))
            ),
            r"tf2onnx gave it the inputs \['x:0'\]",
        ),
        (lambda world: world.refused.update(s=LoadFailed("No Op registered for Foo.")), "No Op registered for Foo$"),
        (lambda world: world.refused.update(s=RuntimeError("surprise")), "the attempt failed: RuntimeError"),
    ],
)
def test_why_one_stays(change, reason, world):
    change(world)
    decided = world.decided()["s"]
    assert decided["engine"] == "tensorflow"
    assert re.search(reason, decided["reason"])
    assert all(not each.is_loaded for each in world.loaders[:-1])


def test_golden_rows_decide(world):
    def accept(servable):
        assert servable is not world.choice.servable
        raise LoadFailed("1 of 2 golden rows fail.")

    world.accepts.append(accept)
    assert world.decided()["s"]["reason"] == "1 of 2 golden rows fail"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (signature("s", dtypes.STRING), "'x' holds strings"),
        (signature("s", shape=None), "the rank of 'x' is not declared"),
        (signature("s"), "running it may change state, or draws random numbers"),
    ],
)
def test_what_is_not_even_tried(given, reason):
    assert why_not_converted(Doubles(given, stateless=False), given) == reason


def test_the_end_of_a_version_waits_for_the_decision_and_gives_all_back(world):
    converting, seen = threading.Event(), []

    def convert(name, cancelled):
        if name == "s":
            return Path(name)
        converting.set()
        assert cancelled.wait(10)
        seen.append(world.choice.engine())
        raise Cancelled

    world.choice.convert = convert
    thread = threading.Thread(target=world.choice.decide)
    thread.start()
    assert converting.wait(10)
    assert [each.is_loaded for each in world.loaders] == [True]
    world.choice.end()
    thread.join(10)
    assert not thread.is_alive()
    assert seen == ["tensorflow, onnx"]
    assert [each.is_loaded for each in world.loaders] == [False]
    assert world.choice.document()["state"] == "ended"
    before = world.first.runs
    world.choice.servable.run(world.first.signatures["s"], {"x": np.ones((1, 2), np.float32)})
    assert world.first.runs == before + 1
    world.choice.decide()
    assert world.choice.document()["state"] == "ended"


def test_onnx_by_order_is_served_at_once_whatever_the_time_it_takes(monkeypatch):
    world = World(monkeypatch, "onnx")
    world.timings = SLOWER
    loader = ChoosingLoader(Loads(world.first), lambda servable: world.choice, at_once=True)
    loader.load()
    assert world.choice.engine() == "onnx"
    loader.unload()
    assert [each.is_loaded for each in world.loaders] == [False, False]


def test_onnx_by_order_fails_the_load_where_it_cannot_be(monkeypatch):
    world = World(monkeypatch, "onnx")
    world.refused["t"] = NotConverted("there is no such op")
    inner = Loads(world.first)
    with pytest.raises(
        LoadFailed, match="signature 't' cannot be served by ONNX Runtime: there is no such op"
    ) as caught:
        ChoosingLoader(inner, lambda servable: world.choice, at_once=True).load()
    assert "--engine=auto" in caught.value.hint
    assert not inner.is_loaded
    assert [each.is_loaded for each in world.loaders] == [False]


def test_a_version_with_a_pipeline_stays_with_tensorflow(tmp_path):
    inner = Loads(Doubles(signature("s")))
    chooser = Chooser("auto", ("serve",), tmp_path, Loads)
    assert chooser.loader("m", 1, tmp_path, inner, has_pipeline=True) is inner
    assert chooser.begin("m", 1) == {}
    with pytest.raises(LoadFailed, match="pipeline"):
        Chooser("onnx", ("serve",), tmp_path, Loads).loader("m", 1, tmp_path, inner, has_pipeline=True)


def test_the_facts_are_live_and_a_stopping_chooser_ends_what_it_does(tmp_path, monkeypatch):
    chooser = Chooser("auto", ("serve",), tmp_path, Loads)
    converting = threading.Event()

    def convert(self, path, name, cancelled):
        converting.set()
        assert cancelled.wait(10)
        raise Cancelled

    monkeypatch.setattr(Chooser, "_convert", convert)
    loader = chooser.loader("m", 1, tmp_path, Loads(Doubles(signature("s"))), has_pipeline=False)
    loader.load()
    facts = chooser.begin("m", 1)
    assert converting.wait(10)
    assert facts["engine"]() == "tensorflow"
    assert facts["engine_choice"]() == {"asked": "auto", "state": "choosing", "signatures": {}}
    chooser.stop()
    loader.unload()
    assert facts["engine_choice"]()["state"] == "ended"
    assert chooser.begin("m", 1) is not None


def test_without_the_converter_auto_means_tensorflow_and_onnx_is_refused(monkeypatch, caplog):
    assert available("auto")
    monkeypatch.setattr("unstuck.choosing.conversion.MODULES", ("no_such_module_16",))
    assert not available("auto")
    (said,) = caplog.messages
    assert said == (
        "--engine=auto: no_such_module_16 is not installed, which SavedModels are converted with. "
        'All SavedModels stay with TensorFlow. Run: pip install "unstuck[convert]"'
    )
    with pytest.raises(SetupError, match="--engine=onnx: no_such_module_16"):
        available("onnx")
