"""Until when a caller over HTTP waits, as its headers say.

Sources: gRPC's ``grpc-timeout`` (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), and the header with
which Envoy and what is built on it tell servers of their time limit
(https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter).
"""

from typing import Protocol

GRPC = "grpc-timeout"
ENVOY = "x-envoy-expected-rq-timeout-ms"
UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
MOST_DIGITS = 8  # of grpc-timeout; and of milliseconds, more than a day


class Headers(Protocol):
    def get(self, key: str, /) -> str | None: ...


def seconds_given(headers: Headers, timeout_s: float | None) -> float | None:
    """The time that a call has: what its headers say or ``timeout_s``, whichever is less; None for ever.

    A header that is not written as it should be says nothing, as it is for others to read, too.
    """
    said = [_number(headers.get(ENVOY) or "", 1e-3), _grpc(headers.get(GRPC) or ""), timeout_s]
    return min((each for each in said if each is not None), default=None)


def _grpc(text: str) -> float | None:
    unit_s = UNITS_S.get(text[-1:])
    return None if unit_s is None else _number(text[:-1], unit_s)


def _number(digits: str, unit_s: float) -> float | None:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > MOST_DIGITS:
        return None
    return int(digits) * unit_s
