"""Classify, regress and multi-inference on a model without a framework: the cases of TensorFlow Serving's
classifier_test.cc, regressor_test.cc and multi_inference_test.cc, and what else is checked.

An example is ``label:score`` pairs, as in ``b"dos:2 uno:1"``; what to regress is the first score.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeModel, FakeModels, FakeServable, RunRecorder, spec

from unstuck.core.dtypes import FLOAT, STRING
from unstuck.core.models import ModelSpec
from unstuck.core.observers import InferenceObserver
from unstuck.core.signatures import METHOD_NAMES, Signature
from unstuck.errors import Code, EngineError, InvalidRequest, NotFound, UnknownSignature, UnsupportedType
from unstuck.inference.examples import Answered, Classes, Task, Values, classify, multi_inference, regress

CLASSIFY, REGRESS, PREDICT = (METHOD_NAMES[kind] for kind in ("classify", "regress", "predict"))
TWO = [b"dos:2 uno:1", b"cuatro:4 tres:3"]
WHERE = "Model 'm' version 7, signature '{}': "


def labels_of(examples):
    rows = [[pair.split(b":")[0] for pair in each.split()] for each in examples]
    array = np.empty((len(rows), len(rows[0])), object)
    array[:] = rows
    return array


def scores_of(examples):
    return np.array([[float(pair.split(b":")[1]) for pair in each.split()] for each in examples], np.float32)


TENSORS = {
    "labels": labels_of,
    "scores": scores_of,
    "plus_one": lambda examples: scores_of(examples) + 1,
    "values": lambda examples: scores_of(examples)[:, 0],
    "column": lambda examples: scores_of(examples)[:, :1] + 1,
    "flags": lambda examples: scores_of(examples) > 0,
    # of a wrong form
    "labels of rank 1": lambda examples: labels_of(examples)[:, 0],
    "labels of one row": lambda examples: labels_of(examples)[:1],
    "scores of rank 3": lambda examples: scores_of(examples)[:, :, None],
    "scores of one row": lambda examples: scores_of(examples)[:1],
    "scores of one class": lambda examples: scores_of(examples)[:, :1],
    "doubles": lambda examples: scores_of(examples).astype(np.float64),
    "a scalar": lambda examples: np.array(1, np.float32),
    "double values": lambda examples: scores_of(examples)[:, 0].astype(np.float64),
    "text values": lambda examples: labels_of(examples)[:, 0],
    "values of one row": lambda examples: scores_of(examples)[:1, 0],
    "three rows": lambda examples: np.zeros(3, np.float32),
}


class Served(FakeServable):
    """Computes ``TENSORS``, named by the signature's outputs; ``joint_runs`` holds what was asked for at once."""

    def __init__(self, signatures, error=None):
        super().__init__(dict, {each.name: each for each in signatures})
        self.error = error
        self.joint_runs = []

    def run_all(self, signatures, tensor):
        self.joint_runs.append(([(each.name, *each.outputs) for each in signatures], tensor))
        if self.error:
            raise self.error
        return [{alias: TENSORS[output.name](tensor) for alias, output in each.outputs.items()} for each in signatures]


def a_signature(name="serving_default", inputs=("inputs",), method="", **outputs) -> Signature:
    return Signature(
        name,
        {alias: spec(alias, STRING) for alias in inputs},
        {alias: replace(spec(alias, FLOAT), name=tensor) for alias, tensor in outputs.items()},
        method_name=method,
    )


def served(*signatures, error=None):
    return FakeModels({"m": FakeModel(Served(signatures, error))})


BOTH = {"classes": "labels", "scores": "scores"}


def classified(outputs, examples=TWO, **more):
    """The classes that a signature with these outputs answers, as lists."""
    result = classify(served(a_signature(**outputs, **more)), ModelSpec("m"), "", examples).result
    assert isinstance(result, Classes)
    return tuple(None if each is None else each.tolist() for each in (result.labels, result.scores))


