"""``unstuck inspect``: what a model takes and gives, what is in its graph, how to call it; without its framework."""

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import quote, urlsplit

import orjson

from unstuck.cli import calls
from unstuck.cli.api_key import API_KEY_FILE, api_key
from unstuck.cli.endpoint import Endpoint, is_served
from unstuck.cli.on_disk import find
from unstuck.config import flags, serve_flags
from unstuck.config.flag_values import read_bool
from unstuck.config.flags import Flag, FlagError
from unstuck.config.settings import DEFAULT_GRPC_PORT, DEFAULT_REST_PORT
from unstuck.core.inspection import Inspection, why_not_batched
from unstuck.core.signatures import Signature, TensorSpec

WIDTH = 80
_TOGETHER = "\N{NO-BREAK SPACE}"
MAX_BODY = 60  # of a request that is written out; a longer one is made by Python
JSON: Flag[bool] = Flag("json", read_bool, False, "", "print everything as JSON", boolean=True)
FLAGS: tuple[Flag[object], ...] = (JSON, serve_flags.TAGS, API_KEY_FILE, flags.HELP)  # type: ignore[assignment]

USAGE = """\
Usage: unstuck inspect PATH [--json] [--saved_model_tags=TAGS]

PATH is what unstuck serve takes: a SavedModel, an .onnx or .tflite file, or a
folder with numbered versions, of which the newest is shown. Or the URL of a
served model: http://HOST:8501/v1/models/NAME, of this server or of TensorFlow
Serving; its API key, if it wants one, is in --api_key_file=FILE or in the
environment variable UNSTUCK_API_KEY."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was inspected: where it is, the name and the version it is served as, and where to call it."""

    where: str
    model: str
    version: int
    inspection: Inspection
    url: str
    grpc_address: str


def run(arguments: Sequence[str]) -> int:
    """Prints the inspection; returns the exit status.

    Raises:
        UnstuckError: wrong flags, or nothing there that can be inspected.
    """
    parsed = flags.parse(arguments, FLAGS)
    if parsed.get(flags.HELP):
        print(USAGE)
        return 0
    if len(parsed.positional) != 1:
        raise FlagError(
            f"Expected one path or URL, got {len(parsed.positional)}.", hint="unstuck inspect --help says more."
        )
    (where,) = parsed.positional
    subject = _served(where, api_key(parsed)) if is_served(where) else _on_disk(where, parsed.get(serve_flags.TAGS))
    try:
        if parsed.get(JSON):
            print(orjson.dumps(as_json(subject), option=orjson.OPT_INDENT_2).decode())
        else:
            print("\n".join(as_text(subject)))
        sys.stdout.flush()
    except BrokenPipeError:  # its reader has seen enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _served(url: str, key: str) -> Subject:
    endpoint = Endpoint(url, key)
    inspection, version = endpoint.inspect()
    host = urlsplit(endpoint.server).hostname or "localhost"
    grpc_address = f"[{host}]:{DEFAULT_GRPC_PORT}" if ":" in host else f"{host}:{DEFAULT_GRPC_PORT}"
    return Subject(url, endpoint.model, version, inspection, endpoint.url, grpc_address)


def _on_disk(where: str, tags: tuple[str, ...]) -> Subject:
    found = find(where, tags)
    url = f"http://localhost:{DEFAULT_REST_PORT}/v1/models/{quote(found.name)}"
    grpc_address = f"localhost:{DEFAULT_GRPC_PORT}"
    inspection = found.engine.inspect(found.version.path)
    return Subject(str(found.version.path), found.name, found.version.version, inspection, url, grpc_address)


def as_json(subject: Subject) -> dict[str, object]:
    """Everything, as values of JSON; sizes of dimensions that are open are -1, shapes of any rank null."""
    found = subject.inspection
    return {
        "path": subject.where,
        "model": subject.model,
        "version": subject.version,
        "format": found.format,
        "size_bytes": found.size_bytes,
        "facts": dict(found.facts),
        "signatures": {name: _signature_json(subject, each) for name, each in found.signatures.items()},
        "assets": [asdict(each) for each in found.assets],
        "tables": [asdict(each) for each in found.tables],
        "preprocessing": [asdict(each) for each in found.preprocessing],
        "ops": [asdict(each) for each in found.ops],
    }


