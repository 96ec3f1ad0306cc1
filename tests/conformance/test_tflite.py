"""TensorFlow Lite models over REST and gRPC, and when --prefer_tflite_model serves them."""

import asyncio
import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_wire import Refusal, call, check_refusal, predict, tensor

from unstuck.config.settings import ModelConfig, ServerConfig
from unstuck.proto.wire.example_pb2 import Example
from unstuck.server import Server
from unstuck.testing import models, onnx_models, tflite_models

TESTDATA = "UNSTUCK_TFS_TESTDATA"
TFS_MODELS = {
    "named": "saved_model_half_plus_two_tflite",
    "declared": "saved_model_half_plus_two_tflite_with_sigdef",
    "examples": "parse_example_tflite",
}
TWIN_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tflite")


@pytest.fixture(scope="module")
def both(folder):
    """A folder with a SavedModel, y = x / 2 + 3, and a TensorFlow Lite model, y = x / 2 + 2."""
    path = models.half_plus_three(folder / "both", 1)
    shutil.copy(tflite_models.half_plus_two(folder / "lite") / "model.tflite", path)
    return path.parent


@pytest.fixture(scope="module")
def server(serve, folder, both):
    single = shutil.copy(tflite_models.half_plus_two(folder / "half_plus_two", 7) / "model.tflite", folder / "a.tflite")
    paths = {
        "half_plus_two": folder / "half_plus_two",
        "single": single,
        "multi_io": tflite_models.multi_io(folder / "multi_io").parent,
        "counter": tflite_models.counter(folder / "counter").parent,
        "fixed_batch": tflite_models.fixed_batch(folder / "fixed_batch").parent,
        "both": both,
    }
    server = serve(paths, prefer_tflite=True, tflite_interpreters=2)
    assert not server.failures
    return server


@pytest.fixture(scope="module")
def tfs_server(serve):
    """TensorFlow Serving's own test models."""
    if TESTDATA not in os.environ:
        pytest.skip(f"{TESTDATA} does not name TensorFlow Serving's test data")
    paths = {name: Path(os.environ[TESTDATA]) / each for name, each in TFS_MODELS.items()}
    server = serve(paths, prefer_tflite=True)
    assert not server.failures
    return server


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.mark.parametrize("name", ["half_plus_two", "single"])
def test_predict_over_rest(server, client, name):
    url = f"{server.url}/v1/models/{name}:predict"
    assert client.post(url, json={"instances": [[2.0], [4.0]]}).json() == {"predictions": [[3.0], [4.0]]}
    assert client.post(url, json={"inputs": {"x": [[2.0]]}}).json() == {"outputs": [[3.0]]}


def test_every_kind_of_input_over_rest(server, client):
    rows = [{"a": [1, 2], "b": 10, "c": "foo"}, {"a": [3, 4], "b": 20, "c": {"b64": "YmFy"}}]
    answer = client.post(f"{server.url}/v1/models/multi_io:predict", json={"instances": rows}).json()
    assert answer["predictions"] == [
        {"total": 13.0, "doubled": 20, "shouted": "foo", "pair_bytes": [{"b64": "Zm9v"}] * 2},
        {"total": 27.0, "doubled": 40, "shouted": "bar", "pair_bytes": [{"b64": "YmFy"}] * 2},
    ]


def test_predict_over_grpc(channel):
    inputs = {
        "a": tensor("float", [2, 2], 1, 2, 3, 4),
        "b": tensor("int64", [2], 10, 20),
        "c": tensor("string", [2], b"foo", b"\xff"),
    }
    answer = call(channel, predict("multi_io", outputs=["total", "shouted"], **inputs)).message
    assert dict(answer.outputs) == {
        "total": tensor("float", [2], 13, 27),
        "shouted": tensor("string", [2], b"foo", b"\xff"),
    }


def test_a_wrong_shape_is_refused_before_it_reaches_the_model(channel):
    answer = call(channel, predict("half_plus_two", x=tensor("float", [1, 2], 1, 2)))
    check_refusal(answer, Refusal("INVALID_ARGUMENT", ["'x'", "[-1,1]", "[1,2]"]))


def test_metadata(server, client):
    document = client.get(f"{server.url}/v1/models/multi_io/metadata").json()["metadata"]["signature_def"]
    signature = document["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["a"]["tensor_shape"]["dim"] == [
        {"size": "-1", "name": ""},
        {"size": "2", "name": ""},
    ]


def test_a_batch_that_the_model_cannot_take_is_the_callers_error(server, client):
    url = f"{server.url}/v1/models/fixed_batch:predict"
    assert client.post(url, json={"inputs": [[1, 2, 3, 4]]}).json() == {"outputs": [[[1, 2], [3, 4]]]}
    answer = client.post(url, json={"instances": [[1, 2, 3, 4], [5, 6, 7, 8]]})
    assert answer.status_code == 400
    assert "converted with a batch of 1, and may take no other" in answer.json()["error"]
    assert client.post(url, json={"inputs": [[1, 2, 3, 4]]}).status_code == 200, "and the model is as before"


def test_a_variable_is_one_for_all_calls(server, client):
    url = f"{server.url}/v1/models/counter:predict"
    counts = [client.post(url, json={"inputs": [1.0]}).json()["outputs"][0] for _ in range(4)]
    assert counts == [1.0, 2.0, 3.0, 4.0]


# Which model of a folder is served


