"""Input that is meant to harm: no wrong answer to anybody, no crash, an error that says which limit, and no memory."""

import gzip
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from grpc_client import code_of
from hostile import PATH, TIMEOUT_S, Neighbours, Victim, ended, peak, random_bodies, right_message, slow_clients
from traffic import until

from unstuck.proto.wire.predict_pb2 import PredictRequest
from unstuck.testing import onnx_models

MIB = 1 << 20
LIMIT = 64 * MIB
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "m"
    onnx_models.half_plus_two(folder)
    return folder


IMPATIENT = ("--rest_api_body_timeout_seconds=2", "--rest_api_idle_timeout_seconds=2")


@pytest.fixture(scope="module")
def running(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    flags = [*IMPATIENT, "--rest_api_timeout_in_ms=60000", f"--rest_api_max_body_bytes={LIMIT}", "--log_requests=all"]
    with Victim(model, tmp_path_factory.mktemp("server"), *flags) as victim:
        yield victim


@pytest.fixture
def victim(running: Victim) -> Iterator[Victim]:
    """It serves afterwards as it did before."""
    yield running
    running.check(4.0)


@pytest.mark.slow
@pytest.mark.parametrize("count", [100, 1000])
def test_slow_clients_are_closed_while_others_are_answered(model, tmp_path, count):
    with Victim(model, tmp_path, *IMPATIENT, "--rest_api_timeout_in_ms=8000") as victim:
        with slow_clients(victim, count) as clients:
            with Neighbours(victim):
                said = Counter(ended(client)[:12] for client in clients)
            assert set(said) == {b"", b"HTTP/1.1 408"}, said
            assert said[b"HTTP/1.1 408"] == pytest.approx(count * 4 / 7, abs=4), "who had begun a body is told why"
        assert victim.grown_bytes() < 200 * MIB
        victim.check(4.0)


def test_a_gzip_bomb_is_refused_before_it_takes_memory(victim):
    bomb = gzip.compress(bytes(LIMIT), 6)
    assert len(bomb) < MIB
    with peak(victim) as most, Neighbours(victim):
        for _ in range(5):
            status, answer = victim.post(bomb, content_encoding="gzip")
            assert status == 413
            assert "inflate to more than" in answer["error"]
            assert "--rest_api_max_inflation" in answer["error"]
    assert most[0] < 200 * MIB


def npz(array: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", array)
    return file.getvalue()


def npy(shape: str) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1,)})
    return file.getvalue().replace(b"(1,), }" + b" " * (len(shape) - 2), f"({shape}), }}".encode()) + bytes(4)


def shape_bomb(*shape: int, values: int = 1) -> bytes:
    request = PredictRequest()
    request.model_spec.name = "m"
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.float_val.extend([1.0] * values)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return request.SerializeToString()


