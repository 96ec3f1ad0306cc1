"""ONNX models over REST and gRPC: the same answers, refusals and metadata as any model, and a trained twin of one."""

import asyncio
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_wire import Refusal, call, check_refusal, predict, tensor
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from unstuck.config.settings import ModelConfig, ServerConfig
from unstuck.errors import SetupError
from unstuck.server import Server
from unstuck.testing import models, onnx_models

# Their ONNX twin's names, by the SavedModel's aliases: tf2onnx keeps the tensors' names.
TWIN_INPUT = "serving_default_input_2:0"
TWIN_OUTPUTS = {
    "contour": "StatefulPartitionedCall:0",
    "note": "StatefulPartitionedCall:1",
    "onset": "StatefulPartitionedCall:2",
}
TWIN_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory, basic_pitch):
    folder = tmp_path_factory.mktemp("onnx")
    onnx_models.half_plus_two(folder / "half_plus_two", 7)
    onnx_models.half_plus_two(folder / "half_plus_two", 10)
    file = shutil.copy(folder / "half_plus_two" / "7" / "model.onnx", folder / "single.onnx")
    paths = {
        "half_plus_two": folder / "half_plus_two",
        "folder": folder / "half_plus_two" / "7",
        "file": folder / "half_plus_two" / "7" / "model.onnx",
        "single": file,
        "multi_io": onnx_models.multi_io(folder / "multi_io").parent,
        "dtypes": onnx_models.dtypes(folder / "dtypes").parent,
        "bfloat16": onnx_models.bfloat16(folder / "bfloat16").parent,
        "pitch": basic_pitch / "nmp",
        "pitch_onnx": basic_pitch / "nmp.onnx",
    }
    server = serve(paths)
    assert not server.failures
    return server


@pytest.fixture(scope="module")
def channel(server):
    unlimited = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    with grpc.insecure_channel(server.grpc_address, options=unlimited) as channel:
        yield channel


@pytest.fixture(scope="module")
def basic_pitch():
    spec = find_spec("basic_pitch")  # found, not imported: the package needs libraries that are not there
    assert spec is not None, "basic-pitch is not installed; ./dev setup installs it"
    return Path(spec.submodule_search_locations[0]) / "saved_models" / "icassp_2022"


@pytest.mark.parametrize(("name", "version"), [("half_plus_two", 10), ("folder", 7), ("file", 7), ("single", 1)])
def test_a_file_a_version_and_a_base_path_are_served(server, client, name, version):
    answer = client.post(f"{server.url}/v1/models/{name}:predict", json={"instances": [[1.0], [5.0]]})
    assert answer.json() == {"predictions": [[2.5], [4.5]]}
    (status,) = client.get(f"{server.url}/v1/models/{name}").json()["model_version_status"]
    assert (status["version"], status["state"]) == (str(version), "AVAILABLE")


def test_rows_and_columns_of_several_inputs(server, client):
    url = f"{server.url}/v1/models/multi_io:predict"
    rows = [{"a": [1, 2], "b": 10, "c": "foo"}, {"a": [3, 4], "b": 20, "c": "bär\0"}]
    first, second = client.post(url, json={"instances": rows}).json()["predictions"]
    pair = [{"b64": "Zm9v"}] * 2
    assert first == {"total": 13.0, "doubled": 20, "shouted": "FOO", "pair_bytes": pair}
    assert (second["total"], second["shouted"]) == (27.0, "BäR\0")
    columns = {"a": [[1, 2]], "b": [10], "c": ["foo"]}
    assert client.post(url, json={"inputs": columns}).json()["outputs"]["pair_bytes"] == [pair]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"instances": [[1.0, 2.0]]}, ["'x'", "[-1,1]", "[1,2]"]),
        ({"instances": [["text"]]}, ["float", '"text"']),
        ({"inputs": {"y": [[1.0]]}}, ["'x'"]),
        ({"instances": [[1.0]], "signature_name": "other"}, ["serving_default"]),
    ],
)
def test_wrong_rows_are_refused_over_rest(server, client, body, says):
    answer = client.post(f"{server.url}/v1/models/half_plus_two:predict", json=body)
    assert answer.status_code == 400
    assert not [words for words in says if words not in answer.json()["error"]], answer.text


