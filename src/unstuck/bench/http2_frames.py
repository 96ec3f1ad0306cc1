"""HTTP/2's frames as bytes, as far as a gRPC client needs them (RFC 9113). No I/O."""

from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    *(0, 1, 3, 4, 5, 6, 7, 8, 9),
)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 3, 4, 5
CANCEL = 8
HEAD_BYTES = 9
MAX_WINDOW = (1 << 31) - 1
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
DEFAULT_TABLE = 4096

Frame = tuple[int, int, int, bytes]  # kind, flags, stream, payload


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return b"%b%c%c%b%b" % (len(payload).to_bytes(3, "big"), kind, flags, stream.to_bytes(4, "big"), payload)


def settings(values: dict[int, int]) -> bytes:
    packed = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values.items())
    return frame(SETTINGS, 0, 0, packed)


def read_settings(payload: bytes) -> dict[int, int]:
    return {
        int.from_bytes(payload[at : at + 2], "big"): int.from_bytes(payload[at + 2 : at + 6], "big")
        for at in range(0, len(payload) - 5, 6)
    }


def window_update(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


class Frames:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        while size - at >= HEAD_BYTES:
            end = at + HEAD_BYTES + int.from_bytes(data[at : at + 3], "big")
            if end > size:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big") & MAX_WINDOW
            yield data[at + 3], data[at + 4], stream, data[at + HEAD_BYTES : end]
            at = end
        self._rest = data[at:]


def content(kind: int, flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without padding and priority."""
    begin, end = 0, len(payload)
    if flags & PADDED:
        begin, end = 1, end - payload[0]
    if kind == HEADERS and flags & PRIORITY:
        begin += 5
    return payload[begin:end]


@lru_cache(maxsize=1024)
def read_headers(block: bytes) -> dict[str, str]:
    """The headers in ``block``, of a server that was told to keep no table of them: equal bytes, equal headers.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        pairs = hpack.Decoder().decode(block, raw=True)
    except hpack.HPACKError as error:
        raise ValueError(str(error)) from None
    return {bytes(name).decode("latin-1"): unquote(bytes(value).decode("latin-1")) for name, value in pairs}
