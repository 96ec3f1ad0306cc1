"""A servable whose signatures go over to another engine, one by one, while it serves."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors, narrowed
from unstuck.errors import EngineError
from unstuck.inference.inputs import fits

MAX_SHAPES = 1024  # that are remembered, as requests choose them

Guard = Literal["negative", "not finite"]


class Other:
    """One signature, as another servable runs it: inputs and outputs go by the signature's aliases there."""

    def __init__(self, signature: Signature, servable: Servable, guards: frozenset[Guard] = frozenset()) -> None:
        """What to run.

        Args:
            signature: as clients know it.
            servable: has one signature, with these outputs, and with some of these inputs or all.
            guards: values that it takes for others than it should; calls with them are none of its.
        """
        (self._theirs,) = servable.signatures.values()
        self._signature = signature
        self._servable = servable
        self._guards = guards
        self._aliases = tuple(signature.inputs)
        self._fitting: set[tuple[tuple[int, ...], ...]] = set()  # found before: to look is ten times as fast

    def takes(self, inputs: Tensors) -> bool:
        """Whether it answers such inputs alike: as the signature declares them, not empty, and without guarded values.

        Many ops of TensorFlow's refuse empty tensors; ONNX Runtime's answer.
        """
        shapes = tuple([inputs[alias].shape for alias in self._aliases])
        if shapes not in self._fitting and not self._fits(shapes):
            return False
        return not self._guards or not any(_is_kept_out(inputs[alias], self._guards) for alias in inputs)

    def _fits(self, shapes: tuple[tuple[int, ...], ...]) -> bool:
        for shape, spec in zip(shapes, self._signature.inputs.values(), strict=True):
            if 0 in shape or not fits(shape, spec.shape or ()):
                return False
        if len(self._fitting) < MAX_SHAPES:
            self._fitting.add(shapes)
        return True

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        theirs = self._theirs
        if signature is not self._signature:
            theirs = narrowed(theirs, [*signature.outputs])
        return self._servable.run(theirs, inputs)


class SwitchingServable(Servable):
    """``first``, until another servable is named for a signature. As thread-safe as they are.

    What the other refuses is asked of ``first``: so every call has the answer, or the error, that it had before.
    """

    def __init__(self, first: Servable) -> None:
        self.first = first
        self._others: Mapping[str, Other] = {}

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self.first.signatures

    @property
    def stateless(self) -> frozenset[str]:
        return self.first.stateless

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        other = self._others.get(signature.name)
        if other is not None and other.takes(inputs):
            try:
                return other.run(signature, inputs)
            except EngineError:
                pass
        return self.first.run(signature, inputs)

    def run_all(self, signatures: Sequence[Signature], tensor: Tensor) -> list[dict[str, Tensor]]:
        return self.first.run_all(signatures, tensor)

    def switch(self, name: str, other: Other) -> None:
        """Calls of the signature ``name`` that begin from now on are run by ``other``."""
        self._others = {**self._others, name: other}

    def switch_back(self) -> None:
        """All calls that begin from now on are run by ``first``."""
        self._others = {}


def _is_kept_out(array: Any, guards: frozenset[Guard]) -> bool:
    if array.dtype.kind == "i":
        return "negative" in guards and array.size > 0 and bool(array.min() < 0)
    return "not finite" in guards and array.dtype.kind == "f" and not np.isfinite(array).all()