def test_bytes_that_are_no_text_are_refused(server, client):
    row = {"a": [1, 2], "b": 10, "c": {"b64": "/w=="}}
    answer = client.post(f"{server.url}/v1/models/multi_io:predict", json={"instances": [row]})
    assert answer.status_code == 400
    assert "The input 'c' holds bytes that are not UTF-8" in answer.json()["error"]


def test_metadata(server, client, channel):
    metadata = client.get(f"{server.url}/v1/models/multi_io/metadata").json()["metadata"]["signature_def"]
    signature = metadata["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert {alias: info["dtype"] for alias, info in signature["inputs"].items()} == {
        "a": "DT_FLOAT",
        "b": "DT_INT64",
        "c": "DT_STRING",
    }
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "multi_io"
    signatures = SignatureDefMap()
    PredictionServiceStub(channel).GetModelMetadata(request, timeout=60).metadata["signature_def"].Unpack(signatures)
    sizes = signatures.signature_def["serving_default"].inputs["a"].tensor_shape.dim
    assert [each.size for each in sizes] == [-1, 2]


def test_predict_over_grpc(channel):
    inputs = {
        "a": tensor("float", [2, 2], 1, 2, 3, 4),
        "b": tensor("int64", [2], 10, 20),
        "c": tensor("string", [2], b"foo", b"bar"),
    }
    answer = call(channel, predict("multi_io", outputs=["total", "shouted"], **inputs)).message
    assert dict(answer.outputs) == {
        "total": tensor("float", [2], 13, 27),
        "shouted": tensor("string", [2], b"FOO", b"BAR"),
    }
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("multi_io", 1)


def test_every_dtype_over_grpc(channel):
    for model, names in (("dtypes", set(onnx_models.DTYPES) - {"bfloat16"}), ("bfloat16", {"bfloat16", "float32"})):
        kinds = {
            name: onnx_models.DTYPES[name].lower().replace("bfloat16", "b").replace("float16", "half") for name in names
        }
        values = {name: b"ab" if name == "string" else 1 for name in names}
        sent = {
            name: tensor({"b": "bfloat16"}.get(kind, kind), [2], values[name], values[name])
            for name, kind in kinds.items()
        }
        answer = call(channel, predict(model, **{f"x_{name}": each for name, each in sent.items()}))
        assert dict(answer.message.outputs) == {f"y_{name}": each for name, each in sent.items()}


def test_a_wrong_shape_is_refused_over_grpc(channel):
    answer = call(channel, predict("half_plus_two", x=tensor("float", [1, 2], 1, 2)))
    check_refusal(answer, Refusal("INVALID_ARGUMENT", ["'x'", "[-1,1]", "[1,2]"]))


@pytest.fixture(scope="module")
def windows():
    """Two rows of audio, float32 [2, 43844, 1]: A4 and E5 with harmonics and noise."""
    seconds = np.arange(43_844) / 22_050
    tones = [sum(np.sin(2 * np.pi * hertz * k * seconds) / k for k in (1, 2, 3)) for hertz in (440.0, 659.26)]
    noise = np.random.default_rng(0).normal(0, 0.005, (2, 43_844))
    return (0.3 * np.stack(tones) + noise).astype(np.float32)[..., None]


def test_a_trained_model_answers_as_its_saved_model_over_rest(server, client, windows):
    def answered(name, alias):
        body = {"inputs": {alias: windows.tolist()}}
        answer = client.post(f"{server.url}/v1/models/{name}:predict", json=body)
        assert answer.status_code == 200, answer.text[:1000]
        return answer.json()["outputs"]

    check_twins(answered("pitch", "input_2"), answered("pitch_onnx", TWIN_INPUT))


