"""TFRecord files of tf.Examples. A feature of one value is a single value, of several a list of them."""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from unstuck.data.columns import DataError, Progress
from unstuck.data.records import Placed, RecordFile
from unstuck.data.tfrecord import records
from unstuck.proto.wire.example_pb2 import Example, Feature


def open_file(path: Path, _text: frozenset[str], progress: Progress) -> RecordFile:
    """Reads the file once. Raises DataError."""
    return RecordFile(path, path.stat().st_size, lambda: _records(path), progress)


def _records(path: Path) -> Iterator[Placed]:
    for where, position, data in records(path):
        yield Placed(where, position, len(data), _values(data, f"{path}, {where}"))


def _values(data: bytes, where: str) -> dict[str, object]:
    try:
        features = Example.FromString(data).features.feature
    except DecodeError:
        raise DataError(f"{where}: it is not a tf.Example.") from None
    return {name: _value(feature) for name, feature in features.items()}


def _value(feature: Feature) -> object:
    kind = feature.WhichOneof("kind")
    values: list[object] = list(getattr(feature, kind).value) if kind else []
    return values[0] if len(values) == 1 else values or None
