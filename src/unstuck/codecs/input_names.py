"""Whether the inputs that came by name are those of the signature; and what stands for one that may be left out."""

import sys
from collections.abc import Collection

from unstuck.core.signatures import Signature, Tensor
from unstuck.errors import InputNames, cut, nearest
from unstuck.proto.tensors import to_array
from unstuck.proto.wire.tensor_pb2 import TensorProto

MAX_NAMED = 20  # of names that do not fit, as many are told of


def check_names(sent: Collection[str], signature: Signature) -> None:
    """Refuses inputs that are missing, without a default for them, and such as the signature does not have.

    Raises:
        InputNames: with the names on both sides, and the nearest ones.
    """
    missing = [alias for alias in signature.inputs if alias not in sent and alias not in signature.defaults]
    extra = [alias for alias in sent if alias not in signature.inputs]
    if not missing and not extra:
        return
    hints = [
        f"Did you mean {near!r} instead of {alias!r}?"
        for alias in extra[:MAX_NAMED]
        if (near := nearest(alias, missing))
    ] or [f"The inputs are {', '.join(f'{alias!r} ({spec})' for alias, spec in signature.inputs.items())}."]
    raise InputNames(
        f"Input size does not match signature: {len(sent)} sent, {len(signature.inputs)} expected. "
        f"Sent extra: {_listed(extra)}. Missing but required: {_listed(missing)}.",
        hint=" ".join(hints),
    )


def default_of(signature: Signature, alias: str) -> Tensor:
    """What ``signature`` takes for the input ``alias`` where a request leaves it out; it has a default for it."""
    return to_array(TensorProto.FromString(signature.defaults[alias]), alias, max_repeated_bytes=sys.maxsize)


def _listed(aliases: list[str]) -> str:
    more = f", and {len(aliases) - MAX_NAMED:,} more" if len(aliases) > MAX_NAMED else ""
    return "{" + ", ".join(repr(cut(alias)) for alias in sorted(aliases)[:MAX_NAMED]) + more + "}"
