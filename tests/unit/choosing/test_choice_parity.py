import numpy as np
import pytest

from unstuck.choosing.parity import ROWS, Different, compare, drawn
from unstuck.core import dtypes
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.errors import Code, EngineError


def signature(dtype=dtypes.FLOAT, shape=(None, 2), out=dtypes.FLOAT):
    return Signature("s", {"x": TensorSpec("x", "x", dtype, shape)}, {"y": TensorSpec("y", "y", out, shape)})


def double(inputs):
    return {"y": inputs["x"] * 2}


def test_the_largest_difference_of_all_tries_is_told():
    found = compare(signature(), double, lambda inputs: {"y": double(inputs)["y"] * np.float32(1 + 1e-6)}, [])
    assert 0 < found.largest_difference < 1e-2
    assert found.guards == frozenset()


@pytest.mark.parametrize(
    ("dtype", "factor", "is_alike"),
    [
        (dtypes.FLOAT, 1 + 1e-5, True),
        (dtypes.FLOAT, 1 + 1e-3, False),
        (dtypes.DOUBLE, 1 + 1e-5, False),
        (dtypes.HALF, 1 + 1e-3, True),
        (dtypes.HALF, 1 + 1e-1, False),
    ],
)
def test_what_is_allowed_depends_on_the_dtype(dtype, factor, is_alike):
    def other(inputs):
        return {"y": (double(inputs)["y"] * np.asarray(factor, dtype.numpy)).astype(dtype.numpy)}

    if is_alike:
        compare(signature(dtype, out=dtype), double, other, [])
    else:
        with pytest.raises(Different, match="the output 'y' differs by"):
            compare(signature(dtype, out=dtype), double, other, [])


def test_what_is_allowed_depends_on_how_large_the_outputs_are():
    def small(inputs):
        return {"y": np.tanh(inputs["x"]) * np.float32(1e-6)}

    with pytest.raises(Different):
        compare(signature(), small, lambda inputs: {"y": small(inputs)["y"] + np.float32(1e-9)}, [])


def test_integers_must_be_equal():
    def largest(inputs):
        return {"y": inputs["x"].argmax(axis=1)}

    compare(signature(out=dtypes.INT64), largest, largest, [])
    with pytest.raises(Different, match="of int64, is another one"):
        compare(signature(out=dtypes.INT64), largest, lambda inputs: {"y": 1 - largest(inputs)["y"]}, [])


def test_a_mixture_of_rows_shows_in_batches():
    def mixes(inputs):
        return {"y": inputs["x"] * 2 - inputs["x"].mean(0) * (len(inputs["x"]) > 1)}

    with pytest.raises(Different):
        compare(signature(), double, mixes, [])


def test_given_inputs_are_compared_as_well():
    def other(inputs):
        return {"y": double(inputs)["y"] + (inputs["x"] == 42)}

    compare(signature(), double, other, [])
    with pytest.raises(Different):
        compare(signature(), double, other, [{"x": np.array([[42, 0]], np.float32)}])


def test_no_numbers_are_equal_to_no_numbers():
    def log(inputs):
        with np.errstate(invalid="ignore"):
            return {"y": np.log(inputs["x"])}

    assert compare(signature(), log, log, []).largest_difference == 0
    with pytest.raises(Different):
        compare(signature(), log, lambda inputs: {"y": np.nan_to_num(log(inputs)["y"])}, [])


def test_values_that_only_one_takes_are_guarded_against():
    def lookup(inputs):
        if (inputs["x"] < 0).any():
            raise EngineError("-1 is not in [0, 8)", code=Code.INVALID_ARGUMENT)
        return {"y": inputs["x"].astype(np.float32)}

    def wraps(inputs):
        return {"y": (inputs["x"] % 8000).astype(np.float32)}

    assert compare(signature(dtypes.INT32), lookup, wraps, []).guards == {"negative"}
    assert compare(signature(dtypes.INT32), lookup, lookup, []).guards == frozenset()

    def finite(inputs):
        return {"y": np.nan_to_num(inputs["x"], posinf=1) * 2}

    assert compare(signature(), double, finite, []).guards == {"not finite"}


def test_what_only_the_first_refuses_is_a_difference():
    def picky(inputs):
        if inputs["x"].shape[0] == ROWS:
            raise EngineError("no", code=Code.INVALID_ARGUMENT)
        return double(inputs)

    with pytest.raises(Different, match="that TensorFlow refuses"):
        compare(signature(), picky, double, [])
    with pytest.raises(Different, match="ONNX Runtime refuses"):
        compare(signature(), double, picky, [])


def test_where_all_is_refused_nothing_was_compared():
    def refuse(inputs):
        raise EngineError("no", code=Code.INVALID_ARGUMENT)

    with pytest.raises(Different, match="refuses all inputs"):
        compare(signature(), refuse, refuse, [])


def test_dimensions_of_any_size_are_tried_in_several():
    sizes = set()

    def seen(inputs):
        sizes.add(inputs["x"].shape[1])
        if inputs["x"].shape[1] > 16:
            raise EngineError("too long", code=Code.INVALID_ARGUMENT)
        return double(inputs)

    assert compare(signature(shape=(None, None)), seen, seen, []).free_size == 16
    assert sizes == {3, 16, 64}


@pytest.mark.parametrize(("shape", "drawn_shape"), [((), ()), ((2, 3), (2, 3)), ((None, 3), (4, 3)), ((1,), (1,))])
def test_inputs_are_drawn_in_the_declared_shape(shape, drawn_shape):
    (array,) = drawn(signature(dtypes.INT32, shape), 4, 3).values()
    assert array.shape == drawn_shape
    assert array.dtype == np.int32
