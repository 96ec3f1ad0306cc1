"""Reads a SavedModel's files without TensorFlow, whose messages alone take three seconds to import."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from unstuck.core.inspection import Asset, Inspection, OpCount
from unstuck.engines.tensorflow.meta_graph import Reach, all_nodes, signatures_of
from unstuck.engines.tensorflow.preprocessing import steps
from unstuck.engines.tensorflow.tables import tables
from unstuck.engines.tensorflow.unreadable import unreadable, without_graph
from unstuck.engines.tensorflow.unsafe import INIT_SIGNATURE, UNSAFE, unsafe_nodes
from unstuck.errors import LoadFailed
from unstuck.proto.wire.saved_model_pb2 import MetaGraphDef, SavedModel

SAVERS = frozenset({"SaveV2", "MergeV2Checkpoints", "Save", "SaveSlices"})  # which nearly every export has for itself
PRINTS = frozenset({"Print", "PrintV2"})


def inspect(version_path: Path, tags: Sequence[str]) -> Inspection:
    """What the SavedModel in ``version_path`` holds: of its graph with ``tags``, or of the only one.

    Raises:
        LoadFailed: no readable saved_model.pb, or several graphs and none with ``tags``.
    """
    saved_model = _read(version_path)
    meta_graph = _meta_graph(saved_model, version_path, tags)
    signatures = {name: each for name, each in signatures_of(meta_graph).items() if name != INIT_SIGNATURE}
    reach = Reach(meta_graph)
    run: dict[tuple[str, str], Any] = {}
    for definition in meta_graph.signature_def.values():
        run |= reach.nodes(definition)
    return Inspection(
        format="SavedModel",
        signatures=signatures,
        facts=_facts(saved_model, meta_graph),
        size_bytes=sum(file.stat().st_size for file in version_path.rglob("*") if file.is_file()),
        assets=tuple(_assets(version_path)),
        tables=tuple(tables(meta_graph, version_path / "assets")),
        preprocessing=tuple(steps(run)),
        ops=tuple(_ops(meta_graph, run, reach.functions)),
    )


def _read(version_path: Path) -> SavedModel:
    saved_model = SavedModel()
    binary, text = version_path / "saved_model.pb", version_path / "saved_model.pbtxt"
    try:
        if binary.is_file():
            saved_model.ParseFromString(binary.read_bytes())
        else:
            text_format.Parse(text.read_bytes(), saved_model, allow_unknown_field=True)
    except (OSError, DecodeError, text_format.ParseError) as error:
        raise unreadable(version_path, error) from error
    if not saved_model.meta_graphs:
        raise without_graph(version_path)
    return saved_model


def _meta_graph(saved_model: SavedModel, version_path: Path, tags: Sequence[str]) -> MetaGraphDef:
    by_tags = {tuple(sorted(each.meta_info_def.tags)): each for each in saved_model.meta_graphs}
    if len(by_tags) == 1:
        return next(iter(by_tags.values()))
    found = by_tags.get(tuple(sorted(tags)))
    if found is None:
        raise LoadFailed(
            f"{version_path} has no graph with the tags {','.join(tags)!r}; it has {_listed_tags(saved_model)}.",
            hint="Name one with --saved_model_tags.",
        )
    return found


def _facts(saved_model: SavedModel, meta_graph: MetaGraphDef) -> dict[str, str]:
    versions = meta_graph.graph_def.versions
    return {
        "exported by": f"TensorFlow {meta_graph.meta_info_def.tensorflow_version or 'of an unknown version'}",
        "graph version": f"{versions.producer} (runs in {versions.min_consumer} and later)",
        "tags": _listed_tags(saved_model),
    }


def _listed_tags(saved_model: SavedModel) -> str:
    return " or ".join(",".join(sorted(each.meta_info_def.tags)) or "(none)" for each in saved_model.meta_graphs)


def _assets(version_path: Path) -> list[Asset]:
    found: list[Asset] = []
    for folder in ("assets", "assets.extra"):
        for file in sorted((version_path / folder).rglob("*")):
            if file.is_file():
                found.append(Asset(file.relative_to(version_path).as_posix(), file.stat().st_size))
    return found


def _ops(meta_graph: MetaGraphDef, run: Mapping[tuple[str, str], Any], functions: Mapping[str, Any]) -> list[OpCount]:
    refused = {each.op: f"{each.why}; only served with --allow_unsafe_ops" for each in unsafe_nodes(meta_graph)}
    counts = Counter(str(node.op) for node in run.values() if node.op not in functions)
    found = [OpCount(op, count, refused.get(op, _said(op))) for op, count in counts.most_common()]
    elsewhere = Counter(str(node.op) for node in all_nodes(meta_graph.graph_def) if node.op not in counts)
    for op, count in elsewhere.most_common():
        if op in refused:
            found.append(OpCount(op, count, refused[op]))
        elif op in UNSAFE and op not in SAVERS:
            found.append(OpCount(op, count, f"{UNSAFE[op]}; no signature runs it"))
    return found


def _said(op: str) -> str:
    return "writes to the server's standard error" if op in PRINTS else ""