def regressed(output, examples=TWO, **more):
    result = regress(served(a_signature(outputs=output, **more)), ModelSpec("m"), "", examples).result
    assert isinstance(result, Values)
    assert result.values.dtype == np.float32
    return result.values.tolist()


LABELS, SCORES = [[b"dos", b"uno"], [b"cuatro", b"tres"]], [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    ("outputs", "labels", "scores"),
    [
        (BOTH, LABELS, SCORES),
        ({"classes": "labels"}, LABELS, None),
        ({"scores": "scores"}, None, SCORES),
        ({"classes": "labels", "scores": "plus_one"}, LABELS, [[3, 2], [5, 4]]),
        ({"classes": "labels", "outputs": "three rows"}, LABELS, None),
        ({"scores": "scores", "aaa": "three rows"}, None, SCORES),
    ],
    ids=["both", "classes only", "scores only", "plus one", "classes and another", "scores and another"],
)
def test_classes_come_by_label_by_score_or_both(outputs, labels, scores):
    assert classified(outputs) == (labels, scores)


def test_zero_scores_are_present():
    assert classified({"scores": "scores"}, [b"minus:-1 zero:0 one:1"]) == (None, [[-1, 0, 1]])


def test_no_classes_at_all_are_an_answer():
    assert classified(BOTH, [b"", b""]) == ([[], []], [[], []])


@pytest.mark.parametrize(("output", "values"), [("values", [2, 4]), ("column", [3, 5])], ids=["[n]", "[n,1]"])
def test_values_come_as_a_row_or_as_a_column(output, values):
    assert regressed(output) == values


def test_only_what_is_answered_is_computed():
    models = served(a_signature(classes="labels", outputs="no such tensor"))
    classify(models, ModelSpec("m"), "", TWO)
    ((asked, tensor),) = models.models["m"].servable.joint_runs
    assert asked == [("serving_default", "classes")]
    assert (tensor.dtype, tensor.tolist()) == (np.dtype(object), TWO)


@pytest.mark.parametrize("method", ["", "not/supported/method", CLASSIFY, REGRESS, PREDICT])
def test_the_signatures_own_method_name_is_not_looked_at(method):
    assert classified(BOTH, method=method) == (LABELS, SCORES)
    assert regressed("values", method=method) == [2, 4]


@pytest.mark.parametrize("name", ["", "serving_default", "other"])
@pytest.mark.parametrize("call", [classify, regress])
def test_the_answer_says_which_signature_gave_it(call, name):
    outputs = {"scores": "scores"} if call is classify else {"outputs": "values"}
    models = served(*(a_signature(each, **outputs) for each in ("serving_default", "other")))
    answered = call(models, ModelSpec("m"), name, TWO)
    assert isinstance(answered, Answered)
    assert answered.model is models.models["m"]
    assert answered.signature.name == (name or "serving_default")


@pytest.mark.parametrize("call", [classify, regress])
def test_an_unknown_model_or_signature_is_told_from_the_known_ones(call):
    models = served(a_signature("clasify", scores="scores"))
    with pytest.raises(NotFound):
        call(models, ModelSpec("other"), "", TWO)
    with pytest.raises(UnknownSignature, match=r"Model 'm' has no signature 'classify'; .* Did you mean 'clasify'\?"):
        call(models, ModelSpec("m"), "classify", TWO)
    with pytest.raises(UnknownSignature, match="no signature 'serving_default'"):
        call(models, ModelSpec("m"), "", TWO)