def _signature_json(subject: Subject, signature: Signature) -> dict[str, object]:
    def spec(each: TensorSpec) -> dict[str, object]:
        shape = None if each.shape is None else [-1 if size is None else size for size in each.shape]
        return {"dtype": each.dtype.name, "shape": shape, "tensor": each.name}

    return {
        "inputs": {alias: spec(each) for alias, each in signature.inputs.items()},
        "outputs": {alias: spec(each) for alias, each in signature.outputs.items()},
        "method_name": signature.method_name,
        "takes_examples": signature.takes_examples,
        "can_batch": not why_not_batched(signature),
        "why_not_batched": why_not_batched(signature),
        "requests": _requests(subject, signature),
    }


def _requests(subject: Subject, signature: Signature) -> dict[str, str]:
    url = f"{subject.url}:predict"
    curl = calls.call(signature, url, max_body=MAX_BODY).removeprefix("takes tf.Examples: ")
    return {
        "curl": " \\\n  http".join(curl.rsplit(" http", 1)) if "curl " in curl else "",
        "python": calls.python(signature, url),
        "grpc": calls.grpc_python(signature, subject.model, subject.grpc_address),
    }


def as_text(subject: Subject) -> Iterator[str]:
    """Lines of at most 80 columns, but for names and requests that are longer by themselves."""
    found = subject.inspection
    yield _shown(subject.where)
    size = f", {_size(found.size_bytes)}" if found.size_bytes is not None else ""
    yield f"  {found.format}: model {_shown(subject.model)}, version {subject.version}{size}"
    for name, fact in found.facts.items():
        yield from _entry(_shown(name), _shown(fact))
    for signature in found.signatures.values():
        yield from _signature_text(signature)
    yield from _section("Assets", [(each.name, _size(each.size_bytes)) for each in found.assets])
    tables = [
        (
            each.name,
            f"{each.op}, {'an unknown number of' if each.entries is None else f'{each.entries:,}'} entries"
            + (f" from {each.source}" if each.source else ""),
        )
        for each in found.tables
    ]
    yield from _section("Tables", tables)
    yield from _section(
        "Preprocessing that the graph does itself",
        [(each.what, ", ".join(each.how)) for each in found.preprocessing],
    )
    yield from _section("Warnings", [(each.op, each.warning) for each in found.ops if each.warning])
    if found.ops:
        listed = ", ".join(f"{_shown(each.op)}{_TOGETHER}{each.count:,}" for each in found.ops)
        yield from ("", f"Ops: {sum(each.count for each in found.ops):,} of {len(found.ops):,} kinds")
        lines = textwrap.wrap(listed, WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
        yield from (line.replace(_TOGETHER, " ") for line in lines)
    for signature in found.signatures.values():
        yield from ("", f"Call {_shown(signature.name)}")
        for title, text in _requests(subject, signature).items():
            if text:
                yield from ("", f"# {_TITLES[title]}", *text.splitlines())  # not indented: Python is pasted as it is


_TITLES = {"curl": "shell", "python": "Python, REST", "grpc": "Python, gRPC (pip install tensorflow-serving-api)"}


def _signature_text(signature: Signature) -> Iterator[str]:
    reason = why_not_batched(signature)
    yield from ("", f"Signature {_shown(signature.name)}")
    examples = "; takes serialised tf.Examples" if signature.takes_examples else ""
    yield from _entry("method", f"{_shown(signature.method_name) or '(none)'}{examples}")
    yield from _entry("batches", f"no: {_shown(reason)}" if reason else "yes: every first dimension is open")
    for title, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, spec in specs.items():
            yield from _entry(title, f"{_shown(alias)}: {spec}")


def _section(title: str, entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    if entries:
        yield from ("", title)
        for name, text in entries:
            yield from _entry(_shown(name), _shown(text))


def _entry(name: str, text: str) -> list[str]:
    first = f"  {name:13} "
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * 16, break_long_words=False) or [
        first
    ]


def _shown(text: str) -> str:
    """``text`` of a model's author, without what would command the terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _size(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if size_bytes < 1000 * factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes / 1e9:.1f} GB"
