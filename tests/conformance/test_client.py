"""The client library against a running server of ours, over REST and gRPC, blocking and awaited."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unstuck import AsyncClient, Client
from unstuck.client import Unreachable
from unstuck.core.models import State
from unstuck.errors import (
    Code,
    DeadlineExceeded,
    InputNames,
    InvalidRequest,
    NotFound,
    UnknownSignature,
    UnstuckError,
    UnsupportedType,
    WrongShape,
)
from unstuck.testing.models import DTYPES, half_plus_two

Connect = Callable[..., Any]

ROWS = {"a": [[1, 2], [3, 4]], "b": [10, 20], "c": ["u", "é"]}


class Awaited:
    """An AsyncClient as if it blocked: each method runs in the test's own loop."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name == "signature":
            return lambda *args: Awaited(method(*args), self._runner)
        return lambda *args, **named: self._runner.run(method(*args, **named))


@pytest.fixture(params=["http", "grpc"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["blocking", "awaited"])
def connect(request: pytest.FixtureRequest, server_of: Any, scheme: str) -> Any:
    """``connect(model, server="plain", **options)``: a client of that model."""
    runner, opened = asyncio.Runner(), []

    def start(model: str, server: str = "plain", **options: Any) -> Any:
        running = server_of("own", server)
        address = running.url if scheme == "http" else f"grpc://{running.grpc_address}"
        if request.param == "blocking":
            opened.append(Client(address, model, **options))
        else:
            opened.append(Awaited(AsyncClient(address, model, **options), runner))
        return opened[-1]

    yield start
    for client in opened:
        client.close()
    runner.close()


def test_predicts(connect: Connect) -> None:
    client = connect("half_plus_two")
    prediction = client.predict([[1.0], [2], [5]])
    assert prediction.array.tolist() == [[2.5], [3.0], [4.5]]
    assert prediction.array.dtype == np.float32
    assert prediction.array.flags.writeable
    assert prediction.warnings == ()
    assert client.predict(x=np.arange(3.0))["y"].tolist() == [2.0, 2.5, 3.0]


def test_several_inputs_and_outputs(connect: Connect) -> None:
    prediction = connect("multi_io").predict(ROWS)
    assert list(prediction) == ["doubled", "pair_bytes", "shouted", "total"]
    assert prediction["total"].tolist() == [13.0, 27.0]
    assert prediction["doubled"].tolist() == [20, 40]
    assert prediction["doubled"].dtype == np.int64
    assert prediction["shouted"].tolist() == [b"U", "É".encode()]
    assert prediction["pair_bytes"].tolist() == [[b"u", b"u"], ["é".encode()] * 2]


def test_outputs_without_a_batch(connect: Connect) -> None:
    client = connect("multi_io")
    assert client.signature("with_scalar").predict(**ROWS)["count"].tolist() == 2
    assert client.signature("uneven").predict(ROWS)["first"].tolist() == [b"u"]
    assert connect("scalar_output").predict([1.5, 2]).array.tolist() == 3.5


def test_every_dtype(connect: Connect) -> None:
    client = connect("dtypes")
    for name in DTYPES:
        values: list[Any] = {"string": ["u", "é"], "bool": [True, False]}.get(name, [1, 2])
        answered = client.signature(name).predict(values).array
        expected = [value.encode() if isinstance(value, str) else value for value in values]
        assert answered.tolist() == expected, name
        assert answered.dtype == client.signatures()[name].outputs["y"].dtype.numpy, name


def test_numbers_that_json_has_no_name_for(connect: Connect) -> None:
    answered = connect("nan_output").predict([-1.0, 0.0, 1.0, np.inf]).array
    np.testing.assert_array_equal(answered, np.array([np.nan, -np.inf, 0.0, np.inf], np.float32))
    echoed = connect("dtypes").signature("float64").predict([[np.nan, -np.inf], [0.1, 5e-324]]).array
    np.testing.assert_array_equal(echoed, [[np.nan, -np.inf], [0.1, 5e-324]])


def test_whole_numbers_are_exact(connect: Connect) -> None:
    client = connect("dtypes")
    for name, value in (("int64", -(2**63)), ("int64", 2**53 + 1), ("uint64", 2**64 - 1)):
        assert client.signature(name).predict([value]).array.tolist() == [value]


def test_bytes(connect: Connect) -> None:
    sent = [b"\xff\0", b"text", b""]
    assert connect("text_bytes").predict(text=sent)["text_bytes"].tolist() == sent


def test_tables(connect: Connect) -> None:
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    client = connect("multi_io")
    frame = pandas.DataFrame({"a": ROWS["a"], "b": ROWS["b"], "c": ROWS["c"]})
    for table in (frame, pyarrow.Table.from_pandas(frame)):
        answered = client.predict(table).to_dataframe()
        assert answered["total"].tolist() == [13.0, 27.0]
        assert answered["shouted"].tolist() == ["U", "É"]


def test_images(connect: Connect) -> None:
    image = pytest.importorskip("PIL.Image").new("L", (3, 3), 10)
    assert connect("matrix_half_plus_two").predict([image, image]).array.tolist() == [[[7.0] * 3] * 3] * 2


def test_a_large_call(connect: Connect) -> None:
    values = np.random.default_rng(0).normal(size=(200_000,)).astype(np.float32)
    np.testing.assert_allclose(connect("half_plus_two").predict(values).array, values / 2 + 2, rtol=1e-6)


def test_what_the_server_warns_of(connect: Connect) -> None:
    prediction = connect("half_plus_two").predict([1.0, 2.0])
    assert prediction.array.tolist() == [2.5, 3.0]
    (warning,) = prediction.warnings
    assert "declared [-1,1]" in warning
    with pytest.raises(InvalidRequest, match="declared"):
        connect("half_plus_two", "strict").predict([1.0, 2.0])


def test_metadata_and_status(connect: Connect) -> None:
    client = connect("two_versions")
    metadata = client.metadata()
    assert metadata.model == "two_versions"
    assert client.signatures() == metadata.signatures
    assert client.status()[0].version == metadata.version
    assert client.status()[0].state is State.AVAILABLE
    pinned = connect("two_versions", version=metadata.version)
    assert [each.version for each in pinned.status()] == [metadata.version]
    assert pinned.metadata().version == metadata.version


def test_a_name_that_urls_have_to_escape(connect: Connect) -> None:
    assert connect("a b+c/d:é").predict([2.0]).array.tolist() == [3.0]


def test_classifies_and_regresses(connect: Connect) -> None:
    client = connect("examples")
    example = {"class": ["u", "v"], "score": [0.5, 1.5], "output": 2.5}
    assert client.classify([example]) == [[("u", 0.5), ("v", 1.5)]]
    assert client.signature("plus_one").classify([{"class": "u"}], context={"score": 1.0}) == [[("u", 2.0)]]
    assert client.signature("regress").regress([example, {}]).tolist() == [2.5, 0.0]


# Errors


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda client: client.predict(X=[1.0]), InputNames, "did you mean 'x'?"),
        (lambda client: client.signature("serving").predict([1.0]), UnknownSignature, "its signatures are"),
        (lambda client: client.signature("nope").regress([{"x": 1.0}]), InvalidRequest, "'nope'"),
        (lambda client: client.regress([{"y": 1.0}]), UnstuckError, "half_plus_two"),
    ],
)
def test_calls_that_the_model_does_not_take(connect: Connect, call: Any, kind: Any, says: str) -> None:
    with pytest.raises(kind) as error:
        call(connect("half_plus_two"))
    assert says in str(error.value)