@pytest.mark.parametrize(
    ("call", "signature", "says"),
    [
        (classify, a_signature(outputs="values"), "Expected classification signature outputs to contain at least one"),
        (classify, a_signature(outputs="values"), "got 'outputs'."),
        (classify, a_signature(inputs=()), "Expected one input tensor, found 0."),
        (classify, a_signature(inputs=("inputs", "more"), **BOTH), "Expected one input tensor, found 2."),
        (
            classify,
            a_signature(inputs=("examples",), **BOTH),
            "No classification inputs found: expected input 'inputs'",
        ),
        (classify, a_signature(inputs=("examples",), **BOTH), "got 'examples'."),
        (classify, a_signature(), "Expected one or two output tensors, found 0."),
        (classify, a_signature(**BOTH, more="scores"), "Expected one or two output tensors, found 3."),
        (classify, a_signature(scores1="scores", labels="labels"), "got 'scores1', 'labels'."),
        (regress, a_signature(inputs=()), "Expected one input tensor, found 0."),
        (regress, a_signature(inputs=("inputs", "more"), outputs="values"), "Expected one input tensor, found 2."),
        (regress, a_signature(inputs=("x",), outputs="values"), "No regression inputs found: expected input 'inputs'"),
        (regress, a_signature(), "Expected one output tensor, found 0."),
        (regress, a_signature(outputs="values", more="values"), "Expected one output tensor, found 2."),
        (
            regress,
            a_signature(classes="labels"),
            "No regression outputs found: expected output 'outputs', got 'classes'",
        ),
    ],
)
@pytest.mark.parametrize("examples", [TWO, []], ids=["two examples", "no examples"])
def test_a_signature_of_another_form_is_refused_before_the_model_runs(call, signature, says, examples):
    models = served(signature)
    with pytest.raises(InvalidRequest, match="^" + re.escape(WHERE.format("serving_default"))) as caught:
        call(models, ModelSpec("m"), "", examples)
    assert says in caught.value.message
    assert not models.models["m"].servable.joint_runs


@pytest.mark.parametrize(("call", "outputs"), [(classify, BOTH), (regress, {"outputs": "values"})])
def test_no_examples_are_refused_before_the_model_runs(call, outputs):
    models = served(a_signature(**outputs))
    with pytest.raises(InvalidRequest, match=re.escape(WHERE.format("serving_default")) + "Input is empty"):
        call(models, ModelSpec("m"), "", [])
    assert not models.models["m"].servable.joint_runs


@pytest.mark.parametrize(("call", "outputs"), [(classify, BOTH), (regress, {"outputs": "values"})])
@pytest.mark.parametrize("code", [Code.INTERNAL, Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED])
def test_a_run_that_fails_names_the_model_and_keeps_its_code_and_hint(call, outputs, code):
    failed = EngineError("Run totally failed", code=code, hint="Inputs: …")
    models = served(a_signature(**outputs), error=failed)
    with pytest.raises(EngineError, match=re.escape(WHERE.format("serving_default")) + "Run totally failed") as caught:
        call(models, ModelSpec("m"), "", TWO)
    assert (caught.value.code, caught.value.hint) == (code, "Inputs: …")


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({**BOTH, "classes": "labels of rank 1"}, "'classes' of shape [batch_size, num_classes], got [2]"),
        ({**BOTH, "classes": "a scalar"}, "'classes' of shape [batch_size, num_classes], got []"),
        ({**BOTH, "scores": "scores of rank 3"}, "'scores' of shape [batch_size, num_classes], got [2,2,1]"),
        ({**BOTH, "classes": "scores"}, "'classes' to be string, got float"),
        ({**BOTH, "classes": "flags"}, "'classes' to be string, got bool"),
        ({**BOTH, "scores": "labels"}, "'scores' to be float, got string"),
        ({"scores": "doubles"}, "'scores' to be float, got double"),
        ({**BOTH, "classes": "labels of one row"}, "'classes' with a batch size of 2, got 1"),
        ({**BOTH, "scores": "scores of one row"}, "'scores' with a batch size of 2, got 1"),
        ({**BOTH, "scores": "scores of one class"}, "class and score should match in dimension 1, got 2 and 1"),
    ],
)
def test_classes_of_another_form_are_not_answered(outputs, says):
    with pytest.raises(InvalidRequest, match="^" + re.escape(WHERE.format("serving_default"))) as caught:
        classified(outputs)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("scores of rank 3", "of shape [batch_size] or [batch_size, 1], got [2,2,1]"),
        ("scores", "of shape [batch_size] or [batch_size, 1], got [2,2]"),
        ("a scalar", "of shape [batch_size] or [batch_size, 1], got []"),
        ("values of one row", "Input batch size did not match output batch size: 2 and 1"),
        ("three rows", "Input batch size did not match output batch size: 2 and 3"),
        ("text values", "'outputs' to be float, got string"),
        ("double values", "'outputs' to be float, got double"),
    ],
)
def test_values_of_another_form_are_not_answered(output, says):
    with pytest.raises(InvalidRequest, match="^" + re.escape(WHERE.format("serving_default"))) as caught:
        regressed(output)
    assert says in caught.value.message


