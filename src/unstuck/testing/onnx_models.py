"""Small ONNX models with known answers: ``half_plus_two(path)`` writes ``path/1/model.onnx``.

Each function takes the model's base path, which it creates, and a version, and returns the version's folder. Shapes are
written as in ``unstuck.testing.models``. Importing this module imports neither onnx nor ONNX Runtime.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OPSET, IR_VERSION = 18, 9  # old enough for every ONNX Runtime that the engine takes
# fmt: off
DTYPES = {
    "float16": "FLOAT16", "bfloat16": "BFLOAT16", "float32": "FLOAT", "float64": "DOUBLE",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "bool": "BOOL", "string": "STRING",
}
# fmt: on

Specs = Mapping[str, tuple[str, Sequence[int | str | None] | None]]
Node = tuple[str, str, str, Mapping[str, Any]]  # an op, its inputs and its outputs by name, its attributes


def half_plus_two(base_path: Path, version: int = 1) -> Path:
    """y = x / 2 + 2: float [-1,1] both. Its weights are listed as inputs too, as exporters before IR version 4 did."""
    return _save(
        base_path,
        version,
        [("Mul", "x a", "half", {}), ("Add", "half b", "y", {})],
        {"x": ("FLOAT", ["batch", 1]), "a": ("FLOAT", [1]), "b": ("FLOAT", [1])},
        {"y": ("FLOAT", ["batch", 1])},
        {"a": ("FLOAT", [1], [0.5]), "b": ("FLOAT", [1], [2.0])},
    )


def multi_io(base_path: Path, version: int = 1) -> Path:
    """The default signature of ``unstuck.testing.models.multi_io``; ``c`` must be UTF-8."""
    nodes: list[Node] = [
        ("ReduceSum", "a one", "sums", {"keepdims": 0}),
        ("Cast", "b", "b_float", {"to": 1}),
        ("Add", "sums b_float", "total", {}),
        ("Add", "b b", "doubled", {}),
        # ONNX Runtime refuses to put no strings at all into capitals: one more goes in, and is cut off again.
        ("Concat", "c more", "longer", {"axis": 0}),
        ("StringNormalizer", "longer", "longer_shouted", {"case_change_action": "UPPER", "locale": "C"}),
        ("Slice", "longer_shouted zero minus_one", "shouted", {}),
        ("Unsqueeze", "c one", "column", {}),
        ("Concat", "column column", "pair_bytes", {"axis": 1}),
    ]
    return _save(
        base_path,
        version,
        nodes,
        {"c": ("STRING", ["n"]), "a": ("FLOAT", ["n", 2]), "b": ("INT64", ["m"])},
        {"total": ("FLOAT", None), "shouted": ("STRING", ["n"]), "pair_bytes": ("STRING", ["n", 2]), "doubled": _IDS},
        {
            "zero": ("INT64", [1], [0]),
            "one": ("INT64", [1], [1]),
            "minus_one": ("INT64", [1], [-1]),
            "more": ("STRING", [1], [b"x"]),
        },
    )


def dtypes(base_path: Path, version: int = 1) -> Path:
    """Each of its inputs again: ``x_NAME`` to ``y_NAME``, [?] both, for every name in ``DTYPES`` but bfloat16."""
    return _echo(base_path, version, {name: kind for name, kind in DTYPES.items() if name != "bfloat16"})


def bfloat16(base_path: Path, version: int = 1) -> Path:
    """As ``dtypes``, for bfloat16 and float32."""
    return _echo(base_path, version, {name: DTYPES[name] for name in ("bfloat16", "float32")})


def strings_and_bfloat16(base_path: Path, version: int = 1) -> Path:
    """As ``dtypes``, for two that ONNX Runtime cannot take in one call; cannot be loaded."""
    return _echo(base_path, version, {name: DTYPES[name] for name in ("bfloat16", "string")})


def noise(base_path: Path, version: int = 1) -> Path:
    """Random numbers of x's shape, drawn in a branch: x float [-1] and ``drawn`` bool [] to ``y`` float [-1]."""
    helper = _onnx().helper

    branches = {
        name: helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [_value(name, "FLOAT", None)])
        for name, op in (("then_branch", "RandomNormalLike"), ("else_branch", "Identity"))
    }
    inputs: Specs = {"x": ("FLOAT", ["n"]), "drawn": ("BOOL", [])}
    return _save(base_path, version, [("If", "drawn", "y", branches)], inputs, {"y": ("FLOAT", ["n"])})


