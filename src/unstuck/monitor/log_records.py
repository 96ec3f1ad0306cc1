"""A logged call as the PredictionLog that TensorFlow Serving's tools read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import METHOD_NAMES, Signature, Tensor, Tensors
from unstuck.proto.tensors import fill
from unstuck.proto.wire.example_pb2 import Example
from unstuck.proto.wire.inference_pb2 import ClassificationResult, Input, RegressionResult
from unstuck.proto.wire.model_pb2 import ModelSpec
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog

CLASSIFY = METHOD_NAMES["classify"]


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One call and its answer.

    Attributes:
        model: its name.
        version: that answered.
        rate: the share of the calls that was logged then.
        time_s: since 1970.
        methods: of classify, regress and multi-inference, each task's method; empty for predict.
        signatures: that were called: one, or one a task.
        inputs: by alias; of tasks, what all were asked of.
        outputs: by alias, of each signature.
        is_filtered: whether only some of the signature's outputs were asked for.
    """

    model: str
    version: int
    rate: float
    time_s: float
    methods: Sequence[str]
    signatures: Sequence[Signature]
    inputs: Tensors
    outputs: Sequence[Tensors]
    is_filtered: bool = False

    def size_bytes(self) -> int:
        """What it keeps in memory."""
        arrays = [*self.inputs.values(), *(array for each in self.outputs for array in each.values())]
        texts = [array for array in arrays if array.dtype == object]
        return sum(array.nbytes for array in arrays) + sum(sum(map(len, each.flat)) for each in cast("Any", texts))


def record(call: LoggedCall, redacted: frozenset[str]) -> bytes:
    """A serialised PredictionLog of ``call``.

    Args:
        call: what to log.
        redacted: inputs, features of tf.Examples and outputs whose values become zeros or empty.

    Raises:
        UnsupportedType: a tensor of a type that has no form on the wire.
    """
    log = PredictionLog()
    metadata = log.log_metadata
    _fill_spec(metadata.model_spec, call, call.signatures[0], call.version)
    metadata.sampling_config.sampling_rate = call.rate
    metadata.timestamp_secs = int(call.time_s)
    if not call.methods:
        _fill_predict(log, call, redacted)
    else:
        _fill_inference(log, call, redacted)
    return log.SerializeToString()


def _fill_predict(log: PredictionLog, call: LoggedCall, redacted: frozenset[str]) -> None:
    signature = call.signatures[0]
    request, response = log.predict_log.request, log.predict_log.response
    _fill_spec(request.model_spec, call, signature)
    for alias, array in call.inputs.items():
        shown = _redacted(alias, array, redacted)
        if signature.takes_examples and redacted:
            shown = _array([each.SerializeToString() for each in _examples(shown, redacted)], shown)
        fill(request.inputs[alias], shown, as_content=True)
    if call.is_filtered:
        request.output_filter.extend(signature.outputs)
    _fill_spec(response.model_spec, call, signature, call.version)
    for alias, array in call.outputs[0].items():
        fill(response.outputs[alias], _redacted(alias, array, redacted), as_content=True)


def _fill_inference(log: PredictionLog, call: LoggedCall, redacted: frozenset[str]) -> None:
    if len(call.methods) > 1:
        _fill_tasks(log, call, redacted)
        return
    signature, outputs = call.signatures[0], call.outputs[0]
    if call.methods[0] == CLASSIFY:
        classified = log.classify_log
        _fill_classes(classified.response.result, outputs)
    else:
        classified = log.regress_log
        _fill_values(classified.response.result, outputs)
    _fill_spec(classified.request.model_spec, call, signature)
    _fill_input(classified.request.input, call, redacted)
    _fill_spec(classified.response.model_spec, call, signature, call.version)


def _fill_tasks(log: PredictionLog, call: LoggedCall, redacted: frozenset[str]) -> None:
    request, response = log.multi_inference_log.request, log.multi_inference_log.response
    _fill_input(request.input, call, redacted)
    for method, signature, outputs in zip(call.methods, call.signatures, call.outputs, strict=True):
        task, result = request.tasks.add(method_name=method), response.results.add()
        _fill_spec(task.model_spec, call, signature)
        _fill_spec(result.model_spec, call, signature, call.version)
        if method == CLASSIFY:
            _fill_classes(result.classification_result, outputs)
        else:
            _fill_values(result.regression_result, outputs)


def _fill_spec(spec: ModelSpec, call: LoggedCall, signature: Signature, version: int | None = None) -> None:
    spec.name, spec.signature_name = call.model, signature.name
    if version is not None:
        spec.version.value = version


def _fill_input(message: Input, call: LoggedCall, redacted: frozenset[str]) -> None:
    (found,) = call.inputs.items()
    message.example_list.examples.extend(_examples(_redacted(*found, redacted), redacted))


def _fill_classes(result: ClassificationResult, outputs: Tensors) -> None:
    result.SetInParent()
    labels, scores = outputs.get("classes"), outputs.get("scores")
    given = labels if labels is not None else scores
    for row in range(len(given) if given is not None else 0):
        classes = result.classifications.add().classes
        for column in range(cast("Tensor", given).shape[1]):
            one = classes.add()
            if labels is not None:
                one.label = cast("bytes", labels[row, column]).decode("utf-8", "replace")
            if scores is not None:
                one.score = scores[row, column]


def _fill_values(result: RegressionResult, outputs: Tensors) -> None:
    result.SetInParent()
    for value in outputs["outputs"].ravel().tolist():
        result.regressions.add().value = value


def _redacted(alias: str, array: Tensor, redacted: frozenset[str]) -> Tensor:
    if alias not in redacted:
        return array
    return np.full(array.shape, b"", object) if array.dtype == object else np.zeros_like(array)


def _examples(serialised: Tensor, redacted: frozenset[str]) -> Iterable[Example]:
    for each in cast("Iterable[bytes]", serialised.flat):
        example = Example.FromString(each)
        for name in redacted & example.features.feature.keys():
            feature = example.features.feature[name]
            values: Any = getattr(feature, feature.WhichOneof("kind") or "int64_list").value
            values[:] = [b"" if isinstance(value, bytes) else type(value)() for value in values]
        yield example


def _array(values: list[bytes], like: Tensor) -> Tensor:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(like.shape)