# Multi-inference

MULTI = {
    "regress_x_to_y": {"outputs": "values"},
    "regress_x_to_y2": {"outputs": "column"},
    "classify_x_to_y": {"scores": "scores"},
    "serving_default": BOTH,
    "misshapen": {"outputs": "scores"},
}


def multi(*tasks, examples=TWO, error=None):
    """What tasks, ``(signature name, method name)`` each, are answered; and the servable that ran them."""
    models = served(*(a_signature(name, **outputs) for name, outputs in MULTI.items()), error=error)
    made = [Task(ModelSpec("m"), name, method) for name, method in tasks]
    return multi_inference(models, made, examples), models.models["m"].servable


def test_one_task_is_answered():
    (answered,), servable = multi(("regress_x_to_y", REGRESS))
    assert (answered.signature.name, answered.result.values.tolist()) == ("regress_x_to_y", [2, 4])
    assert len(servable.joint_runs) == 1


def test_several_tasks_are_answered_in_their_order_from_one_run():
    tasks = [("regress_x_to_y2", REGRESS), ("", CLASSIFY), ("regress_x_to_y", REGRESS), ("classify_x_to_y", CLASSIFY)]
    answered, servable = multi(*tasks)
    names = ["regress_x_to_y2", "serving_default", "regress_x_to_y", "classify_x_to_y"]
    assert [each.signature.name for each in answered] == names
    plus_one, default, values, scores = (each.result for each in answered)
    assert (plus_one.values.tolist(), values.values.tolist()) == ([3, 5], [2, 4])
    assert (default.labels.tolist(), default.scores.tolist()) == (LABELS, SCORES)
    assert (scores.labels, scores.scores.tolist()) == (None, SCORES)
    ((asked, tensor),) = servable.joint_runs
    assert [name for name, *_ in asked] == names
    assert tensor.tolist() == TWO


@pytest.mark.parametrize(
    ("tasks", "error", "says"),
    [
        ([("ThisSignatureDoesNotExist", REGRESS)], UnknownSignature, "no signature 'ThisSignatureDoesNotExist'"),
        ([("regress_x_to_y", REGRESS)] * 2, InvalidRequest, "Duplicate evaluation of signature: 'regress_x_to_y'"),
        ([("regress_x_to_y", REGRESS), ("regress_x_to_y", CLASSIFY)], InvalidRequest, "Duplicate evaluation"),
        ([("", CLASSIFY), ("serving_default", CLASSIFY)], InvalidRequest, "signature: 'serving_default'"),
        ([("serving_default", PREDICT)], UnsupportedType, f"Unsupported signature method_name: '{PREDICT}'"),
        (
            [("serving_default", "")],
            UnsupportedType,
            "signature 'serving_default': Unsupported signature method_name: ''",
        ),
        ([("regress_x_to_y", CLASSIFY)], InvalidRequest, "signature 'regress_x_to_y': Expected classification"),
        ([("", CLASSIFY), ("classify_x_to_y", REGRESS)], InvalidRequest, "signature 'classify_x_to_y': No regression"),
        ([("", CLASSIFY), ("misshapen", REGRESS)], InvalidRequest, "signature 'misshapen': Expected output 'outputs'"),
    ],
)
def test_one_task_that_cannot_be_answered_fails_all(tasks, error, says):
    with pytest.raises(error, match=re.escape(says)):
        multi(*tasks)


