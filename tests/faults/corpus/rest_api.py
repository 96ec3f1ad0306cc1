"""TensorFlow Serving's REST API before a Servable: HTTP/1.1 with keep-alive, a thread a connection."""

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus.served import Refused, ServedModel, Tensors

if TYPE_CHECKING:
    from corpus.server import Servable

PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata|:predict)?")


@contextmanager
def listen(servable: "Servable") -> Iterator[str]:
    """Serves on a free port of 127.0.0.1; gives HOST:PORT."""
    handler = type("Handler", (_Handler,), {"servable": servable})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    servable: "Servable"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        page = self.servable.hooks.pages.get(self.path)
        if page is not None:
            self._send(200, page.encode(), {"Content-Type": "text/plain"})
            return
        self._send(*self._answer(self._get))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def forward() -> tuple[int, bytes]:
            return self._answer(lambda name, version, verb: self._predict(name, version, verb, body))

        self._send(*self.servable.hooks.proxy(self.path, body, forward))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silence: the default writes each request to standard error."""

    def _answer(self, reply: Any) -> tuple[int, bytes]:
        found = PATH.fullmatch(self.path.split("?")[0])
        try:
            if found is None:
                raise Refused(f"Malformed request: {self.command} {self.path}")
            name, version, verb = found.groups()
            return 200, json.dumps(reply(name, int(version) if version else None, verb), indent=4).encode()
        except Refused as error:
            return error.status, json.dumps({"error": str(error)}).encode()

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _get(self, name: str, version: int | None, verb: str | None) -> dict[str, Any]:
        if verb == "/metadata":
            return _metadata(self.servable, name, version)
        if verb is not None:
            raise Refused(f"Malformed request: GET {self.path}")
        listed = []
        for v, state in self.servable.states(name, version).items():
            code, message = self.servable.hooks.failures.get(v, ("OK", ""))
            status = {"error_code": code, "error_message": message}
            listed.append({"version": str(v), "state": state, "status": status})
        return {"model_version_status": listed}

    def _predict(self, name: str, version: int | None, verb: str | None, body: bytes) -> dict[str, Any]:
        if verb != ":predict":
            raise Refused(f"Malformed request: POST {self.path}")
        try:
            document = json.loads(body)
        except ValueError as error:
            raise Refused(f"JSON Parse error: {error}") from error
        if not isinstance(document, dict) or ("instances" in document) == ("inputs" in document):
            raise Refused("Missing 'inputs' or 'instances' key")
        signature, rows = document.get("signature_name", ""), "instances" in document

        def bind(model: ServedModel) -> Tensors:
            aliases = list(model.signature(signature).inputs)
            values = _columns(document["instances"], aliases) if rows else _named(document["inputs"], aliases)
            return model.bind(values, signature)

        _, outputs = self.servable.predict(name, version, signature, bind)
        return {"predictions": _rows(outputs)} if rows else {"outputs": _one_or_all(_plain_all(outputs))}


def _metadata(servable: "Servable", name: str, version: int | None) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    found = servable.version(name, version)
    signatures = {
        key: MessageToDict(value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        for key, value in servable.versions[found].signatures.items()
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(found)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _columns(instances: Any, aliases: list[str]) -> dict[str, Any]:
    """Rows as columns by input name."""
    if not isinstance(instances, list) or not instances:
        raise Refused("Request data must have at least one instance")
    first = instances[0]
    if not isinstance(first, dict) or (set(first) == {"b64"}):
        return _named(instances, aliases)
    if any(not isinstance(row, dict) or set(row) != set(first) for row in instances):
        raise Refused("The instances have different keys")
    extra = set(first) - set(aliases)
    if extra:
        raise Refused(f"Not an input of this signature: {sorted(extra)}")
    return {key: [row[key] for row in instances] for key in first}


def _named(values: Any, aliases: list[str]) -> dict[str, Any]:
    if isinstance(values, dict) and set(values) != {"b64"}:
        return values
    if len(aliases) != 1:
        raise Refused(f"Inputs must be named: {sorted(aliases)}")
    return {aliases[0]: values}


def _rows(outputs: Tensors) -> list[Any]:
    plain = _plain_all(outputs)
    sizes = {np.shape(values)[0] if np.ndim(values) else None for values in outputs.values()}
    if len(sizes) != 1 or None in sizes:
        raise Refused("Tensors have inconsistent batch sizes: row format needs one size in all outputs")
    if len(plain) == 1:
        return next(iter(plain.values()))
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def _one_or_all(plain: dict[str, Any]) -> Any:
    return next(iter(plain.values())) if len(plain) == 1 else plain


def _plain_all(outputs: Tensors) -> dict[str, Any]:
    return {name: _plain(np.asarray(values).tolist(), name.endswith("_bytes")) for name, values in outputs.items()}


def _plain(value: Any, is_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_plain(item, is_bytes) for item in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if is_bytes else value.decode(errors="replace")
    return value
