import numpy as np
import pytest
from fakes import JSON_DTYPES, FakeServable, signature, spec

from unstuck.batching.proof import examine, why_not_mergeable
from unstuck.core import dtypes
from unstuck.core.dtypes import BFLOAT16, DOUBLE, FLOAT, HALF, STRING
from unstuck.errors import Code, EngineError

ROWS = (None, 3)


def why(function, inputs=None, outputs=None, **fields):
    sig = signature(*(inputs or [spec("x", FLOAT, ROWS)]), outputs=tuple(outputs or [spec("y", FLOAT, ROWS)]))
    return why_not_mergeable(FakeServable(function, {"serving_default": sig}, **fields), sig)


def per_row(inputs):
    return {"y": inputs["x"] * 2 + inputs["x"].sum(axis=1, keepdims=True)}


def test_a_model_that_answers_row_by_row_is_mergeable():
    assert why(per_row) == ""


@pytest.mark.parametrize("dtype", JSON_DTYPES, ids=lambda dtype: dtype.name)
def test_a_model_of_any_dtype_is_probed_with_values_of_it(dtype):
    seen = []

    def same(inputs):
        seen.append(inputs["x"])
        return {"y": inputs["x"]}

    assert why(same, [spec("x", dtype, ROWS)], [spec("y", dtype, ROWS)]) == ""
    assert {array.dtype for array in seen} == {dtype.numpy}
    assert not dtype.is_string or all(type(value) is bytes for array in seen for value in array.flat)
    assert max(len(set(array.ravel().tolist())) for array in seen) > 1, "equal rows would prove nothing"


MIXERS = {
    "the batch's mean": lambda x: x - x.mean(axis=0),
    "the batch's mean in one dimension": lambda x: x - np.array([1, 0, 0]) * x.mean(),
    "a softmax over the batch": lambda x: np.exp(x) / np.exp(x).sum(axis=0),
    "the row before": lambda x: np.roll(x, 1, axis=0),
    "sorted rows": lambda x: np.sort(x, axis=0),
    "the position in the batch": lambda x: x + np.arange(len(x))[:, None],
    "the batch's size": lambda x: x * len(x),
    "the first row": lambda x: x + x[:1],
    "a little of the mean": lambda x: x + 1e-3 * x.mean(axis=0),
}


@pytest.mark.parametrize("mix", MIXERS.values(), ids=MIXERS)
def test_a_model_that_mixes_rows_is_not_mergeable(mix):
    reason = why(lambda inputs: {"y": mix(inputs["x"]).astype(np.float32)})
    assert "its rows answer differently" in reason
    assert "'y'" in reason


@pytest.mark.parametrize("dtype", [HALF, BFLOAT16, FLOAT, DOUBLE], ids=lambda dtype: dtype.name)
def test_rounding_is_not_mixing(dtype):
    """Larger batches are summed in another order, which changes the last bits."""
    noise = np.random.default_rng(0)
    step = {"half": 2**-10, "bfloat16": 2**-7, "float": 2**-22, "double": 2**-50}[dtype.name]

    def nearly(inputs):
        return {"y": (inputs["x"].astype(np.float64) * (1 + noise.choice([0, step]))).astype(dtype.numpy)}

    assert why(nearly, [spec("x", dtype, ROWS)], [spec("y", dtype, ROWS)]) == ""


def test_nan_equals_nan_and_infinity_infinity():
    with np.errstate(divide="ignore", invalid="ignore"):
        assert why(lambda inputs: {"y": np.log(inputs["x"])}) == ""
    assert why(lambda inputs: {"y": inputs["x"] * np.inf}) == ""
    assert why(lambda inputs: {"y": np.where(len(inputs["x"]) > 1, np.nan, inputs["x"])}) != ""


@pytest.mark.parametrize("shape", [None, (), (1,), (4, 3), (2, None)], ids=str)
@pytest.mark.parametrize("side", ["input", "output"])
def test_a_tensor_without_a_free_first_dimension_is_not_mergeable(shape, side):
    odd, good = spec("odd", FLOAT, shape), spec("x", FLOAT, ROWS)
    inputs, outputs = ([good, odd], None) if side == "input" else (None, [spec("y", FLOAT, ROWS), odd])
    reason = why(per_row, inputs, outputs)
    assert "'odd'" in reason
    assert "no batch dimension" in reason


def test_a_stateful_signature_is_not_run_at_all():
    def fail(inputs):
        raise AssertionError("it ran")

    assert "may change state" in why(fail, stateless=frozenset())


