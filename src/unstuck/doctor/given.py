"""What the user handed over as files, read: requests, training data, golden rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
from google.protobuf.message import DecodeError

from unstuck.codecs import golden_json, predict_json, predict_proto
from unstuck.codecs.golden_json import Golden
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.data import sample
from unstuck.data.tfrecord import CutOff, records
from unstuck.errors import SetupError, UnstuckError
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog

MAX_REQUESTS = 2000
SEED = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a client sends it.

    Attributes:
        line: its line in the file.
        signature: the name of the signature that it calls.
        body: the REST body; empty for a logged gRPC call.
        inputs: the tensors that it becomes, by alias; empty where it does not fit the signature.
        error: why it does not fit; None where it does.
        document: the JSON as sent.
    """

    line: int
    signature: str
    body: bytes
    inputs: Tensors
    error: UnstuckError | None = None
    document: Any = None


def read_requests(path: Path, signatures: Mapping[str, Signature], default: str) -> list[Request]:
    """The predict bodies of a JSON Lines file, or the predict calls of a request log, bound to their signatures.

    Args:
        path: JSON Lines, or a TFRecord of PredictionLog.
        signatures: the model's.
        default: the signature of a body that names none.

    Raises:
        SetupError: no such file, or a line that is no JSON object, or a record that is no PredictionLog.
    """
    if path.suffix in (".tfrecord", ".tfrecords"):
        whole = enumerate(_whole_records(path), 1)
        read = (_logged(path, number, record, signatures, default) for number, record in whole)
    else:
        read = (_request(path, number, line, signatures, default) for number, line in _lines(path))
    return list(islice((each for each in read if each is not None), MAX_REQUESTS))


def _whole_records(path: Path) -> Iterator[bytes]:
    """Without the one that a killed server may have left unfinished at the end."""
    count = 0
    try:
        for each in records(path):
            count += 1
            yield each.data
    except CutOff:
        if not count:
            raise


def _logged(
    path: Path, number: int, record: bytes, signatures: Mapping[str, Signature], default: str
) -> Request | None:
    """A logged predict call; None for a call of another method."""
    try:
        log = PredictionLog.FromString(record)
    except DecodeError:
        raise SetupError(f"{path}, record {number}: it is not a PredictionLog.") from None
    if log.WhichOneof("log_type") != "predict_log":
        return None
    sent = log.predict_log.request
    name = sent.model_spec.signature_name or default
    if name not in signatures:
        return Request(number, name, b"", {}, _no_such(name, signatures))
    try:
        return Request(number, name, b"", predict_proto.parse(sent.SerializeToString()).bind(signatures[name]))
    except UnstuckError as error:
        return Request(number, name, b"", {}, error)


def _no_such(name: str, signatures: Mapping[str, Signature]) -> SetupError:
    return SetupError(f"There is no signature {name!r}; there are {', '.join(map(repr, signatures))}.")


def _request(path: Path, number: int, line: bytes, signatures: Mapping[str, Signature], default: str) -> Request:
    document = _json(path, number, line)
    name = document.get("signature_name") or default
    try:
        if name not in signatures:
            return Request(number, name, line, {}, _no_such(name, signatures))
        return Request(number, name, line, predict_json.parse(line).bind(signatures[name]), None, document)
    except UnstuckError as error:
        return Request(number, name, line, {}, error, document)


def read_golden(path: Path, signature: Signature) -> list[Golden]:
    """The golden rows of a JSON Lines file that name ``signature`` or none; all of them where there are no such.

    Raises:
        SetupError: no such file, or a line that is not of the form, or does not fit the signature.
    """
    lines = golden_json.parse(_content(path), path).lines
    meant = [each for each in lines if each.signature_name in ("", signature.name)]
    return [golden_json.bind(each, path, signature, as_declared=False) for each in meant or lines]


def read_training(path: Path, signature: Signature, rows: int) -> dict[str, Tensor]:
    """A uniform sample of the training data, by input alias, in the inputs' dtypes, rows first.

    Columns ``x_0`` … ``x_n``, or as many columns as a vector input is long where it is the only one, are one input.

    Raises:
        SetupError: no such file, or columns that are not the signature's inputs.
    """
    text = [alias for alias, spec in signature.inputs.items() if spec.dtype.is_string]
    columns = sample(path, rows, SEED, text=text)
    found = {alias: _fitted(alias, spec, columns, signature) for alias, spec in signature.inputs.items()}
    missing = sorted(alias for alias, values in found.items() if values is None)
    if missing:
        raise SetupError(
            f"{path} has no values for the inputs {', '.join(missing)}; its columns are {', '.join(columns)}.",
            hint="Name the columns as the signature's inputs.",
        )
    return {alias: values for alias, values in found.items() if values is not None}


def _fitted(alias: str, spec: TensorSpec, columns: Mapping[str, Tensor], signature: Signature) -> Tensor | None:
    array = columns.get(alias)
    if array is None:
        parts = [name for name in columns if name.startswith(f"{alias}_")]
        if not parts and len(signature.inputs) == 1 and spec.shape and spec.shape[-1] == len(columns):
            parts = list(columns)
        if not parts and len(signature.inputs) == 1 and len(columns) == 1:
            parts = list(columns)
        if not parts:
            return None
        array = columns[parts[0]] if len(parts) == 1 else np.stack([columns[name] for name in parts], axis=-1)
    if spec.dtype.is_string:
        if array.dtype != object:
            array = np.array([str(each).encode() for each in array.ravel()], object).reshape(array.shape)
    elif spec.dtype.numpy is not None and array.dtype != object:
        array = array.astype(spec.dtype.numpy)
    if spec.shape is not None and array.ndim == len(spec.shape) - 1 and spec.shape[-1] in (1, None):
        array = array[..., None]
    return array


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(_content(path).split(b"\n"), 1):
        if line.strip():
            yield number, line.strip()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}.") from None


def _json(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        document: object = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SetupError(f"{path}, line {number}: it is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise SetupError(f"{path}, line {number}: expected a JSON object, got {type(document).__name__}.")
    return cast("dict[str, Any]", document)


def stacked(rows: Sequence[Tensors]) -> dict[str, Tensor] | None:
    """Rows as one batch; None where their shapes differ."""
    found: dict[str, Tensor] = {}
    for alias in rows[0]:
        arrays = [np.asarray(row[alias]) for row in rows]
        if len({array.shape[1:] for array in arrays}) > 1 or arrays[0].ndim == 0:
            return None
        found[alias] = np.concatenate(arrays)
    return found
