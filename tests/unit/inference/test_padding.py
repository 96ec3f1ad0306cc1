import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.core.batching import BatchingParameters
from unstuck.errors import Code, EngineError, InvalidRequest
from unstuck.inference.padding import cut, joined, rows_of

PLAIN = BatchingParameters()
RAGGED = BatchingParameters(pad_variable_length_inputs=True)


def floats(*rows):
    return np.array(rows, np.float32)


def test_rows_are_the_first_dimension_of_all_inputs():
    assert rows_of({"a": np.zeros((3, 2)), "b": np.zeros(3)}) == 3


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "must have at least one input"),
        (
            {"a": np.zeros(2), "b": np.float32(1)},
            "Input 'b' of a call that is batched must have at least one dim",
        ),
        ({"a": np.zeros((3, 2)), "b": np.zeros(2)}, "equal first dimensions, got 3 for 'a', 2 for 'b'"),
    ],
)
def test_inputs_that_no_batch_can_take(inputs, said):
    with pytest.raises(InvalidRequest, match=said):
        rows_of({alias: np.asarray(array) for alias, array in inputs.items()})


def test_calls_are_joined_in_order():
    batch = joined([{"x": floats([1], [2])}, {"x": floats([3])}], PLAIN)
    assert batch["x"].tolist() == [[1], [2], [3]]


def test_a_batch_is_padded_to_the_next_allowed_size_with_the_first_row_of_the_last_call():
    parameters = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(2, 4))
    batch = joined([{"x": floats([1])}, {"x": floats([2], [3])}], parameters)
    assert batch["x"].tolist() == [[1], [2], [3], [2]]


def test_a_call_without_rows_gives_none_to_pad_with():
    parameters = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(4,))
    empty = {"x": np.zeros((0, 1), np.float32)}
    assert joined([{"x": floats([1])}, empty], parameters)["x"].tolist() == [[1], [1], [1], [1]]
    assert joined([empty], parameters)["x"].shape == (0, 1)


def test_texts_are_padded_too():
    parameters = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(4,), pad_variable_length_inputs=True)
    calls = [{"t": np.array([[b"a", b"b"]], object)}, {"t": np.array([[b"c"]], object)}]
    assert joined(calls, parameters)["t"].tolist() == [[b"a", b"b"], [b"c", b"c"], [b"c", b"c"], [b"c", b"c"]]


def test_variable_lengths_are_padded_behind_with_the_calls_own_first_value():
    batch = joined([{"x": floats([[1, 2]], [[3, 4]])}, {"x": floats([[5], [6], [7]])}], RAGGED)
    assert batch["x"].tolist() == [
        [[1, 2], [1, 1], [1, 1]],
        [[3, 4], [1, 1], [1, 1]],
        [[5, 5], [6, 5], [7, 5]],
    ]


def test_variable_lengths_that_are_not_to_be_padded_are_refused():
    with pytest.raises(EngineError, match=r"different shapes in the calls of one batch, \[1,2\], \[1,3\]") as refused:
        joined([{"x": floats([1, 2])}, {"x": floats([1, 2, 3])}, {"x": floats([1, 2])}], PLAIN)
    assert refused.value.code is Code.FAILED_PRECONDITION
    assert "pad_variable_length_inputs" in refused.value.hint


def test_an_empty_row_cannot_be_padded():
    with pytest.raises(InvalidRequest, match=r"Input 'x' is empty, \[1,0\]"):
        joined([{"x": floats([1, 2])}, {"x": np.zeros((1, 0), np.float32)}], RAGGED)


def test_equal_lengths_are_left_alone_where_variable_ones_would_be_padded():
    one = {"x": floats([1, 2])}
    assert joined([one, one], RAGGED)["x"].tolist() == [[1, 2], [1, 2]]
    assert joined([one], RAGGED)["x"] is one["x"]


@pytest.mark.parametrize("output", [np.float32(1), np.zeros((2, 1)), np.zeros((4, 1))])
def test_an_output_without_a_row_for_each_row_is_said(output):
    with pytest.raises(EngineError, match="Output 'y' of a batch of 3 rows has shape") as refused:
        cut({"y": np.asarray(output)}, [1, 2], 3)
    assert refused.value.code is Code.FAILED_PRECONDITION


calls_of_rows = st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=6)


@given(calls_of_rows, st.sets(st.integers(1, 40)))
def test_padding_is_never_seen_in_the_outputs(rows, sizes):
    parameters = BatchingParameters(max_batch_size=40, allowed_batch_sizes=tuple(sorted({*sizes, 40})))
    calls = [{"x": np.array(values, np.float32).reshape(-1, 1)} for values in rows]
    batch = joined(calls, parameters)
    assert len(batch["x"]) == (parameters.padded(sum(map(len, rows))) if any(rows) else 0)
    outputs = cut({"y": batch["x"] * 2, "z": batch["x"][:, 0]}, [len(values) for values in rows], len(batch["x"]))
    for values, output in zip(rows, outputs, strict=True):
        assert output["y"].tolist() == [[2 * value] for value in values]
        assert output["z"].tolist() == values


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4))
def test_what_was_sent_is_in_front_of_what_was_padded(shapes):
    random = np.random.default_rng(0)
    calls = [{"x": random.normal(size=shape).astype(np.float32)} for shape in shapes]
    batch = joined(calls, RAGGED)["x"]
    parts = cut({"x": batch}, [len(call["x"]) for call in calls], len(batch))
    for call, part in zip(calls, parts, strict=True):
        sent, padded = call["x"], part["x"]
        inner = tuple(map(slice, sent.shape))
        np.testing.assert_array_equal(padded[inner], sent)
        rest = np.ones(padded.shape, bool)
        rest[inner] = False
        assert (padded[rest] == sent.flat[0]).all()
