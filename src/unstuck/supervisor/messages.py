"""What the supervisor and a worker say to each other: one JSON object a line, over a pair of sockets.

Either side may ask, and is answered when the other is done; in between, others may be asked and answered.

    {"ask": 7, "what": "metrics", "with": …}        {"answer": 7, "is": …} or {"answer": 7, "error": {…}}
    {"tell": "beat", "with": …}
"""

import base64
import json
import pickle
from collections.abc import Sequence
from typing import Any, cast

from unstuck.core.models import ModelConfig
from unstuck.errors import Code, NotReady, UnstuckError
from unstuck.monitor.families import Family, Sample

Message = dict[str, Any]
OperatorsWish = dict[str, Any]  # "model", "version", and "reason": why it is to be in quarantine; None where it is not
Configuration = dict[str, str]  # {}: that of the command line; {"text"}: of a file; {"models"}: of a reload

LONGEST_LINE = 256 << 20  # of metrics and statuses, which are far shorter


class Told(UnstuckError):
    """An error of another process; ``kind`` is the name of its class."""

    def __init__(self, message: str, *, code: Code, hint: str = "", kind: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.kind = kind


def gone() -> UnstuckError:
    """That whoever was asked ended before it answered."""
    return NotReady("The process that was asked ended before it answered.", hint="Try again.")


def as_line(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def asked(number: int, what: str, value: object) -> bytes:
    return as_line({"ask": number, "what": what, "with": value})


def told(what: str, value: object) -> bytes:
    return as_line({"tell": what, "with": value})


def answered(number: int, value: object) -> bytes:
    return as_line({"answer": number, "is": value})


def failed(number: int, error: BaseException) -> bytes:
    """The answer that ``error`` is; those that no user should meet keep their names."""
    known = isinstance(error, UnstuckError)
    about = {
        "message": error.message if known else f"{type(error).__name__}: {error}",
        "hint": error.hint if known else "",
        "code": error.code.name if known else Code.INTERNAL.name,
        "kind": error.kind if isinstance(error, Told) else type(error).__name__,
    }
    return as_line({"answer": number, "error": about})


def error_in(answer: Message) -> Told | None:
    """The error that an answer is; None where it is none."""
    about = answer.get("error")
    if about is None:
        return None
    return Told(about["message"], code=Code[about["code"]], hint=about["hint"], kind=about["kind"])


def models_as_text(models: Sequence[ModelConfig]) -> str:
    """Read by ``models_from_text`` in another worker of the same server; the supervisor never does."""
    return base64.b64encode(pickle.dumps(tuple(models))).decode()


def models_from_text(text: str) -> tuple[ModelConfig, ...]:
    return cast("tuple[ModelConfig, ...]", pickle.loads(base64.b64decode(text)))


def families_as_json(families: Sequence[Family]) -> list[Any]:
    return [
        [each.name, each.kind, each.help, [[s.suffix, dict(s.labels), s.value] for s in each.samples]]
        for each in families
    ]


def families_from_json(listed: Sequence[Any]) -> list[Family]:
    return [Family(name, kind, text, [Sample(*sample) for sample in samples]) for name, kind, text, samples in listed]
