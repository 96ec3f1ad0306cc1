"""Compressed bodies, inflated no further than a limit and a ratio: 400 bytes may stand for 400 kB, 4 GB, or nothing."""

import zlib

from unstuck.errors import BodyTooLarge, InflatesTooMuch, MalformedBody

DEFAULT_MAX_TIMES = 200
FREE_BYTES = 16 << 20  # as much is inflated whatever it came from: rows of zeros are sent, and shrink to a thousandth
PIECE_BYTES = 1 << 20

_GZIP_WBITS = 31


def gunzip(body: bytes, limit_bytes: int, most_times: int = DEFAULT_MAX_TIMES) -> bytes:
    """What ``body``, a gzip file, holds; no more than the limits is ever held.

    Args:
        body: as sent.
        limit_bytes: the most that it may hold.
        most_times: beyond FREE_BYTES, how many times its own size it may hold.

    Raises:
        BodyTooLarge, InflatesTooMuch: it holds more.
        MalformedBody: it is no gzip, or cut off.
    """
    inflater = zlib.decompressobj(_GZIP_WBITS)
    pieces: list[bytes] = []
    rest, size = body, 0
    try:
        while not inflater.eof:
            pieces.append(inflater.decompress(rest, PIECE_BYTES))
            rest, size = inflater.unconsumed_tail, size + len(pieces[-1])
            if size > limit_bytes:
                raise BodyTooLarge("inflated request body", limit_bytes)
            taken = len(body) - len(rest)
            if size > FREE_BYTES and size > most_times * taken:
                raise InflatesTooMuch(taken, size, most_times)
            if not pieces[-1] and not rest:
                break
    except zlib.error as error:
        raise MalformedBody(f"The body is not gzip, though its Content-Encoding says so: {error}.") from None
    if not inflater.eof:
        raise MalformedBody("The gzip body is cut off before its end.")
    return b"".join(pieces)
