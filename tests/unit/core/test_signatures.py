import pytest
from fakes import spec

from unstuck.core import dtypes
from unstuck.core.signatures import show_shape


@pytest.mark.parametrize(
    ("shape", "shown"), [(None, "[?]"), ((), "[]"), ((None,), "[-1]"), ((None, 3), "[-1,3]"), ((0, 2), "[0,2]")]
)
def test_shapes_are_shown_as_tensorflow_serving_prints_them(shape, shown):
    assert show_shape(shape) == shown
    assert str(spec(dtype=dtypes.INT64, shape=shape)) == f"int64 {shown}"
