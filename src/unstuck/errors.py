"""Every error a user can meet: one tree, one canonical status code each, HTTP derived from it.

    UnstuckError
    ├── InvalidRequest (INVALID_ARGUMENT)
    │   ├── MalformedPath         the URL is not one of the API's
    │   ├── VersionOverflow       a version number beyond 64 bits
    │   ├── MalformedBody         not JSON, or not the shape of a request
    │   ├── BodyTooLarge          HTTP 413
    │   ├── UnknownSignature
    │   ├── UnknownLabel
    │   ├── InputNames            missing or misnamed inputs
    │   ├── WrongType             a value that the input's dtype cannot hold
    │   ├── WrongShape            ragged, or not the signature's shape
    │   └── UnwritableOutput      an output that JSON cannot hold
    ├── UnsupportedType (UNIMPLEMENTED)
    ├── UnreadableMessage (INTERNAL)  bytes that are not the message of the RPC, as every gRPC server answers them
    ├── NotFound (NOT_FOUND)      model, version, page
    ├── NotReady (UNAVAILABLE)    the model is still loading, or the server is stopping
    ├── QueueFull (UNAVAILABLE)   too many calls wait for a batch
    ├── NotPermitted (PERMISSION_DENIED)
    ├── DeadlineExceeded (DEADLINE_EXCEEDED)
    ├── EngineError               the framework's own error, with the code it gave
    ├── ModelsUnavailable         after a reload, new models that cannot be served (UNKNOWN)
    └── SetupError                the server cannot start: flags, files, models (FAILED_PRECONDITION)
        └── LoadFailed            one version cannot be loaded

A message says what was expected, what came, and where; ``hint`` says what to do about it; ``cause`` is the cause code
that ``unstuck diagnose`` uses for the same fault, where there is one.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum


class Code(Enum):
    """The canonical status codes: gRPC's number, and the HTTP status TensorFlow Serving answers for it.

    Source: ToHTTPStatusCode in tensorflow_serving/model_servers/http_server.cc.
    """

    OK = (0, 200)
    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    ABORTED = (10, 409)
    OUT_OF_RANGE = (11, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    DATA_LOSS = (15, 500)
    UNAUTHENTICATED = (16, 401)

    def __init__(self, number: int, http_status: int) -> None:
        self.number = number
        self.http_status = http_status

    @classmethod
    def from_number(cls, number: int) -> "Code":
        """The code with gRPC's ``number``; UNKNOWN for one that does not exist."""
        return next((code for code in cls if code.number == number), cls.UNKNOWN)


class UnstuckError(Exception):
    """Base of all errors that reach a user.

    Attributes:
        message: what was expected, what came, where.
        hint: what to do about it; may be empty.
        cause: the diagnosis cause code of the same fault; may be empty.
        model: the model's name in the call, where the call is not read by whoever answers it.
        about: the version and the signature that were called, where it is known which.
    """

    code: Code = Code.UNKNOWN
    cause: str = ""
    model: str = ""
    about: tuple[int, str] | None = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def http_status(self) -> int:
        return self.code.http_status

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidRequest(UnstuckError):
    code = Code.INVALID_ARGUMENT


class MalformedPath(InvalidRequest):
    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"Malformed request: {method} {path}.",
            hint="Expected POST /v1/models/NAME[/versions/N|/labels/L]:predict, "
            "or GET /v1/models/NAME[/versions/N|/labels/L][/metadata].",
        )


class VersionOverflow(InvalidRequest):
    def __init__(self, digits: str) -> None:
        super().__init__(f"Failed to convert version: {digits[:40]} to numeric: it does not fit in 64 bits.")


class MalformedBody(InvalidRequest):
    pass


class BodyTooLarge(InvalidRequest):
    def __init__(self, what: str, limit_bytes: int) -> None:
        super().__init__(
            f"The {what} is larger than the limit of {limit_bytes:,} bytes.",
            hint="Send fewer rows in a request, or raise the limit with --rest_api_max_body_bytes.",
        )

    @property
    def http_status(self) -> int:
        return 413


class UnknownSignature(InvalidRequest):
    cause = "mapping/wrong-signature"

    def __init__(self, model: str, signature: str, known: Iterable[str]) -> None:
        known = sorted(known)
        super().__init__(
            f"Model {model!r} has no signature {signature!r}; its signatures are {_listing(known)}.",
            hint=did_you_mean(signature, known),
        )


class UnknownLabel(InvalidRequest):
    def __init__(self, model: str, label: str, known: Iterable[str]) -> None:
        known = sorted(known)
        super().__init__(
            f"Unrecognized servable version label {label!r} of model {model!r}; its labels are {_listing(known)}.",
            hint=did_you_mean(label, known) or "Name a version instead: /versions/N.",
        )


class InputNames(InvalidRequest):
    cause = "mapping/input-names"


class WrongType(InvalidRequest):
    cause = "preprocessing/wrong-type"


class WrongShape(InvalidRequest):
    cause = "mapping/wrong-shape"


class UnwritableOutput(InvalidRequest):
    pass


class UnsupportedType(UnstuckError):
    code = Code.UNIMPLEMENTED


class UnreadableMessage(UnstuckError):
    code = Code.INTERNAL

    def __init__(self, message_type: str, size_bytes: int) -> None:
        super().__init__(
            f"The request's {size_bytes:,} bytes are not a tensorflow.serving.{message_type}.",
            hint="Send the message of this RPC, as the stubs of tensorflow-serving-api do.",
        )


class NotFound(UnstuckError):
    code = Code.NOT_FOUND


class NotReady(UnstuckError):
    code = Code.UNAVAILABLE


class QueueFull(UnstuckError):
    code = Code.UNAVAILABLE
    cause = "resources/overload"


class NotPermitted(UnstuckError):
    code = Code.PERMISSION_DENIED


class DeadlineExceeded(UnstuckError):
    code = Code.DEADLINE_EXCEEDED


class EngineError(UnstuckError):
    """An error of the framework that ran the model; ``code`` is the framework's."""

    def __init__(self, message: str, *, code: Code, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class SetupError(UnstuckError):
    code = Code.FAILED_PRECONDITION


class ModelsUnavailable(UnstuckError):
    def __init__(self, why: Mapping[str, object]) -> None:
        """``why``: of each model that is not available, by name."""
        listed = "; ".join(f"{name!r}: {reason}" for name, reason in why.items())
        super().__init__(
            f"{len(why)} model(s) did not become available: {listed}",
            hint="The rest of the configuration is in force; these are tried again once their files change.",
        )


class LoadFailed(SetupError):
    def __init__(self, message: str, *, hint: str = "", may_pass: bool = False) -> None:
        """``may_pass``: the same files may load a while later, as where memory is short."""
        super().__init__(message, hint=hint)
        self.may_pass = may_pass


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?`` for the known name nearest to ``name``; empty when none is near."""
    near = nearest(name, known)
    return f"Did you mean {near!r}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name nearest to ``name``, ignoring case and punctuation; empty when none is near."""
    folded = {_fold(candidate): candidate for candidate in known}
    matches = difflib.get_close_matches(_fold(name), list(folded), n=1, cutoff=0.6)
    return folded[matches[0]] if matches else ""


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")


def _listing(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) if names else "none"
