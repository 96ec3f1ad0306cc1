"""Golden rows that are asked while a version serves, and what is wrong with an answer."""

import json

import numpy as np
import pytest
from fakes import FakeModel, FakeServable, signature, spec

from unstuck.acceptance.canary import MOST_ROWS, ask, first_failure, golden_rows
from unstuck.codecs.golden_json import PLACE
from unstuck.core.dtypes import FLOAT
from unstuck.errors import Code, EngineError
from unstuck.guard.guarded import Known

X, Y = spec("x", FLOAT, (None, 1)), spec("y", FLOAT, (None, 1))
KNOWN = signature(X, outputs=(Y,))


def half_plus_two(inputs):
    return {"y": inputs["x"] / 2 + 2}


def model(function=half_plus_two, stateless=("serving_default",)):
    return FakeModel(FakeServable(function, {KNOWN.name: KNOWN}, frozenset(stateless)))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / PLACE
    path.parent.mkdir(parents=True)
    lines = [{"inputs": {"x": [[x], [x + 1]]}, "outputs": {"y": [[x / 2 + 2], [x / 2 + 2.5]]}} for x in (0.0, 4.0)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_each_row_is_one_that_a_sound_version_answers_rightly(folder):
    served = model()
    rows = golden_rows(served, folder, have_passed=True)["serving_default"]
    assert [row.inputs["x"].tolist() for row in rows] == [[[0]], [[1]], [[4]], [[5]]]
    assert not served.servable.runs, "which are known to be right"
    assert first_failure(served.servable, rows) is None
    assert {row.finite for row in rows} == {frozenset({"y"})}


def test_rows_that_fail_from_the_beginning_are_not_held_against_it(folder):
    def wrong_below_four(inputs):
        return {"y": np.where(inputs["x"] < 4, 0, inputs["x"] / 2 + 2)}

    rows = golden_rows(model(wrong_below_four), folder, have_passed=False)["serving_default"]
    assert [row.inputs["x"].tolist() for row in rows] == [[[4]], [[5]]]


def test_runs_that_change_something_are_no_canaries(folder):
    assert golden_rows(model(stateless=()), folder, have_passed=True) == {}


def test_without_golden_rows_there_are_none(tmp_path):
    assert golden_rows(model(), tmp_path, have_passed=True) == {}


def test_of_many_rows_some_are_enough(tmp_path):
    path = tmp_path / PLACE
    path.parent.mkdir(parents=True)
    x = [[float(each)] for each in range(3 * MOST_ROWS)]
    path.write_text(json.dumps({"inputs": {"x": x}, "outputs": {"y": [[each[0] / 2 + 2] for each in x]}}))
    assert len(golden_rows(model(), tmp_path, have_passed=True)["serving_default"]) == MOST_ROWS


def failing(error):
    def run(inputs):
        raise error

    return run


@pytest.mark.parametrize(
    ("function", "kind", "code", "says"),
    [
        (lambda x: {"y": x["x"] / 2 + 3}, "canary", Code.UNKNOWN, r"output 'y'\[0, 0\]: expected 2, got 3"),
        (lambda x: {"y": x["x"] / 0 * 0}, "not finite", Code.UNKNOWN, "output 'y' has NaN or Infinity"),
        (lambda x: {"y": np.full((1, 1), -np.inf)}, "not finite", Code.UNKNOWN, "output 'y' has NaN or Infinity"),
        (lambda x: {"y": np.ones((1, 2))}, "canary", Code.UNKNOWN, "expected shape"),
        (failing(EngineError("lost", code=Code.DATA_LOSS)), "engine error", Code.DATA_LOSS, "lost"),
        (failing(MemoryError()), "engine error", Code.RESOURCE_EXHAUSTED, "MemoryError"),
        (failing(ValueError("odd")), "engine error", Code.INTERNAL, "odd"),
    ],
)
def test_what_is_wrong_with_an_answer(folder, function, kind, code, says):
    (row, *_) = golden_rows(model(), folder, have_passed=True)["serving_default"]
    with np.errstate(all="ignore"):
        failure = ask(model(function).servable, row)
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, code)
    assert "golden row of line 1, row 1, signature 'serving_default': " in failure.said
    assert says.replace("\\", "") in failure.said


def test_an_input_of_other_files_says_nothing():
    assert ask(model().servable, Known("…", "gone", {}, frozenset({"y"}))) is None
    assert ask(model().servable, Known("…", "serving_default", {"z": np.ones(1)}, frozenset({"y"}))) is None
