"""A request body of the right form for a signature: what hints show, and what `serve` prints at start-up."""

from unstuck.codecs.json_document import Json, excerpt
from unstuck.core.dtypes import DType
from unstuck.core.signatures import Shape, Signature

MAX_EXAMPLE = 400


def example_hint(signature: Signature) -> str:
    """A body of the right form for ``signature``, as a hint."""
    return f"Send, for example: {excerpt(example_body(signature), MAX_EXAMPLE)}"


def example_body(signature: Signature) -> dict[str, Json]:
    """A request body of the right form for ``signature``: one row of zeros, in row format where a row is defined."""
    inputs = signature.inputs.values()
    body: dict[str, Json] = {} if signature.name == "serving_default" else {"signature_name": signature.name}
    if all(spec.shape is None or spec.shape[:1] == (None,) for spec in (*inputs, *signature.outputs.values())):
        examples = {alias: _example(spec.dtype, (spec.shape or ())[1:]) for alias, spec in signature.inputs.items()}
        body["instances"] = [examples if len(examples) > 1 else next(iter(examples.values()))]
    else:
        examples = {alias: _example(spec.dtype, spec.shape or ()) for alias, spec in signature.inputs.items()}
        body["inputs"] = examples if len(examples) > 1 else next(iter(examples.values()))
    return body


def _example(dtype: DType, shape: Shape) -> Json:
    kind_of = dtype.numpy.kind if dtype.numpy is not None else "f"
    value: Json = "text" if dtype.is_string else {"b": True, "i": 1, "u": 1}.get(kind_of, 1.0)
    for size in reversed(shape):
        value = [value] * (1 if size is None else size)
    return value
