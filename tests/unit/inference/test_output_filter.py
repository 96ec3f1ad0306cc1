"""``output_filter``: only the outputs named are computed, and wrong names are refused."""

import re
from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes import FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.core.dtypes import FLOAT
from unstuck.core.models import ModelSpec
from unstuck.errors import InvalidRequest
from unstuck.inference.predict import prepare
from unstuck.inference.together import merge_key

OUTPUTS = ("classes", "logits", "scores")
DEFAULT = signature(spec("x", FLOAT, (None,)), outputs=tuple(spec(alias) for alias in OUTPUTS))


class Served(FakeServable):
    """Answers the outputs that it is asked for."""

    def run(self, signature, inputs):
        return dict.fromkeys(signature.outputs, inputs["x"])


@dataclass
class Request:
    signature_name: str = ""
    warnings: list[str] = field(default_factory=list)
    bound: list[object] = field(default_factory=list)

    def bind(self, signature):
        self.bound.append(signature)
        return {"x": np.ones(2, np.float32)}


SERVED = FakeModel(Served(dict, {"serving_default": DEFAULT}), mergeable=frozenset({"serving_default"}))
MODELS = FakeModels({"m": SERVED})


def call(output_filter, request=None):
    return prepare(MODELS, ModelSpec("m"), request or Request(), output_filter=output_filter)


@pytest.mark.parametrize(
    ("output_filter", "answered"),
    [
        ((), [*OUTPUTS]),
        (("scores",), ["scores"]),
        (("logits", "classes"), ["logits", "classes"]),
        (["scores", "logits", "classes"], ["scores", "logits", "classes"]),
    ],
)
def test_only_the_outputs_named_are_computed(output_filter, answered):
    prepared = call(output_filter)
    assert [*prepared.signature.outputs] == answered
    assert prepared.run(lambda outputs: [*outputs]) == answered


def test_everything_else_of_the_signature_stays():
    prepared = call(("scores",))
    assert prepared.signature.name == "serving_default"
    assert prepared.signature.inputs == DEFAULT.inputs
    assert prepared.signature.outputs["scores"] is DEFAULT.outputs["scores"]
    assert [*DEFAULT.outputs] == [*OUTPUTS], "the model's own signature is left alone"
    assert prepared.is_mergeable


@pytest.mark.parametrize(
    ("output_filter", "says"),
    [
        (("score",), "output_filter names 'score', which is no output; the outputs are 'classes', 'logits', 'scores'."),
        (("score",), "Did you mean 'scores'?"),
        (("scores", "nothing_like_it"), "names 'nothing_like_it', which is no output"),
        (("",), "names '', which is no output"),
        (("x",), "names 'x', which is no output"),
        (("Scores",), "Did you mean 'scores'?"),
        (("scores", "scores"), "output_filter names 'scores' twice."),
        (("scores", "logits", "scores"), "output_filter names 'scores' twice."),
    ],
)
def test_wrong_names_are_refused_before_the_inputs_are_read(output_filter, says):
    request = Request()
    with pytest.raises(InvalidRequest, match=re.escape(says)) as caught:
        call(output_filter, request)
    assert str(caught.value).startswith("Model 'm' version 7, signature 'serving_default': ")
    assert not request.bound


def test_calls_with_equal_filters_may_run_together_and_no_others():
    one, same, other, every = (merge_key(call(each)) for each in (["scores"], ("scores",), ["logits"], ()))
    assert one == same
    assert len({one, other, every}) == 3
