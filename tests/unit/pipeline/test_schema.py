"""What a declaration may hold, and what it becomes."""

import pytest
from pydantic import ValidationError

from unstuck.core import dtypes
from unstuck.pipeline import steps
from unstuck.pipeline.schema import Expression, Pipeline, RawInput

# Settings that every kind of step needs.
NEEDED = {
    "replace": {"pattern": "a", "by": "b"},
    "vocabulary": {"tokens": ["a"], "unknown": 0},
    "ngrams": {"width": [1, 2]},
    "word_piece": {"file": "vocab.txt"},
    "sentence_piece": {"asset": "spm.model"},
    "hash": {"buckets": 3},
    "pad": {"length": 2, "value": 0},
    "cast": {"dtype": "int64"},
    "z_score": {"mean": 0, "std": [1, 2.5]},
    "min_max": {"min": 0, "max": 1},
    "clip": {"min": 0, "max": 1},
    "bucketize": {"boundaries": [1, 1, 2]},
    "fill_missing": {"value": "x"},
    "date": {"format": "%Y-%m-%d", "give": ["year", "days"], "invalid": -1},
    "cyclic": {"period": 0.5},
    "one_hot": {"depth": 2},
    "reshape": {"shape": [2, -1]},
    "decode_image": {"height": 1, "width": 2},
    "top_k": {"k": 2, "give": "places"},
    "threshold": {"at": 0.5},
    "labels": {"names": ["a"], "unknown": "?"},
}


@pytest.mark.parametrize("name", steps.STEPS)
def test_every_kind_of_step_is_made_by_its_name_and_settings_and_by_its_name_alone_if_it_needs_none(name):
    settings = NEEDED.get(name, {})
    (step,) = Expression.model_validate({"from": "x", "steps": [{name: settings}]}).steps
    assert type(step) is steps.STEPS[name]
    assert {key: getattr(step, key) for key in settings} == settings
    if settings:
        with pytest.raises(ValidationError, match=f"{name}: "):
            Expression.model_validate({"from": "x", "steps": [name]})
    else:
        assert Expression.model_validate({"from": "x", "steps": [name, {name: None}]}).steps == [step, step]


@pytest.mark.parametrize("name", steps.STEPS)
def test_no_kind_of_step_takes_a_setting_it_does_not_have(name):
    with pytest.raises(ValidationError, match=f"{name}: colour: extra inputs are not permitted"):
        Expression.model_validate({"from": "x", "steps": [{name: {**NEEDED.get(name, {}), "colour": 1}}]})


def test_every_kind_of_step_has_one_name_and_says_what_it_does():
    assert set(steps.STEPS.values()) == set(steps.Step.__subclasses__())
    assert all(kind.__doc__ for kind in steps.STEPS.values())
    assert len(set(steps.STEPS.values())) == len(steps.STEPS)


@pytest.mark.parametrize(
    ("declared", "names"),
    [
        ({"from": "a"}, {"a"}),
        ({"constant": 1}, set()),
        ({"concat": ["a", {"from": "b"}, {"constant": 0}]}, {"a", "b"}),
        ({"stack": [{"concat": ["a", {"stack": ["c", "a"]}]}, "d"]}, {"a", "c", "d"}),
    ],
)
def test_an_expression_knows_every_name_that_it_is_made_of(declared, names):
    assert Expression.model_validate(declared).names() == names


@pytest.mark.parametrize("sources", [(), ("from", "concat"), ("stack", "constant"), ("from", "constant", "stack")])
def test_an_expression_has_one_source(sources):
    values = {"from": "x", "concat": ["x"], "stack": ["x"], "constant": 0}
    with pytest.raises(ValidationError, match="expected one of from, concat, stack and constant"):
        Expression.model_validate({source: values[source] for source in sources})


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float", dtypes.FLOAT), ("float32", dtypes.FLOAT), ("int", dtypes.INT64), ("str", dtypes.STRING)],
)
def test_a_raw_input_has_a_dtype_by_any_of_its_names_and_is_one_value_a_row_unless_it_says_more(name, dtype):
    raw = RawInput.model_validate({"dtype": name})
    assert (raw.tensor_dtype, raw.dtype, raw.shape) == (dtype, dtype.name, [])


@pytest.mark.parametrize("dtype", ["", "floats", "resource", "variant", "INVALID", None, 1, ["float"]])
def test_a_raw_input_has_no_dtype_that_arrays_do_not_have(dtype):
    with pytest.raises(ValidationError, match="there is no dtype"):
        RawInput.model_validate({"dtype": dtype})


@pytest.mark.parametrize("left_out", ["raw", "inputs"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_signature_has_raw_inputs_and_inputs(left_out, empty):
    declared = {"raw": {"x": {"dtype": "float"}}, "inputs": {"x": "x"}}
    declared |= {left_out: {}}
    if not empty:
        del declared[left_out]
    with pytest.raises(ValidationError):
        Pipeline.model_validate({"signatures": {"a": declared}})
