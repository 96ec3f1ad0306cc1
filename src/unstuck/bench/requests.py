"""What is sent: requests of a file, or made up from the signature that the server tells of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
from google.protobuf.message import DecodeError

from unstuck.bench.slots import Destination
from unstuck.bench.target import Target
from unstuck.codecs import predict_json, predict_proto
from unstuck.core.signatures import METHOD_NAMES, Signature, Tensors
from unstuck.data.drawing import CannotDraw, draw
from unstuck.data.tfrecord import records
from unstuck.errors import SetupError, UnstuckError
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog

MOST_MADE_UP, LEAST_MADE_UP = 100, 4
MADE_UP_BYTES = 64 << 20
MOST_OF_FILE = 10_000
FILE_BYTES = 512 << 20
SEED = 11


@dataclass(frozen=True, slots=True)
class Requests:
    """What is sent, in turn.

    Attributes:
        destination: where to.
        bodies: distinct where they were made up.
        signature: that all of them call; None where a file calls several.
        source: the words for a report.
    """

    destination: Destination
    bodies: Sequence[bytes]
    signature: Signature | None
    source: str


def made_up(target: Target, signature_name: str, batch: int, timeout_s: float) -> Requests:
    """Requests of ``batch`` random rows that fit the signature.

    Raises:
        SetupError: nothing can be made up for it, it takes no batch, or the server refuses the first.
        UnstuckError: the server does not answer, or has no such signature.
    """
    signature = target.signature(signature_name)
    strings = [spec for spec in signature.inputs.values() if spec.dtype.is_string]
    of_examples = signature.method_name in (METHOD_NAMES["classify"], METHOD_NAMES["regress"])
    if of_examples and len(strings) == len(signature.inputs) == 1:
        raise _not_made_up(signature, "it takes tf.Examples, and nothing says which features they have")
    rows = _rows(signature)
    size = batch * sum(array.nbytes for array in rows[0].values())
    count = int(np.clip(MADE_UP_BYTES // max(size, 1), LEAST_MADE_UP, MOST_MADE_UP))
    inputs = _batches(signature, rows, batch, count)
    bodies = target.bodies(signature, inputs, timeout_s)
    of_rows = f"{batch} row{'s' * (batch > 1)}"
    return Requests(target.destination(signature), bodies, signature, f"{count} made-up requests of {of_rows}")


def _not_made_up(signature: Signature, why: str) -> SetupError:
    return SetupError(
        f"No requests can be made up for the signature {signature.name!r}: {why}.", hint="Give some: --requests=FILE."
    )


def _rows(signature: Signature) -> Sequence[Tensors]:
    """Distinct rows, fewer of large ones."""
    try:
        (first,) = draw(signature, 1, SEED)
        size = sum(array.nbytes for array in first.values())
        return draw(signature, int(np.clip(MADE_UP_BYTES // max(size, 1), LEAST_MADE_UP, MOST_MADE_UP)), SEED)
    except CannotDraw as why:
        raise _not_made_up(signature, str(why)) from None


def _batches(signature: Signature, rows: Sequence[Tensors], batch: int, count: int) -> Sequence[Tensors]:
    """``count`` requests: a row each, or as many as ``batch`` says, drawn from ``rows``."""
    if batch == 1:
        return rows[:count]
    fixed = [spec for spec in signature.inputs.values() if spec.shape is not None and spec.shape[:1] != (None,)]
    if fixed:
        raise SetupError(
            f"--batch={batch}: input {fixed[0].alias!r} ({fixed[0]}) has no free first dimension.", hint="Leave it out."
        )
    random = np.random.default_rng(SEED)
    whole = {alias: np.concatenate([row[alias] for row in rows]) for alias in signature.inputs}
    choices = [random.integers(0, len(rows), batch) for _ in range(count)]
    return [{alias: array[chosen] for alias, array in whole.items()} for chosen in choices]


def of_file(target: Target, path: Path, signature_name: str) -> Requests:
    """The predict bodies of a JSON Lines file, or the predict calls of a TFRecord of PredictionLog.

    A REST server gets the very lines of a file of JSON, and a gRPC server the very tensors of a log.

    Args:
        target: their receiver.
        path: the file.
        signature_name: for those that name none; empty leaves it to the server, which takes the default one.

    Raises:
        SetupError: no such file, none in it, or one that is no such request.
        UnstuckError: the server does not answer, or has no such signature.
    """
    if not path.is_file():
        raise SetupError(f"--requests={path} {'is not a file' if path.exists() else 'does not exist'}.")
    reader = _Reader(target, signature_name)
    read = reader.logged(path) if path.suffix in (".tfrecord", ".tfrecords") else reader.lines(path)
    bodies: list[bytes] = []
    size = 0
    for body in islice(read, MOST_OF_FILE):
        bodies.append(body)
        size += len(body)
        if size > FILE_BYTES:
            break
    if not bodies:
        raise SetupError(f"--requests={path} holds no predict request.")
    signatures = [target.signature(name) for name in sorted(reader.names)]
    destination = target.destination(signatures[0])
    only = signatures[0] if len(signatures) == 1 else None
    return Requests(destination, bodies, only, f"{len(bodies):,} requests of {path.name}")


class _Reader:
    """Reads bodies for a target; ``names`` are the signatures that they call."""

    def __init__(self, target: Target, signature_name: str) -> None:
        self.names: set[str] = set()
        self._target = target
        self._default = signature_name or "serving_default"
        self._signatures = target.metadata().signatures

    def lines(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield self._of_json(line.strip(), f"--requests={path}, line {number}")

    def _of_json(self, line: bytes, where: str) -> bytes:
        try:
            document: object = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SetupError(f"{where}: it is not JSON: {error}.") from None
        if not isinstance(document, dict):
            raise SetupError(f"{where}: expected a JSON object, got {type(document).__name__}.")
        fields = cast("dict[str, Any]", document)
        named = fields.get("signature_name")
        signature = self._signature(str(named or self._default), where)
        if not self._target.address.is_grpc:
            return line if named or signature.name == "serving_default" else _naming(fields, signature)
        try:
            return self._target.body(signature, predict_json.parse(line).bind(signature))
        except UnstuckError as error:
            raise SetupError(f"{where}: {error}") from None

    def logged(self, path: Path) -> Iterator[bytes]:
        for each in records(path):
            where = f"--requests={path}, {each.where}"
            try:
                log = PredictionLog.FromString(each.data)
            except DecodeError:
                raise SetupError(f"{where}: it is not a PredictionLog.") from None
            if log.WhichOneof("log_type") == "predict_log":
                yield self._of_log(log, where)

    def _of_log(self, log: PredictionLog, where: str) -> bytes:
        sent = log.predict_log.request
        signature = self._signature(sent.model_spec.signature_name or self._default, where)
        try:
            return self._target.body(signature, predict_proto.parse(sent.SerializeToString()).bind(signature))
        except UnstuckError as error:
            raise SetupError(f"{where}: {error}") from None

    def _signature(self, name: str, where: str) -> Signature:
        if name not in self._signatures:
            raise SetupError(f"{where}: the model has no signature {name!r}; it has {', '.join(self._signatures)}.")
        self.names.add(name)
        return self._signatures[name]


def _naming(fields: dict[str, Any], signature: Signature) -> bytes:
    return orjson.dumps({"signature_name": signature.name, **fields})
