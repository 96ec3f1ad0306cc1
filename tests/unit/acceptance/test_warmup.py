"""The edges of saved_model_warmup_util_test.cc and saved_model_warmup_test.cc, and what our messages add."""

from pathlib import Path

import numpy as np
import pytest
from fakes import FakeModel, FakeServable, spec

from unstuck.acceptance.version_check import VersionCheck
from unstuck.acceptance.warmup import MAX_RECORDS, PLACE, warm_up
from unstuck.core.dtypes import FLOAT, STRING
from unstuck.core.signatures import METHOD_NAMES, Signature
from unstuck.errors import Code, EngineError, LoadFailed
from unstuck.proto.tensors import fill
from unstuck.proto.tfrecord import framed
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog

CLASSIFY, REGRESS = METHOD_NAMES["classify"], METHOD_NAMES["regress"]


def answer(inputs):
    if "x" in inputs:
        return {"y": np.asarray(inputs["x"]) * 2}
    rows = len(inputs["inputs"])
    return {"scores": np.ones((rows, 2), np.float32), "outputs": np.ones(rows, np.float32)}


class Served(FakeServable):
    def run(self, signature, inputs):
        found = super().run(signature, inputs)
        return {alias: found[alias] for alias in signature.outputs}

    def run_all(self, signatures, tensor):
        return [self.run(each, dict.fromkeys(each.inputs, tensor)) for each in signatures]


def model(function=answer):
    examples = {"inputs": spec("inputs", STRING, (None,))}
    signatures = [
        Signature("serving_default", {"x": spec("x", FLOAT, (None, 2))}, {"y": spec("y", FLOAT, (None, 2))}),
        Signature("classes", examples, {"scores": spec("scores")}, CLASSIFY),
        Signature("values", examples, {"outputs": spec("outputs")}, REGRESS),
    ]
    return FakeModel(Served(function, {each.name: each for each in signatures}))


def predict_log(alias="x", array=((1, 2), (3, 4)), signature="", name="another"):
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, signature
    fill(request.inputs[alias], np.array(array, np.float32), as_content=True)
    return log


def example_log(kind, signature):
    log = PredictionLog()
    request = getattr(log, kind).request
    request.model_spec.name, request.model_spec.signature_name = "another", signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1)
    return log


def multi_log(*tasks):
    log = PredictionLog()
    request = log.multi_inference_log.request
    for name, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = name, signature
    request.input.example_list.examples.add()
    return log


def written(folder: Path, *logs: "PredictionLog | bytes") -> Path:
    path = folder / PLACE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(framed(log if isinstance(log, bytes) else log.SerializeToString()) for log in logs))
    return path


@pytest.mark.parametrize("iterations", [1, 3])
def test_every_kind_of_request_is_made_that_often(tmp_path, iterations):
    version = predict_log(name="")
    version.predict_log.request.model_spec.version.value = 999
    written(
        tmp_path,
        predict_log(),
        version,
        example_log("classify_log", "classes"),
        example_log("regress_log", "values"),
        multi_log(("a", "classes", CLASSIFY), ("a", "values", REGRESS)),
    )
    served = model()
    assert warm_up(served, tmp_path, iterations) == 5
    asked = [sorted(run) for run in served.servable.runs]
    predicts, others = [["x"]] * 2 * iterations, [["inputs"]] * 4 * iterations
    assert asked == predicts + others
    np.testing.assert_array_equal(served.servable.runs[0]["x"], [[1, 2], [3, 4]])


def test_without_a_file_or_with_an_empty_one_there_is_nothing_to_do(tmp_path):
    assert warm_up(model(), tmp_path, 1) == 0
    written(tmp_path)
    assert warm_up(model(), tmp_path, 1) == 0


def test_a_record_of_no_type_is_passed_over(tmp_path):
    written(tmp_path, PredictionLog(), b"", predict_log())
    served = model()
    assert warm_up(served, tmp_path, 1) == 3
    assert len(served.servable.runs) == 1


