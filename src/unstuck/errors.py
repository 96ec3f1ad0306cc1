"""Every error a user can meet: one tree, one canonical status code each, HTTP derived from it.

    UnstuckError
    ├── InvalidRequest (INVALID_ARGUMENT)
    │   ├── MalformedPath         the URL is not one of the API's
    │   ├── VersionOverflow       a version number beyond 64 bits
    │   ├── MalformedBody         not JSON, or not the shape of a request
    │   ├── BodyTooLarge          HTTP 413
    │   │   └── InflatesTooMuch   a compressed body that is nothing but size
    │   ├── BodyTooSlow           HTTP 408
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
    ├── Overloaded (UNAVAILABLE)  more calls come than can be answered, or memory is short; with Retry-After
    ├── Quarantined (UNAVAILABLE) the version was found broken, or taken out of service by an operator
    ├── Unauthenticated (UNAUTHENTICATED)  no key or token, or not a valid one
    ├── NotPermitted (PERMISSION_DENIED)
    ├── DeadlineExceeded (DEADLINE_EXCEEDED)
    ├── EngineError               the framework's own error, with the code it gave
    ├── ModelsUnavailable         after a reload, new models that cannot be served (UNKNOWN)
    └── SetupError                the server cannot start: flags, files, models (FAILED_PRECONDITION)
        └── LoadFailed            one version cannot be loaded
            └── NotEnoughMemory   it would not fit

A message says what was expected, what came, and where; ``hint`` says what to do about it; ``cause`` is the cause code
that ``unstuck diagnose`` uses for the same fault, where there is one.
"""

import difflib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Literal

QuarantineKind = Literal["engine error", "not finite", "canary", "operator"]


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
        retry_after_s: when to try again, where that is worth it.
    """

    code: Code = Code.UNKNOWN
    cause: str = ""
    model: str = ""
    about: tuple[int, str] | None = None
    retry_after_s: int | None = None

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
            f"Malformed request: {method} {shortened(path)}.",
            hint="Expected POST /v1/models/NAME[/versions/N|/labels/L]:predict (or :classify, :regress), "
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


class InflatesTooMuch(BodyTooLarge):
    def __init__(self, size_bytes: int, inflated_bytes: int, most_times: int) -> None:
        InvalidRequest.__init__(
            self,
            f"The compressed body's first {size_bytes:,} bytes inflate to more than {inflated_bytes:,}: "
            f"{most_times:,} times their size is the limit.",
            hint="Send it uncompressed, or raise the limit with --rest_api_max_inflation.",
        )


class BodyTooSlow(InvalidRequest):
    def __init__(self, allowed_s: float) -> None:
        super().__init__(
            f"The request's body did not arrive within {allowed_s:.3g} s of its headers.",
            hint="Send it faster, or raise the limit with --rest_api_body_timeout_seconds.",
        )

    @property
    def http_status(self) -> int:
        return 408


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


class Quarantined(UnstuckError):
    """A version is out of service until it has been loaded again.

    Attributes:
        name: the model's.
        version: its number.
        kind: what took it out.
        reason: why, in words.
        since: when, in seconds of the epoch.
        attempts: how often it was loaded again, in vain.
        problem: why the latest of these failed.
    """

    code = Code.UNAVAILABLE

    def __init__(
        self, name: str, version: int, kind: QuarantineKind, reason: str, attempts: int = 0, problem: str = ""
    ) -> None:
        self.name, self.version, self.reason = name, version, reason.rstrip(".")
        self.kind: QuarantineKind = kind
        self.attempts, self.problem = attempts, problem
        self.since = time.time()
        super().__init__("")
        self._say()

    def after(self, problem: UnstuckError) -> "Quarantined":
        """The same once it could not be loaded again."""
        told = self.again()
        told.attempts, told.problem = self.attempts + 1, str(problem)
        told._say()
        return told

    def again(self) -> "Quarantined":
        """The same, to be raised: an error is changed by those whom it passes."""
        told = Quarantined(self.name, self.version, self.kind, self.reason, self.attempts, self.problem)
        told.since = self.since
        told._say()
        return told

    def _say(self) -> None:
        since = datetime.fromtimestamp(self.since, UTC).isoformat(timespec="seconds")
        self.message = (
            f"Model {self.name!r} version {self.version} is in quarantine since {since}, {self.kind}: {self.reason}."
        )
        if self.attempts:
            times = "once" if self.attempts == 1 else f"{self.attempts} times"
            self.message += f" It was loaded again {times}, in vain: {self.problem}"
        if self.kind == "operator":
            self.hint = f"unstuck quarantine URL {self.name} --version={self.version} --release brings it back."
        else:
            self.hint = "It is loaded again by itself, and serves once it answers rightly; /statusz says more."


class QueueFull(UnstuckError):
    code = Code.UNAVAILABLE
    cause = "resources/overload"


class Overloaded(UnstuckError):
    """A call that was refused, as it would have waited for too long, or have taken memory that there is not."""

    code = Code.UNAVAILABLE
    cause = "resources/overload"

    def __init__(self, message: str, *, hint: str, wait_s: float) -> None:
        """``wait_s``: how long those that come now wait."""
        super().__init__(message, hint=hint)
        self.retry_after_s = max(math.ceil(wait_s), 1)


class Unauthenticated(UnstuckError):
    """``challenge`` is what HTTP's WWW-Authenticate says. Messages never show what was sent."""

    code = Code.UNAUTHENTICATED

    def __init__(self, message: str, *, hint: str = "", given: bool = True) -> None:
        """``given``: there was a key or a token, which is not valid."""
        super().__init__(message, hint=hint)
        self.challenge = 'Bearer realm="unstuck"' + (', error="invalid_token"' if given else "")


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


class NotEnoughMemory(LoadFailed):
    """A version is not loaded, as it would not fit; it is tried again once there is enough.

    That is ``needed`` bytes, of which it gets ``freed`` from other versions, which are unloaded before it is loaded.
    """

    cause = "resources/memory-limit"

    def __init__(self, message: str, *, hint: str, needed: int, freed: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.needed = needed
        self.freed = freed


def cut(text: str, most: int = 200) -> str:
    """``text``, which a client sent, no longer than ``most`` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def shortened(text: str, most: int = 200) -> str:
    """``text``, which a client sent, as it may be told back outside of quotes."""
    return printable(cut(text, most))


def printable(text: str) -> str:
    """``text`` on one line, with what steers a terminal or ends a line written as Python writes it."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


MAX_COMPARED = 200  # characters of a name that others are compared with


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?`` for the known name nearest to ``name``; empty when none is near."""
    near = nearest(name, known)
    return f"Did you mean {near!r}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name nearest to ``name``, ignoring case and punctuation; empty when none is near."""
    if len(name) > MAX_COMPARED:
        return ""
    folded = {_fold(candidate): candidate for candidate in known}
    matches = difflib.get_close_matches(_fold(name), list(folded), n=1, cutoff=0.6)
    return folded[matches[0]] if matches else ""


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")


def _listing(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) if names else "none"
