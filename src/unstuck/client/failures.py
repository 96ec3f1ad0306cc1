"""The errors that only a client meets, and those of ``unstuck.errors`` made again from what a server said of them.

UnstuckError
├── NotReady
│   └── Unreachable       no connection, or one that ended before the answer came
├── UnreadableAnswer      INTERNAL: an answer that is not what the API promises, as another server gives it
└── ServerError           a status that has no class of its own; ``code`` says which
"""

from unstuck.errors import (
    Code,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    NotReady,
    UnstuckError,
    UnsupportedType,
)


class Unreachable(NotReady):
    """The server was not reached.

    Attributes:
        may_have_run: the connection ended after something was sent, so the call may have been executed.
    """

    def __init__(self, message: str, *, hint: str = "", may_have_run: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.may_have_run = may_have_run


class UnreadableAnswer(UnstuckError):
    code = Code.INTERNAL

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The answer cannot be read: {why}", hint="Is the address one of a server that speaks this API?"
        )


class ServerError(UnstuckError):
    def __init__(self, message: str, *, code: Code, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


_BY_CODE: dict[Code, type[UnstuckError]] = {
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.NOT_FOUND: NotFound,
    Code.UNAVAILABLE: NotReady,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.UNIMPLEMENTED: UnsupportedType,
}


def not_connected(address: str, why: object) -> Unreachable:
    """No connection came about."""
    return Unreachable(
        f"Could not connect to {address}: {why}.", hint="Is the server running there, and its port open?"
    )


def cut_off(address: str, why: object) -> Unreachable:
    """A connection ended before the answer had come."""
    return Unreachable(f"The connection to {address} ended before the answer came: {why}.", may_have_run=True)


def too_late(address: str) -> DeadlineExceeded:
    """No answer came in the time that a transport was given."""
    return DeadlineExceeded(f"No answer from {address}.", hint="Send fewer rows in a call, or raise timeout_s.")


def of_server(code: Code, text: str, *, hint: str = "", cause: str = "") -> UnstuckError:
    """The error that a server told of.

    Args:
        code: its status code.
        text: its message; a server of ours has the hint at its end.
        hint: the hint once more, maybe cut; empty where the server gave none.
        cause: its cause code; empty where the server gave none.
    """
    kind = next((each for each in InvalidRequest.__subclasses__() if cause and each.cause == cause), None)
    kind = kind or _BY_CODE.get(code, ServerError)
    at = text.rfind(hint) if hint else -1
    message, hint = (text, "") if at < 0 else (text[:at].rstrip(), text[at:])
    error = kind.__new__(kind)  # some build their message from fields that are not on the wire
    UnstuckError.__init__(error, message, hint=hint)
    error.code = code
    return error
