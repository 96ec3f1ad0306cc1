"""TensorFlow and TensorFlow Serving's own messages on the other side of our logs and warm-up files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, prediction_log_pb2, regression_pb2
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from unstuck.acceptance.lookup import Only
from unstuck.acceptance.warmup import PLACE, warm_up
from unstuck.core.models import ModelConfig, ModelSpec, RequestLogConfig
from unstuck.core.signatures import METHOD_NAMES
from unstuck.doctor.given import read_requests
from unstuck.engines.tensorflow import ENGINE
from unstuck.errors import LoadFailed
from unstuck.inference.examples import Task, infer
from unstuck.inference.predict import Bound, prepare
from unstuck.lifecycle.harness import AvailableVersion
from unstuck.monitor.request_log import RequestLogs
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog
from unstuck.testing import models as exports

CLASSIFY, REGRESS = METHOD_NAMES["classify"], METHOD_NAMES["regress"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exports.half_plus_two(tmp_path_factory.mktemp("half"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    loader = ENGINE.loader(folder)
    yield AvailableVersion("half", 123, loader.load())
    loader.unload()


def example(x: float) -> bytes:
    made = tf.train.Example()
    made.features.feature["x"].float_list.value.append(x)
    return made.SerializeToString()


@pytest.fixture(scope="module")
def log_file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a predict call, one for some outputs, one of each other kind, and one that is redacted."""
    prefix = tmp_path_factory.mktemp("log") / "req"
    config = RequestLogConfig(1.0, filename_prefix=str(prefix))
    logs = RequestLogs(lambda: [ModelConfig("half", Path("/m"), request_log=config)], max_bytes=1 << 30)
    observer = logs.observer("half", 123, model.servable.signatures)
    observed = AvailableVersion("half", 123, model.servable, observers=[observer])
    x = np.array([[1.0], [2.0]], np.float32)
    prepare(Only(observed), ModelSpec("half"), Bound("", {"x": x})).run(lambda outputs: outputs)
    infer(Only(observed), [Task(ModelSpec("half"), "classify_x_to_y", CLASSIFY)], [example(3)])
    infer(Only(observed), [Task(ModelSpec("half"), "regress_x_to_y", REGRESS)], [example(4), example(5)])
    tasks = [("classify_x_to_y", CLASSIFY), ("regress_x_to_y2", REGRESS)]
    infer(Only(observed), [Task(ModelSpec("half"), *each) for each in tasks], [example(6)])
    logs.start()
    logs.stop()
    (file,) = prefix.parent.iterdir()
    return file


def test_tensorflow_reads_the_log_and_tensorflow_serving_its_records(log_file):
    read = [
        prediction_log_pb2.PredictionLog.FromString(each.numpy()) for each in tf.data.TFRecordDataset(str(log_file))
    ]
    assert [each.WhichOneof("log_type") for each in read] == [
        "predict_log",
        "classify_log",
        "regress_log",
        "multi_inference_log",
    ]
    predicted, classified, regressed, both = read
    request, response = predicted.predict_log.request, predicted.predict_log.response
    assert tf.make_ndarray(request.inputs["x"]).tolist() == [[1], [2]]
    assert tf.make_ndarray(response.outputs["y"]).tolist() == [[2.5], [3]]
    assert predicted.log_metadata.model_spec.version.value == 123
    assert predicted.log_metadata.sampling_config.sampling_rate == 1
    assert predicted.log_metadata.timestamp_secs > 1_600_000_000
    (sent,) = classified.classify_log.request.input.example_list.examples
    assert sent.SerializeToString() == example(3)
    assert classified.classify_log.response.result.classifications[0].classes[0].score == 3.5
    assert [each.value for each in regressed.regress_log.response.result.regressions] == [4, 4.5]
    results = both.multi_inference_log.response.results
    assert results[0].classification_result.classifications[0].classes[0].score == 5
    assert results[1].regression_result.regressions[0].value == 6
    for each in read:  # no field is unknown to them
        text = each.SerializeToString(deterministic=True)
        each.DiscardUnknownFields()
        assert each.SerializeToString(deterministic=True) == text


def test_a_log_warms_the_next_version_up(model, log_file, tmp_path):
    place = tmp_path / PLACE
    place.parent.mkdir(parents=True)
    place.write_bytes(log_file.read_bytes())
    assert warm_up(model, tmp_path, 2) == 4


def test_a_log_can_be_diagnosed(model, log_file, tmp_path):
    signatures = model.servable.signatures
    (request,) = read_requests(log_file, signatures, "serving_default")
    assert request.error is None
    assert request.inputs["x"].tolist() == [[1], [2]]
    torn = tmp_path / "torn.tfrecord"
    torn.write_bytes(log_file.read_bytes()[:-5])
    assert len(read_requests(torn, signatures, "serving_default")) == 1


def predict_log(name: str, value: Any, signature: str = "") -> prediction_log_pb2.PredictionLog:
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(value, tf.float32))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def by_tensorflow(folder: Path, *logs: prediction_log_pb2.PredictionLog) -> Path:
    place = folder / PLACE
    place.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(place)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return folder


def test_a_warm_up_file_that_tensorflow_wrote(model, tmp_path):
    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = "another"
    classify.model_spec.signature_name = "classify_x_to_y"
    classify.input.example_list.examples.add().ParseFromString(example(1))
    regress = regression_pb2.RegressionRequest()
    regress.model_spec.name, regress.model_spec.signature_name = "another", "regress_x_to_y"
    regress.input.example_list_with_context.examples.add()
    regress.input.example_list_with_context.context.ParseFromString(example(1))
    both = inference_pb2.MultiInferenceRequest(input=classify.input)
    for signature, method in (("classify_x_to_y", CLASSIFY), ("regress_x_to_y", REGRESS)):
        task = both.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "another", signature
    logs = prediction_log_pb2
    by_tensorflow(
        tmp_path,
        predict_log("another", [[1.0]]),
        logs.PredictionLog(classify_log=logs.ClassifyLog(request=classify)),
        logs.PredictionLog(regress_log=logs.RegressLog(request=regress)),
        logs.PredictionLog(multi_inference_log=logs.MultiInferenceLog(request=both)),
    )
    assert warm_up(model, tmp_path, 1) == 4


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (predict_log("half", [[1.0, 2.0]]), r"record 1 \(predict_log\): .*Input 'x' expects"),
        (predict_log("half", [[1.0]], "nope"), "no signature 'nope'"),
        (prediction_log_pb2.PredictionLog(session_run_log={}), r"\(session_run_log\): Unsupported log_type for warmup"),
    ],
)
def test_a_record_that_fails_is_named(model, tmp_path, log, says):
    by_tensorflow(tmp_path, log)
    with pytest.raises(LoadFailed, match=says):
        warm_up(model, tmp_path, 1)


def test_our_prediction_log_has_the_official_fields():
    ours, theirs = PredictionLog.DESCRIPTOR, prediction_log_pb2.PredictionLog.DESCRIPTOR
    assert {(each.name, each.number) for each in ours.fields} == {(each.name, each.number) for each in theirs.fields}
    official = {each.name: each.number for each in theirs.fields_by_name["log_metadata"].message_type.fields}
    metadata = ours.fields_by_name["log_metadata"].message_type
    assert {each.name: official[each.name] for each in metadata.fields} == {
        each.name: each.number for each in metadata.fields
    }
