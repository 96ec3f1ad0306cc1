"""Predict: from a model spec and a request that can be bound, to outputs by alias."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Protocol, TypeVar, cast

from unstuck.core.models import ModelSpec
from unstuck.core.observers import Ran
from unstuck.core.servables import AvailableModel, Models
from unstuck.core.signatures import DEFAULT_SIGNATURE, Signature, Tensor, Tensors, narrowed
from unstuck.errors import InvalidRequest, Quarantined, UnknownSignature, UnstuckError, did_you_mean
from unstuck.inference.inputs import check_shapes
from unstuck.inference.padding import rows_of

Result = TypeVar("Result")


class BindableRequest(Protocol):
    """What a codec hands over: JSON or wire bytes become tensors only once the signature is known."""

    @property
    def signature_name(self) -> str: ...

    @property
    def warnings(self) -> list[str]: ...

    def bind(self, signature: Signature) -> dict[str, Tensor]: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """Tensors that are bound already, as a request."""

    signature_name: str
    tensors: dict[str, Tensor]

    @property
    def warnings(self) -> list[str]:
        return []

    def bind(self, signature: Signature) -> dict[str, Tensor]:
        del signature
        return self.tensors


@dataclass(slots=True)
class PreparedCall:
    """A call that has passed every check and can run, on any thread, once.

    Attributes:
        model: the version that answers.
        signature: the signature called.
        inputs: its tensors by alias.
        warnings: what was sent and not used, or not as declared; the caller must be told.
        rows: of each call, where this one stands for several.
        parse_ns: how long it took to get here from a message.
        ran: how its run went, once it has run.
    """

    model: AvailableModel
    signature: Signature
    inputs: Tensors
    warnings: list[str]
    rows: Sequence[int] = ()
    parse_ns: int = 0
    ran: Ran | None = None

    def key(self, calls: int = 1) -> tuple[str, int, str, int]:
        """Calls with one key do about the same work: the version, the signature, and the size class of their inputs.

        Args:
            calls: how many calls this one stands for, if several are run together.
        """
        size = 0
        for array in self.inputs.values():
            size += array.nbytes if array.dtype.kind != "O" else sum(map(len, cast("Iterable[bytes]", array.flat)))
        model = self.model  # by name: the next version may take this one's place in memory, too
        return model.name, model.version, self.signature.name, (size // calls).bit_length()

    @property
    def said(self) -> list[str]:
        """What the caller is told beside the answer: the warnings, and the notice of its signature, once it has run."""
        return [*self.warnings, *notices(self.model, self.signature)] if self.model.notices else self.warnings

    @property
    def is_mergeable(self) -> bool:
        """Whether it may run in one batch with other calls: proven for its signature, and sent as declared."""
        return not self.warnings and self.signature.name in self.model.mergeable

    def run(self, encode: Callable[[dict[str, Tensor]], Result]) -> Result:
        """What ``encode`` makes of the outputs by alias.

        Raises:
            EngineError: the framework failed; its message names model and signature, as does any error of ``encode``.
        """
        model, signature = self.model, self.signature
        began_ns = perf_counter_ns()
        try:  # written out, not errors_about: this is every call's path
            outputs = model.servable.run(signature, self.inputs)
            ran_ns = perf_counter_ns()
            encoded = encode(outputs)
        except UnstuckError as error:
            about(model, signature, error)
            raise
        encode_ns = perf_counter_ns() - ran_ns
        self.ran = Ran(model.name, model.version, signature.name, began_ns, ran_ns - began_ns, encode_ns)
        for observer in model.observers:
            observer.ran(signature, self.inputs, outputs, self.rows)
        return encoded


def prepare(
    models: Models,
    spec: ModelSpec,
    request: BindableRequest,
    *,
    output_filter: Sequence[str] = (),
    strict_inputs: bool = False,
    tentative: bool = False,
) -> PreparedCall:
    """The call that ``request`` asks for, checked.

    Args:
        models: where to find the version.
        spec: which model and version.
        request: the parsed request.
        output_filter: the outputs to compute; empty for all.
        strict_inputs: refuse what would otherwise be a warning.
        tentative: if there is a warning, nobody hears it: each call is then prepared again by itself.

    Raises:
        NotFound, UnknownLabel, NotReady: no such version serves.
        UnknownSignature: it has no such signature.
        InvalidRequest: the inputs do not fit the signature.
    """
    model = models.find(spec)
    signature = signature_of(model, request.signature_name)
    try:
        if output_filter:
            signature = _filtered(signature, output_filter)
        inputs = request.bind(signature)
        warnings = request.warnings + check_shapes(signature, inputs)
        if model.batching is not None and signature.name in model.batching.parameters:
            rows_of(inputs)  # raises where they have no rows that a batch could take
        if model.watch is not None:
            warnings += model.watch.warnings(signature, inputs, tentative=tentative)
    except UnstuckError as error:
        raise about(model, signature, error) from None
    if warnings and strict_inputs:
        refused = InvalidRequest("; ".join(warnings), hint="--strict_inputs refuses what it would warn of.")
        raise about(model, signature, refused)
    return PreparedCall(model, signature, inputs, warnings)


def _filtered(signature: Signature, aliases: Sequence[str]) -> Signature:
    for alias in aliases:
        if alias not in signature.outputs:
            raise InvalidRequest(
                f"output_filter names {alias!r}, which is no output; the outputs are "
                f"{', '.join(map(repr, signature.outputs))}.",
                hint=did_you_mean(alias, signature.outputs),
            )
        if aliases.count(alias) > 1:
            raise InvalidRequest(f"output_filter names {alias!r} twice.")
    return narrowed(signature, aliases)


def signature_of(model: AvailableModel, name: str) -> Signature:
    """The signature called ``name``, or the default one where ``name`` is empty."""
    signatures: Mapping[str, Signature] = model.servable.signatures
    signature = signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise UnknownSignature(model.name, name or DEFAULT_SIGNATURE, signatures)
    return signature


def notices(model: AvailableModel, signature: Signature) -> list[str]:
    """What is to be said with every answer of ``signature`` now."""
    notice = model.notices.get(signature.name)
    return [f"signature {signature.name!r}: {notice}"] if notice else []


def about(model: AvailableModel, signature: Signature, error: UnstuckError) -> UnstuckError:
    """``error`` with a message that names the model and the signature."""
    if isinstance(error, Quarantined):  # it does
        return error
    error.message = f"Model {model.name!r} version {model.version}, signature {signature.name!r}: {error.message}"
    error.about = model.version, signature.name
    return error


@contextmanager
def errors_about(model: AvailableModel, signature: Signature) -> Generator[None]:
    """Makes the errors raised inside name the model and the signature."""
    try:
        yield
    except UnstuckError as error:
        about(model, signature, error)
        raise
