"""The examples of a classify or regress call as the JSON members that both wires begin from."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from unstuck.errors import MalformedBody, WrongType


def examples_json(examples: Sequence[Mapping[str, object]], context: Mapping[str, object] | None = None) -> bytes:
    """``"examples":[…]`` and, where there is a context, ``"context":{…}``.

    Args:
        examples: each a value by feature: a number, text, bytes, or a flat list or array of one kind of these. Integers
            and bools make an int64 feature, floats a float one.
        context: features that every example shares.

    Raises:
        MalformedBody: examples that are not a sequence of mappings, or none.
        WrongType: a feature that no tf.Example can hold.
    """
    if isinstance(examples, Mapping | str | bytes) or not examples:
        raise MalformedBody(
            f"Expected one or more examples, got {examples!r:.60}.", hint="Send a list: [{'feature': 1.0}, …]."
        )
    members = [f'"examples":{_dumped([_features(example) for example in examples])}']
    if context is not None:
        members.append(f'"context":{_dumped(_features(context))}')
    return ",".join(members).encode()


def _features(example: object) -> dict[str, object]:
    if not isinstance(example, Mapping):
        raise MalformedBody(f"An example is a mapping from feature to value, got {example!r:.60}.")
    items = cast("Mapping[Any, object]", example).items()
    return {str(name): _feature(str(name), value) for name, value in items}


def _feature(name: str, value: Any) -> object:
    plain: Any = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(plain, list | tuple):
        return [_element(name, each) for each in cast("list[Any]", plain)]
    return _element(name, plain)


def _element(name: str, value: Any) -> object:
    plain: Any = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(plain, bytes):
        return {"b64": base64.b64encode(plain).decode()}
    if isinstance(plain, bool | int | float | str):
        return plain
    raise WrongType(
        f"Feature {name!r} expects numbers, text, bytes or a flat list of one kind of these, "
        f"got {value!r:.60} ({type(value).__name__})."
    )


def _dumped(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError as error:
        raise WrongType(f"A feature holds text that UTF-8 cannot hold: {error}.") from None
    return text
