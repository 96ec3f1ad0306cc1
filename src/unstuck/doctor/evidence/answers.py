"""What an endpoint answers when it is asked politely, one call after another."""

from collections.abc import Mapping

from unstuck.doctor.evidence.base import Evidence

# What a call came to besides the canonical status codes.
UNREACHABLE, CUT_OFF, TIMEOUT, UNREADABLE, UNSENDABLE = (
    "UNREACHABLE", "CUT_OFF", "TIMEOUT", "UNREADABLE", "UNSENDABLE",
)  # fmt: skip
SERVER_FAILURES = frozenset(
    {
        *(UNREACHABLE, CUT_OFF, TIMEOUT, "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL"),
        *("UNKNOWN", "ABORTED", "CANCELLED", "NOT_FOUND", "DATA_LOSS"),
    }
)
REFUSED_ACCESS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


class VersionState(Evidence):
    """A version's state as GET status tells it, and the error that ended it."""

    version: int
    state: str
    error: str = ""


class CallOutcome(Evidence):
    """One call.

    Attributes:
        what: ``status``, ``metadata`` or ``predict``.
        code: OK, a canonical status code, or UNREACHABLE, CUT_OFF, TIMEOUT, UNREADABLE, UNSENDABLE.
        status: the HTTP status or gRPC's number; -1 where no answer came.
        seconds: until the answer, or until it was given up.
        message: of the error; empty where there is none.
    """

    what: str
    code: str
    status: int = -1
    seconds: float = 0.0
    message: str = ""

    @property
    def is_server_failure(self) -> bool:
        """Whether the server failed, not what it was sent."""
        return self.code in SERVER_FAILURES


class EndpointState(Evidence):
    """Whether the endpoint can be reached, and what it says of itself.

    Attributes:
        url: the target.
        model: the name asked for.
        asked_version, asked_label: of the URL; None where it names none.
        is_reachable: some answer came, of whatever kind.
        versions: as GET status lists them.
        metadata_version: the version whose metadata came back.
        answer_versions: those that gRPC answers named.
        signatures: the names that the metadata lists.
        known_models: the names that the server says it serves, where it says so.
        calls: status, metadata, and a few predict calls, in order.
        stopped_early: predict calls were not gone on with, as the first met no answer.
    """

    url: str
    model: str
    asked_version: int | None = None
    asked_label: str | None = None
    is_reachable: bool
    versions: list[VersionState] = []
    metadata_version: int | None = None
    answer_versions: list[int] = []
    signatures: list[str] = []
    known_models: list[str] = []
    calls: list[CallOutcome] = []
    stopped_early: bool = False

    def outcomes(self, what: str) -> list[CallOutcome]:
        return [call for call in self.calls if call.what == what]

    @property
    def available(self) -> list[int]:
        """The versions that are AVAILABLE, newest first."""
        return sorted((each.version for each in self.versions if each.state == "AVAILABLE"), reverse=True)

    @property
    def refused(self) -> CallOutcome | None:
        """A call that was refused for want of credentials, where all predict calls were, or all calls; else None."""
        calls = self.outcomes("predict") or self.calls
        return calls[0] if calls and all(call.code in REFUSED_ACCESS for call in calls) else None

    def why_down(self) -> str:
        """Why the endpoint serves nothing; empty where it does."""
        calls = self.outcomes("predict")
        if any(not call.is_server_failure for call in calls):
            return ""
        first = (calls or self.calls)[0]
        if not self.is_reachable:
            slow = any(call.code == TIMEOUT for call in self.calls)
            waited = sum(call.seconds for call in self.calls)
            return f"it takes connections and answers nothing ({waited:.0f} s)" if slow else f"{first.message}"
        if self.versions and not self.available:
            return "; ".join(f"version {each.version} is {each.state} {each.error}".strip() for each in self.versions)
        if calls or any(call.is_server_failure for call in self.calls):
            failed = next(call for call in (*calls, *self.calls) if call.is_server_failure)
            return f"{failed.code}: {failed.message or 'no message'}"
        return ""


class OutputAnswers(Evidence):
    """The answers of one output over all rows that were asked.

    Attributes:
        output: its alias.
        rows: how many rows were answered.
        distinct_inputs: how many different rows they were.
        distinct: how many different answers, equal within 1e-6 of their magnitude.
        lowest, highest: over all values; None for strings and where nothing is finite.
        spread: the largest difference between two rows' values at one place.
        nonfinite: the share of values that are NaN or infinite.
        example: the most frequent answer, cut.
        most_frequent: how many rows got it.
    """

    output: str
    rows: int
    distinct_inputs: int
    distinct: int
    lowest: float | None = None
    highest: float | None = None
    spread: float = 0.0
    nonfinite: float = 0.0
    example: str = ""
    most_frequent: int = 0

    @property
    def is_constant(self) -> bool:
        return self.rows > 1 and self.distinct_inputs > 1 and self.distinct == 1


class RequestAnswer(Evidence):
    """One request: its line in the file (0 where it was not from one), what it came to, and a digest of the answer."""

    line: int
    code: str
    seconds: float
    digest: str = ""


class EndpointAnswers(Evidence):
    """The requests sent once, one after another.

    Attributes:
        source: ``requests``, ``training``, ``golden``, ``profile`` or ``synthetic``: whose inputs they were.
        asked: how many calls were made.
        failed: by code, how many did not succeed.
        failed_twice: how many of the failed ones that were asked again failed again; of ``retried``.
        retried: how many of the failed ones were asked again.
        messages: the errors, each once, with how often it came.
        outputs: by alias.
        requests: per call.
        median_s, slowest_s: of the calls that succeeded.
        stopped_early: the rest was not sent, as no answers came.
    """

    source: str
    asked: int
    failed: Mapping[str, int] = {}
    failed_twice: int = 0
    retried: int = 0
    messages: Mapping[str, int] = {}
    outputs: list[OutputAnswers] = []
    requests: list[RequestAnswer] = []
    median_s: float = 0.0
    slowest_s: float = 0.0
    stopped_early: bool = False

    @property
    def server_failures(self) -> int:
        return sum(count for code, count in self.failed.items() if code in SERVER_FAILURES)

    @property
    def answered(self) -> int:
        return self.asked - sum(self.failed.values())
