"""An error as gRPC tells it: a code, a message, and details that carry the cause and the hint."""

import logging
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, Help, RetryInfo
from google.rpc.status_pb2 import Status

from unstuck.api.compat import grpc_code
from unstuck.core import request_ids
from unstuck.errors import Code, EngineError, UnstuckError

MAX_MESSAGE_BYTES = 1024  # kErrorMessageLimit in tensorflow_serving/model_servers/grpc_status_util.cc
MAX_HINT_BYTES = 1024  # clients take 8 KiB of metadata by default
CUT = "...TRUNCATED"
DETAILS_KEY = "grpc-status-details-bin"
WARNING_KEY = "x-unstuck-warning"
DOMAIN = "unstuck"

Metadata = list[tuple[str, str | bytes]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed call is answered with."""

    code: Code
    message: str
    metadata: Metadata


def failure(error: BaseException, method: str) -> Failure:
    """How ``error`` is told to the caller of ``method``, a path such as /tensorflow.serving.ModelService/…."""
    if not isinstance(error, UnstuckError):
        log.error("%s failed inside the server", method, exc_info=error)
        error = EngineError(f"Internal error: {error!r}", code=Code.INTERNAL)
    code = grpc_code(error, method)
    message = _cut(str(error), MAX_MESSAGE_BYTES)
    status = Status(code=code.number, message=message)
    info = ErrorInfo(reason=_reason(error.cause or code.name), domain=DOMAIN)
    if error.cause:
        info.metadata["cause"] = error.cause
    status.details.append(_packed(info))
    if error.retry_after_s is not None:
        status.details.append(_packed(RetryInfo(retry_delay=Duration(seconds=error.retry_after_s))))
    if error.hint:
        status.details.append(_packed(Help(links=[Help.Link(description=_cut(error.hint, MAX_HINT_BYTES))])))
    return Failure(code, message, [(DETAILS_KEY, status.SerializeToString())])


def warning_metadata(warnings: list[str]) -> Metadata:
    """Trailing metadata that says what of a request was not used as sent."""
    if not warnings:
        return []
    text = " ".join("; ".join(warnings).split()).encode("ascii", "backslashreplace").decode()
    printable = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
    return [(WARNING_KEY, printable[:MAX_HINT_BYTES])]


def id_metadata(request_id: str) -> Metadata:
    """Trailing metadata that names the call as its client did, or as the log does."""
    return [(request_ids.HEADER, request_id)] if request_id else []


def _cut(text: str, most_bytes: int) -> str:
    """``text``, cut between two characters to ``most_bytes`` of UTF-8 and a mark that says so."""
    encoded = text.encode(errors="replace")
    return encoded.decode() if len(encoded) <= most_bytes else encoded[:most_bytes].decode(errors="ignore") + CUT


def _reason(cause: str) -> str:
    return cause.upper().replace("/", "_").replace("-", "_")


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
