"""``unstuck inspect URL``: a served model by its metadata, as TensorFlow Serving gives it."""

import json
import shlex
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from unstuck.cli.main import main
from unstuck.codecs import model_json
from unstuck.core.dtypes import FLOAT, STRING
from unstuck.core.signatures import METHOD_NAMES, Signature, TensorSpec

SIGNATURES = {
    "serving_default": Signature(
        "serving_default",
        {"x": TensorSpec("x", "x:0", FLOAT, (None, 2))},
        {"y": TensorSpec("y", "y:0", FLOAT, (None,))},
    ),
    "classify": Signature(
        "classify",
        {"inputs": TensorSpec("inputs", "inputs:0", STRING, None)},
        {"scores": TensorSpec("scores", "scores:0", FLOAT, (None, 2))},
        METHOD_NAMES["classify"],
        takes_examples=True,
    ),
}
STATUS = {"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": {}}]}


@pytest.fixture
def stock_server():
    """A server that answers what TensorFlow Serving does for the model ``a b``, and its 404 for others."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers = {
                "/v1/models/a%20b/metadata": model_json.metadata("a b", 3, SIGNATURES),
                "/v1/models/a%20b": json.dumps(STATUS).encode(),
                "/v1/models/odd/metadata": b'{"metadata": {}}',
            }
            body = answers.get(self.path, b'{"error": "Could not find any versions of model"}')
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/v1/models/a%20b", "/v1/models/a%20b/metadata", "/v1/models/a%20b/"])
def test_an_endpoint(stock_server, capsys, path):
    assert main(["inspect", stock_server + path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["model"], found["version"], found["size_bytes"]) == ("endpoint", "a b", 3, None)
    assert found["facts"] == {"versions": "3 AVAILABLE"}
    signature = found["signatures"]["serving_default"]
    assert signature["inputs"] == {"x": {"dtype": "float", "shape": [-1, 2], "tensor": "x:0"}}
    assert shlex.split(signature["requests"]["curl"])[-1] == f"{stock_server}/v1/models/a%20b:predict"
    assert 'insecure_channel("127.0.0.1:8500")' in signature["requests"]["grpc"]
    assert found["signatures"]["classify"]["takes_examples"]
    assert found["signatures"]["classify"]["inputs"]["inputs"]["shape"] is None


def test_an_endpoint_that_answers_otherwise(stock_server, capsys):
    assert main(["inspect", f"{stock_server}/v1/models/missing"]) == 1
    assert "/v1/models/missing/metadata answers 404: " in capsys.readouterr().err
    assert main(["inspect", f"{stock_server}/v1/models/odd"]) == 1
    assert "/v1/models/odd/metadata answers no signatures: KeyError" in capsys.readouterr().err
