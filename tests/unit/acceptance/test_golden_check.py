"""A version gives its golden rows' answers, or its status says which it does not give."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeModel, FakeServable, signature, spec

from unstuck.acceptance.golden import check_golden
from unstuck.acceptance.version_check import VersionCheck
from unstuck.codecs.golden_json import PLACE
from unstuck.core import dtypes
from unstuck.core.dtypes import FLOAT
from unstuck.errors import LoadFailed, SetupError

X = spec("x", FLOAT, (None, 1))
Y = spec("y", FLOAT, (None, 1))


def half_plus_two(inputs):
    return {"y": inputs["x"] / 2 + 2}


def model(function: Any = half_plus_two, *inputs, outputs=(Y,)) -> FakeModel:
    known = signature(*(inputs or (X,)), outputs=outputs)
    return FakeModel(FakeServable(function, {known.name: known}))


def line(x, y, **more):
    return {"inputs": {"x": x}, "outputs": {"y": y}, **more}


GOOD = [line([[0.0]], [[2.0]]), line([[1.0], [2.0]], [[2.5], [3.0]])]


def written(folder: Path, *lines: Any) -> Path:
    path = folder / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(each) for each in lines))
    return path


def test_right_answers_pass_each_row_alone_and_all_together(tmp_path):
    written(tmp_path, *GOOD)
    served = model()
    assert check_golden(served, tmp_path) == 3
    assert [run["x"].tolist() for run in served.servable.runs] == [[[0]], [[1]], [[2]], [[0], [1], [2]]]


def test_a_version_without_golden_rows_passes(tmp_path):
    served = model()
    assert check_golden(served, tmp_path) == 0
    assert not served.servable.runs


def test_the_message_says_which_row_and_output_and_how_many(tmp_path):
    path = written(tmp_path, *GOOD)
    with pytest.raises(LoadFailed) as caught:
        check_golden(model(lambda inputs: {"y": np.full_like(inputs["x"], 2.5)}), tmp_path)
    assert caught.value.message == (
        f"2 of 3 golden rows fail. {path}, line 1: output 'y'[0, 0]: expected 2, got 2.5 (may differ by 0.00021)."
    )
    assert "unstuck diagnose" in caught.value.hint
    assert "--golden_rows=warn" in caught.value.hint


def batch_mean(inputs):
    return {"y": inputs["x"] - inputs["x"].mean() + inputs["x"] / 2 + 2}


def test_rows_that_are_wrong_only_in_company_fail(tmp_path):
    rows = [line([[x]], [[x / 2 + 2]]) for x in (0.0, 1.0, 2.0)]
    path = written(tmp_path, *rows)
    with pytest.raises(LoadFailed) as caught:
        check_golden(model(batch_mean), tmp_path)
    assert f"{path}, line 1 asked together with 2 others: output 'y'[0, 0]: expected 2, got 1 " in caught.value.message
    written(tmp_path, {"together": False}, *rows)
    assert check_golden(model(batch_mean), tmp_path) == 3


def test_a_batch_that_loses_rows_fails(tmp_path):
    written(tmp_path, *GOOD)
    with pytest.raises(LoadFailed, match=r"together with 2 others: output 'y' has shape \[1,1\] for 3 rows"):
        check_golden(model(lambda inputs: {"y": inputs["x"][:1] / 2 + 2}), tmp_path)


def test_rows_of_other_shapes_are_not_asked_together(tmp_path):
    words = spec("x", FLOAT, (None, None))
    written(tmp_path, *(line([x], [[sum(x)]]) for x in ([1.0], [1.0, 2.0], [3.0])))
    served = model(lambda inputs: {"y": inputs["x"].sum(axis=1, keepdims=True)}, words)
    assert check_golden(served, tmp_path) == 3
    assert [run["x"].shape for run in served.servable.runs] == [(1, 1), (1, 2), (1, 1), (2, 1)]


@pytest.mark.parametrize("shape", [(1,), None, ()])
def test_a_signature_without_batches_is_asked_line_by_line(tmp_path, shape):
    written(
        tmp_path, *(line(x if shape == () else [x], y if shape == () else [y]) for x, y in ((0.0, 2.0), (1.0, 2.5)))
    )
    served = model(half_plus_two, spec("x", FLOAT, shape), outputs=(spec("y", FLOAT, shape),))
    assert check_golden(served, tmp_path) == 2
    assert len(served.servable.runs) == 2


@pytest.mark.parametrize(
    ("dtype", "recorded", "passes", "fails"),
    [
        (dtypes.FLOAT, 1000.0, 1000.05, 1000.2),
        (dtypes.FLOAT, 0.0, 5e-6, 5e-5),
        (dtypes.DOUBLE, 1.0, 1 + 5e-7, 1 + 5e-6),
        (dtypes.HALF, 1.0, 1.005, 1.05),
        (dtypes.BFLOAT16, 1.0, 1.03, 1.2),
        (dtypes.INT32, 7, 7, 8),
        (dtypes.BOOL, True, True, False),
        (dtypes.STRING, "yes", b"yes", b"no"),
        (dtypes.STRING, {"b64": "/w=="}, b"\xff", b"\xfe"),
        (dtypes.FLOAT, 1.0, 1.0, float("nan")),
        (dtypes.FLOAT, 1.0, 1.0, float("inf")),
    ],
)
def test_how_far_apart_answers_may_be_depends_on_their_dtype(tmp_path, dtype, recorded, passes, fails):
    written(tmp_path, line([[0.0]], [[recorded]]))

    def check(value):
        def function(inputs):
            return {"y": np.array([[value]], dtype.numpy)}

        return check_golden(model(function, outputs=(spec("y", dtype, (None, 1)),)), tmp_path)

    assert check(passes) == 1
    with pytest.raises(LoadFailed, match=r"1 of 1 golden rows fail.*output 'y'\[0, 0\]: expected "):
        check(fails)


def test_the_first_line_may_set_the_tolerance(tmp_path):
    rows = [line([[0.0]], [[2.0]])]

    def off(inputs):
        return {"y": inputs["x"] + 2.01}

    written(tmp_path, {"tolerance": {"relative": 0.01}}, *rows)
    assert check_golden(model(off), tmp_path) == 1
    written(tmp_path, {"tolerance": {"relative": 0, "absolute": 0.001}}, *rows)
    with pytest.raises(LoadFailed, match=r"expected 2, got 2\.01 \(may differ by 0\.001\)"):
        check_golden(model(off), tmp_path)


def test_another_shape_fails(tmp_path):
    written(tmp_path, line([[0.0]], [[2.0, 3.0]]))
    with pytest.raises(LoadFailed, match=r"line 1: output 'y': expected shape \[1,2\], got \[1,1\]"):
        check_golden(model(), tmp_path)


def test_a_row_that_the_model_does_not_take_fails(tmp_path):
    written(tmp_path, line([[0.0, 1.0]], [[2.0]]))
    with pytest.raises(LoadFailed, match=r"line 1: .*Input 'x' expects shape \[-1,1\]"):
        check_golden(model(), tmp_path)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([line([[0.0]], [[2.0]], signature_name="classify")], r"line 1: Model 'm' has no signature 'classify'"),
        ([{"inputs": {"x": [[0.0]]}, "outputs": {"z": [[2.0]]}}], r"line 1: signature .* has no output 'z'"),
        ([line([["a"]], [[2.0]])], r"line 1: .*not of expected type: float"),
    ],
)
def test_a_file_that_does_not_fit_the_model_is_an_error(tmp_path, rows, says):
    written(tmp_path, *rows)
    with pytest.raises(SetupError, match=says):
        check_golden(model(), tmp_path)
    facts = VersionCheck(warmup_iterations=1, golden_rows="warn").check(model(), tmp_path)
    assert re.search(says, str(facts["golden_rows"]))


def test_warn_serves_it_all_the_same_and_off_does_not_look(tmp_path, caplog):
    path = written(tmp_path, *GOOD)

    def constant(inputs):
        return {"y": np.zeros_like(inputs["x"])}

    with caplog.at_level(logging.WARNING):
        facts = VersionCheck(warmup_iterations=1, golden_rows="warn").check(model(constant), tmp_path)
    assert str(facts["golden_rows"]).startswith("3 of 3 golden rows fail.")
    assert f"'m' version 7 serves all the same: 3 of 3 golden rows fail. {path}, line 1" in caplog.text
    served = model(constant)
    assert VersionCheck(warmup_iterations=1, golden_rows="off").check(served, tmp_path) == {}
    assert not served.servable.runs
    assert VersionCheck(warmup_iterations=1, golden_rows="check").check(model(), tmp_path) == {"golden_rows": 3}
    with pytest.raises(LoadFailed):
        VersionCheck(warmup_iterations=1, golden_rows="check").check(served, tmp_path)


def test_rows_that_cannot_catch_a_stuck_model_are_said(tmp_path, caplog):
    path = written(tmp_path, line([[0.0]], [[2.0]]), line([[1e-5]], [[2.000005]]))
    check_golden(model(), tmp_path)
    assert f"{path}: all rows have the same outputs, so a model that is stuck there passes." in caplog.text


def test_a_lone_file_has_its_rows_beside_it(tmp_path):
    written(tmp_path, line([[0.0]], [[9.0]]))
    file = tmp_path / "model.onnx"
    file.write_bytes(b"")
    with pytest.raises(LoadFailed, match="1 of 1 golden rows fail"):
        VersionCheck(warmup_iterations=1, golden_rows="check").check(model(), file)


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    path = written(tmp_path, line([[0.0]], [[2.0]]))
    path.write_bytes(b"{")
    with pytest.raises(SetupError, match="line 1: it is not JSON"):
        check_golden(model(), tmp_path)
