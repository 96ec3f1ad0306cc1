"""Warm-up: a new version answers the requests in its folder before it answers those of clients.

Source: saved_model_warmup.cc and saved_model_warmup_util.cc in tensorflow_serving/servables/tensorflow.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from google.protobuf.message import DecodeError

from unstuck.acceptance.lookup import Only
from unstuck.codecs import examples_proto, predict_proto
from unstuck.codecs.examples_proto import MultiInferenceEncoder, Source
from unstuck.core.servables import AvailableModel
from unstuck.core.signatures import METHOD_NAMES
from unstuck.data.columns import DataError
from unstuck.data.tfrecord import Framed, records
from unstuck.errors import LoadFailed, UnstuckError, UnsupportedType
from unstuck.inference.examples import Classes, Task, multi_inference
from unstuck.inference.predict import prepare
from unstuck.proto.wire.inference_pb2 import ClassificationRequest, RegressionRequest
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog

PLACE = Path("assets.extra/tf_serving_warmup_requests")
MAX_RECORDS = 1000


def warm_up(model: AvailableModel, folder: Path, iterations: int) -> int:
    """Makes the requests in the version's ``folder``, if it has any, each ``iterations`` times; how many there are.

    Raises:
        LoadFailed: one of them failed, they cannot be read, or there are more than 1,000. The message names the record.
    """
    path = folder / PLACE
    if not path.is_file():
        return 0
    count = 0
    try:
        for record in islice(records(path), MAX_RECORDS + 1):
            count += 1
            if count > MAX_RECORDS:
                raise LoadFailed(
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS:,}) at {path}.",
                    hint="A few requests of each signature and batch size are enough.",
                )
            _make(model, record, path, iterations)
    except DataError as error:
        hint = f"{error.hint} Please verify your warmup data is in TFRecord format."
        raise LoadFailed(f"Warm-up failed: {error.message}", hint=hint.strip()) from None
    return count


def _make(model: AvailableModel, record: Framed, path: Path, iterations: int) -> None:
    try:
        log = PredictionLog.FromString(record.data)
    except DecodeError:
        raise LoadFailed(
            f"Failed to parse warmup record: {path}, {record.where}: it is not a tensorflow.serving.PredictionLog."
        ) from None
    kind = log.WhichOneof("log_type")
    if kind is None:
        return  # as TensorFlow Serving, which does nothing for it
    try:
        if kind not in _CALLS:
            raise UnsupportedType(f"Unsupported log_type for warmup: {kind}.", hint=f"Expected {', '.join(_CALLS)}.")
        for _ in range(iterations):
            _CALLS[kind](model, log)
    except UnstuckError as error:
        failed = LoadFailed(
            f"Warm-up failed: {path}, {record.where} ({kind}): {error.message}",
            hint=f"{error.hint} Mend or remove the record, or serve with --enable_model_warmup=false.".strip(),
        )
        failed.code = error.code
        raise failed from error


def _predict(model: AvailableModel, log: PredictionLog) -> None:
    sent = log.predict_log.request
    sent.model_spec.name = model.name
    request = predict_proto.parse(sent.SerializeToString())
    call = prepare(Only(model), request.spec, request, output_filter=request.output_filter)
    answered_by = model.name, model.version, call.signature.name
    call.run(lambda outputs: predict_proto.encode(outputs, *answered_by, as_content=False))


def _classify(model: AvailableModel, log: PredictionLog) -> None:
    sent = log.classify_log.request
    sent.model_spec.name = model.name
    request = examples_proto.parse(ClassificationRequest, sent.SerializeToString())
    _infer(model, [Task(request.spec, request.signature_name, METHOD_NAMES["classify"])], request.examples)


def _regress(model: AvailableModel, log: PredictionLog) -> None:
    sent = log.regress_log.request
    sent.model_spec.name = model.name
    request = examples_proto.parse(RegressionRequest, sent.SerializeToString())
    _infer(model, [Task(request.spec, request.signature_name, METHOD_NAMES["regress"])], request.examples)


def _multi_inference(model: AvailableModel, log: PredictionLog) -> None:
    request = examples_proto.parse_tasks(log.multi_inference_log.request.SerializeToString())
    _infer(model, [Task(*each) for each in request.tasks], request.examples)


def _infer(model: AvailableModel, tasks: Sequence[Task], examples: Sequence[bytes]) -> None:
    encoder = MultiInferenceEncoder()
    for answered in multi_inference(Only(model), tasks, examples):
        source = Source(model.name, model.version, answered.signature.name)
        result = answered.result
        if isinstance(result, Classes):
            encoder.add_classes(source, result.labels, result.scores)
        else:
            encoder.add_values(source, result.values)
    encoder.encode()


_CALLS: dict[str, Callable[[AvailableModel, PredictionLog], None]] = {
    "predict_log": _predict,
    "classify_log": _classify,
    "regress_log": _regress,
    "multi_inference_log": _multi_inference,
}
