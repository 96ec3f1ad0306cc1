"""Which calls are logged, what is written of them, and that nothing of it reaches a call."""

import errno
import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import signature, spec

from unstuck.core.dtypes import STRING
from unstuck.core.models import ModelConfig, RequestLogConfig
from unstuck.core.signatures import METHOD_NAMES, narrowed
from unstuck.data.tfrecord import records
from unstuck.monitor import log_files, model_log, request_log
from unstuck.monitor.request_log import RequestLogs
from unstuck.proto.tensors import to_array
from unstuck.proto.wire.example_pb2 import Example
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog

CLASSIFY, REGRESS = METHOD_NAMES["classify"], METHOD_NAMES["regress"]
PREDICT = signature(spec("x"), spec("s", STRING), outputs=(spec("y"), spec("z")))
EXAMPLES = signature(spec("inputs", STRING), outputs=(spec("scores"), spec("classes", STRING)), name="classes")
VALUES = signature(spec("inputs", STRING), outputs=(spec("outputs"),), name="values")
SIGNATURES = {each.name: each for each in (PREDICT, EXAMPLES, VALUES)}


def texts(*values: bytes) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def call(rows: int = 1, first: float = 0) -> tuple[Any, Any]:
    x = np.arange(first, first + rows, dtype=np.float32)[:, None]
    return {"x": x, "s": texts(*(b"t%d" % each for each in range(rows)))}, {"y": x * 2, "z": x * 3}


class Logs:
    """Logs of the model ``m`` in a folder, written when they are read."""

    def __init__(self, folder: Path, rate: float = 1.0, max_bytes: int = 1 << 30, **more: Any) -> None:
        self.folder = folder
        self.config: RequestLogConfig | None = RequestLogConfig(rate, filename_prefix=str(folder / "log" / "req"))
        self.logs = RequestLogs(self.models, max_bytes=max_bytes, **more)
        self.observer = self.logs.observer("m", 7, SIGNATURES)

    def models(self) -> list[ModelConfig]:
        return [ModelConfig("m", Path("/m"), request_log=self.config)]

    def read(self) -> list[PredictionLog]:
        """Ends the log."""
        self.logs.start()
        self.logs.stop()
        files = sorted((self.folder / "log").glob("*.tfrecord")) if (self.folder / "log").exists() else []
        return [PredictionLog.FromString(each.data) for file in files for each in records(file)]


def tensors(message: Any) -> dict[str, Any]:
    return {alias: to_array(message[alias]).tolist() for alias in sorted(message)}


def test_a_predict_call_is_logged_with_its_answer(tmp_path):
    logs = Logs(tmp_path, rate=1.0)
    inputs, outputs = call(2)
    began = int(time.time())
    logs.observer.ran(PREDICT, inputs, outputs, ())
    (log,) = logs.read()
    metadata = log.log_metadata
    assert (metadata.model_spec.name, metadata.model_spec.version.value) == ("m", 7)
    assert metadata.model_spec.signature_name == "serving_default"
    assert metadata.sampling_config.sampling_rate == 1.0
    assert began <= metadata.timestamp_secs <= time.time()
    request, response = log.predict_log.request, log.predict_log.response
    assert tensors(request.inputs) == {"s": [b"t0", b"t1"], "x": [[0], [1]]}
    assert tensors(response.outputs) == {"y": [[0], [2]], "z": [[0], [3]]}
    assert (request.model_spec.name, request.model_spec.signature_name) == ("m", "serving_default")
    assert not request.model_spec.HasField("version")  # as most clients, so that it can be sent again later
    assert response.model_spec.version.value == 7
    assert list(request.output_filter) == []


def test_asked_for_some_outputs_says_which(tmp_path):
    logs = Logs(tmp_path)
    inputs, outputs = call()
    logs.observer.ran(narrowed(PREDICT, ["z"]), inputs, {"z": outputs["z"]}, ())
    (log,) = logs.read()
    assert list(log.predict_log.request.output_filter) == ["z"]
    assert tensors(log.predict_log.response.outputs) == {"z": [[0]]}


