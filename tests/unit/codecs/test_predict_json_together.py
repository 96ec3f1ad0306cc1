"""Bodies bound and answered as one must give what each gives alone: no body may take, or lend, a part of another."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unstuck.codecs.json_answer import encode
from unstuck.codecs.predict_json import parse, parse_together
from unstuck.core.dtypes import FLOAT
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.errors import UnstuckError

X = TensorSpec("x", "x:0", FLOAT, (None, None))
Y = TensorSpec("y", "y:0", FLOAT, (None, None))
SIGNATURE = Signature("serving_default", {"x": X}, {"y": Y})

ROW = '{"instances":[[1,2]]}'
WHOLE = st.sampled_from(
    [ROW, '{"instances":[[3,4]]}', '{"instances":[[5,6],[7,8]]}', '{"instances": [[9, 10]]}', '{"instances":[[1,2]]}\n']
)
PIECES = st.sampled_from(
    [
        *(ROW, "\n", "]]}", '{"instances":[[', "],[", "1,2", "3", ",", "]", "[", "}", "{", " ", "\n\n", "true", '"a"'),
        *(']]}\n{"instances":[[', '{"instances":[[1,2]]}\n{"instances":[[3,4]]}', "NaN", "[]", "1e400", '"b64"', ":"),
    ]
)
BODY = st.one_of(WHOLE, st.lists(PIECES, max_size=6).map("".join))


def alone(body):
    """The array that a body binds to for itself; None where it is refused."""
    try:
        return parse(body).bind(SIGNATURE)["x"]
    except UnstuckError:
        return None


@settings(max_examples=1000)
@given(st.lists(BODY, min_size=2, max_size=5))
@example(['{"instances":[[1,2]]}\n{"instances":[[3', ",4]]}"])
@example([ROW, '{"instances":[[1,2]]}\n{"instances":[[3', "4]]}"])
@example(['{"instances":[[1,2', '3,4]]}\n{"instances":[[5,6]]}'])
@example([ROW, '{"instances":[[]]}'])
@example(['{"instances":[[]]}', '{"instances":[[]]}'])
def test_together_is_what_each_is_alone_or_nothing(texts):
    bodies = [text.encode() for text in texts]
    together = parse_together(bodies)
    if together is None:
        return
    try:
        merged = together.bind(SIGNATURE)["x"]
    except UnstuckError:
        return
    arrays = [alone(body) for body in bodies]
    assert all(array is not None for array in arrays)
    np.testing.assert_array_equal(merged, np.concatenate(arrays))
    answers = together.encode({"y": merged * 2})
    assert [json.loads(each) for each in answers] == [
        json.loads(encode({"y": array * 2}, "instances")) for array in arrays
    ]


@pytest.mark.parametrize("spacing", ["", " ", "\n", "\t "])
def test_usual_bodies_are_bound_together(spacing):
    bodies = [f'{{"instances":{spacing}[[{n},{spacing}2.5]]}}{spacing}'.encode() for n in range(16)]
    together = parse_together(bodies)
    assert together is not None
    assert together.bind(SIGNATURE)["x"].tolist() == [[n, 2.5] for n in range(16)]


@pytest.mark.parametrize(
    "odd",
    [
        '{"instances":[[true,2]]}',
        '{"instances":[["1",2]]}',
        '{"instances":[[1,2,3]]}',
        '{"instances":[[NaN,2]]}',
        '{"signature_name":"serving_default","instances":[[1,2]]}',
        '{"instances":[[1,2]],"instances":[[3,4]]}',
        '{"inputs":[[1,2]]}',
        "",
    ],
)
def test_a_special_body_leaves_the_others_to_themselves(odd):
    together = parse_together([ROW.encode(), odd.encode(), ROW.encode()])
    if together is not None:
        with pytest.raises(UnstuckError):
            together.bind(SIGNATURE)


def test_answers_with_nan_and_several_outputs_are_cut_row_by_row():
    bodies = [b'{"instances":[[1,2],[3,4]]}', b'{"instances":[[5,6]]}']
    together = parse_together(bodies)
    assert together is not None
    together.bind(SIGNATURE)
    y = np.array([[1.0], [np.nan], [3.0]], np.float32)
    assert together.encode({"y": y}) == [b'{"predictions":[[1.0],[NaN]]}', b'{"predictions":[[3.0]]}']
    first, second = together.encode({"y": y, "z": np.arange(3)})
    assert first == b'{"predictions":[{"y":[1.0],"z":0},{"y":[NaN],"z":1}]}'
    assert second == b'{"predictions":[{"y":[3.0],"z":2}]}'
