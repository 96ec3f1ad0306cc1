"""The body of a REST predict call, in row and in column format, becomes tensors.

Source: FillPredictRequestFromJson in tensorflow_serving/util/json_tensor.cc.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

import orjson

from unstuck.codecs import json_dense, pipeline_hint
from unstuck.codecs.json_answer import Format, encode_together
from unstuck.codecs.json_dense import DenseBody
from unstuck.codecs.json_document import Json, excerpt, kind
from unstuck.codecs.json_document import parse as parse_document
from unstuck.codecs.json_example import example_hint
from unstuck.codecs.json_values import PathOf, is_b64, to_array, to_numbers
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import (
    InputNames,
    MalformedBody,
    UnstuckError,
    WrongType,
    cut,
    did_you_mean,
    nearest,
)

DENSE_MIN_BYTES = 2048
MAX_NAMED = 20  # of unknown names in a request, as many are told of
MAX_FIELDS = 200  # that a pipeline is sketched for


@dataclass(slots=True)
class JsonPredictRequest:
    """A parsed body: JSON that becomes tensors once the signature, hence the version, is known.

    Attributes:
        signature_name: empty where the body names none.
        warnings: filled by ``bind``: what was sent and not used.
    """

    signature_name: str
    warnings: list[str]
    _body: bytes
    _document: dict[str, Json] | None
    _dense: DenseBody | None

    @property
    def format(self) -> Format:
        """The format of the request, which is the answer's too."""
        if self._dense is not None:
            return cast("Format", self._dense.format)
        return "instances" if "instances" in self._objects() else "inputs"

    def bind(self, signature: Signature) -> dict[str, Tensor]:
        """The tensors of ``signature``'s inputs, by alias.

        Raises:
            MalformedBody: neither or both of ``instances`` and ``inputs``, or not of their form.
            InputNames: missing or misnamed inputs.
            WrongType, WrongShape, UnsupportedType: as ``to_array``.
        """
        if not signature.inputs:
            raise MalformedBody(
                f"Failed to get input map for signature {signature.name!r}: it has no inputs, "
                "and a signature without inputs cannot be called over REST.",
                hint="Call it over gRPC.",
            )
        if self._dense is not None and (dense := _bind_dense(self._dense, signature)) is not None:
            return dense
        document = self._objects()
        if ("instances" in document) == ("inputs" in document):
            came = "both came" if "inputs" in document else f"got the keys {sorted(document)}"
            raise MalformedBody(
                f"Not formatted correctly: expecting exactly one of 'instances' and 'inputs', but {came}.",
                hint=example_hint(signature),
            )
        has_bools = _mentions_bools(self._body)
        try:
            if "instances" in document:
                return _bind_rows(document["instances"], signature, has_bools)
            return _bind_columns(document["inputs"], signature, has_bools, self.warnings)
        except WrongType as error:
            error.hint = error.hint or pipeline_hint.for_text(signature, error.message)
            raise

    def _objects(self) -> dict[str, Json]:
        if self._document is None:
            self._document = cast("dict[str, Json]", parse_document(self._body))
        return self._document


def parse(body: bytes) -> JsonPredictRequest:
    """The request that ``body`` holds, checked as far as it can be without its signature.

    Raises:
        MalformedBody: not JSON, not an object, or a ``signature_name`` that is not a string.
    """
    if len(body) >= DENSE_MIN_BYTES and (dense := json_dense.recognise(body)) is not None:
        return JsonPredictRequest(dense.signature_name, [], body, None, dense)
    document = parse_document(body)
    if not isinstance(document, dict):
        raise MalformedBody(
            f"The body Is not object: expecting a JSON object with 'instances' or 'inputs', "
            f"got {kind(document)} {excerpt(document)}."
        )
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise MalformedBody(f"'signature_name' key must be a string value, got {kind(name)} {excerpt(name)}.")
    return JsonPredictRequest(name, [], body, document, None)