SHAPES = [(10**6, 10**6), (1 << 62, 4), (10**9, 0), (-1, 5), (1,) * 40, (5_000_000, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_shape_bomb_is_refused_before_it_takes_memory(victim, shape):
    bomb = shape_bomb(*shape, values=0 if 0 in shape else 1)
    assert len(bomb) < 250
    with peak(victim) as most, Neighbours(victim):
        assert code_of(lambda: victim.call(bomb)) is grpc.StatusCode.INVALID_ARGUMENT
        status, answer = victim.post(bomb, content_type="application/x-protobuf")
        assert status == 400
        assert "Input 'x'" in answer["error"]
    assert most[0] < 100 * MIB


@pytest.mark.parametrize("shape", ["1000000,1000000", "1000000000,0", "-1,", f"{1 << 70},"])
def test_a_file_whose_header_promises_more_is_refused(victim, shape):
    with peak(victim) as most:
        for body in (npy(shape), npz(npy(shape))):
            status, answer = victim.post(body, content_type="application/x-npz")
            assert status == 400, answer
            assert "bytes expected" in answer["error"] or "places for them" in answer["error"]
    assert most[0] < 100 * MIB


def test_a_zip_bomb_is_refused_before_it_takes_memory(victim):
    bomb = npz(bytes(LIMIT + 1))
    with peak(victim) as most:
        status, answer = victim.post(bomb, content_type="application/x-npz")
    assert (status, "inflated .npz" in answer["error"]) == (413, True)
    assert most[0] < 100 * MIB


NESTED = {
    "lists": b"[" * 20_000_000,
    "objects": b'{"a":' * 1_100_000,
    "closed": b'{"instances":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "empty lists": b'{"instances": [' + b"[]," * 5_000_000 + b"[]]}",
}


@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
def test_json_that_is_nothing_but_brackets_is_refused(victim, body):
    with peak(victim) as most, Neighbours(victim):
        status, answer = victim.post(body)
    assert status == 400
    assert "nested more than" in answer["error"] or "lists and objects" in answer["error"]
    assert most[0] < 300 * MIB


def test_headers_and_paths_have_limits_too(victim):
    good = b'{"instances": [[1.0]]}'
    assert victim.post(good, x_long="x" * 60_000)[0] == 200
    assert victim.post(good, x_long="x" * 70_000)[0] == 431
    assert victim.post(good, **{f"x_{number}": "1" for number in range(200)})[0] == 431
    status, answer = victim.post(good, "/v1/models/" + "m" * 50_000 + ":predict")
    assert status == 404
    assert len(answer["error"]) <= 8192
    status, answer = victim.post(good, "/" + "m" * 50_000)
    assert (status, len(answer["error"]) < 500) == (404, True)


NAMES = ["..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc", "m%00", "%00", "a%0d%0aX-Evil:%201", "%1b[31m", "..", "m/../m"]


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_nowhere(victim, name):
    status, answer = victim.post(b'{"instances": [[1.0]]}', f"/v1/models/{name}:predict")
    assert status in (400, 404)
    assert "root:" not in str(answer)
    for path in (f"/v1/models/{name}", f"/v1/models/{name}/metadata", f"/{name}"):
        status, headers = victim.get(path)
        assert status in (400, 404), path
        assert "evil" not in headers


@pytest.mark.parametrize("log_format", ["text", pytest.param("json", marks=pytest.mark.slow)])
def test_nobody_writes_lines_of_their_own_into_the_log(model, tmp_path, log_format):
    with Victim(model, tmp_path, "--log_requests=all", f"--log_format={log_format}") as victim:
        before = len(victim.err.read_text().splitlines())
        evil = "m%0aERROR%20unstuck%20all%20is%20lost%1b[2J%e2%80%a8fake"
        for number in range(20):
            assert victim.post(b"{}", f"/v1/models/{evil}:predict", x_request_id="a\tERROR b" + "x" * number)[0] == 404
            request = PredictRequest()
            request.model_spec.name = f"m\nERROR unstuck all is lost{ESCAPE}[2J\u2028fake"
            assert code_of(partial(victim.call, request.SerializeToString())) is grpc.StatusCode.NOT_FOUND
        until(lambda: len(victim.err.read_text().splitlines()) >= before + 40)
        lines = victim.err.read_text().splitlines()
        assert len(lines) == before + 40, "a line a call"
        assert not [line for line in lines if not line.isprintable() or line.startswith(("ERROR unstuck all", "fake"))]


def beset_by_random_bodies(victim: Victim, count: int, seed: int = 0) -> None:
    statuses: Counter[int] = Counter()
    paths = [PATH] * 4 + ["/v1/models/m:classify", "/v1/models/m:regress", "/v1/models/m/versions/1:predict"]
    bodies = enumerate(random_bodies(seed, count))
    while part := list(islice(bodies, 500)):
        with httpx.Client(timeout=TIMEOUT_S) as client:
            for number, (body, headers) in part:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                answer = client.post(victim.url + paths[number % len(paths)], content=body, headers=named)
                statuses[answer.status_code] += 1
                assert answer.status_code in (200, 400, 413, 501), (body, headers, answer.text)
        victim.check(float(part[0][0]))
    assert statuses[200], statuses
    assert statuses[400], statuses
    assert victim.grown_bytes() < 300 * MIB


def test_random_bodies_get_answers_of_the_api(victim):
    beset_by_random_bodies(victim, 1000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_random_bodies_get_answers_of_the_api(victim):
    beset_by_random_bodies(victim, 100_000, seed=1)


def beset_by_random_messages(victim: Victim, count: int) -> None:
    codes: Counter[str] = Counter()
    said: dict[str, str] = {}
    bodies = [body for body, headers in random_bodies(2, count * 6) if "x-protobuf" in headers.get("content_type", "")]
    with grpc.insecure_channel(victim.address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for body in bodies[:count]:
            try:
                call(body, timeout=TIMEOUT_S)
                codes["OK"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1  # type: ignore[attr-defined]
                said[error.code().name] = error.details()  # type: ignore[attr-defined]
    allowed = {"OK", "INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "UNIMPLEMENTED"}
    assert codes.keys() <= allowed, codes
    assert min(codes["OK"], codes["NOT_FOUND"], codes["INTERNAL"]) > 0, codes
    assert "are not a tensorflow.serving.PredictRequest" in said["INTERNAL"]
    assert "failed inside the server" not in victim.err.read_text()


def test_random_messages_get_answers_of_the_api(victim):
    """INTERNAL is how every gRPC server answers bytes that are no message."""
    beset_by_random_messages(victim, 500)


def test_a_message_limit_holds_for_what_is_inflated(model, tmp_path):
    limit = 10 * MIB
    with Victim(model, tmp_path, f"--grpc_max_message_bytes={limit}") as victim:
        assert victim.call(right_message(), compression=grpc.Compression.Gzip)
        large = right_message(4_000_000)
        assert len(large) > limit
        with peak(victim) as most:
            for options in ({}, {"compression": grpc.Compression.Gzip}):
                assert code_of(lambda given=options: victim.call(large, **given)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert most[0] < 100 * MIB
        victim.check(1.0)