def label_and_map(base_path: Path, version: int = 1) -> Path:
    """A classifier as scikit-learn's are converted: x float [-1,2] to ``label`` int64 [-1] and a sequence of maps."""
    nodes: list[Node] = [
        ("ArgMax", "x", "label", {"axis": 1, "keepdims": 0}),
        ("ZipMap", "x", "probabilities", {"classlabels_int64s": [0, 1], "domain": "ai.onnx.ml"}),
    ]
    outputs: Specs = {"label": _IDS, "probabilities": ("MAPS", None)}
    return _save(base_path, version, nodes, {"x": ("FLOAT", ["n", 2])}, outputs)


def custom_op(base_path: Path, version: int = 1) -> Path:
    """An op that no runtime has; cannot be loaded."""
    return _save(base_path, version, [("Foo", "x", "y", {"domain": "acme.ops"})], {"x": _ROW}, {"y": _ROW})


def future_opset(base_path: Path, version: int = 1) -> Path:
    """An opset that no release of ONNX has; cannot be loaded."""
    return _save(base_path, version, [("Identity", "x", "y", {})], {"x": _ROW}, {"y": _ROW}, opset=999)


def external_weights(base_path: Path, version: int = 1) -> Path:
    """y = x + 1, float [1000] both, with its weights in ``weights.bin``."""
    weights = {"w": ("FLOAT", [1000], [1.0] * 1000)}
    specs: Specs = {"x": ("FLOAT", [1000])}
    path = _save(base_path, version, [("Add", "x w", "y", {})], specs, {"y": ("FLOAT", [1000])}, weights)
    onnx = _onnx()

    model = onnx.load(path / "model.onnx")
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(
        onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
    )  # as raw data, which may move
    onnx.save(model, path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def _onnx() -> Any:
    import onnx

    return onnx


def _echo(base_path: Path, version: int, kinds: Mapping[str, str]) -> Path:
    nodes: list[Node] = [("Identity", f"x_{name}", f"y_{name}", {}) for name in kinds]
    inputs, outputs = ({f"{side}_{name}": (kind, None) for name, kind in kinds.items()} for side in "xy")
    return _save(base_path, version, nodes, inputs, outputs)


_IDS = ("INT64", ["n"])
_ROW = ("FLOAT", ["n"])


def _value(name: str, kind: str, shape: Sequence[int | str | None] | None) -> Any:
    onnx = _onnx()
    types, helper = onnx.TensorProto, onnx.helper

    if kind == "MAPS":
        floats = helper.make_tensor_type_proto(types.FLOAT, [])
        maps = helper.make_map_type_proto(types.INT64, floats)
        return helper.make_value_info(name, helper.make_sequence_type_proto(maps))
    return helper.make_tensor_value_info(name, types.DataType.Value(kind), shape)


def _save(
    base_path: Path,
    version: int,
    nodes: Sequence[Node],
    inputs: Specs,
    outputs: Specs,
    weights: Mapping[str, tuple[str, Sequence[int], Sequence[Any]]] | None = None,
    *,
    opset: int = OPSET,
) -> Path:
    onnx = _onnx()
    types, helper = onnx.TensorProto, onnx.helper

    made = [helper.make_node(op, taken.split(), given.split(), **attributes) for op, taken, given, attributes in nodes]
    tensors = [
        helper.make_tensor(name, types.DataType.Value(kind), dims, values)
        for name, (kind, dims, values) in (weights or {}).items()
    ]
    graph = helper.make_graph(
        made,
        base_path.name,
        [_value(name, *spec) for name, spec in inputs.items()],
        [_value(name, *spec) for name, spec in outputs.items()],
        initializer=tensors,
    )
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(domain, 1) for domain in sorted({node.domain for node in made} - {""})]
    path = base_path / str(version)
    path.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="unstuck.testing")
    onnx.save(model, path / "model.onnx")
    return path