def test_an_unsupported_method_is_told_which_are_supported():
    with pytest.raises(UnsupportedType) as caught:
        multi(("serving_default", PREDICT))
    assert CLASSIFY in caught.value.hint
    assert REGRESS in caught.value.hint
    assert caught.value.code is Code.UNIMPLEMENTED


def test_tasks_without_examples_are_refused():
    with pytest.raises(InvalidRequest, match="'regress_x_to_y': Input is empty"):
        multi(("regress_x_to_y", REGRESS), examples=[])


def test_a_joint_run_that_fails_names_the_model():
    with pytest.raises(EngineError, match=r"^Model 'm' version 7, signature 'regress_x_to_y': poisoned"):
        multi(("regress_x_to_y", REGRESS), ("", CLASSIFY), error=EngineError("poisoned", code=Code.INTERNAL))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["m", "ModelDoesNotExist"], "must access the same model name, got 'm' and 'ModelDoesNotExist'"),
        (["m", ""], "must access the same model name, got 'm' and ''"),
        (["", "m"], "ModelSpec has no name specified"),
        ([""], "ModelSpec has no name specified"),
    ],
)
def test_all_tasks_are_of_one_model(names, says):
    models = served(a_signature("a", outputs="values"), a_signature("b", outputs="values"))
    tasks = [Task(ModelSpec(name), signature, REGRESS) for name, signature in zip(names, "ab", strict=False)]
    with pytest.raises(InvalidRequest, match=re.escape(says)):
        multi_inference(models, tasks, TWO)


def test_the_model_of_the_first_task_is_looked_for_before_anything_else():
    models = served(a_signature("a", outputs="values"))
    with pytest.raises(NotFound):
        multi_inference(models, [Task(ModelSpec("other"), "", ""), Task(ModelSpec("m"), "", "")], [])


def test_tasks_are_checked_one_after_the_other():
    for tasks, error in (
        ([("none", REGRESS), ("", PREDICT)], UnknownSignature),
        ([("", PREDICT), ("none", REGRESS)], UnsupportedType),
        ([("", CLASSIFY), ("", PREDICT)], InvalidRequest),
    ):
        with pytest.raises(error) as caught:
            multi(*tasks, examples=[])
        assert type(caught.value) is error
        assert "Input is empty" not in str(caught.value)


def test_no_tasks_name_no_model():
    """TensorFlow Serving answers INVALID_ARGUMENT too (multi_inference_helper.cc)."""
    with pytest.raises(InvalidRequest, match="no tasks"):
        multi_inference(served(a_signature(**BOTH)), [], TWO)


class InferenceRecorder(InferenceObserver):
    def __init__(self):
        self.heard = []

    def ran(self, signature, inputs, outputs, rows):
        raise AssertionError("it hears of calls, not of runs")

    def inferred(self, methods, signatures, examples, outputs):
        self.heard.append((methods, [each.name for each in signatures], examples.tolist(), [*map(sorted, outputs)]))


def test_an_inference_observer_hears_of_the_call_and_others_of_each_signature():
    models = served(a_signature("a", **BOTH), a_signature("b", outputs="values"))
    calls, runs = InferenceRecorder(), RunRecorder()
    models.models["m"].observers = (calls, runs)
    spec = ModelSpec("m")
    multi_inference(models, [Task(spec, "a", CLASSIFY), Task(spec, "b", REGRESS)], TWO)
    classify(models, spec, "a", TWO[:1])
    assert calls.heard == [
        ([CLASSIFY, REGRESS], ["a", "b"], TWO, [["classes", "scores"], ["outputs"]]),
        ([CLASSIFY], ["a"], TWO[:1], [["classes", "scores"]]),
    ]
    assert [(name, inputs) for name, inputs, _, _ in runs.heard] == [
        ("a", {"inputs": TWO}),
        ("b", {"inputs": TWO}),
        ("a", {"inputs": TWO[:1]}),
    ]
