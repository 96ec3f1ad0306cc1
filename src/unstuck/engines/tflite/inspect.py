"""What a TensorFlow Lite file says of itself, read without a runtime."""

from collections.abc import Iterator, Set
from pathlib import Path

from unstuck.core.inspection import Inspection, OpCount, Step
from unstuck.engines.tflite import graph, model_file
from unstuck.engines.tflite.ops import NAMES

_STEPS = {
    "looks up tables": {"HASHTABLE_FIND", "HASHTABLE_LOOKUP"},
    "resizes images": {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"},
    "parses tf.Examples": graph.PARSERS,
    "reads sound": {"Mfcc", "AudioSpectrogram", "RFFT2D"},
    "buckets numbers": {"BUCKETIZE"},
}


def inspect(version_path: Path) -> Inspection:
    """What the TensorFlow Lite model in ``version_path`` holds.

    Raises:
        LoadFailed: it is not a TensorFlow Lite model, or one that cannot be served.
    """
    path = model_file(version_path)
    model = graph.read_model(path)
    counts = graph.op_counts(model)
    facts = {"exported by": model.description or "an unknown program"}
    if not model.has_own_signatures:
        facts["signature"] = "made of the tensors' names: the file has none"
    return Inspection(
        format="TensorFlow Lite model",
        signatures={name: entry.signature for name, entry in model.entries.items()},
        facts=facts,
        size_bytes=path.stat().st_size,
        preprocessing=tuple(_steps(counts.keys())),
        ops=tuple(OpCount(op, count, _warning(op)) for op, count in counts.most_common()),
    )


def _steps(ops: Set[str]) -> Iterator[Step]:
    for what, kinds in _STEPS.items():
        if how := sorted(kinds & ops):
            yield Step(what, tuple(how))


def _warning(op: str) -> str:
    if op in graph.RANDOM:
        return "draws random numbers: equal calls get other answers"
    if op in graph.WRITES:
        return "changes a variable: a call may change what later ones get"
    if op.startswith(graph.FLEX):
        return "is an op of TensorFlow, which LiteRT does not have"
    if op not in NAMES and op not in graph.PURE_CUSTOM:
        return "is a custom op"
    return ""