@dataclass(slots=True)
class JsonPredictRequests:
    """Several bodies in plain row format, ``{"instances": [...]}`` and nothing else, that are bound and run as one.

    Attributes:
        signature_name: always the default one.
        warnings: always none; a body that would get one is not bound together with others.
        counts: the rows of each body.
    """

    signature_name: str
    warnings: list[str]
    counts: list[int]
    _rows: list[Json]
    _dense: DenseBody | None

    def bind(self, signature: Signature) -> dict[str, Tensor]:
        """One array with the rows of all bodies.

        Raises:
            MalformedBody: they cannot be bound together; each for itself may be right, or get an error of its own.
        """
        tensors = None
        if self._dense is not None:
            tensors = _bind_dense(self._dense, signature)
        elif len(signature.inputs) == 1:
            (spec,) = signature.inputs.values()
            numbers = to_numbers(self._rows, spec)
            tensors = None if numbers is None else {spec.alias: numbers}
        if tensors is None:
            raise MalformedBody("The bodies cannot be bound together.")
        return tensors

    def encode(self, outputs: Tensors) -> list[bytes]:
        """The answer's body for each request. Raises UnwritableOutput as ``encode`` does, for the first that cannot."""
        return encode_together(outputs, self.counts)


def parse_together(bodies: Sequence[bytes]) -> JsonPredictRequests | None:
    """The bodies as one request, or None unless each is ``{"instances": [...]}`` without ``true`` and ``false``."""
    dense = json_dense.recognise_single_rows(bodies)
    if dense is not None:
        return JsonPredictRequests("", [], [1] * len(bodies), [], dense)
    all_rows: list[Json] = []
    counts: list[int] = []
    for body in bodies:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if type(document) is not dict or len(cast("dict[str, Json]", document)) != 1:
            return None
        rows = cast("dict[str, Json]", document).get("instances")
        if not isinstance(rows, list) or not rows or _mentions_bools(body) or body.count(b":") != 1:
            return None
        all_rows += rows
        counts.append(len(rows))
    return JsonPredictRequests("", [], counts, all_rows, None)


def _mentions_bools(body: bytes) -> bool:
    # One letter is looked for first: that is four times faster, and mostly it is not there.
    return (b"u" in body and b"true" in body) or (b"l" in body and b"false" in body)


def _bind_dense(dense: DenseBody, signature: Signature) -> dict[str, Tensor] | None:
    if len(signature.inputs) != 1:
        return None
    (spec,) = signature.inputs.values()
    if dense.input_name not in (None, spec.alias) or spec.dtype.numpy is None or not spec.dtype.is_number:
        return None
    array = dense.numbers(spec.dtype.numpy)
    return None if array is None else {spec.alias: array}


def _bind_rows(rows: Json, signature: Signature, has_bools: bool) -> dict[str, Tensor]:
    if not isinstance(rows, list):
        raise MalformedBody(f"Expecting 'instances' to be an list/array, got {kind(rows)} {excerpt(rows)}.")
    if not rows:
        raise MalformedBody("No values in 'instances' array.", hint=example_hint(signature))
    if len(signature.inputs) == 1 and not has_bools:
        (spec,) = signature.inputs.values()
        if (numbers := to_numbers(rows, spec)) is not None:
            return {spec.alias: numbers}
    named = isinstance(rows[0], dict) and not is_b64(rows[0])
    if not named and len(signature.inputs) > 1:
        raise InputNames(
            f"'instances' is a plain list, but signature {signature.name!r} has several inputs "
            f"({_inputs(signature)}): expecting a list of objects, one key an input.",
            hint=example_hint(signature),
        )
    _check_alike(rows, named)
    if not named:
        (spec,) = signature.inputs.values()
        return {spec.alias: _array(rows, spec, lambda index: "instances" + _brackets(index), has_bools, rows=True)}
    objects = cast("list[dict[str, Json]]", rows)
    for number, row in enumerate(objects):
        if row.keys() != signature.inputs.keys():
            _wrong_names(row, signature, f"Element {number} of 'instances'")
    return {
        alias: _array([row[alias] for row in objects], spec, _named_row_path(alias), has_bools, rows=True)
        for alias, spec in signature.inputs.items()
    }