def test_shapes_that_the_graph_would_broadcast(connect: Connect) -> None:
    with pytest.raises(WrongShape, match=r"put it into a list, \[row\]"):
        connect("mlp").predict(np.zeros(64))


def test_the_servers_hint_and_cause_arrive(connect: Connect) -> None:
    with pytest.raises(NotFound) as missing:
        connect("half_plus_tow").predict([1.0])
    assert missing.value.code is Code.NOT_FOUND
    assert "half_plus_tow" in missing.value.message
    with pytest.raises(NotFound):
        connect("half_plus_two", version=99).status()
    with pytest.raises(UnstuckError) as refused:
        connect("half_plus_two", label="stable").predict([1.0])
    assert refused.value.hint
    assert refused.value.hint not in refused.value.message


def test_a_call_beyond_its_timeout(connect: Connect) -> None:
    client = connect("slow", timeout_s=0.2)
    assert client.signatures()
    with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        client.predict([1.0])


def test_complex_numbers_need_grpc(connect: Connect, scheme: str) -> None:
    client = connect("complex_output").signature("from_complex")
    if scheme == "grpc":
        assert client.predict([1 + 2j]).array.tolist() == [1.0]
    else:
        with pytest.raises(UnsupportedType, match="grpc://"):
            client.predict([1 + 2j])


def test_many_at_once(server_of: Any, scheme: str) -> None:
    running = server_of("own", "plain")
    address = running.url if scheme == "http" else f"grpc://{running.grpc_address}"

    async def main() -> list[float]:
        async with AsyncClient(address, "half_plus_two") as client:
            await client.signatures()
            answers = await asyncio.gather(*(client.predict([float(number)]) for number in range(200)))
            return [answer.array[0] for answer in answers]

    assert asyncio.run(main()) == [number / 2 + 2 for number in range(200)]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "grpc://127.0.0.1:1", "http://no-such-host.invalid:1"])
def test_nobody_there(address: str) -> None:
    with Client(address, "m", retries=1, timeout_s=5) as client, pytest.raises(Unreachable) as error:
        client.predict([1.0])
    assert f"Could not connect to {address}" in error.value.message
    assert not error.value.may_have_run

    async def main() -> None:
        async with AsyncClient(address, "m", retries=0, timeout_s=5) as client:
            await client.status()

    with pytest.raises(Unreachable, match="Could not connect"):
        asyncio.run(main())


def test_tls(serve: Any, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    key, certificate = tmp_path / "server.key", tmp_path / "server.crt"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {certificate} -subj /CN=localhost"
    subprocess.run(
        [*made.split(), "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True, timeout=60
    )
    config = tmp_path / "ssl.pbtxt"
    quoted = {name: path.read_text().replace("\n", "\\n") for name, path in (("key", key), ("cert", certificate))}
    config.write_text(f'server_key: "{quoted["key"]}"\nserver_cert: "{quoted["cert"]}"\n')
    half_plus_two(tmp_path / "m")
    running = serve({"m": tmp_path / "m"}, ssl_config_file=config)
    address = f"grpcs://localhost:{running.grpc_address.rpartition(':')[2]}"
    with Client(address, "m", ca_file=str(certificate)) as client:
        assert client.predict([2.0]).array.tolist() == [3.0]
    with Client(address, "m", retries=0, timeout_s=10) as client, pytest.raises(Unreachable):
        client.predict([2.0])
