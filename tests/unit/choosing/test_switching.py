import threading

import numpy as np
import pytest

from unstuck.choosing.switching import Other, SwitchingServable
from unstuck.core import dtypes
from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, TensorSpec, narrowed
from unstuck.errors import Code, EngineError


def spec(alias, dtype=dtypes.FLOAT, shape=(None, 2)):
    return TensorSpec(alias, alias, dtype, shape)


def signature(name="s", dtype=dtypes.FLOAT):
    return Signature(name, {"x": spec("x", dtype)}, {"a": spec("a"), "b": spec("b")})


class Fake(Servable):
    """Answers every output with ``number``; refuses what is in ``refuses``."""

    def __init__(self, number, *signatures, refuses=()):
        self.number, self.refuses, self.calls = number, refuses, 0
        self._signatures = {each.name: each for each in signatures}

    @property
    def signatures(self):
        return self._signatures

    @property
    def stateless(self):
        return frozenset(self._signatures)

    def run(self, signature, inputs):
        self.calls += 1
        if inputs["x"].shape[0] in self.refuses:
            raise EngineError(f"{self.number} refuses", code=Code.INVALID_ARGUMENT)
        return {alias: np.full(1, self.number) for alias in signature.outputs}


@pytest.fixture
def pair():
    first, other = Fake(1, signature("s"), signature("t")), Fake(2, signature("onnx"), refuses={7})
    servable = SwitchingServable(first)
    return servable, first, other


def answer(servable, name="s", x=None):
    inputs = {"x": np.ones((1, 2), np.float32) if x is None else x}
    return {alias: int(array[0]) for alias, array in servable.run(servable.signatures[name], inputs).items()}


def test_only_the_signature_that_is_switched_goes_over(pair):
    servable, first, other = pair
    assert answer(servable) == {"a": 1, "b": 1}
    servable.switch("s", Other(first.signatures["s"], other))
    assert answer(servable) == {"a": 2, "b": 2}
    assert answer(servable, "t") == {"a": 1, "b": 1}
    servable.switch_back()
    assert answer(servable) == {"a": 1, "b": 1}


def test_outputs_that_are_asked_for_come_alone_and_in_their_order(pair):
    servable, first, other = pair
    servable.switch("s", Other(first.signatures["s"], other))
    asked = narrowed(first.signatures["s"], ["b", "a"])
    assert list(servable.run(asked, {"x": np.ones((1, 2), np.float32)})) == ["b", "a"]
    assert list(servable.run(narrowed(asked, ["b"]), {"x": np.ones((1, 2), np.float32)})) == ["b"]


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.ones((0, 2), np.float32), id="empty"),
        pytest.param(np.ones((1, 3), np.float32), id="not as declared"),
        pytest.param(np.ones((1, 1, 2), np.float32), id="of another rank"),
        pytest.param(np.ones((7, 2), np.float32), id="refused by the other"),
    ],
)
def test_what_the_other_cannot_answer_alike_is_asked_of_the_first(x, pair):
    servable, first, other = pair
    servable.switch("s", Other(first.signatures["s"], other))
    assert answer(servable, x=x) == {"a": 1, "b": 1}


def test_the_error_is_the_firsts():
    first, other = Fake(1, signature(), refuses={7}), Fake(2, signature("onnx"), refuses={7})
    servable = SwitchingServable(first)
    servable.switch("s", Other(first.signatures["s"], other))
    with pytest.raises(EngineError, match="1 refuses"):
        answer(servable, x=np.ones((7, 2), np.float32))


@pytest.mark.parametrize(
    ("dtype", "value", "guard"),
    [
        (dtypes.FLOAT, np.nan, "not finite"),
        (dtypes.FLOAT, -np.inf, "not finite"),
        (dtypes.HALF, np.inf, "not finite"),
        (dtypes.INT64, -1, "negative"),
    ],
)
def test_guarded_values_are_left_to_the_first(dtype, value, guard):
    first, other = Fake(1, signature(dtype=dtype)), Fake(2, signature("onnx"))
    usual = np.ones((1, 2), dtype.numpy)
    unusual = np.array([[1, value]], dtype.numpy)
    for guards, expected in ((frozenset(), 2), ({guard}, 1)):
        servable = SwitchingServable(first)
        servable.switch("s", Other(first.signatures["s"], other, frozenset(guards)))
        assert answer(servable, x=usual)["a"] == 2
        assert answer(servable, x=unusual)["a"] == expected


def test_calls_in_flight_end_where_they_began(pair):
    servable, first, other = pair
    entered, released, got = threading.Event(), threading.Event(), []
    run = first.run

    def slow(signature, inputs):
        entered.set()
        assert released.wait(10)
        return run(signature, inputs)

    first.run = slow
    call = threading.Thread(target=lambda: got.append(answer(servable)))
    call.start()
    assert entered.wait(10)
    servable.switch("s", Other(first.signatures["s"], other))
    assert answer(servable) == {"a": 2, "b": 2}
    released.set()
    call.join(10)
    assert got == [{"a": 1, "b": 1}]


def test_concurrent_calls_get_whole_answers_while_signatures_switch(pair):
    servable, first, other = pair
    stop, wrong = threading.Event(), []

    def call():
        while not stop.is_set():
            got = answer(servable)
            if got not in ({"a": 1, "b": 1}, {"a": 2, "b": 2}):
                wrong.append(got)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for each in threads:
        each.start()
    for _ in range(200):
        servable.switch("s", Other(first.signatures["s"], other))
        servable.switch_back()
    stop.set()
    for each in threads:
        each.join(10)
    assert not wrong
    assert first.calls
