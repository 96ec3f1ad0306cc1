"""Values of pandas, Arrow and Pillow: what they say is kept, and what a tensor cannot say is refused."""

import numpy as np
import pytest
from fakes import signature, spec

from unstuck.client.inputs import NOTHING, bind
from unstuck.client.tensors import to_tensor
from unstuck.core.dtypes import BOOL, FLOAT, INT64, STRING, UINT8
from unstuck.errors import InputNames, WrongShape, WrongType

TABLE = signature(spec("age", FLOAT, (None, 1)), spec("name", STRING, (None,)), spec("n", INT64, (None,)))
EXPECTED = {"age": [[1.5], [2.5]], "n": [2**53 + 1, 2], "name": [b"u", "é".encode()]}


def lists(tensors):
    return {alias: tensor.tolist() for alias, tensor in tensors.items()}


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


@pytest.fixture
def pyarrow():
    return pytest.importorskip("pyarrow")


@pytest.fixture
def image():
    return pytest.importorskip("PIL.Image")


def columns():
    return {"age": [1.5, 2.5], "name": ["u", "é"], "n": [2**53 + 1, 2]}


def test_a_data_frames_columns_are_the_inputs(pandas):
    assert lists(bind(TABLE, pandas.DataFrame(columns()), {})) == EXPECTED


def test_an_arrow_tables_columns_are_the_inputs(pyarrow):
    table = pyarrow.table(columns())
    assert lists(bind(TABLE, table, {})) == EXPECTED
    assert lists(bind(TABLE, table.to_batches()[0], {})) == EXPECTED


def test_a_tables_other_columns_are_refused_with_the_way_to_leave_them_out(pandas):
    frame = pandas.DataFrame(columns() | {"label": [0, 1]})
    with pytest.raises(InputNames, match=r"table has 'label', which is no input.*table\[\['age', 'name', 'n'\]\]"):
        bind(TABLE, frame, {})
    with pytest.raises(InputNames, match="more than one column named 'age'"):
        bind(TABLE, pandas.concat([frame, frame[["age"]]], axis=1), {})


def test_a_table_for_one_wide_input_must_be_named(pandas, pyarrow):
    wide = signature(spec("x", FLOAT, (None, 2)))
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    with pytest.raises(InputNames, match=r"predict\({'x': table}\)"):
        bind(wide, frame, {})
    for table in (frame, pyarrow.Table.from_pandas(frame)):
        assert lists(bind(wide, NOTHING, {"x": table})) == {"x": [[1.0, 0.5], [2.0, 1.5]]}


def test_whole_columns_stay_exact_beside_floats(pandas):
    frame = pandas.DataFrame({"a": [2**53 + 1], "b": [1.0]})
    assert to_tensor(frame, spec("x", INT64)).tolist() == [[2**53 + 1, 1]]


@pytest.mark.parametrize(
    ("dtype", "kind", "values"),
    [
        (FLOAT, "float32", [0.5, 1.0]),
        (INT64, "Int64", [2**53 + 1, 2]),
        (INT64, "int64[pyarrow]", [2**53 + 1, 2]),
        (BOOL, "boolean", [True, False]),
        (STRING, "category", ["a", "b"]),
        (STRING, "string", ["a", "b"]),
    ],
)
def test_series_of_every_backend(pandas, pyarrow, dtype, kind, values):
    tensor = to_tensor(pandas.Series(values, dtype=kind), spec("x", dtype))
    assert tensor.dtype == dtype.numpy
    assert tensor.tolist() == [value.encode() if isinstance(value, str) else value for value in values]


def test_a_series_of_lists_is_a_matrix(pandas):
    assert to_tensor(pandas.Series([[1, 2], [3, 4]]), spec("x", INT64)).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(WrongShape, match="ragged"):
        to_tensor(pandas.Series([[1, 2], [3]]), spec("x", INT64))


def test_missing_values_are_refused_and_nan_is_a_float(pandas, pyarrow):
    assert np.isnan(to_tensor(pandas.Series([1.0, None]), spec("x", FLOAT))).tolist() == [False, True]
    for series in (
        pandas.Series([1, None], dtype="Int64"),
        pandas.Series(["a", None]),
        pandas.Series([1.0, None], dtype="Float64"),
    ):
        with pytest.raises(WrongType, match="missing values at row 1"):
            to_tensor(series, spec("x", FLOAT))
    with pytest.raises(WrongType, match="1 of 2 are null"):
        to_tensor(pyarrow.array([1, None]), spec("x", FLOAT))
    with pytest.raises(WrongType, match=r"None \(NoneType\)"):
        to_tensor(pyarrow.array([[1], [None]]), spec("x", FLOAT))


def test_arrow_arrays(pyarrow):
    assert to_tensor(pyarrow.chunked_array([[1], [2]]), spec("x", INT64)).tolist() == [1, 2]
    assert to_tensor(pyarrow.array([True, False]), spec("x", BOOL)).tolist() == [True, False]
    assert to_tensor(pyarrow.array([b"\xff", b"\0"]), spec("x", STRING)).tolist() == [b"\xff", b"\0"]
    assert to_tensor(pyarrow.array([[1.0, 2.0], [3.0, 4.0]]), spec("x", FLOAT)).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert to_tensor(pyarrow.scalar(5), spec("x", INT64)).tolist() == 5
    pairs = pyarrow.array([[1, 2], [3, 4], [5, 6]], pyarrow.list_(pyarrow.int64(), 2))
    assert to_tensor(pairs[1:], spec("x", INT64)).tolist() == [[3, 4], [5, 6]]
    tensors = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8).reshape(2, 2, 2))
    assert to_tensor(tensors, spec("x", INT64)).tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    with pytest.raises(WrongType, match="datetime64"):
        to_tensor(pyarrow.array([0], pyarrow.timestamp("s")), spec("x", INT64))


def test_images(image):
    red = image.new("RGB", (3, 2), (255, 0, 1))
    tensor = to_tensor([red, red], spec("x", UINT8, (None, 2, 3, 3)))
    assert tensor.shape == (2, 2, 3, 3)
    assert tensor[1, 0, 0].tolist() == [255, 0, 1]
    assert to_tensor(red, spec("x", FLOAT))[0, 0].tolist() == [255.0, 0.0, 1.0]
    with pytest.raises(WrongType, match="palette"):
        to_tensor(red.convert("P"), spec("x", UINT8))
    with pytest.raises(WrongType, match="the bytes of its file"):
        to_tensor(red, spec("x", STRING))


def test_whatever_has_an_array(pandas):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0])

    class OnADevice:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("copy it to the host first")

    assert to_tensor(Tensor(), spec("x", FLOAT)).tolist() == [1.0, 2.0]
    with pytest.raises(WrongType, match="copy it to the host first"):
        to_tensor(OnADevice(), spec("x", FLOAT))