def test_a_trained_model_answers_as_its_saved_model_over_grpc(channel, windows):
    def answered(name, alias):
        sent = tensor("float", windows.shape, content=windows.tobytes())
        outputs = call(channel, predict(name, **{alias: sent})).message.outputs
        shapes = {alias: [each.size for each in got.tensor_shape.dim] for alias, got in outputs.items()}
        return {alias: np.reshape(got.float_val, shapes[alias]) for alias, got in outputs.items()}

    check_twins(answered("pitch", "input_2"), answered("pitch_onnx", TWIN_INPUT))


def check_twins(ours, onnx):
    assert ours.keys() == TWIN_OUTPUTS.keys()
    assert onnx.keys() == {*TWIN_OUTPUTS.values()}
    for alias, name in TWIN_OUTPUTS.items():
        difference = np.abs(np.asarray(ours[alias]) - np.asarray(onnx[name])).max()
        print(f"{alias}: shape {np.shape(ours[alias])}, largest difference {difference:.2e}")
        assert difference < TWIN_TOLERANCE, alias
    notes = [int(np.argmax(np.mean(row, axis=0))) + 21 for row in onnx[TWIN_OUTPUTS["note"]]]
    assert notes == [69, 76], "A4 and E5, as sent"


# What is recognised


def test_a_saved_model_comes_before_an_onnx_model_in_the_same_folder(serve, client, tmp_path):
    path = models.half_plus_three(tmp_path / "both", 1)
    shutil.copy(onnx_models.half_plus_two(tmp_path / "onnx") / "model.onnx", path)
    server = serve({"both": path})
    assert client.post(f"{server.url}/v1/models/both:predict", json={"inputs": 2.0}).json() == {"outputs": 4.0}


def test_a_file_of_another_name_in_a_version_is_named(serve, tmp_path):
    path = onnx_models.half_plus_two(tmp_path / "m")
    (path / "model.onnx").rename(path / "other.onnx")
    (failure,) = serve({"m": tmp_path / "m"}).failures
    assert "has no saved_model.pb, model.onnx or model.tflite; it has other.onnx." in failure.message
    assert failure.hint == f"Call the file model.onnx, or serve it by itself: unstuck serve {path / 'other.onnx'}"


def test_a_missing_file_says_what_is_there(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(SetupError, match=r"/b\.onnx does not exist\. .* exists and has a\.onnx"):
        asyncio.run(planned(tmp_path / "b.onnx"))


async def planned(path):
    return Server(ServerConfig(models=(ModelConfig("m", path),), rest_port=0, grpc_port=0)).plan


def test_an_onnx_model_is_served_without_tensorflow(tmp_path):
    path = onnx_models.half_plus_two(tmp_path / "m") / "model.onnx"
    script = f"""
import asyncio, sys
from pathlib import Path
from unstuck.config.settings import ModelConfig, ServerConfig
from unstuck.server import Server

async def load():
    server = Server(ServerConfig(models=(ModelConfig("m", Path({str(path)!r})),), rest_port=0, grpc_port=0))
    failed = []
    await server.load_models(failed.append)
    print(failed, server.models.ready, sorted({{"tensorflow", "onnxruntime", "onnx"}} & sys.modules.keys()))
    await server.stop()

asyncio.run(load())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[] True ['onnxruntime']\n", "")


def test_it_is_named_by_its_file(tmp_path):
    """``unstuck serve FILE`` as a process; the name is the file's."""
    file = (onnx_models.half_plus_two(tmp_path / "m") / "model.onnx").rename(tmp_path / "halver.onnx")
    command = [sys.executable, "-m", "unstuck", "serve", str(file), "--rest_api_port=auto", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ready"):
                break
        process.terminate()
        process.communicate(timeout=60)
    printed = "".join(lines)
    assert "  halver, version 1\n    serving_default: x: float [-1,1] -> y: float [-1,1]\n" in printed
    assert json.dumps({"instances": [[1.0]]}).replace(" ", "") in printed
