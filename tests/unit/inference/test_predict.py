import re
from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes import FakeModel, FakeModels, FakeServable, RunRecorder, signature, spec

from unstuck.core.dtypes import FLOAT, STRING
from unstuck.core.models import ModelSpec
from unstuck.core.signatures import Signature
from unstuck.errors import (
    Code,
    EngineError,
    InvalidRequest,
    NotFound,
    UnknownSignature,
    UnsupportedType,
    WrongShape,
    WrongType,
)
from unstuck.inference.predict import prepare

SIGNATURES = {
    "serving_default": signature(spec("x", FLOAT, (None, 1))),
    "other": signature(spec("t", STRING), name="other"),
}


@dataclass
class Request:
    """A request whose tensors are known already; an error is raised instead."""

    inputs: object
    signature_name: str = ""
    warnings: list[str] = field(default_factory=list)

    def bind(self, signature: Signature):
        if isinstance(self.inputs, Exception):
            raise self.inputs
        return self.inputs


def model(function=lambda inputs: {"y": inputs["x"] * 2}, **fields):
    return FakeModel(FakeServable(function, SIGNATURES), **fields)


def call(request, served=None, **options):
    return prepare(FakeModels({"m": served or model()}), ModelSpec("m"), request, **options)


COLUMN = {"x": np.ones((2, 1), np.float32)}


@pytest.mark.parametrize("name", ["", "serving_default"])
def test_runs_the_signature_on_the_bound_inputs(name):
    prepared = call(Request(COLUMN, name))
    assert (prepared.signature.name, prepared.warnings) == ("serving_default", [])
    assert prepared.run(lambda outputs: outputs["y"].tolist()) == [[2], [2]]


def test_an_unknown_model_is_what_the_lookup_says():
    with pytest.raises(NotFound, match="no other"):
        prepare(FakeModels({}), ModelSpec("other"), Request(COLUMN))


def test_an_unknown_signature_names_the_model_and_the_nearest():
    with pytest.raises(UnknownSignature, match=r"Model 'm' has no signature 'otter'; .* Did you mean 'other'\?"):
        call(Request(COLUMN, "otter"))


@pytest.mark.parametrize("error", [WrongType("bad value"), WrongShape("ragged"), UnsupportedType("no form")])
def test_an_error_of_binding_names_the_model_and_keeps_its_status(error):
    with pytest.raises(
        type(error), match=f"^Model 'm' version 7, signature 'serving_default': {error.message}"
    ) as caught:
        call(Request(error))
    assert caught.value.http_status == type(error)("").http_status


def test_a_wrong_shape_is_refused_before_the_model_runs():
    served = model()
    with pytest.raises(WrongShape, match=r"Model 'm' version 7, .*: Input 'x'"):
        call(Request({"x": np.ones((2, 3), np.float32)}), served)
    assert not served.servable.runs


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request({"x": np.ones(2, np.float32)}), "'x' was sent with shape [2], declared [-1,1]"),
        (Request(COLUMN, warnings=["input 'y' was ignored"]), "input 'y' was ignored"),
    ],
)
def test_strict_inputs_refuses_what_is_a_warning_otherwise(request_, says):
    assert any(says in warning for warning in call(request_).warnings)
    with pytest.raises(InvalidRequest, match=re.escape(says)) as caught:
        call(request_, strict_inputs=True)
    assert str(caught.value).startswith("Model 'm' version 7, ")
    assert "--strict_inputs" in caught.value.hint


def test_an_error_of_the_engine_or_of_encoding_names_the_model_and_keeps_its_code():
    def fail(_):
        raise EngineError("out of memory", code=Code.RESOURCE_EXHAUSTED)

    for served, encode in ((model(fail), dict), (model(), fail)):
        with pytest.raises(
            EngineError, match=r"^Model 'm' version 7, signature 'serving_default': out of mem"
        ) as caught:
            call(Request(COLUMN), served).run(encode)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED


MERGEABLE = {"mergeable": frozenset({"serving_default"})}


def test_observers_hear_of_a_run_once_it_is_answered():
    observer = RunRecorder()
    call(Request(COLUMN), model(observers=[observer])).run(lambda outputs: outputs)
    assert observer.heard == [("serving_default", {"x": [[1], [1]]}, {"y": [[2], [2]]}, [])]


def test_observers_hear_nothing_of_a_run_that_is_not_answered():
    def fail(_):
        raise EngineError("cannot be written", code=Code.INTERNAL)

    observer = RunRecorder()
    with pytest.raises(EngineError):
        call(Request(COLUMN), model(observers=[observer])).run(fail)
    assert observer.heard == []


def test_only_a_proven_signature_is_merged_and_only_as_declared():
    assert not call(Request(COLUMN)).is_mergeable
    assert call(Request(COLUMN), model(**MERGEABLE)).is_mergeable
    assert not call(Request({"x": np.ones(2, np.float32)}), model(**MERGEABLE)).is_mergeable
    assert not call(Request({"t": np.array(["u"], object)}, "other"), model(**MERGEABLE)).is_mergeable


def test_calls_of_very_different_sizes_are_timed_apart():
    def key(rows, calls=1):
        return call(Request({"x": np.ones((rows, 1), np.float32)}), served).key(calls)

    served = model()
    assert key(4) == key(5)
    assert key(4) != key(400)
    assert key(4) == key(400, calls=100), "a hundred calls together are of the size of one"
    assert key(4) != call(Request({"x": np.ones((4, 1), np.float32)}), model(version=8)).key(), "another version"
    texts = [call(Request({"t": np.array([b"u" * size], object)}, "other"), served).key() for size in (10, 10_000)]
    assert texts[0] != texts[1]
