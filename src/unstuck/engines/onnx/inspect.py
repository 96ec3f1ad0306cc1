"""Reads an ONNX model's file without ONNX Runtime."""

import math
from collections.abc import Iterator
from pathlib import Path

from unstuck.core.inspection import Asset, Inspection, OpCount, Step, Table
from unstuck.engines.onnx import graph, model_file
from unstuck.proto.wire.onnx_pb2 import ModelProto, NodeProto

_KINDS = {
    "decodes images": {"ImageDecoder"},
    "resizes images": {"Resize", "Upsample"},
    "transforms strings": {
        "StringNormalizer",
        "StringSplit",
        "StringConcat",
        "RegexFullMatch",
        "com.microsoft.Tokenizer",
    },
    "looks up tables": {"ai.onnx.ml.LabelEncoder", "ai.onnx.ml.CategoryMapper", "TfIdfVectorizer"},
    "rescales numbers": {"ai.onnx.ml.Scaler", "ai.onnx.ml.Normalizer", "ai.onnx.ml.Imputer"},
    "encodes categories": {"ai.onnx.ml.OneHotEncoder", "ai.onnx.ml.DictVectorizer", "ai.onnx.ml.FeatureVectorizer"},
}
_ENTRIES = ("keys_strings", "keys_int64s", "keys_floats", "cats_strings", "cats_int64s", "pool_strings", "pool_int64s")
_ARITHMETIC = frozenset({"Mul", "Div", "Sub", "Add"})
MANY = 5  # elements that are weights, not the scale of a channel
_PASS_ON = frozenset({"Cast", "Identity", "Transpose", "Reshape", "Unsqueeze", "Squeeze"})


def inspect(version_path: Path) -> Inspection:
    """What the ONNX model in ``version_path`` holds.

    Raises:
        LoadFailed: it is not an ONNX model, or one that cannot be served.
    """
    path = model_file(version_path)
    model = graph.read_model(path)
    signature = graph.signature_of(model, path)
    weights = [path.parent / name for name in graph.external_files(model)]
    assets = [Asset(file.name, file.stat().st_size) for file in weights if file.is_file()]
    return Inspection(
        format="ONNX model",
        signatures={signature.name: signature},
        facts=_facts(model, [file.name for file in weights if not file.is_file()]),
        size_bytes=path.stat().st_size + sum(asset.size_bytes for asset in assets),
        assets=tuple(assets),
        tables=tuple(_tables(model)),
        preprocessing=tuple(_steps(model)),
        ops=tuple(OpCount(op, count, _warning(op, model)) for op, count in graph.op_counts(model).most_common()),
    )


def _facts(model: ModelProto, missing: list[str]) -> dict[str, str]:
    facts = {
        "exported by": f"{model.producer_name} {model.producer_version}".strip() or "an unknown program",
        "opset": ", ".join(f"{each.domain or 'ai.onnx'} {each.version}" for each in model.opset_import),
        "IR version": str(model.ir_version),
    }
    if missing:
        facts["missing"] = f"{', '.join(missing)}: the weights are kept there"
    for name, kind in graph.not_tensors(model).items():
        facts[f"left out: {name}"] = f"is {kind}, which no answer can hold"
    return facts


def _warning(op: str, model: ModelProto) -> str:
    if op in graph.RANDOM:
        return "draws random numbers: equal calls get other answers"
    domain = op.rpartition(".")[0]
    if domain in graph.PURE_DOMAINS or domain in {function.domain for function in model.functions}:
        return ""
    return f"is a custom op of {domain}, which ONNX Runtime does not have"


def _tables(model: ModelProto) -> Iterator[Table]:
    for node in graph.nodes(model):
        for attribute in node.attribute:
            if attribute.name in _ENTRIES:
                entries = len(attribute.strings) or len(attribute.ints) or len(attribute.floats)
                yield Table(node.name or node.output[0], node.op_type, entries, "constants in the graph")


def _steps(model: ModelProto) -> Iterator[Step]:
    ops = graph.op_counts(model)
    for what, kinds in _KINDS.items():
        how = sorted(kinds & ops.keys())
        if what == "rescales numbers":
            how += _scalings(model)
        if how:
            yield Step(what, tuple(how))


def _scalings(model: ModelProto) -> list[str]:
    """Arithmetic with a constant or one for each channel, between an input and the first op that is more than that."""
    sizes = {each.name: math.prod(each.dims) for each in model.graph.initializer}
    sizes |= {node.output[0]: math.prod(node.attribute[0].t.dims) for node in model.graph.node if _is_constant(node)}
    takers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    found: list[str] = []
    for value in model.graph.input:
        name, scalings = value.name, list[str]()
        seen = {*sizes}
        while name not in seen and len(takers.get(name, [])) == 1 and takers[name][0].output:
            seen.add(name)
            (node,) = takers[name]
            if node.op_type in _ARITHMETIC and all(sizes.get(other, MANY) < MANY for other in {*node.input} - {name}):
                scalings.append(f"{value.name}: {node.op_type} with a constant")
            elif node.op_type not in _PASS_ON:
                found += scalings
                break
            name = node.output[0]
    return found


def _is_constant(node: NodeProto) -> bool:
    return node.op_type == "Constant" and len(node.attribute) == 1
