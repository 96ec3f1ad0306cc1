"""The pipeline that would let a model take what a client sent: shown in the error that such a request gets without one.

It is a start, not a guess that runs: what training did to the values is for the user to say.
"""

from collections.abc import Mapping, Sequence

from unstuck.codecs.json_document import Json
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.errors import nearest

PLACE = "assets.extra/unstuck/pipeline.yaml in the version's folder, or --pipeline_file"


def for_fields(signature: Signature, sent: Mapping[str, Json], missing: Sequence[str], unknown: Sequence[str]) -> str:
    """For fields that the signature does not have, where it lacks inputs that may be made of them; else empty."""
    if not missing or not unknown or any(nearest(name, missing) for name in unknown):
        return ""
    used = [name for name in sent if name in unknown]
    raw = ", ".join(f"{name}: {{dtype: {_dtype(sent[name])}}}" for name in used)
    made = used[0] if len(used) == 1 else f"{{concat: [{', '.join(used)}]}}"
    inputs = ", ".join(f"{alias}: {made if alias in missing else alias}" for alias in signature.inputs)
    return _pipeline(signature.name, raw, inputs)


def for_text(signature: Signature, message: str) -> str:
    """For text that was sent to an input of numbers, of which ``message`` complains; else empty."""
    if " is String " not in message:
        return ""
    spec = next((each for alias, each in signature.inputs.items() if f"input {alias!r}" in message), None)
    if spec is None or not spec.dtype.is_number:
        return ""
    steps = f"lowercase, split, {{vocabulary: {{file: vocab.txt, unknown: 1}}}}, {_last_steps(spec)}"
    rest = "".join(f", {alias}: {alias}" for alias in signature.inputs if alias != spec.alias)
    raw_rest = "".join(
        f", {alias}: {{dtype: {each.dtype.name}}}" for alias, each in signature.inputs.items() if alias != spec.alias
    )
    return _pipeline(
        signature.name,
        f"{spec.alias}: {{dtype: string}}{raw_rest}",
        f"{spec.alias}: {{from: {spec.alias}, steps: [{steps}]}}{rest}",
    )


def _pipeline(signature_name: str, raw: str, inputs: str) -> str:
    return (
        f"If these are raw values, declare how training prepared them ({PLACE}), for example: "
        f"signatures: {{{signature_name}: {{raw: {{{raw}}}, inputs: {{{inputs}}}}}}}"
    )


def _last_steps(spec: TensorSpec) -> str:
    length = spec.shape[-1] if spec.shape and spec.shape[-1] else "LENGTH"
    cast = "" if spec.dtype.name == "int64" else f", {{cast: {{dtype: {spec.dtype.name}}}}}"
    return f"{{pad: {{length: {length}, value: 0}}}}{cast}"


def _dtype(value: Json) -> str:
    while isinstance(value, list) and value:
        value = value[0]
    return "string" if isinstance(value, str | dict) else "int64" if isinstance(value, int) else "float"