def test_a_thousand_records_are_made_and_one_more_fails(tmp_path):
    path = written(tmp_path, *[predict_log()] * MAX_RECORDS)
    assert warm_up(model(), tmp_path, 1) == MAX_RECORDS == 1000
    path.write_bytes(path.read_bytes() + framed(predict_log().SerializeToString()))
    with pytest.raises(LoadFailed, match=r"Number of warmup records exceeds the maximum \(1,000\) at .*requests\."):
        warm_up(model(), tmp_path, 1)


def out_of_memory(inputs):
    raise EngineError("no memory", code=Code.RESOURCE_EXHAUSTED, hint="Buy some.")


@pytest.mark.parametrize(
    ("record", "function", "code", "says"),
    [
        (b"\xff\xff", answer, 9, r"Failed to parse warmup record: .*, record 2: it is not a .*PredictionLog"),
        (
            PredictionLog(session_run_log={}),
            answer,
            12,
            r"record 2 \(session_run_log\): Unsupported log_type for warmup",
        ),
        (PredictionLog(predict_streamed_log={}), answer, 12, r"Unsupported log_type for warmup: predict_streamed_log"),
        (
            predict_log(signature="no_such"),
            answer,
            3,
            r"record 2 \(predict_log\): Model 'm' has no signature 'no_such'; its signatures are 'classes', ",
        ),
        (predict_log(alias="X"), answer, 3, r"signature 'serving_default': Input size does not match signature"),
        (predict_log(array=[[1]]), answer, 3, r"Input 'x' expects shape \[-1,2\] \(float\), got \[1,1\]"),
        (example_log("classify_log", "values"), answer, 3, r"record 2 \(classify_log\): .*signature 'values'"),
        (
            example_log("regress_log", ""),
            answer,
            3,
            r"\(regress_log\): .*: No regression inputs found",
        ),
        (
            multi_log(("a", "classes", CLASSIFY), ("b", "values", REGRESS)),
            answer,
            3,
            r"must access the same model",
        ),
        (multi_log(("", "classes", CLASSIFY)), answer, 3, r"ModelSpec has no name"),
        (multi_log(), answer, 3, r"MultiInferenceRequest has no tasks"),
    ],
)
def test_one_record_that_cannot_be_answered_fails_the_load(tmp_path, record, function, code, says):
    path = written(tmp_path, predict_log(), record, predict_log())
    with pytest.raises(LoadFailed, match=says) as caught:
        warm_up(model(function), tmp_path, 1)
    assert caught.value.code.number == code
    assert str(path) in caught.value.message


def test_the_frameworks_error_keeps_its_code_and_advice(tmp_path):
    written(tmp_path, predict_log())
    with pytest.raises(LoadFailed, match=r"record 1 \(predict_log\): Model 'm' version 7, .*: no memory") as caught:
        warm_up(model(out_of_memory), tmp_path, 1)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.hint.startswith("Buy some. ")
    assert "--enable_model_warmup=false" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"this is no TFRecord file, at all", r"record 1: its checksum is wrong"),
        (predict_log().SerializeToString() * 2, r"record 1: its checksum is wrong"),
        (framed(predict_log().SerializeToString())[:-3], r"record 1: the file ends in it, 3 bytes too early"),
    ],
)
def test_another_framing_is_said(tmp_path, content, says):
    written(tmp_path).write_bytes(content)
    with pytest.raises(LoadFailed, match=f"Warm-up failed: .*{says}.*verify your warmup data is in TFRecord format"):
        warm_up(model(), tmp_path, 1)


def test_it_is_counted_as_tensorflow_serving_does(tmp_path):
    check = VersionCheck(warmup_iterations=2, golden_rows="check")
    assert check.check(model(), tmp_path) == {}
    assert all(not family.samples for family in check.families())
    written(tmp_path, predict_log(), predict_log())
    assert check.check(model(), tmp_path) == {"warmup_records": 2}
    latency, read = check.families()
    assert (latency.name, read.name) == (
        ":tensorflow:serving:model_warmup_latency",
        ":tensorflow:serving:model_warmup_records_read",
    )
    (sample,) = read.samples
    assert (dict(sample.labels), sample.value) == ({"model_path": str(tmp_path), "status": "OK"}, 2)
    assert [each.value for each in latency.samples if each.suffix == "_count"] == [1]
    assert VersionCheck(warmup_iterations=0, golden_rows="check").check(model(), tmp_path) == {}
