"""Which preprocessing a graph does itself, so that clients must not: told by its ops and by Keras' layer names."""

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from unstuck.core.inspection import Step
from unstuck.engines.tensorflow.meta_graph import node_name

_KINDS = {
    "parses tf.Examples": re.compile(r"Parse(Single|Sequence|SingleSequence)?Example(V2)?"),
    "decodes images": re.compile(r"Decode(Image|Jpeg|Png|Bmp|Gif|WebP|AndCropJpeg)"),
    "resizes images": re.compile(r"Resize\w+|CropAndResize|ScaleAndTranslate|ExtractGlimpse\w*"),
    "decodes audio": re.compile(r"DecodeWav|AudioSpectrogram|Mfcc"),
    "decodes other formats": re.compile(r"Decode(Base64|CSV|Raw|PaddedRaw|Compressed|JSONExample|ProtoV2)"),
    "transforms strings": re.compile(
        r"String(Lower|Upper|Strip|Split|SplitV2|NGrams|Join|ToNumber|Format)|(Static)?RegexReplace|Substr|AsString"
        r"|Unicode\w+|CaseFoldUTF8|NormalizeUTF8\w*"
    ),
    "splits text into tokens": re.compile(
        r"TFText>\w*|Sentencepiece\w+|\w*Wordpiece\w*|Whitespace\w+|RegexSplitWithOffsets|FastBertNormalize"
    ),
    "hashes strings": re.compile(r"StringToHashBucket(Fast|Strong)?"),
    "looks up tables": re.compile(r"LookupTableFind(V2)?"),
    "sorts numbers into buckets": re.compile(r"Bucketize"),
}
_SCALES = re.compile(r"(?:^|/)((?:rescaling|normalization|normalize)(?:_\d+)?)/")
_ARITHMETIC = {"Mul": "times", "RealDiv": "divided by", "Sub": "minus", "Add": "plus", "AddV2": "plus"}
FLOAT, MAX_PASSED = 1, 8


def steps(run: Mapping[tuple[str, str], Any]) -> Iterator[Step]:
    """What the nodes ``run``, each by its function's name and its own, do to inputs before a model sees them."""
    counts = Counter(node.op for node in run.values())
    for what, pattern in _KINDS.items():
        if how := [op for op in sorted(counts) if pattern.fullmatch(op)]:
            yield Step(what, tuple(how))
    if scales := sorted({text for (body, _), node in run.items() if (text := _scaling(run, body, node))}):
        yield Step("rescales numbers", tuple(scales))


def _scaling(run: Mapping[tuple[str, str], Any], body: str, node: Any) -> str:
    layer = _SCALES.search(node.name)
    if layer is None or node.op not in _ARITHMETIC:
        return ""
    values = [value for tensor in node.input if (value := _constant(run, body, tensor)) is not None]
    by = f"{_ARITHMETIC[node.op]} {values[0]:g}" if values else f"{_ARITHMETIC[node.op]} values of the model"
    return f"{layer[1]}: {by}"


def _constant(run: Mapping[tuple[str, str], Any], body: str, tensor: str) -> float | None:
    """The value of a float scalar's constant, through casts and identities."""
    for _ in range(MAX_PASSED):
        node = run.get((body, node_name(tensor)))
        if node is None:
            return None
        if node.op == "Const":
            return _scalar(node.attr["value"].tensor)
        if node.op not in ("Cast", "Identity", "ReadVariableOp") or not node.input:
            return None
        tensor = node.input[0]
    return None


def _scalar(tensor: Any) -> float | None:
    if tensor.tensor_shape.dim:
        return None
    if tensor.dtype == FLOAT and len(tensor.tensor_content) == struct.calcsize("<f"):
        return struct.unpack("<f", tensor.tensor_content)[0]
    for values in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
        if len(values):
            return float(values[0])
    return None