@pytest.mark.parametrize(
    "error", [EngineError("no", code=Code.INVALID_ARGUMENT), EngineError("no", code=Code.INTERNAL), TypeError("no")]
)
def test_a_model_that_cannot_be_probed_is_not_mergeable(error):
    def fail(inputs):
        raise error

    assert why(fail) == "the probe could not be run: no"


def test_a_model_that_fails_on_many_rows_is_not_mergeable():
    def one_row(inputs):
        if len(inputs["x"]) != 1:
            raise EngineError("one at a time", code=Code.INVALID_ARGUMENT)
        return per_row(inputs)

    assert "one at a time" in why(one_row)


@pytest.mark.parametrize("number", [11, 20, 21, 999])
def test_a_dtype_without_values_is_not_mergeable(number):
    assert "could not be run" in why(per_row, [spec("x", dtypes.from_number(number), (None,))])


@pytest.mark.parametrize(
    "function",
    [lambda inputs: {"y": inputs["x"][:1]}, lambda inputs: {"y": np.concatenate([inputs["x"]] * 2)}],
    ids=["fewer rows", "more rows"],
)
def test_a_model_that_gives_other_numbers_of_rows_is_not_mergeable(function):
    assert why(function) != ""


def test_a_signature_without_inputs_is_not_mergeable():
    sig = signature(outputs=(spec("y", FLOAT, ROWS),))
    assert why_not_mergeable(FakeServable(lambda _: {}, {"serving_default": sig}), sig) == "it has no inputs"


def test_every_output_and_every_input_counts():
    def second_mixes(inputs):
        return {"y": inputs["x"], "z": inputs["t"][::-1]}

    inputs = [spec("x", FLOAT, ROWS), spec("t", STRING, (None,))]
    outputs = [spec("y", FLOAT, ROWS), spec("z", STRING, (None,))]
    assert "'z'" in why(second_mixes, inputs, outputs)


def is_wrong(function=per_row, inputs=None, outputs=None, **fields):
    sig = signature(*(inputs or [spec("x", FLOAT, ROWS)]), outputs=tuple(outputs or [spec("y", FLOAT, ROWS)]))
    return examine(FakeServable(function, {"serving_default": sig}, **fields), sig).is_wrong


def test_what_is_known_to_be_wrong_is_told_from_what_is_only_unproven():
    def fail(inputs):
        raise EngineError("no", code=Code.INTERNAL)

    assert is_wrong(lambda inputs: {"y": inputs["x"][::-1]}), "its rows were seen to answer differently"
    assert is_wrong(outputs=[spec("y", FLOAT, (1, 3))])
    assert is_wrong(inputs=[spec("x", FLOAT, ())])
    assert not is_wrong()
    assert not is_wrong(fail)
    assert not is_wrong(stateless=frozenset())
    assert not is_wrong(outputs=[spec("y", FLOAT, None)]), "its rank is not known"


@pytest.mark.parametrize(
    ("given", "fields", "auto", "on"),
    [
        ({}, {}, True, True),
        ({"function": lambda inputs: {"y": inputs["x"][::-1]}}, {}, False, False),
        ({"function": lambda inputs: {"y": inputs["x"][:1]}}, {}, False, False),
        ({"outputs": [spec("y", FLOAT, (4, 3))]}, {}, False, False),
        ({"outputs": [spec("y", FLOAT, None)]}, {}, False, False),
        ({"inputs": [spec("x", FLOAT, None)]}, {}, False, False),
        ({}, {"stateless": frozenset()}, False, True),
        ({"inputs": [spec("x", dtypes.from_number(21), (None,))]}, {}, False, True),
    ],
    ids=["safe", "mixing", "one row", "fixed size", "any rank out", "any rank in", "state", "cannot be drawn"],
)
def test_what_the_setting_makes_of_it(given, fields, auto, on):
    outputs = tuple(given.get("outputs", [spec("y", FLOAT, ROWS)]))
    sig = signature(*given.get("inputs", [spec("x", FLOAT, ROWS)]), outputs=outputs)
    verdict = examine(FakeServable(given.get("function", per_row), {"serving_default": sig}, **fields), sig)
    assert verdict.why_not_merged("off") == "batching is off"
    assert (verdict.why_not_merged("auto") == "") is auto
    assert (verdict.why_not_merged("on") == "") is on
    assert auto or verdict.why_not_merged("auto") == verdict.why_not
