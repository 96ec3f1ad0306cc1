"""Reads a pipeline file; its errors name the file, the line and the place in it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import yaml
from pydantic import ValidationError

from unstuck.errors import LoadFailed
from unstuck.pipeline.schema import Pipeline


class PipelineError(LoadFailed):
    """A pipeline that cannot be read, or does not fit its model."""


_OWN = ("bool", "timestamp", "value")  # YAML 1.1's: yes and no, dates, =


class _Yaml(yaml.SafeLoader):
    """Scalars as YAML 1.2 reads them: ``no`` and dates are text, ``1e-3`` is a number."""

    yaml_implicit_resolvers: ClassVar[Any] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.split(":")[-1] not in _OWN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


cast("Any", _Yaml).add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
)
cast("Any", _Yaml).add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+$"), [*"-+.0123456789"]
)


def read_pipeline(path: Path) -> Pipeline:
    """The pipeline in the YAML file ``path``.

    Raises:
        PipelineError: with every fault found, each with its line.
    """
    try:
        text = path.read_bytes().decode()
        document: object = yaml.load(text, _Yaml)  # a SafeLoader
        tree = cast("yaml.Node | None", cast("Any", yaml).compose(text, _Yaml))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise PipelineError(f"{path} cannot be read: {' '.join(str(error).split())}.") from None
    faults = [*_twice(tree, ())]
    pipeline = None
    try:
        pipeline = Pipeline.model_validate(document)
    except ValidationError as error:
        faults += [_fault(tree, each["loc"], _said(each)) for each in error.errors()]
    if pipeline is None or faults:
        raise PipelineError(f"{path}: {'; '.join(dict.fromkeys(faults))}.")
    return pipeline


def _twice(node: yaml.Node | None, place: tuple[str, ...], above: tuple[int, ...] = ()) -> Iterator[str]:
    """A fault for each name that is twice in one mapping: YAML would keep the last, and say nothing."""
    if id(node) in above:  # an alias of what it is in
        return
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield f"line {key.start_mark.line + 1}, {'.'.join((*place, name))}: it is there twice"
            seen.add(name)
            yield from _twice(value, (*place, name), above)
    elif isinstance(node, yaml.SequenceNode):
        for at, value in enumerate(node.value):
            yield from _twice(value, (*place, str(at)), above)


def _said(fault: Any) -> str:
    return f"{fault['loc'][-1]} is required" if fault["type"] == "missing" else str(fault["msg"])


def _fault(tree: yaml.Node | None, place: Sequence[int | str], message: str) -> str:
    line, known = _find(tree, place)
    what = message.removeprefix("Value error, ")
    shown = ".".join(map(str, known)) or "the document"
    return f"line {line}, {shown}: {what[:1].lower()}{what[1:]}"


def _find(node: yaml.Node | None, place: Sequence[int | str]) -> tuple[int, list[int | str]]:
    """The line of the innermost node on the way to ``place``, and that way; pydantic adds parts that no file has."""
    line, known = 1, list[int | str]()
    for part in place:
        child = _child(node, part)
        if child is None:
            continue
        node = child
        known.append(part)
        line = node.start_mark.line + 1
    return line, known


def _child(node: yaml.Node | None, part: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    return None
