"""The choice of the engine for one version: each signature is converted, compared, measured, and switched or not."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from unstuck.batching.proof import why_not_mergeable
from unstuck.choosing.conversion import Cancelled, NotConverted
from unstuck.choosing.parity import Different, Parity, Run, compare, drawn, takes_batches
from unstuck.choosing.switching import Other, SwitchingServable
from unstuck.choosing.timing import Timing, is_faster, measure
from unstuck.core.servables import Loader, Servable
from unstuck.core.signatures import Signature, Tensors
from unstuck.errors import LoadFailed, UnstuckError

log = logging.getLogger("unstuck.versions")  # what an operator wants to read while the server runs

Asked = Literal["auto", "onnx"]
State = Literal["waiting", "choosing", "chosen", "ended"]
Convert = Callable[[str, threading.Event], Path]  # of a signature's name; raises NotConverted, Cancelled, UnstuckError
OnnxLoader = Callable[[Path], Loader]


@dataclass(frozen=True, slots=True)
class Decision:
    """Of one signature.

    Attributes:
        engine: that serves it.
        reason: why TensorFlow does; empty where ONNX Runtime does.
        largest_difference: between their answers; None where they were not compared.
        timings: for one row and for the largest batch.
        left_to_tensorflow: kinds of values that TensorFlow answers all the same, as the two differ on them.
    """

    engine: Literal["tensorflow", "onnx"]
    reason: str = ""
    largest_difference: float | None = None
    timings: Sequence[Timing] = ()
    left_to_tensorflow: Sequence[str] = ()

    def __str__(self) -> str:
        figures = [
            f"batch {each.batch}: {each.onnx_ms:.3g} ms by ONNX Runtime, {each.tensorflow_ms:.3g} by TensorFlow"
            for each in self.timings
        ]
        if self.largest_difference is not None:
            figures.append(f"answers differ by {self.largest_difference:.2g} at most")
        chosen = "ONNX Runtime" if self.engine == "onnx" else f"TensorFlow, as {self.reason}"
        return f"{chosen} ({'; '.join(figures)})" if figures else chosen


@dataclass(slots=True, eq=False, weakref_slot=True)
class EngineChoice:
    """One version's. Decides on one thread; ``document`` and ``end`` may be called on any.

    Attributes:
        name: the model's, and its version, as the log has it.
        asked: by the flag.
        servable: what serves; switched by this.
        convert: makes the ONNX model of a signature.
        onnx: loads it.
        golden: inputs by signature that are to be compared as well.
        accept: raises UnstuckError where a servable does not give the golden rows' answers.
    """

    name: str
    asked: Asked
    servable: SwitchingServable
    convert: Convert
    onnx: OnnxLoader
    golden: Mapping[str, Sequence[Tensors]]
    accept: Callable[[Servable], object]
    _state: State = "waiting"
    _decisions: dict[str, Decision] = field(default_factory=dict[str, Decision])
    _held: ExitStack = field(default_factory=ExitStack)
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _deciding: threading.Lock = field(default_factory=threading.Lock)

    def document(self) -> dict[str, object]:
        """What is known by now, as values of JSON."""
        decisions = {name: asdict(each) for name, each in dict(self._decisions).items()}
        return {"asked": self.asked, "state": self._state, "signatures": decisions}

    def engine(self) -> str:
        """``tensorflow``, ``onnx``, or both where signatures differ."""
        decisions = dict(self._decisions)
        engines = {decisions[each.name].engine if each.name in decisions else "tensorflow" for each in self._callable()}
        return ", ".join(sorted(engines, reverse=True)) or "tensorflow"

    def decide(self) -> None:
        """Does it all, and says how it went; ends early once ``end`` is called."""
        with self._deciding:
            if self._cancelled.is_set():
                return
            self._state = "choosing"
            for signature in self._callable():
                try:
                    decision = self._decide(signature)
                except Cancelled:
                    return
                self._decisions[signature.name] = decision
                log.info("%s, signature %r: %s", self.name, signature.name, decision)
            self._state = "chosen"

    def check_all_switched(self) -> None:
        """Raises LoadFailed where TensorFlow still serves a signature, though ONNX Runtime was asked for."""
        for name, decision in self._decisions.items():
            if decision.engine != "onnx":
                raise LoadFailed(
                    f"--engine=onnx, and signature {name!r} cannot be served by ONNX Runtime: {decision.reason}.",
                    hint="--engine=auto serves by TensorFlow what ONNX Runtime cannot.",
                )

    def cancel(self) -> None:
        """Has ``decide`` return soon, with what it has decided by then."""
        self._cancelled.set()

    def end(self) -> None:
        """Stops deciding, and gives back what ONNX Runtime holds; no call may be running."""
        self.cancel()
        with self._deciding:
            self._state = "ended"
            self.servable.switch_back()
            self._held.close()

    def _callable(self) -> Iterator[Signature]:
        return (each for each in self.servable.signatures.values() if each.inputs and each.outputs)

    def _decide(self, signature: Signature) -> Decision:
        if reason := why_not_converted(self.servable.first, signature):
            return Decision("tensorflow", reason)
        try:
            with ExitStack() as held:
                loader = self.onnx(self.convert(signature.name, self._cancelled))
                held.callback(loader.unload)
                decision = self._try(signature, loader.load())
                if decision.engine == "onnx":
                    self._held.enter_context(held.pop_all())
                return decision
        except Cancelled:
            raise
        except (NotConverted, Different) as error:
            return Decision("tensorflow", str(error))
        except UnstuckError as error:
            return Decision("tensorflow", error.message.rstrip("."))
        except Exception as error:
            log.debug("%s, signature %r", self.name, signature.name, exc_info=error)
            return Decision("tensorflow", f"the attempt failed: {error!r}")

    def _try(self, signature: Signature, servable: Servable) -> Decision:
        """Compares and measures what ONNX Runtime has loaded, and switches to it. Raises Different, UnstuckError."""
        _check_names(signature, servable)
        first = self.servable.first
        runs: tuple[Run, Run] = (partial(first.run, signature), partial(Other(signature, servable).run, signature))
        parity = compare(signature, *runs, self.golden.get(signature.name, ()))
        other = Other(signature, servable, parity.guards)
        candidate = SwitchingServable(first)
        candidate.switch(signature.name, other)
        self.accept(candidate)
        if not why_not_mergeable(first, signature) and (reason := why_not_mergeable(candidate, signature)):
            raise Different(f"calls could not be merged any more: {reason}")
        timings = self._times(signature, parity, *runs) if self.asked == "auto" else []
        figures = (parity.largest_difference, timings, sorted(parity.guards))
        if timings and not is_faster(timings):
            return Decision("tensorflow", "ONNX Runtime is not faster by enough", *figures)
        self.servable.switch(signature.name, other)
        return Decision("onnx", "", *figures)

    def _times(self, signature: Signature, parity: Parity, tensorflow: Run, onnx: Run) -> list[Timing]:
        prepared: dict[int, Tensors] = {}

        def inputs_of(rows: int) -> Tensors:
            if rows not in prepared:
                prepared[rows] = drawn(signature, rows, parity.free_size)
            return prepared[rows]

        return measure(
            lambda rows: tensorflow(inputs_of(rows)),
            lambda rows: onnx(inputs_of(rows)),
            batches=takes_batches(signature),
            cancelled=self._cancelled,
        )


def why_not_converted(servable: Servable, signature: Signature) -> str:
    """Why a signature is not even tried; empty where it is."""
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if spec.dtype.is_string:
            return f"{spec.alias!r} holds strings"
        if spec.shape is None:
            return f"the rank of {spec.alias!r} is not declared"
    if signature.name not in servable.stateless:
        return "running it may change state, or draws random numbers"
    return ""


def _check_names(signature: Signature, servable: Servable) -> None:
    (theirs,) = servable.signatures.values()
    if theirs.name not in servable.stateless:
        raise Different("the converted model draws random numbers, or has ops that are not known")
    if not theirs.inputs.keys() <= signature.inputs.keys() or theirs.outputs.keys() != signature.outputs.keys():
        raise Different(f"tf2onnx gave it the inputs {[*theirs.inputs]} and the outputs {[*theirs.outputs]}")
    for ours, others in ((signature.inputs, theirs.inputs), (signature.outputs, theirs.outputs)):
        for alias, spec in others.items():
            if spec.dtype.numpy != ours[alias].dtype.numpy:
                raise Different(f"tf2onnx made {alias!r} a {spec.dtype.name}")
