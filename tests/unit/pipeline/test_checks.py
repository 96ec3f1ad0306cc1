"""A pipeline is held against its model's signatures by name: what is missing, misnamed, or left over."""

import pytest
from fakes import signature, spec

from unstuck.core import dtypes
from unstuck.pipeline.checks import check
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.schema import Pipeline

SIGNATURES = {
    "serving_default": signature(
        spec("ids", dtypes.INT64, (None, 16)), spec("x", shape=(None, 3)), outputs=(spec("scores"), spec("logits"))
    ),
    "initialise": signature(name="initialise"),
}
GOOD = {"raw": {"text": {"dtype": "string"}, "x": {"dtype": "float"}}, "inputs": {"ids": "text", "x": "x"}}


def held(name="serving_default", **changes):
    check(Pipeline.model_validate({"signatures": {name: {**GOOD, **changes}}}), SIGNATURES)


def test_a_pipeline_that_fits_is_let_through():
    held()
    held(inputs={"ids": "text", "x": {"concat": ["x", {"stack": ["text", "x"]}]}}, outputs={"y": "logits"})
    held(inputs={"ids": {"constant": [1, 2]}, "x": {"concat": ["x", "text"]}})


WHERE = "Signature 'serving_default', pipeline:"


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        (
            {"name": "serving_defualt"},
            "The pipeline's signature 'serving_defualt' does not exist; signatures: 'serving_default', 'initialise'.",
            "Did you mean 'serving_default'?",
        ),
        (
            {"inputs": {"ids": "text", "x": "x", "Ids": "x"}},
            f"{WHERE} input 'Ids' does not exist; the model's inputs: 'ids', 'x'.",
            "Did you mean 'ids'?",
        ),
        (
            {"inputs": {"ids": "text"}},
            f"{WHERE} input 'x' (float [-1,3]) is not declared.",
            "Say under inputs how it is made of the raw inputs 'text', 'x'.",
        ),
        (
            {"inputs": {"ids": "texts", "x": "x"}},
            f"{WHERE} inputs.ids: 'texts' does not exist; what it may be made of: 'text', 'x'.",
            "Did you mean 'text'?",
        ),
        (
            {"inputs": {"ids": "text", "x": {"concat": ["x", {"stack": ["zzz"]}]}}},
            f"{WHERE} inputs.x: 'zzz' does not exist; what it may be made of: 'text', 'x'.",
            "",
        ),
        (
            {"inputs": {"ids": "text", "x": {"constant": 1}}},
            f"{WHERE} raw input 'x' is not used by any input.",
            "Use it or leave it out.",
        ),
        (
            {"outputs": {"y": "x"}},
            f"{WHERE} outputs.y: 'x' does not exist; what it may be made of: 'scores', 'logits'.",
            "",
        ),
        (
            {"outputs": {"y": {"stack": ["scores", "logit"]}}},
            f"{WHERE} outputs.y: 'logit' does not exist; what it may be made of: 'scores', 'logits'.",
            "Did you mean 'logits'?",
        ),
    ],
)
def test_a_name_that_does_not_fit_is_said_with_what_there_is(changes, message, hint):
    with pytest.raises(PipelineError) as caught:
        held(**changes)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_signature_without_inputs_takes_no_pipeline():
    with pytest.raises(PipelineError, match="input 'ids' does not exist; the model's inputs: "):
        held("initialise")


def test_every_signature_of_a_file_is_held_against_the_model():
    declared = Pipeline.model_validate({"signatures": {"serving_default": GOOD, "other": GOOD}})
    with pytest.raises(PipelineError, match="signature 'other' does not exist"):
        check(declared, SIGNATURES)
