import json
from pathlib import Path

import numpy as np
import pytest
from fakes import JSON_DTYPES, signature, spec

from unstuck.codecs import golden_json
from unstuck.codecs.golden_json import Golden
from unstuck.core import dtypes
from unstuck.errors import SetupError, UnwritableOutput

PATH = Path("/golden.jsonl")
LINE = b'{"inputs": {"x": [1]}, "outputs": {"y": [2]}}'


def some(dtype):
    if dtype.is_string:
        return np.array([b"a", "é".encode(), b"\xff\x00"], object)
    if dtype is dtypes.BOOL:
        return np.array([True, False, True])
    if dtype.numpy.kind in "iu":
        info = np.iinfo(dtype.numpy)
        return np.array([info.min, 0, info.max], dtype.numpy)
    return np.array([0.1, -2.5, 3e-4], np.float64).astype(dtype.numpy)


@pytest.mark.parametrize("dtype", JSON_DTYPES, ids=lambda dtype: dtype.name)
def test_what_is_written_is_read_again_exactly(dtype):
    array = some(dtype)
    known = signature(spec("x", dtype, (None,)), outputs=(spec("y", dtype, (None,)), spec("z_bytes")), name="s")
    text = golden_json.encode(Golden({"x": array}, {"y": array, "z_bytes": np.float32(3)}), "s")
    (line,) = golden_json.parse(text, PATH).lines
    assert line.signature_name == "s"
    found = golden_json.bind(line, PATH, known)
    for got in (found.inputs["x"], found.outputs["y"]):
        assert got.dtype == array.dtype
        assert got.tolist() == array.tolist()
    assert found.outputs["z_bytes"].tolist() == 3.0


def test_what_json_cannot_hold_is_not_written():
    with pytest.raises(UnwritableOutput, match="complex64"):
        golden_json.encode(Golden({"x": np.zeros(1, np.complex64)}, {}), "s")


def test_settings_are_the_first_line_alone():
    file = golden_json.parse(b'\n{"tolerance": {"relative": 0.5}, "together": false}\n' + LINE, PATH)
    assert (file.tolerance, file.together, [each.number for each in file.lines]) == ({"relative": 0.5}, False, [3])
    assert golden_json.parse(LINE, PATH).together
    with pytest.raises(SetupError, match=r"line 2: expected .*got \['together'\]"):
        golden_json.parse(LINE + b'\n{"together": false}', PATH)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", r"golden\.jsonl, line 1: it is not JSON"),
        ("[1]", r"line 1: expected a JSON object, got list"),
        ("{}", r"line 1: expected .*got \[\]"),
        ('{"inputs": {"x": 1}}', r"line 1: expected .*got \['inputs'\]"),
        ('{"inputs": [1], "outputs": {"y": 1}}', r"line 1: expected"),
        ('{"inputs": {"x": 1}, "outputs": {}}', r"line 1: expected"),
        ('{"inputs": {}, "outputs": {"y": 1}, "signature_name": 5}', r"'signature_name' is a string, got 5"),
        ('{"tolerance": 0.1}', r'expected \{"tolerance": \{"relative": 0\.001'),
        ('{"tolerance": {"rel": 0.1}}', r"got 'rel': 0\.1"),
        ('{"tolerance": {"absolute": -1}}', r"got 'absolute': -1"),
        ('{"tolerance": {"absolute": true}}', r"got 'absolute': True"),
        ('{"together": 0}', r"'together' is true or false, got 0"),
    ],
)
def test_a_line_that_is_not_of_the_form(text, says):
    with pytest.raises(SetupError, match=says):
        golden_json.parse(text.encode(), PATH)


@pytest.mark.parametrize(
    ("dtype", "values", "says"),
    [
        (dtypes.FLOAT, [[1], [1, 2]], r"Expecting tensor size 1 in dimension 1 of output 'y'"),
        (dtypes.FLOAT, [None], r"outputs\.y\[0\] is Null null, not of expected type: float; output 'y'"),
        (dtypes.INT32, [1.5], r"outputs\.y\[0\] is Number 1\.5, not of expected type: int32"),
        (dtypes.UINT8, [300], r"outputs\.y\[0\] is Number 300: it is outside 0 to 255"),
        (dtypes.STRING, [1], r"outputs\.y\[0\] is Number 1, not of expected type: string"),
    ],
)
def test_outputs_that_the_signature_cannot_give(dtype, values, says):
    known = signature(spec("x"), outputs=(spec("y", dtype),))
    (line,) = golden_json.parse(json.dumps({"inputs": {"x": 1}, "outputs": {"y": values}}).encode(), PATH).lines
    with pytest.raises(SetupError, match=f"golden.jsonl, line 1: {says}"):
        golden_json.bind(line, PATH, known)


def test_an_output_that_the_signature_does_not_have_is_kept_as_written():
    (line,) = golden_json.parse(b'{"inputs": {"x": 1}, "outputs": {"z": ["a"], "w": [1.5]}}', PATH).lines
    found = golden_json.bind(line, PATH, signature(spec("x")))
    for values in ("[[1], [1, 2]]", "[null]"):
        (other,) = golden_json.parse(b'{"inputs": {"x": 1}, "outputs": {"z": %s}}' % values.encode(), PATH).lines
        with pytest.raises(SetupError, match=r"outputs\.z is (ragged|neither)"):
            golden_json.bind(other, PATH, signature(spec("x")))
    assert found.outputs["z"].tolist() == [b"a"]
    assert found.outputs["w"].tolist() == [1.5]


def test_outputs_of_a_model_that_was_in_order_may_be_of_another_dtype():
    (line,) = golden_json.parse(b'{"inputs": {"x": [1]}, "outputs": {"y": [0.4]}}', PATH).lines
    rounding = signature(spec("x"), outputs=(spec("y", dtypes.INT64),))
    assert golden_json.bind(line, PATH, rounding, as_declared=False).outputs["y"].tolist() == [0.4]
