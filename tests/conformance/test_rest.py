"""The REST API over real sockets: every case of ``rest/*.toml``, and what takes more than one request to tell."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from wire import TFS_MODELS, check, first_difference, parse, read_cases, send

CASES = [
    pytest.param(case, source, id=f"{file}/{case.id}" + ("" if source == "own" else "/tfs"))
    for file, case in read_cases(Path(__file__).parent / "rest")
    for source in (("own", "tfs") if case.model in TFS_MODELS else ("own",))
]
MODELS = [
    *(pytest.param(name, "own", id=name) for name in TFS_MODELS),
    *(pytest.param(name, "own", id=name) for name in ("dtypes", "multi_io", "mlp", "vocabulary_lookup")),
    *(pytest.param(name, "tfs", id=f"{name}/tfs") for name in TFS_MODELS),
]


@pytest.mark.parametrize(("case", "source"), CASES)
def test_case(case, source, url_of, client):
    check(case, send(client, url_of(source, case.server), case))


@pytest.mark.parametrize(("name", "source"), MODELS)
def test_metadata_is_the_saved_models_own(name, source, url_of, models_of, client):
    newest = max(models_of(source)[name].iterdir(), key=lambda version: int(version.name))
    answer = get(client, f"{url_of(source, 'plain')}/v1/models/{name}/metadata")
    assert answer["model_spec"] == {"name": name, "signature_name": "", "version": str(int(newest.name))}
    assert answer["metadata"] == {"signature_def": {"signature_def": signatures_of(newest)}}
    assert list(answer) == ["model_spec", "metadata"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("half_plus_two", "half_plus_two_model_metadata.json"),
        ("two_versions", "saved_model_half_plus_two_2_versions_metadata.json"),
    ],
)
@pytest.mark.parametrize("source", ["own", "tfs"])
def test_metadata_is_what_tensorflow_serving_recorded(name, file, source, url_of, models_of, client):
    recorded = json.loads((models_of("tfs")[name].parent / file).read_text())["metadata"]
    answer = get(client, f"{url_of(source, 'plain')}/v1/models/{name}/metadata")["metadata"]
    for metadata in (recorded, answer):  # our half_plus_two has one signature more than theirs
        metadata["signature_def"]["signature_def"].pop("classify_x2_to_y3", None)
    assert answer == recorded


@pytest.mark.parametrize("path", ["/versions/123/metadata", "/Versions/0123/metadata"])
def test_metadata_by_version(path, url_of, client):
    url = f"{url_of('own', 'plain')}/v1/models/half_plus_two"
    assert get(client, url + path) == get(client, f"{url}/metadata")


@pytest.mark.parametrize("source", ["own", "tfs"])
def test_a_reference_variable_counts(source, url_of, client):
    def add(delta: float) -> float:
        body = {"signature_name": "incr_counter_by", "inputs": delta}
        answer = client.post(f"{url_of(source, 'plain')}/v1/models/counter:predict", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["outputs"]

    before = add(0.0)
    assert [add(2.5), add(1.0), add(0.0)] == [before + 2.5, before + 3.5, before + 3.5]


@pytest.mark.parametrize("rows", [1, 3, 200])
def test_a_network_answers_as_in_tensorflow(rows, url_of, models_of, client):
    import tensorflow as tf

    model = tf.saved_model.load(str(models_of("own")["mlp"] / "1"))
    x = np.random.default_rng(rows).normal(size=(rows, 64)).astype(np.float32)
    answer = client.post(f"{url_of('own', 'plain')}/v1/models/mlp:predict", json={"instances": x.tolist()})
    want = model.signatures["serving_default"](x=tf.constant(x))["logits"]
    np.testing.assert_allclose(parse(answer.text)["predictions"], want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [20, 5000])
def test_every_bit_of_a_float_survives(dtype, count, url_of, client):
    bits = np.random.default_rng(count).bytes(count * np.dtype(dtype).itemsize)
    values = [value for value in np.frombuffer(bits, dtype).tolist() if np.isfinite(value)]
    body = {"signature_name": dtype, "inputs": values}
    answer = client.post(f"{url_of('own', 'plain')}/v1/models/dtypes:predict", json=body)
    np.testing.assert_array_equal(np.array(parse(answer.text)["outputs"], dtype), np.array(values, dtype))


def test_answers_on_one_connection_do_not_mix(url_of, client):
    """Errors leave the connection usable, and each answer belongs to its request."""
    url = f"{url_of('own', 'plain')}/v1/models/half_plus_two:predict"
    for number in range(50):
        assert client.post(url, content=b'{"instances": [').status_code == 400
        answer = client.post(url, json={"instances": [[number]]}).json()
        assert answer == {"predictions": [[number / 2 + 2]]}


def test_concurrent_answers_do_not_mix(url_of, client):
    """Whatever runs or is merged at the same time, each answer is its own request's, and an error only its sender's."""
    url = f"{url_of('own', 'plain')}/v1/models/half_plus_two:predict"

    def ask(number: int) -> bool:
        rows = number % 5
        answer = client.post(url, json={"instances": [[number + row] for row in range(rows)]})
        if rows == 0:
            return answer.status_code == 400
        return answer.json() == {"predictions": [[(number + row) / 2 + 2] for row in range(rows)]}

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(1000)))


def test_ready_once_every_model_is_loaded(url_of, models_of, client):
    answer = get(client, f"{url_of('own', 'plain')}/readyz")
    assert answer["status"] == "ready"
    assert set(answer["models"]) == set(models_of("own"))
    assert answer["models"]["two_versions"] == {"124": "AVAILABLE"}


@pytest.mark.parametrize(
    ("want", "got"),
    [
        *(("1", "1.0"), ("1.0", "1"), ("0.0", "-0.0"), ("true", "1"), ("null", "0"), ("NaN", "null"), ("NaN", "1.0")),
        *(("Infinity", "-Infinity"), ("0.1", "0.1000001"), ("[1]", "[1, 2]"), ("[]", "{}"), ('{"a": 1}', '{"b": 1}')),
        *(('{"a": [1.0, {"b": "x"}]}', '{"a": [1.0, {"b": "y"}]}'),),
    ],
)
def test_the_comparison_tells_apart(want, got):
    assert first_difference(parse(want), parse(got), "float32")
    assert first_difference(parse(want), parse(want), "float32") is None


def test_the_comparison_takes_any_digits_of_one_float():
    assert first_difference(parse("0.33333334"), parse("0.3333333432674408"), "float32") is None
    assert first_difference(parse("0.33333334"), parse("0.3333333432674408"), "float64")
    with pytest.raises(AssertionError, match="beyond a double"):
        parse("[1e400]")


def get(client: httpx.Client, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def signatures_of(version: Path) -> dict[str, Any]:
    """The signatures in a saved_model.pb, in protobuf's JSON with every field printed, as TensorFlow Serving does."""
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    return {
        name: json_format.MessageToDict(
            signature, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
        )
        for name, signature in saved_model.meta_graphs[0].signature_def.items()
    }
