"""What the inner layers report to whoever watches; ``unstuck.server`` ties them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from unstuck.core.models import VersionStatus
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.errors import Code


class VersionObserver(Protocol):
    """Hears of every change of a version's state, in order."""

    def version_changed(self, name: str, status: VersionStatus) -> None:
        """Called by whichever thread made the change, which waits: it must return at once, and not call back."""
        ...


class RunObserver(Protocol):
    """Hears of every answered run of one version. Thread-safe; it is in each call's way, so it must be quick."""

    def ran(self, signature: Signature, inputs: Tensors, outputs: Tensors, rows: Sequence[int]) -> None:
        """Called by the thread that ran it, once its answer is encoded. Must neither raise nor change the arrays.

        Args:
            signature: the signature called, perhaps narrowed to the outputs that were asked for.
            inputs: by alias, as the signature takes them; for classify and regress, serialised tf.Examples.
            outputs: by alias.
            rows: where several calls were run as one, how many rows of the first dimension each has; else empty.
        """
        ...


class InferenceObserver(RunObserver):
    """A RunObserver that hears of classify, regress and multi-inference as calls, not as runs of their signatures."""

    def inferred(
        self, methods: Sequence[str], signatures: Sequence[Signature], examples: Tensor, outputs: Sequence[Tensors]
    ) -> None:
        """Called in place of ``ran`` for each such call; the same holds for it.

        Args:
            methods: of each task, as ``METHOD_NAMES`` has them; one is a classify or regress call.
            signatures: of each task, narrowed to the outputs that its method fetches.
            examples: serialised tf.Examples [examples], object.
            outputs: of each task, by alias.
        """


Api = Literal["rest", "grpc"]
Method = Literal[
    "Predict",
    "Classify",
    "Regress",
    "MultiInference",
    "GetModelMetadata",
    "GetModelStatus",
    "HandleReloadConfigRequest",
    "",  # over REST, a path or a method that means none of them
]


class Headers(Protocol):
    """A request's headers or metadata; names in lower case."""

    def get(self, key: str, /) -> str | None: ...


@dataclass(slots=True)
class Ran:
    """One run of a model, for one call or for several, and how long its stages took.

    Attributes:
        model: the model's name.
        version: the version that ran.
        signature: the one called; empty where several were.
        began_ns: when the engine's run began, by ``time.perf_counter_ns``.
        run_ns: of the engine.
        encode_ns: from outputs to messages.
        examples: the tf.Examples of a classify, regress or multi-inference.
    """

    model: str
    version: int
    signature: str
    began_ns: int
    run_ns: int
    encode_ns: int
    examples: int = 0


@dataclass(slots=True)
class AnsweredCalls:
    """Calls that one run has answered. Times are of ``time.perf_counter_ns``; what is left of them was waiting.

    Attributes:
        api: where they came in.
        method: what they asked for.
        ran: the run.
        arrived_ns: of each call, when its message was there.
        parse_ns: of each call, how long its message took to become checked tensors.
        done_ns: when they were answered.
        request_bytes: of all their messages, uncompressed.
        response_bytes: of all their answers, uncompressed.
        warnings: how much of what was sent was not used, or not as declared.
    """

    api: Api
    method: Method
    ran: Ran
    arrived_ns: Sequence[int]
    parse_ns: Sequence[int]
    done_ns: int
    request_bytes: int
    response_bytes: int
    warnings: int = 0

    def stages(self) -> Iterator[tuple[int, dict[str, int]]]:
        """Of each call, when it arrived, and how many nanoseconds of its time went to what."""
        run_ns, encode_ns = self.ran.run_ns, self.ran.encode_ns
        for arrived_ns, parse_ns in zip(self.arrived_ns, self.parse_ns, strict=True):
            queue_ns = self.done_ns - arrived_ns - parse_ns - run_ns - encode_ns
            yield arrived_ns, {"parse": parse_ns, "queue": queue_ns, "run": run_ns, "encode": encode_ns}


@dataclass(slots=True)
class OtherCall:
    """A call that failed, or that runs no model.

    Attributes:
        api: where it came in.
        method: what it asked for.
        model: the name that it gave; known to nobody, perhaps.
        error: why it failed; None if it did not.
        arrived_ns: as in ``AnsweredCalls``, as all that follow.
        done_ns: when it was answered.
        request_bytes: of its message, uncompressed; 0 where it was not read.
        response_bytes: of its answer, uncompressed.
        code: how it ended.
        request_id: what its answer calls it; empty where nobody wants to know.
        headers: where they are wanted.
    """

    api: Api
    method: Method
    model: str
    error: BaseException | None
    arrived_ns: int
    done_ns: int
    request_bytes: int
    response_bytes: int
    code: Code = Code.OK
    request_id: str = ""
    headers: Headers | None = field(default=None, repr=False)


class CallObserver(Protocol):
    """Hears of every call, once it is answered. Thread-safe; it is in each call's way, so it must be quick."""

    @property
    def wants_headers(self) -> bool:
        """Whether ``answered`` is to be given each call's headers, and each failed call an id."""
        ...

    def answered(self, calls: AnsweredCalls, headers: Sequence[Headers]) -> None:
        """Calls that a model has answered; ``headers`` of each where they are wanted, else empty. Must not raise."""
        ...

    def ended(self, call: OtherCall) -> None:
        """Any other call. Must not raise."""
        ...


class NobodyWatches:
    """The ``CallObserver`` where there is none."""

    wants_headers = False

    def answered(self, calls: AnsweredCalls, headers: Sequence[Headers]) -> None:
        pass

    def ended(self, call: OtherCall) -> None:
        pass
