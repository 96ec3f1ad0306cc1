"""Serialised tf.Examples as what they hold, so that one of their features can be moved like an input."""

import numpy as np
from google.protobuf.message import DecodeError

from unstuck.doctor.experiments.explaining import Run
from unstuck.doctor.experiments.transformations import Array, Arrays, Batch
from unstuck.proto.wire.example_pb2 import Example


def unpacked(batch: Arrays) -> Batch | None:
    """By feature, the values of a lone input's tf.Examples, rows first; None where it holds anything else."""
    rows = next(iter(batch.values()))
    if len(batch) > 1 or rows.dtype != object or rows.ndim != 1 or not len(rows):
        return None
    try:
        examples = [Example.FromString(row).features.feature for row in rows.tolist()]
    except (DecodeError, TypeError):
        return None
    found: Batch = {}
    for name in sorted(examples[0]):
        if any(name not in each for each in examples):
            return None
        kinds = {each[name].WhichOneof("kind") for each in examples}
        values = [list(getattr(each[name], kind).value) for each in examples for kind in kinds if kind]
        if len(kinds) > 1 or len(values) < len(rows) or len({len(each) for each in values}) > 1 or not values[0]:
            return None
        array = np.array(values, object if "bytes_list" in kinds else None)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        found[name] = array[:, 0] if array.shape[1] == 1 else array
    return found or None


def packing(run: Run, alias: str) -> Run:
    """``run``, which takes tf.Examples as input ``alias``, for what ``unpacked`` gives."""
    return lambda batch: run({alias: _packed(batch)})


def _packed(batch: Arrays) -> Array:
    rows = len(next(iter(batch.values())))
    found = np.empty(rows, object)
    for at in range(rows):
        example = Example()
        for name, values in batch.items():
            feature = example.features.feature[name]
            own = np.asarray(values[at]).ravel().tolist()
            kinds = {"f": feature.float_list, "i": feature.int64_list, "u": feature.int64_list}
            kinds.get(values.dtype.kind, feature.bytes_list).value.extend(own)
        found[at] = example.SerializeToString()
    return found
