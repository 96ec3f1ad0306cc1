"""The model that a message names, read without the rest of it: what is refused need not be decoded."""

from unstuck.api.grpc.service import PREDICT, PREDICTION_SERVICE

# Each path's messages begin with a ModelSpec, or with a message that does: in how many messages its name is.
INFERENCES = {
    PREDICT: 1,
    f"/{PREDICTION_SERVICE}/Classify": 1,
    f"/{PREDICTION_SERVICE}/Regress": 1,
    f"/{PREDICTION_SERVICE}/MultiInference": 2,
}
_FIRST_FIELD = 0x0A  # number 1, of a length that follows
_MORE = 0x80


def model_name(payload: bytes, path: str) -> str:
    """The name in a message of ``path``, one of ``INFERENCES``; empty where it does not come first, or is not text."""
    try:
        start = 0
        for _ in range(INFERENCES[path]):
            start, _ = _field(payload, start)
        start, length = _field(payload, start)
        return payload[start : start + length].decode()
    except (IndexError, ValueError):
        return ""


def _field(payload: bytes, start: int) -> tuple[int, int]:
    """Where the field at ``start`` begins, and its length. Raises ValueError where it is no first one."""
    if payload[start] != _FIRST_FIELD:
        raise ValueError(start)
    length, shift = 0, 0
    while True:
        start += 1
        byte = payload[start]
        length |= (byte & ~_MORE) << shift
        shift += 7
        if not byte & _MORE:
            return start + 1, length