def test_calls_that_ran_as_one_are_logged_each(tmp_path):
    logs = Logs(tmp_path)
    inputs, outputs = call(4)
    logs.observer.ran(PREDICT, inputs, outputs, (1, 3))
    first, second = logs.read()
    assert tensors(first.predict_log.request.inputs) == {"s": [b"t0"], "x": [[0]]}
    assert tensors(first.predict_log.response.outputs) == {"y": [[0]], "z": [[0]]}
    assert tensors(second.predict_log.request.inputs) == {"s": [b"t1", b"t2", b"t3"], "x": [[1], [2], [3]]}
    assert tensors(second.predict_log.response.outputs) == {"y": [[2], [4], [6]], "z": [[3], [6], [9]]}


def example(**features: float) -> Example:
    made = Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def test_classify_regress_and_multi_inference_are_logged_as_such(tmp_path):
    logs = Logs(tmp_path)
    sent = [example(a=1), example(a=2)]
    serialised = texts(*(each.SerializeToString() for each in sent))
    classes = {"classes": np.array([[b"no", b"yes"]] * 2, object), "scores": np.array([[0.25, 0.75]] * 2, np.float32)}
    values = {"outputs": np.array([[1.5], [2.5]], np.float32)}
    logs.observer.inferred([CLASSIFY], [EXAMPLES], serialised, [classes])
    logs.observer.inferred([REGRESS], [VALUES], serialised, [values])
    logs.observer.inferred([CLASSIFY, REGRESS], [EXAMPLES, VALUES], serialised, [classes, values])
    classified, regressed, both = logs.read()

    assert list(classified.classify_log.request.input.example_list.examples) == sent
    assert classified.classify_log.request.model_spec.signature_name == "classes"
    result = classified.classify_log.response.result
    assert [[(one.label, one.score) for one in each.classes] for each in result.classifications] == [
        [("no", 0.25), ("yes", 0.75)]
    ] * 2
    assert list(regressed.regress_log.request.input.example_list.examples) == sent
    assert [each.value for each in regressed.regress_log.response.result.regressions] == [1.5, 2.5]
    assert regressed.regress_log.response.model_spec.version.value == 7

    tasks, results = both.multi_inference_log.request.tasks, both.multi_inference_log.response.results
    assert [(each.method_name, each.model_spec.signature_name) for each in tasks] == [
        (CLASSIFY, "classes"),
        (REGRESS, "values"),
    ]
    assert results[0].classification_result == result
    assert results[1].regression_result == regressed.regress_log.response.result
    assert list(both.multi_inference_log.request.input.example_list.examples) == sent


@pytest.mark.parametrize("outputs", [{"classes": np.array([[b"a"]], object)}, {"scores": np.ones((1, 1), np.float32)}])
def test_classes_by_label_or_by_score_alone(tmp_path, outputs):
    logs = Logs(tmp_path)
    logs.observer.inferred([CLASSIFY], [EXAMPLES], texts(b""), [outputs])
    (log,) = logs.read()
    (found,) = log.classify_log.response.result.classifications[0].classes
    assert (found.label, found.score) == (("a", 0) if "classes" in outputs else ("", 1))


