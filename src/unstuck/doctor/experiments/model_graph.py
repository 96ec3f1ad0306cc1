"""Reads the graph: what each output depends on, weights, tables, missing files."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from unstuck.core.inspection import Table
from unstuck.core.signatures import Tensor
from unstuck.core.tracing import TracedGraph, TracedNode
from unstuck.doctor.evidence.model_graph import ModelGraph, TableFacts, WeightFacts
from unstuck.doctor.experiments.stand_ins import stand_in
from unstuck.doctor.lab import Lab
from unstuck.errors import LoadFailed

# Their results depend on the shape or the type of what they are given, not on its values.
VALUELESS = frozenset(
    {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "BroadcastArgs", "BroadcastGradientArgs", "NoOp"}
)
# What they give is what they are given, in another form.
FORM_ONLY = frozenset(
    {"Identity", "IdentityN", "Cast", "Reshape", "ExpandDims", "Squeeze", "Transpose", "StridedSlice", "Placeholder"}
)


def run(lab: Lab) -> ModelGraph:
    """Raises NotRun where no model was given."""
    model = lab.model
    try:
        traced = lab.traced()
        signature = lab.signature
        graph = traced.graph(signature.name)
    except LoadFailed as error:
        return _unloadable(lab, error)
    layers = _layers(graph)
    return ModelGraph(
        signature=signature.name,
        missing_files=_missing(model.path, model.inspection.tables),
        stand_ins=_stand_ins(model.path, model.inspection.tables),
        inputs={alias: str(spec) for alias, spec in signature.inputs.items()},
        outputs={alias: str(spec) for alias, spec in signature.outputs.items()},
        reaches=reaches(graph),
        valueless=_valueless(graph),
        unfed=[
            node.name
            for node in graph.nodes
            if node.op == "PlaceholderWithDefault" and f"{node.name}:0" not in graph.inputs.values()
        ],
        training_norms=[node.name for node in graph.nodes if node.is_training],
        weights=[_weight(name, layers.get(name, ""), value) for name, value in traced.weights(signature.name).items()],
        tables=[
            TableFacts(
                name=each.table.name,
                entries=each.size,
                source=each.table.source,
                layer=_reader(graph, each.table.name),
                reached=each.table.name in graph.by_name,
            )
            for each in traced.tables()
        ],
    )


def _unloadable(lab: Lab, error: LoadFailed) -> ModelGraph:
    try:
        path, tables = lab.model.path, lab.model.inspection.tables
    except LoadFailed:
        return ModelGraph(signature=lab.question.signature, load_error=str(error))
    return ModelGraph(
        signature=lab.question.signature,
        load_error=str(error),
        missing_files=_missing(path, tables),
        stand_ins=_stand_ins(path, tables),
    )


def reaches(graph: TracedGraph) -> dict[str, list[str]]:
    """By output alias, the input aliases that a value can come from."""
    fed = {tensor: alias for alias, tensor in graph.inputs.items()}
    found: dict[str, set[str]] = {}
    for node in graph.nodes:
        own = {fed[tensor] for tensor in (f"{node.name}:0",) if tensor in fed}
        if node.op not in VALUELESS:
            own |= {alias for tensor in node.inputs for alias in found.get(tensor.split(":")[0], ())}
        found[node.name] = own
    return {alias: sorted(found.get(tensor.split(":")[0], ())) for alias, tensor in graph.outputs.items()}


def _valueless(graph: TracedGraph) -> dict[str, list[str]]:
    """Inputs of which only the shape is taken, of the input itself: of what was computed of it, it is an accident."""
    reached = {alias for aliases in reaches(graph).values() for alias in aliases}
    found: dict[str, list[str]] = {}
    for alias, tensor in graph.inputs.items():
        carried = {tensor.split(":")[0]}
        takers: list[TracedNode] = []
        for node in graph.nodes:
            if carried.isdisjoint(each.split(":")[0] for each in node.inputs):
                continue
            if node.op in FORM_ONLY:
                carried.add(node.name)
            else:
                takers.append(node)
        if takers and alias not in reached and all(node.op in VALUELESS for node in takers):
            found[alias] = [node.name for node in takers]
    return found


def _reader(graph: TracedGraph, table: str) -> str:
    """The layer that looks up in ``table``."""
    handles = {table}
    for node in graph.nodes:
        if any(each.split(":")[0] in handles for each in node.inputs[:1]):
            if node.op == "Identity":
                handles.add(node.name)
            elif node.layer:
                return node.layer
    return ""


def _layers(graph: TracedGraph) -> Mapping[str, str]:
    return {node.weight: node.layer for node in graph.nodes if node.weight and node.layer}


def _missing(path: Path, tables: Iterable[Table]) -> list[str]:
    files = _files(path, tables)
    return sorted(name for name, file in files.items() if not file.is_file() or not file.stat().st_size)


def _stand_ins(path: Path, tables: Iterable[Table]) -> dict[str, str]:
    return {name: what for name, file in sorted(_files(path, tables).items()) if (what := stand_in(file))}


def _files(path: Path, tables: Iterable[Table]) -> dict[str, Path]:
    """The assets that tables are read from, by name."""
    return {each.source: path / "assets" / each.source for each in tables if each.source and " " not in each.source}


def _weight(name: str, layer: str, value: Tensor) -> WeightFacts:
    shape = [int(size) for size in value.shape]
    if not value.size or value.dtype.kind not in "fiub":
        return WeightFacts(
            name=name, layer=layer, shape=shape, dtype=value.dtype.name, initialised=bool(value.size) or shape != [0]
        )
    numbers = value.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    return WeightFacts(
        name=name,
        layer=layer,
        shape=shape,
        dtype=value.dtype.name,
        minimum=float(finite.min(initial=np.inf)) if finite.size else 0.0,
        maximum=float(finite.max(initial=-np.inf)) if finite.size else 0.0,
        mean=float(finite.mean()) if finite.size else 0.0,
        std=float(finite.std()) if finite.size else 0.0,
        zeros=float((numbers == 0).sum()) / numbers.size,
        nonfinite=1 - finite.size / numbers.size,
    )
