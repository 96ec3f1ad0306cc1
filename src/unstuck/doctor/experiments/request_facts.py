"""Looks at the requests alone: do they differ, do they fit, how are they written?"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import Signature, Tensor, TensorSpec
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.request_facts import InputFacts, Misfit, RequestFacts
from unstuck.doctor.experiments.comparing import shown
from unstuck.doctor.experiments.effective import ROWS as EFFECTIVE_ROWS
from unstuck.doctor.experiments.effective import moving_inputs, parsed, unread_columns, without_columns
from unstuck.doctor.experiments.reference import known_rows_or_none, row_shape, values_of
from unstuck.doctor.experiments.writings import writings_of
from unstuck.doctor.given import Request
from unstuck.doctor.lab import Lab, Row, rows_of, spread
from unstuck.errors import UnstuckError

MOST_TEXTS = 2000
_IMAGE_OPS = frozenset({
    "DecodeImage", "DecodePng", "DecodeJpeg", "DecodeBmp", "DecodeGif", "DecodeAndCropJpeg", "ExtractJpegShape",
})  # fmt: skip


def run(lab: Lab) -> RequestFacts:
    """Raises NotRun where no requests were given, or none is to the signature."""
    signature = lab.signature
    mine = [request for request in lab.requests if request.signature == signature.name]
    if not mine:
        raise NotRun("no request calls the signature")
    rows = [row for request in mine if request.inputs for row in rows_of(request.inputs)]
    used = moving_inputs(lab, signature, rows)
    read = parsed(lab, signature, rows)
    unread = unread_columns(lab, signature)
    known = known_rows_or_none(lab)
    refused = [request for request in mine if not request.inputs]
    images = not signature.takes_examples and _decodes_images(lab)
    return RequestFacts(
        signature=signature.name,
        requests=len(mine),
        rows=len(rows),
        distinct=_distinct([without_columns(row, unread) for row in rows], used, read),
        distinct_bodies=len({request.body for request in mine}),
        refused=len(refused),
        inputs=[_facts(spec, rows, known, alias in used, images=images) for alias, spec in signature.inputs.items()],
        misfits=_misfits(refused, signature),
    )


def _distinct(rows: Sequence[Row], used: set[str], read: Mapping[str, Sequence[Sequence[Tensor]]]) -> int:
    """How many different rows reach the model: of tf.Examples, what the graph's parser reads of them."""
    plain = sorted(used - set(read))
    if read:
        sample = spread(rows, EFFECTIVE_ROWS)
        parts = [[tensor for alias in sorted(read) for tensor in read[alias][at]] for at in range(len(sample))]
        effective = {
            _digest([*(row[alias] for alias in plain if alias in row), *part])
            for row, part in zip(sample, parts, strict=True)
        }
        if len(effective) == 1 or len(sample) == len(rows):
            return len(effective)
    return len({_digest([row[alias] for alias in sorted(used & set(row))]) for row in rows})


def _decodes_images(lab: Lab) -> bool:
    """Whether the graph decodes image files."""
    try:
        return any(node.op in _IMAGE_OPS for node in lab.traced().graph(lab.signature.name).nodes)
    except (NotRun, UnstuckError):
        return False


def _facts(
    spec: TensorSpec, rows: Sequence[Row], known: tuple[str, list[Row]] | None, is_used: bool, *, images: bool
) -> InputFacts:
    values = values_of(rows, spec.alias)
    trained = values_of(known[1], spec.alias) if known else []
    digests = [_digest([value]) for value in values]
    most = Counter(digests).most_common(1)
    return InputFacts(
        input=spec.alias,
        dtype=spec.dtype.name,
        shape=row_shape(spec),
        sent_shape=_sent_shape(values),
        rows=len(values),
        distinct=len(set(digests)),
        is_used=is_used,
        zeros=_zeros(values),
        trained_zeros=_zeros(trained) if trained else None,
        example=shown({spec.alias: values[digests.index(most[0][0])]}) if most else "",
        writings=writings_of(_texts(values), _texts(trained) or None) if spec.dtype.is_string and values else [],
        takes_images=images and spec.dtype.is_string,
    )


def _sent_shape(values: Sequence[Tensor]) -> list[int] | None:
    shapes = {value.shape[1:] for value in values}
    return list(shapes.pop()) if len(shapes) == 1 else None


def _texts(values: Sequence[Tensor]) -> list[bytes]:
    found = [text for value in values for text in value.ravel().tolist() if isinstance(text, bytes)]
    return [found[at] for at in np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_TEXTS)).astype(int))]


def _zeros(values: Sequence[Tensor]) -> float:
    return sum(_empty(value) for value in values) / max(1, sum(value.size for value in values))


def _empty(value: Tensor) -> int:
    """How many of its elements hold nothing: zeros, and texts of blanks."""
    if value.dtype == object:
        return sum(isinstance(each, bytes) and not each.strip() for each in value.ravel().tolist())
    return int((value == 0).sum())


def _digest(values: Sequence[Tensor]) -> bytes:
    """Equal for equal values; padding alone, of whatever length, is one value."""
    return b"|".join(b"nothing" if _empty(value) == value.size else _content(value) for value in values)


def _content(value: Tensor) -> bytes:
    return repr((value.shape, value.tolist())).encode() if value.dtype == object else value.tobytes()


def _misfits(refused: Sequence[Request], signature: Signature) -> list[Misfit]:
    found: dict[tuple[str, str], list[tuple[Request, str]]] = {}
    for request in refused:
        alias, kind, example = _misfit(request, signature)
        found.setdefault((alias, kind), []).append((request, example))
    return [
        Misfit(
            input=alias,
            kind=kind,
            count=len(each),
            message=each[0][0].error.message[:300] if each[0][0].error else "",
            example=each[0][1],
        )
        for (alias, kind), each in found.items()
    ]


def _misfit(request: Request, signature: Signature) -> tuple[str, str, str]:
    """The input that was sent text in the place of numbers, what text it is, and an example."""
    for alias, value in _sent(request.document, signature):
        spec = signature.inputs.get(alias)
        if spec is None or spec.dtype.is_string:
            continue
        for leaf in _leaves(value):
            if isinstance(leaf, dict) and "b64" in leaf:
                return alias, "base64", "{'b64': …}"
            if isinstance(leaf, str):
                return alias, "number as text" if _is_number(leaf) else "words", leaf[:80]
    return "", "other", ""


def _sent(document: Any, signature: Signature) -> Iterator[tuple[str, Any]]:
    """Each input's values as they are written in a request."""
    if not isinstance(document, dict):
        return
    body = cast("dict[str, Any]", document)
    values: Any = body.get("inputs", body.get("instances"))
    for part in cast("list[Any]", values if isinstance(values, list) else [values]):
        if isinstance(part, dict) and set(signature.inputs) & set(cast("dict[str, Any]", part)):
            yield from cast("dict[str, Any]", part).items()
        elif len(signature.inputs) == 1:
            yield next(iter(signature.inputs)), part


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _leaves(each)
    else:
        yield value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false")
    return True