def test_values_that_must_not_be_logged_become_zeros_or_empty(tmp_path):
    logs = Logs(tmp_path, redacted=frozenset({"x", "s", "name", "z", "no such"}))
    inputs, outputs = call(2, first=5)
    logs.observer.ran(PREDICT, inputs, outputs, ())
    sent = example(a=1)
    sent.features.feature["name"].bytes_list.value.extend([b"Ann", b"Bea"])
    sent.features.feature["x"].int64_list.value.append(5)
    sent.features.feature["s"].float_list.value.append(5)
    serialised = texts(sent.SerializeToString())
    logs.observer.inferred([REGRESS], [VALUES], serialised, [{"outputs": np.ones(1, np.float32)}])
    takes_examples = signature(spec("inputs", STRING), outputs=(spec("y"),))
    object.__setattr__(takes_examples, "takes_examples", True)
    logs.observer.ran(takes_examples, {"inputs": serialised}, {"y": outputs["y"]}, ())
    predicted, regressed, by_predict = logs.read()

    assert tensors(predicted.predict_log.request.inputs) == {"s": [b"", b""], "x": [[0], [0]]}
    assert tensors(predicted.predict_log.response.outputs) == {"y": [[10], [12]], "z": [[0], [0]]}
    assert inputs["x"].tolist() == [[5], [6]]  # the caller's own is as it was
    expected = example(a=1, s=0)
    expected.features.feature["name"].bytes_list.value.extend([b"", b""])
    expected.features.feature["x"].int64_list.value.append(0)
    assert list(regressed.regress_log.request.input.example_list.examples) == [expected]
    (logged,) = to_array(by_predict.predict_log.request.inputs["inputs"])
    assert Example.FromString(logged) == expected


def test_a_share_is_drawn_of_single_and_of_merged_calls(tmp_path):
    logs = Logs(tmp_path, rate=0.25)
    inputs, outputs = call(100)
    for _ in range(20):
        logs.observer.ran(PREDICT, inputs, outputs, [1] * 100)
        for _ in range(100):
            logs.observer.ran(PREDICT, inputs, outputs, ())
    found = logs.read()
    merged = sum(len(to_array(each.predict_log.request.inputs["x"])) == 1 for each in found)
    for count in (merged, len(found) - merged):
        assert 380 < count < 620  # 500 expected; six standard deviations are 116
    assert logs.logs.counts() == {"m": (len(found), 0)}


@pytest.mark.parametrize("config", [None, RequestLogConfig(0.0, filename_prefix="/x"), RequestLogConfig(1.0)])
def test_what_is_not_asked_for_is_not_logged(tmp_path, config):
    logs = Logs(tmp_path)
    logs.config = config
    observer = logs.logs.observer("m", 8, SIGNATURES)
    observer.ran(PREDICT, *call(), ())
    observer.inferred([REGRESS], [VALUES], texts(b""), [{"outputs": np.ones(1, np.float32)}])
    assert logs.read() == []
    assert logs.logs.counts() == {"m": (0, 0)}


def test_a_reload_changes_what_is_logged_of_versions_that_serve(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "FLUSH_S", 0.01)
    logs = Logs(tmp_path)
    logs.config = None
    logs.logs.start()
    wait_until(lambda: not logged(logs))
    logs.config = RequestLogConfig(1.0, filename_prefix=str(tmp_path / "a" / "req"))
    wait_until(lambda: logged(logs))
    logs.config = RequestLogConfig(1.0, filename_prefix=str(tmp_path / "b" / "req"))
    wait_until(lambda: logged(logs) and list(tmp_path.glob("b/req.m.*")))
    logs.config = None
    wait_until(lambda: not logged(logs))
    logs.logs.stop()
    assert list(tmp_path.glob("a/req.m.*.tfrecord"))


def logged(logs: Logs) -> bool:
    before, _ = logs.logs.counts()["m"]
    logs.observer.ran(PREDICT, *call(), ())
    time.sleep(0.1)
    return logs.logs.counts()["m"][0] > before


def wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline


def test_more_than_the_queue_holds_is_dropped_counted_and_said(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(request_log, "MAX_CALLS", 10)
    logs = Logs(tmp_path)
    for _ in range(25):
        logs.observer.ran(PREDICT, *call(), ())
    with caplog.at_level(logging.WARNING):
        assert len(logs.read()) == 10
    assert logs.logs.counts() == {"m": (10, 15)}
    (family,) = logs.logs.families()
    assert family.name == ":tensorflow:serving:request_log_count"
    assert {each.labels["status_code"]: each.value for each in family.samples} == {"OK": 10, "RESOURCE_EXHAUSTED": 15}
    assert "15 calls of model 'm' were not logged: they came faster than they could be written." in caplog.text


def test_large_calls_fill_the_queue_by_their_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "MAX_BYTES", 1000)
    logs = Logs(tmp_path)
    inputs = {"x": np.zeros((1, 100), np.float32), "s": texts(b"x" * 600)}
    for _ in range(3):
        logs.observer.ran(PREDICT, inputs, {"y": np.zeros(1, np.float32)}, ())
    assert len(logs.read()) == 1
    assert logs.logs.counts() == {"m": (1, 2)}


def test_a_call_that_has_no_form_on_the_wire_is_dropped_and_said(tmp_path, caplog):
    logs = Logs(tmp_path)
    logs.observer.ran(PREDICT, {"x": np.zeros(1, "datetime64[s]")}, {}, ())
    logs.observer.inferred([REGRESS], [VALUES], texts(b"\xff"), [{"outputs": np.ones(1, np.float32)}])
    logs.observer.ran(PREDICT, *call(), ())
    assert len(logs.read()) == 1
    assert logs.logs.counts() == {"m": (1, 2)}
    assert "2 calls of model 'm' were not logged: " in caplog.text


def test_a_full_disk_is_said_once_and_tried_again(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(request_log, "FLUSH_S", 0.01)
    logs = Logs(tmp_path)
    is_full = threading.Event()
    is_full.set()
    write = log_files.os.write

    def perhaps_full(file: int, data: Any) -> int:
        if is_full.is_set() and len(data) > 100:
            return write(file, data[:50])  # a disk takes what fits, and refuses the rest
        if is_full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(log_files.os, "write", perhaps_full)
    logs.logs.start()
    for at in range(3):
        logs.observer.ran(PREDICT, *call(), ())
        wait_until(lambda at=at: logs.logs.counts()["m"] == (0, at + 1))
    is_full.clear()
    logs.observer.ran(PREDICT, *call(first=9), ())
    wait_until(lambda: logs.logs.counts()["m"] == (1, 3))
    monkeypatch.setattr(log_files.os, "write", write)
    logs.logs.stop()
    said = [each.getMessage() for each in caplog.records]
    assert said == [
        "Calls of model 'm' cannot be logged: [Errno 28] No space left on device. "
        "They are answered; writing is tried again.",
        "Calls of model 'm' are logged again; 3 were not.",
    ]
    (file,) = (tmp_path / "log").iterdir()
    (found,) = [PredictionLog.FromString(each.data) for each in records(file)]
    assert tensors(found.predict_log.request.inputs)["x"] == [[9]]


def test_a_folder_that_cannot_be_made_is_said(tmp_path, caplog):
    (tmp_path / "log").write_bytes(b"a file")
    logs = Logs(tmp_path)
    logs.observer.ran(PREDICT, *call(), ())
    logs.logs.start()
    logs.logs.stop()
    assert "Calls of model 'm' cannot be logged: " in caplog.text
    assert logs.logs.counts() == {"m": (0, 1)}


def test_what_is_dropped_is_said_once_a_minute(caplog, monkeypatch):
    log = model_log.ModelLog("m", 1000)
    clock = [0.0]
    monkeypatch.setattr(model_log.time, "monotonic", lambda: clock[0])
    for second in (0.0, 1.0, 59.0, 61.0):
        clock[0] = second
        log.drop("of a reason")
        log.say()
    assert [each.getMessage() for each in caplog.records] == [
        "1 calls of model 'm' were not logged: of a reason.",
        "3 calls of model 'm' were not logged: of a reason.",
    ]


def test_calls_that_wait_when_the_log_is_taken_away_are_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logs = Logs(tmp_path)
    logs.observer.ran(PREDICT, *call(), ())
    logs.config = None
    assert logs.read() == []
    assert list(tmp_path.iterdir()) == []
    assert logs.logs.counts() == {"m": (0, 0)}
