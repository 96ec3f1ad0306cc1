"""Classify, regress and multi-inference: serialised tf.Examples in, classes or values of each example out.

Source: classifier.cc, regressor.cc and multi_inference.cc in tensorflow_serving/servables/tensorflow. The graph parses
the examples itself; what is checked here is that the signature and its outputs have the form that the API promises.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np

from unstuck.core.dtypes import FLOAT, STRING, DType, name_of
from unstuck.core.models import ModelSpec
from unstuck.core.observers import InferenceObserver, Ran
from unstuck.core.servables import AvailableModel, Models
from unstuck.core.signatures import DEFAULT_SIGNATURE, METHOD_NAMES, Signature, Tensor, narrowed, show_shape
from unstuck.errors import InvalidRequest, UnsupportedType
from unstuck.inference.batched import run_all
from unstuck.inference.predict import about, errors_about, signature_of

INPUTS = "inputs"
CLASSES = "classes"
SCORES = "scores"
OUTPUTS = "outputs"


@dataclass(frozen=True, slots=True)
class Classes:
    """What classify answers: for each example its classes, by label, by score, or both.

    Attributes:
        labels: object array of bytes [examples, classes]; None where the signature has no output ``classes``.
        scores: float32 [examples, classes]; None where it has no output ``scores``.
    """

    labels: Tensor | None
    scores: Tensor | None


@dataclass(frozen=True, slots=True)
class Values:
    """What regress answers: ``values``, float32 [examples]."""

    values: Tensor


@dataclass(frozen=True, slots=True)
class Answered:
    """A result, which version and signature gave it, and how the run went that all results of one call share."""

    model: AvailableModel
    signature: Signature
    result: Classes | Values
    ran: Ran


@dataclass(frozen=True, slots=True)
class Task:
    """One of the inferences that a multi-inference asks for; ``method_name`` as in signatures."""

    spec: ModelSpec
    signature_name: str
    method_name: str


@dataclass(frozen=True, slots=True)
class _Method:
    """One way to read a signature: which of its outputs are fetched, and what their arrays mean."""

    checked: Callable[[Signature], Signature]
    result: Callable[[Mapping[str, Tensor], int], Classes | Values]


def classify(models: Models, spec: ModelSpec, signature_name: str, examples: Sequence[bytes]) -> Answered:
    """The classes of each example.

    Raises:
        NotFound, UnknownLabel, NotReady: no such version serves.
        InvalidRequest: no examples, no such signature, or none that classifies.
        EngineError: the framework failed, for instance on an example that it cannot parse.
    """
    return infer(models, [Task(spec, signature_name, METHOD_NAMES["classify"])], examples)[0]


def regress(models: Models, spec: ModelSpec, signature_name: str, examples: Sequence[bytes]) -> Answered:
    """The value of each example. Raises as ``classify``."""
    return infer(models, [Task(spec, signature_name, METHOD_NAMES["regress"])], examples)[0]


def multi_inference(models: Models, tasks: Sequence[Task], examples: Sequence[bytes]) -> list[Answered]:
    """One result a task, from one run of one model.

    Raises:
        InvalidRequest: also tasks of several models, or two of one signature.
        UnsupportedType: a method that is neither classify nor regress.
    """
    if not tasks:
        raise InvalidRequest("MultiInferenceRequest has no tasks.", hint="Send at least one.")
    return infer(models, tasks, examples)


def infer(models: Models, tasks: Sequence[Task], examples: Sequence[bytes]) -> list[Answered]:
    """Runs the tasks, at least one, as one; checked in the order in which TensorFlow Serving does."""
    first = tasks[0].spec
    if not first.name:
        raise InvalidRequest("ModelSpec has no name specified.", hint="Set model_spec.name.")
    model = models.find(first)
    methods: list[_Method] = []
    signatures: list[Signature] = []
    for task in tasks:
        if task.spec.name != first.name:
            raise InvalidRequest(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name, "
                f"got {first.name!r} and {task.spec.name!r}.",
                hint="Send one request a model.",
            )
        name = task.signature_name or DEFAULT_SIGNATURE
        if any(name == each.name for each in signatures):
            raise InvalidRequest(f"Duplicate evaluation of signature: {name!r}.", hint="Name each signature once.")
        signature = signature_of(model, name)
        method = _METHODS.get(task.method_name)
        with errors_about(model, signature):
            if method is None:
                raise UnsupportedType(
                    f"Unsupported signature method_name: {task.method_name!r}.",
                    hint=f"Expected {METHOD_NAMES['classify']} or {METHOD_NAMES['regress']}.",
                )
            signatures.append(method.checked(signature))
        methods.append(method)
    if not examples:
        raise about(model, signatures[0], InvalidRequest("Input is empty.", hint="Send at least one example."))
    tensor = np.array(examples, object)
    began_ns = perf_counter_ns()
    with errors_about(model, signatures[0]):
        runs = run_all(model, signatures, tensor)
    called = signatures[0].name if len(signatures) == 1 else ""
    ran = Ran(model.name, model.version, called, began_ns, perf_counter_ns() - began_ns, 0, len(examples))
    answered: list[Answered] = []
    for method, signature, outputs in zip(methods, signatures, runs, strict=True):
        with errors_about(model, signature):
            answered.append(Answered(model, signature, method.result(outputs, len(examples)), ran))
    for observer in model.observers:
        if isinstance(observer, InferenceObserver):
            observer.inferred([task.method_name for task in tasks], signatures, tensor, runs)
            continue
        for signature, outputs in zip(signatures, runs, strict=True):
            observer.ran(signature, dict.fromkeys(signature.inputs, tensor), outputs, ())
    return answered


def _classifies(signature: Signature) -> Signature:
    _check_input(signature, "classification")
    if len(signature.outputs) not in (1, 2):
        raise InvalidRequest(f"Expected one or two output tensors, found {len(signature.outputs)}.")
    wanted = [alias for alias in (CLASSES, SCORES) if alias in signature.outputs]
    if not wanted:
        raise InvalidRequest(
            f"Expected classification signature outputs to contain at least one of {CLASSES!r} or {SCORES!r}, "
            f"got {', '.join(map(repr, signature.outputs))}.",
            hint="Call it with Predict, which takes any signature.",
        )
    return narrowed(signature, wanted)


def _regresses(signature: Signature) -> Signature:
    _check_input(signature, "regression")
    if len(signature.outputs) != 1:
        raise InvalidRequest(f"Expected one output tensor, found {len(signature.outputs)}.")
    if OUTPUTS not in signature.outputs:
        raise InvalidRequest(
            f"No regression outputs found: expected output {OUTPUTS!r}, got {', '.join(map(repr, signature.outputs))}.",
            hint="Call it with Predict, which takes any signature.",
        )
    return signature


def _check_input(signature: Signature, kind: str) -> None:
    if len(signature.inputs) != 1:
        raise InvalidRequest(
            f"Expected one input tensor, found {len(signature.inputs)}.",
            hint="Call it with Predict, which takes any signature.",
        )
    if INPUTS not in signature.inputs:
        raise InvalidRequest(
            f"No {kind} inputs found: expected input {INPUTS!r}, got {', '.join(map(repr, signature.inputs))}.",
            hint="Call it with Predict, which takes any signature.",
        )


def _classes_of(outputs: Mapping[str, Tensor], examples: int) -> Classes:
    labels, scores = outputs.get(CLASSES), outputs.get(SCORES)
    if labels is not None:
        _check_matrix(CLASSES, labels, examples, STRING)
    if scores is not None:
        _check_matrix(SCORES, scores, examples, FLOAT)
    if labels is not None and scores is not None and labels.shape != scores.shape:
        raise InvalidRequest(
            f"Tensors class and score should match in dimension 1, got {labels.shape[1]} and {scores.shape[1]}."
        )
    return Classes(labels, scores)


def _check_matrix(alias: str, array: Tensor, examples: int, dtype: DType) -> None:
    if array.ndim != 2:
        raise InvalidRequest(
            f"Expected output {alias!r} of shape [batch_size, num_classes], got {show_shape(array.shape)}."
        )
    if array.dtype != dtype.numpy:
        raise InvalidRequest(f"Expected output {alias!r} to be {dtype.name}, got {name_of(array.dtype)}.")
    if len(array) != examples:
        raise InvalidRequest(f"Expected output {alias!r} with a batch size of {examples}, got {len(array)}.")


def _values_of(outputs: Mapping[str, Tensor], examples: int) -> Values:
    array = outputs[OUTPUTS]
    if array.ndim != 1 and (array.ndim != 2 or array.shape[1] != 1):
        raise InvalidRequest(
            f"Expected output {OUTPUTS!r} of shape [batch_size] or [batch_size, 1], got {show_shape(array.shape)}."
        )
    if len(array) != examples:
        raise InvalidRequest(f"Input batch size did not match output batch size: {examples} and {len(array)}.")
    if array.dtype != np.float32:
        raise InvalidRequest(f"Expected output {OUTPUTS!r} to be float, got {name_of(array.dtype)}.")
    return Values(array.reshape(-1))


_METHODS = {
    METHOD_NAMES["classify"]: _Method(_classifies, _classes_of),
    METHOD_NAMES["regress"]: _Method(_regresses, _values_of),
}