def _check_alike(rows: list[Json], named: bool) -> None:
    for number, row in enumerate(rows):
        if (isinstance(row, dict) and not is_b64(row)) != named:
            expected, got = ("object", f"list/value {excerpt(row, 40)}") if named else ("value/list", "object")
            if named and isinstance(row, list):
                got = f"list {excerpt(row, 40)}"
            raise MalformedBody(
                f"Expecting {expected} but got {got} at item {number} of 'instances': "
                "the first item decides, all must be alike."
            )


def _bind_columns(value: Json, signature: Signature, has_bools: bool, warnings: list[str]) -> dict[str, Tensor]:
    if not isinstance(value, dict) or is_b64(value):
        if len(signature.inputs) > 1:
            raise InputNames(
                f"'inputs' is a plain value/list, but signature {signature.name!r} has several inputs "
                f"({_inputs(signature)}): expecting an object, one key an input.",
                hint=example_hint(signature),
            )
        (spec,) = signature.inputs.values()
        return {spec.alias: _array(value, spec, lambda index: "inputs" + _brackets(index), has_bools)}
    if not value.keys() >= signature.inputs.keys():
        _wrong_names(value, signature, "'inputs'")
    extras = [name for name in value if name not in signature.inputs]
    for extra in extras[:MAX_NAMED]:
        guess = did_you_mean(extra, signature.inputs)
        told = f"input {cut(extra)!r} is not in signature {signature.name!r} and was ignored. {guess}"
        warnings.append(told.strip())
    if len(extras) > MAX_NAMED:
        warnings.append(f"{len(extras) - MAX_NAMED:,} more inputs are not in signature {signature.name!r}.")
    return {
        alias: _array(value[alias], spec, _column_path(alias), has_bools) for alias, spec in signature.inputs.items()
    }


def _array(value: Json, spec: TensorSpec, path_of: PathOf, has_bools: bool, *, rows: bool = False) -> Tensor:
    try:
        return to_array(value, spec, path_of, has_bools=has_bools)
    except UnstuckError as error:
        # In row format TensorFlow Serving turns every element's error into INVALID_ARGUMENT.
        if not rows or error.http_status == 400:
            raise
        raise WrongType(f"Failed to process 'instances': {error.message}") from None


def _named_row_path(alias: str) -> PathOf:
    return lambda index: f"instances[{index[0]}].{alias}{_brackets(index[1:])}" if index else f"instances[].{alias}"


def _column_path(alias: str) -> PathOf:
    return lambda index: f"inputs.{alias}{_brackets(index)}"


def _brackets(index: tuple[int, ...]) -> str:
    return "".join(f"[{i}]" for i in index)


def _wrong_names(sent: Mapping[str, Json], signature: Signature, where: str) -> NoReturn:
    missing = [alias for alias in signature.inputs if alias not in sent]
    unknown = [name for name in sent if name not in signature.inputs]
    faults: list[str] = []
    if missing:
        faults.append("is missing named input " + ", ".join(f"{name!r} ({signature.inputs[name]})" for name in missing))
    for name in unknown[:MAX_NAMED]:
        near = nearest(name, missing)
        faults.append(
            f"has {cut(name)!r}, which the signature does not have" + (f" (did you mean {near!r}?)" if near else "")
        )
    if len(unknown) > MAX_NAMED:
        faults.append(f"has {len(unknown) - MAX_NAMED:,} more names that it does not have")
    raise InputNames(
        f"{where} {', and '.join(faults)}. Signature {signature.name!r} takes {_inputs(signature)}.",
        hint=(len(unknown) <= MAX_FIELDS and pipeline_hint.for_fields(signature, sent, missing, unknown))
        or example_hint(signature),
    )


def _inputs(signature: Signature) -> str:
    return ", ".join(f"{alias!r} ({spec})" for alias, spec in signature.inputs.items())