def test_without_the_flag_a_saved_model_comes_first_and_a_lone_tflite_model_is_served(serve, both, folder, client):
    server = serve({"both": both, "alone": folder / "half_plus_two"})
    assert not server.failures
    assert client.post(f"{server.url}/v1/models/both:predict", json={"inputs": 2.0}).json() == {"outputs": 4.0}
    assert client.post(f"{server.url}/v1/models/alone:predict", json={"inputs": [[2.0]]}).json() == {"outputs": [[3.0]]}


def test_with_the_flag_the_tflite_model_comes_first(server, client):
    assert client.post(f"{server.url}/v1/models/both:predict", json={"inputs": [[2.0]]}).json() == {"outputs": [[3.0]]}


@pytest.mark.parametrize(("platform", "failures"), [("", 0), ("tensorflow", 0), ("tflite", 0), ("onnx", 1)])
def test_a_config_may_call_it_tensorflow_as_for_tensorflow_serving(folder, platform, failures):
    config = ModelConfig("m", folder / "half_plus_two", platform=platform)

    async def load():
        server = Server(ServerConfig(models=(config,), rest_port=0, grpc_port=0))
        failed = []
        await server.load_models(failed.append)
        await server.stop()
        return failed

    failed = asyncio.run(load())
    assert len(failed) == failures
    assert not failed or "is of the platform 'tflite', and model_platform says 'onnx'" in str(failed[0])


def test_a_file_of_another_name_in_a_version_is_named(serve, tmp_path):
    path = tflite_models.half_plus_two(tmp_path / "m")
    (path / "model.tflite").rename(path / "other.tflite")
    (failure,) = serve({"m": tmp_path / "m"}).failures
    assert "has no saved_model.pb, model.onnx or model.tflite; it has other.tflite." in failure.message
    assert failure.hint == f"Call the file model.tflite, or serve it by itself: unstuck serve {path / 'other.tflite'}"


def test_an_onnx_model_comes_before_it_unless_preferred(serve, tmp_path, client):
    path = onnx_models.half_plus_two(tmp_path / "m")
    shutil.copy(tflite_models.counter(tmp_path / "lite") / "model.tflite", path)
    url = f"{serve({'m': tmp_path / 'm'}).url}/v1/models/m/metadata"
    assert "'y'" in str(client.get(url).json())
    url = f"{serve({'m': tmp_path / 'm'}, prefer_tflite=True).url}/v1/models/m/metadata"
    assert "'count'" in str(client.get(url).json())


# TensorFlow Serving's own models, whose answers its tests expect


def test_its_model_that_parses_examples(tfs_server):
    features = {"x": {"float_list": {"value": [2.5]}}, "y": {"bytes_list": {"value": [b"a"]}}}
    example = Example(features={"feature": features}).SerializeToString()
    with grpc.insecure_channel(tfs_server.grpc_address) as channel:
        answer = call(channel, predict("examples", input=tensor("string", [2], example, b""))).message
    assert dict(answer.outputs) == {
        "ParseExample/ParseExampleV2": tensor("float", [2, 1], 2.5, 0.0),
        "ParseExample/ParseExampleV2:1": tensor("string", [2, 1], b"a", b"missing"),
    }


@pytest.mark.parametrize("name", ["named", "declared"])
def test_tensorflow_servings_models_answer_as_its_tests_expect(tfs_server, client, name):
    url = f"{tfs_server.url}/v1/models/{name}:predict"
    assert client.post(url, json={"instances": [2.0]}).json() == {"predictions": [3.0]}
    rows = {"instances": [[1.0], [2.0], [3.0]]}
    assert client.post(url, json=rows).json() == {"predictions": [[2.5], [3.0], [3.5]]}
    with grpc.insecure_channel(tfs_server.grpc_address) as channel:
        answer = call(channel, predict(name, x=tensor("float", [3], 1, 2, 3))).message
    assert dict(answer.outputs) == {"y": tensor("float", [3], 2.5, 3.0, 3.5)}
    assert answer.model_spec.version.value == 123


@pytest.mark.parametrize(("name", "tensor_name"), [("named", "x"), ("declared", "tflite_input")])
def test_their_signatures(tfs_server, client, name, tensor_name):
    document = client.get(f"{tfs_server.url}/v1/models/{name}/metadata").json()["metadata"]["signature_def"]
    (signature,) = document["signature_def"].values()
    assert {alias: info["name"] for alias, info in signature["inputs"].items()} == {"x": tensor_name}
    assert {alias: info["name"] for alias, info in signature["outputs"].items()} == {"y": "y"}


# A trained model


def test_a_trained_model_answers_as_its_saved_model(serve, client):
    spec = find_spec("basic_pitch")  # found, not imported: the package needs libraries that are not there
    assert spec is not None, "basic-pitch is not installed; ./dev setup installs it"
    saved = Path(spec.origin).parent / "saved_models" / "icassp_2022"
    server = serve({"pitch": saved / "nmp", "lite": saved / "nmp.tflite"})
    assert not server.failures
    seconds = np.arange(43_844) / 22_050
    tones = [0.3 * sum(np.sin(2 * np.pi * hertz * k * seconds) / k for k in (1, 2)) for hertz in (440.0, 659.26)]
    windows = np.stack(tones).astype(np.float32)[..., None]

    def answered(name, rows):
        answer = client.post(f"{server.url}/v1/models/{name}:predict", json={"inputs": rows.tolist()})
        assert answer.status_code == 200, answer.text[:1000]
        return {alias: np.array(values) for alias, values in json.loads(answer.text)["outputs"].items()}

    for window in windows:
        expected, got = answered("pitch", window[None]), answered("lite", window[None])
        assert got.keys() == expected.keys()
        for alias, values in expected.items():
            assert np.abs(values - got[alias]).max() < TWIN_TOLERANCE, alias
