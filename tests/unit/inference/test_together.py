"""Several prepared calls as one run: which may share it, and that each gets its own rows back."""

import numpy as np
import pytest
from fakes import FakeModel, FakeServable, RunRecorder, signature, spec
from hypothesis import given
from hypothesis import strategies as st

from unstuck.core.dtypes import FLOAT, INT64, STRING
from unstuck.core.signatures import narrowed
from unstuck.errors import Code, EngineError
from unstuck.inference.predict import PreparedCall
from unstuck.inference.together import merge_key, run_together

XY = signature(spec("x", FLOAT, (None, None)), outputs=(spec("y", FLOAT, (None, None)), spec("n", INT64, (None,))))
AB = signature(spec("a", FLOAT, (None,)), spec("b", STRING, (None, 2)), name="two")


def model(function=lambda inputs: {"y": inputs["x"] * 2, "n": inputs["x"][:, 0]}, mergeable=("serving_default", "two")):
    signatures = {each.name: each for each in (XY, AB)}
    return FakeModel(FakeServable(function, signatures), mergeable=frozenset(mergeable))


def call(x, served=None, called=XY, warnings=()):
    return PreparedCall(served or model(), called, {"x": np.array(x, np.float32)}, list(warnings))


def two(a_shape, b_shape, served):
    return PreparedCall(served, AB, {"a": np.zeros(a_shape, np.float32), "b": np.full(b_shape, b"", object)}, [])


@pytest.mark.parametrize(("one", "other"), [((1, 2), (1, 2)), ((1, 2), (5, 2)), ((0, 2), (3, 2)), ((2, 0), (1, 0))])
def test_calls_that_differ_in_their_number_of_rows_may_share_a_run(one, other):
    served = model()
    first, second = (merge_key(call(np.zeros(shape), served)) for shape in (one, other))
    assert first is not None
    assert first == second


def test_calls_whose_rows_are_of_another_shape_may_not():
    served = model()
    shapes = [(2, 3), (2, 4), (2,), (2, 3, 1), (2, 1, 3)]
    keys = {merge_key(call(np.zeros(shape), served)) for shape in shapes}
    assert None not in keys
    assert len(keys) == len(shapes)


def test_nor_calls_of_other_models_signatures_or_outputs():
    served, x = model(), [[1, 2]]
    calls = [
        call(x, served),
        call(x, model()),
        call(x, served, narrowed(XY, ["y"])),
        call(x, served, narrowed(XY, ["n"])),
        call(x, served, narrowed(XY, ["n", "y"])),
        two((1,), (1, 2), served),
    ]
    keys = {merge_key(each) for each in calls}
    assert None not in keys
    assert len(keys) == len(calls)
    assert merge_key(call(x, served, narrowed(XY, ["y"]))) == merge_key(calls[2])


@pytest.mark.parametrize(
    "alone",
    [
        call([[1]], model(mergeable=())),
        call([[1]], model(mergeable=("two",))),
        call([[1]], warnings=["input 'x' was sent with shape [1]"]),
        call(1),
        two((2,), (3, 2), model()),
        two((), (2, 2), model()),
        two((2,), (), model()),
    ],
    ids=["not proven", "another proven", "a warning", "a scalar", "uneven rows", "no rows in a", "no rows in b"],
)
def test_what_must_run_alone_has_no_key(alone):
    assert merge_key(alone) is None


@st.composite
def groups(draw):
    """The rows of each of several calls: different in number, equal in shape."""
    width = draw(st.integers(0, 3))
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    row = st.lists(st.integers(-1000, 1000), min_size=width, max_size=width)
    return [np.array(draw(st.lists(row, min_size=n, max_size=n)), np.float32).reshape(n, width) for n in sizes]


@given(groups())
def test_each_call_gets_its_own_rows_back(xs):
    served = model(lambda inputs: {"y": inputs["x"] * 2, "n": inputs["x"].sum(axis=1)})
    answers = run_together([call(x, served) for x in xs])
    assert len(answers) == len(xs)
    for x, outputs in zip(xs, answers, strict=True):
        assert [*outputs] == ["y", "n"]
        np.testing.assert_array_equal(outputs["y"], x * 2)
        np.testing.assert_array_equal(outputs["n"], x.sum(axis=1))
        assert outputs["y"].shape == x.shape
    assert len(served.servable.runs) == 1


def test_observers_hear_of_one_run_and_of_the_rows_of_each_call():
    observer = RunRecorder()
    served = model(lambda inputs: {"y": inputs["x"], "n": inputs["x"]})
    served.observers = [observer]
    run_together([call(np.float32([[1, 2]]), served), call(np.float32([[3, 4], [5, 6]]), served)])
    joined = [[1, 2], [3, 4], [5, 6]]
    assert observer.heard == [("serving_default", {"x": joined}, {"y": joined, "n": joined}, [1, 2])]


@given(st.lists(st.lists(st.binary(max_size=3), max_size=4), min_size=1, max_size=6))
def test_every_input_is_joined_in_the_calls_order(texts):
    served = model(lambda inputs: {"y": inputs["b"], "n": inputs["a"]})
    calls = []
    for number, rows in enumerate(texts):
        b = np.array([each for text in rows for each in (text, text)], object).reshape(-1, 2)
        calls.append(PreparedCall(served, AB, {"a": np.full(len(rows), number, np.float32), "b": b}, []))
    for number, (rows, outputs) in enumerate(zip(texts, run_together(calls), strict=True)):
        assert outputs["y"].tolist() == [[text, text] for text in rows]
        assert outputs["n"].tolist() == [number] * len(rows)


def test_a_narrowed_signature_stays_narrowed():
    asked = []

    class Served(FakeServable):
        def run(self, signature, inputs):
            asked.append([*signature.outputs])
            return {"y": inputs["x"]}

    served = FakeModel(Served(dict, {}), mergeable=frozenset({"serving_default"}))
    run_together([call([[1]], served, narrowed(XY, ["y"])), call([[2]], served, narrowed(XY, ["y"]))])
    assert asked == [["y"]]


@pytest.mark.parametrize(
    "output", [np.float32(1), np.zeros(2), np.zeros((4, 3)), np.zeros(0)], ids=["a scalar", "fewer", "more", "none"]
)
def test_an_output_without_a_row_for_each_row_is_nobodys(output):
    served = model(lambda inputs: {"y": inputs["x"], "n": output})
    with pytest.raises(EngineError, match=r"Output 'n' .* for 3 rows") as caught:
        run_together([call([[1], [2]], served), call([[3]], served)])
    assert caught.value.code is Code.INTERNAL


def test_the_frameworks_error_is_passed_on():
    def fail(_):
        raise EngineError("poisoned", code=Code.INVALID_ARGUMENT)

    served = model(fail)
    with pytest.raises(EngineError, match="poisoned"):
        run_together([call([[1]], served), call([[2]], served)])
