"""The client library against an HTTP server that answers as stock TensorFlow Serving does: no header of ours, no hint.

Its answers are written down from TensorFlow Serving's; what goes wrong between client and server is done by it too.
"""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from unstuck import AsyncClient, Client
from unstuck.client import ServerError, Unreachable, UnreadableAnswer
from unstuck.core.models import State
from unstuck.errors import Code, DeadlineExceeded, InvalidRequest, NotFound

INFO = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}}
METADATA = {
    "model_spec": {"name": "half_plus_two", "signature_name": "", "version": "123"},
    "metadata": {
        "signature_def": {
            "signature_def": {
                "serving_default": {
                    "inputs": {"x": {**INFO, "name": "x:0"}},
                    "outputs": {"y": {**INFO, "name": "y:0"}},
                    "method_name": "tensorflow/serving/predict",
                },
                "sparse": {"inputs": {"x": {"dtype": "DT_FLOAT8_E4M3FNUZ", "coo_sparse": {}}}, "outputs": {}},
            }
        }
    },
}
STATUS = {
    "model_version_status": [
        {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
    ]
}


class Stock(BaseHTTPRequestHandler):
    """``fault`` names what is to go wrong with the next predict calls, as often as ``times``."""

    protocol_version = "HTTP/1.1"
    fault: ClassVar[str] = ""
    times: ClassVar[int] = 0
    seen: ClassVar[list[Any]] = []

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers, b""))
        documents = {"/v1/models/half_plus_two/metadata": METADATA, "/v1/models/half_plus_two": STATUS}
        found = documents.get(self.path)
        missing = {"error": "Servable not found for request: Latest(nope)"}
        self._answer(404 if found is None else 200, json.dumps(found or missing, indent=4).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, self.headers, body))
        if Stock.times:
            Stock.times -= 1
            getattr(self, f"_{self.fault}")()
            return
        rows = json.loads(body)["instances"]
        self._answer(200, b'{\n    "predictions": [%b\n    ]\n}' % b", ".join(b"%g" % (x / 2 + 2) for x in rows))

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _loading(self) -> None:
        self._answer(503, b'{"error": "Servable is not ready"}', Retry_After="0")

    def _refused(self) -> None:
        self._answer(400, b'{ "error": "input must be 2-dimensional" }')

    def _broken(self) -> None:
        self._answer(500, b'{ "error": "out of luck" }')

    def _foreign(self) -> None:
        self._answer(200, b"<html>Welcome to the router</html>")

    def _zipped(self) -> None:
        self._answer(200, gzip.compress(b'{"predictions": [7.0]}'), Content_Encoding="gzip")

    def _dropped(self) -> None:
        self.close_connection = True

    def _silent(self) -> None:
        time.sleep(1)
        self.close_connection = True

    def _dripping(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(10):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)
        self.close_connection = True


@pytest.fixture
def stock() -> Iterator[str]:
    """Its address."""
    Stock.fault, Stock.times, Stock.seen = "", 0, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stock)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["blocking", "awaited"])
def predict(request: pytest.FixtureRequest, stock: str) -> Any:
    """``predict(fault, times, **options)``: the answer for [1.0, 2.0] while that goes wrong."""

    def call(fault: str = "", times: int = 1, **options: Any) -> Any:
        Stock.fault, Stock.times = fault, times if fault else 0
        if request.param == "blocking":
            with Client(stock, "half_plus_two", **options) as client:
                return client.predict([1.0, 2.0]).array.tolist()

        async def main() -> Any:
            async with AsyncClient(stock, "half_plus_two", **options) as client:
                return (await client.predict([1.0, 2.0])).array.tolist()

        return asyncio.run(main())

    return call


def test_predicts(predict: Any) -> None:
    assert predict(headers={"Authorization": "Bearer t"}) == [2.5, 3.0]
    (_, headers, body) = Stock.seen[-1]
    assert body == b'{"instances":[1.0,2.0]}'
    assert headers["authorization"] == "Bearer t"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"


def test_requests_that_cannot_be_sent(predict: Any) -> None:
    with pytest.raises(InvalidRequest, match="Look at the headers"):
        predict(headers={"X": "a\nb"})
    with Client("http://h\x7f", "m") as client, pytest.raises(InvalidRequest, match="cannot be used"):
        client.status()


def test_reads_what_it_asked_for_compressed(predict: Any) -> None:
    assert predict("zipped", headers={"Accept-Encoding": "gzip"}) == [7.0]


def test_tries_again_while_the_model_is_loading(predict: Any) -> None:
    assert predict("loading", 2) == [2.5, 3.0]
    assert len(Stock.seen) == 4


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("refused", InvalidRequest, "input must be 2-dimensional"),
        ("broken", ServerError, "out of luck"),
        ("foreign", UnreadableAnswer, "Welcome to the router"),
        ("silent", DeadlineExceeded, "within 0.5 s"),
        ("dripping", DeadlineExceeded, "within 0.5 s"),
    ],
)
def test_what_goes_wrong_is_told_and_not_repeated(predict: Any, fault: str, kind: Any, says: str) -> None:
    with pytest.raises(kind) as error:
        predict(fault, timeout_s=0.5)
    assert says in str(error.value)
    assert len(Stock.seen) == 2


def test_a_call_that_was_cut_off_is_made_once_more(predict: Any) -> None:
    assert predict("dropped") == [2.5, 3.0]
    assert len(Stock.seen) == 3


@pytest.mark.parametrize(("options", "calls"), [({}, 2), ({"retries": 0}, 1)])
def test_a_call_that_is_cut_off_again_is_not_repeated(predict: Any, options: dict[str, int], calls: int) -> None:
    with pytest.raises(Unreachable, match="ended before the answer came"):
        predict("dropped", 5, **options)
    assert len(Stock.seen) == 1 + calls


def test_metadata_status_and_a_model_that_is_not_there(stock: str) -> None:
    with Client(stock + "/", "half_plus_two") as client:
        assert client.metadata().version == 123
        assert client.status()[0].state is State.AVAILABLE
        assert list(client.signatures()) == ["serving_default", "sparse"]
    with Client(stock, "nope") as client, pytest.raises(NotFound, match="Servable not found") as error:
        client.predict([1.0])
    assert error.value.code is Code.NOT_FOUND
    assert error.value.hint == ""
