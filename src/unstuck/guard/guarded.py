"""A servable whose runs are watched for what a broken backend gives: errors, and NaN where there was none before."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from time import monotonic
from typing import Any, Protocol, cast

import numpy as np

from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.errors import Code, Quarantined, UnstuckError
from unstuck.guard.quarantine import SHARE, Suspicion

FEW = 8  # values that Python adds up faster than NumPy begins to
MANY = 8192  # from here on BLAS would wake threads
MOST_KEPT_BYTES = 1 << 20  # of an input that is kept as known to work
TRIES = 100  # runs, till one has been seen whose outputs are all finite
_DTYPES = frozenset({np.dtype(np.float32), np.dtype(np.float64)})


@dataclass(frozen=True, slots=True)
class Known:
    """An input that is known to work.

    Attributes:
        where: what it is, in words.
        signature: the name of the one that takes it.
        inputs: by alias.
        finite: the outputs in which there is neither NaN nor Infinity.
        check: what of the outputs is not as it must be, in words; empty where all is.
        is_golden: whether it is a golden row, which each load asks.
    """

    where: str
    signature: str
    inputs: Tensors
    finite: frozenset[str]
    check: Callable[[Tensors], str] = lambda _: ""
    is_golden: bool = False


class Watching(Protocol):
    """Who decides what is to be done. Thread-safe."""

    def failed(self, guarded: "GuardedServable", signature: Signature, error: BaseException) -> None:
        """A run has failed in a way that has the version checked. Must return at once."""
        ...

    def not_finite(self, guarded: "GuardedServable", signature: Signature, alias: str) -> None:
        """An answer has NaN or Infinity where a known one has none; it waits until this returns.

        Raises:
            Quarantined: the version is broken.
        """
        ...


class GuardedServable(Servable):
    """As thread-safe as ``inner``.

    Attributes:
        inner: runs the model, unwatched.
        known: inputs known to work, by signature: golden rows, or else the first input that did.
        suspicion: of the version, by its errors.
        has_run: whether there were calls since somebody set it to False.
        acquitted_until_s: till when answers that are not finite are the inputs' doing.
        checking: held by whoever asks because of an answer that is not finite.
    """

    def __init__(self, inner: Servable, watching: Watching) -> None:
        """Learns inputs that work from now on, and watches from ``arm`` on."""
        self.inner = inner
        self.known: dict[str, Sequence[Known]] = {}
        self.suspicion = Suspicion()
        self.has_run = False
        self.acquitted_until_s = 0.0
        self.checking = threading.Lock()
        self._watching = watching
        self._is_armed = False
        self._condemned: Quarantined | None = None
        self._learning = dict.fromkeys(inner.stateless & inner.signatures.keys(), TRIES)
        self._floats = {
            name: tuple(alias for alias, spec in each.outputs.items() if is_float(spec.dtype.numpy))
            for name, each in inner.signatures.items()
        }

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self.inner.signatures

    @property
    def stateless(self) -> frozenset[str]:
        return self.inner.stateless

    def arm(self, golden: Mapping[str, Sequence[Known]]) -> None:
        """It has passed all that it must: what is wrong from now on is held against it.

        Args:
            golden: by signature, inputs that take the place of those that it has learned.
        """
        self.known.update(golden)
        self._learning = {name: tries for name, tries in self._learning.items() if name not in golden}
        self._is_armed, self.has_run = True, False

    @property
    def is_condemned(self) -> bool:
        return self._condemned is not None

    def condemn(self, why: Quarantined) -> None:
        """No run gives an answer any more, not even one that has begun."""
        self._condemned = why

    def acquit(self, took_s: float) -> None:
        """A check of ``took_s`` has found nothing: for a while, what is not finite is the inputs' doing."""
        self.acquitted_until_s = monotonic() + SHARE * took_s

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        if self._condemned is not None:
            raise self._condemned.again()
        try:
            outputs = self.inner.run(signature, inputs)
        except Exception as error:
            self._failed(signature, error)
            raise
        self._look(signature, inputs, outputs)
        return outputs

    def run_all(self, signatures: Sequence[Signature], tensor: Tensor) -> list[dict[str, Tensor]]:
        if self._condemned is not None:
            raise self._condemned.again()
        try:
            runs = self.inner.run_all(signatures, tensor)
        except Exception as error:
            self._failed(signatures[0], error)
            raise
        for signature, outputs in zip(signatures, runs, strict=True):
            self._look(signature, dict.fromkeys(signature.inputs, tensor), outputs)
        return runs

    def _failed(self, signature: Signature, error: Exception) -> None:
        self.has_run = True
        if self._is_armed and self.suspicion.calls_for_check(code_of(error), monotonic()):
            self._watching.failed(self, signature, error)

    def _look(self, signature: Signature, inputs: Tensors, outputs: Tensors) -> None:
        """In each call's way. Raises Quarantined where the answer must not be given out."""
        self.has_run = True
        self.suspicion.succeeded()
        for alias in self._floats.get(signature.name, ()):
            array = outputs.get(alias)
            if array is not None and not is_finite(array):
                self._not_finite(signature, alias)
        if signature.name in self._learning:
            self._learn(signature, inputs, outputs)
        if self._condemned is not None:
            raise self._condemned.again()

    def _not_finite(self, signature: Signature, alias: str) -> None:
        known = self.known.get(signature.name)
        if self._is_armed and known and alias in known[0].finite and monotonic() >= self.acquitted_until_s:
            self._watching.not_finite(self, signature, alias)

    def _learn(self, signature: Signature, inputs: Tensors, outputs: Tensors) -> None:
        """Keeps the first input that works, or a later one whose outputs are finite where the first one's are not."""
        name, floats = signature.name, self._floats[signature.name]
        if len(outputs) < len(self.signatures[name].outputs) or _size(inputs) > MOST_KEPT_BYTES:
            return
        finite = frozenset(alias for alias in floats if is_finite(outputs[alias]))
        best = self.known.get(name)
        if not best or len(finite) > len(best[0].finite):
            kept = {alias: array.copy() for alias, array in inputs.items()}  # of buffers that are the caller's
            self.known[name] = [Known("an input that it answered before", name, kept, finite)]
        left = 0 if len(finite) == len(floats) else self._learning.get(name, 0) - 1
        others = {other: tries for other, tries in self._learning.items() if other != name}
        self._learning = {**others, name: left} if left > 0 else others


def is_finite(array: Any) -> bool:
    """Whether a floating-point array has neither NaN nor Infinity; cheap where it has not, as sums tell."""
    size = array.size
    if size <= FEW and isfinite(sum(array.ravel().tolist())):
        return True
    if size <= MANY and array.dtype in _DTYPES and isfinite(float(cast("Any", np.vdot)(array, array))):
        return True
    return bool(np.isfinite(array).all())


def code_of(error: BaseException) -> Code:
    """The code of what a run raised; MemoryError may pass, and whatever else Python raises is nobody's input."""
    if isinstance(error, UnstuckError):
        return error.code
    return Code.RESOURCE_EXHAUSTED if isinstance(error, MemoryError) else Code.INTERNAL


def is_float(dtype: Any) -> bool:
    """Whether arrays of ``dtype``, None for no dtype of NumPy's, can hold NaN."""
    return dtype is not None and (dtype.kind == "f" or dtype.name == "bfloat16")


def _size(inputs: Tensors) -> int:
    return sum(_bytes_of(array) for array in inputs.values())


def _bytes_of(array: Any) -> int:
    return array.nbytes if array.dtype.kind != "O" else sum(map(len, array.flat))
