"""The protocols between an engine and the rest: a loader makes a servable, a servable answers calls."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from unstuck.core.batching import Batching
from unstuck.core.inspection import Inspection
from unstuck.core.models import ModelSpec
from unstuck.core.observers import RunObserver
from unstuck.core.signatures import Signature, Tensor, Tensors


class Servable(Protocol):
    """A loaded version of a model. Thread-safe: any number of threads may call ``run`` at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]: ...

    @property
    def stateless(self) -> frozenset[str]:
        """The signatures whose runs change nothing and depend on nothing but their inputs."""
        ...

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        """The outputs of ``signature`` by alias, in the signature's order.

        Args:
            signature: one of ``signatures``, or one narrowed to some of its outputs, which alone are asked for then.
            inputs: an array for each input alias, of the spec's NumPy dtype; strings are object arrays of bytes.

        Raises:
            EngineError: what the framework said, with its status code.
        """
        ...

    def run_all(self, signatures: Sequence[Signature], tensor: Tensor) -> list[dict[str, Tensor]]:
        """The outputs of each of ``signatures``, whose only input is ``tensor``; in one run where the engine can.

        Raises:
            EngineError: what the framework said, with its status code.
        """
        return [self.run(signature, dict.fromkeys(signature.inputs, tensor)) for signature in signatures]


class Loader(Protocol):
    """Loads one version and gives its memory back. Not thread-safe; owned by the lifecycle."""

    def load(self) -> Servable:
        """Raises LoadFailed when the version cannot be served."""
        ...

    def unload(self) -> None: ...

    def estimate(self) -> int | None:
        """The most bytes of memory that ``load`` and a first call will take; None where nothing is known.

        With what the framework takes for itself where it is not imported yet; to be called before ``load``, which it
        neither imports nor reads much for.
        """
        return None


class Engine(Protocol):
    """A framework that can serve a version folder. Importing it must not import the framework."""

    @property
    def platform(self) -> str: ...

    def recognises(self, version_path: Path) -> bool:
        """Whether the folder holds a model of this engine's format."""
        ...

    def loader(self, version_path: Path) -> Loader: ...

    def inspect(self, version_path: Path) -> Inspection:
        """What the version's files say of it, read without the framework.

        Raises:
            LoadFailed: they cannot be read.
        """
        ...


class InputWatch(Protocol):
    """Compares the inputs of calls with what the model was trained on. Thread-safe."""

    @property
    def signature_name(self) -> str:
        """The signature whose calls it compares."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """By input, how many rows were unlike training so far."""
        ...

    def warnings(self, signature: Signature, inputs: Tensors, *, tentative: bool) -> list[str]:
        """What the caller must be told of ``inputs``, which fit ``signature``.

        Args:
            signature: the signature called.
            inputs: by alias.
            tentative: if there is a warning, nobody hears it: each call is then prepared again by itself.

        Raises:
            InvalidRequest: such inputs are refused; never where ``tentative``.
        """
        ...


class AvailableModel(Protocol):
    """A version that is serving, as a lookup returns it."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def servable(self) -> Servable: ...

    @property
    def mergeable(self) -> frozenset[str]:
        """The signatures whose calls may be run together with others' calls; proven, not assumed."""
        ...

    @property
    def batching(self) -> Batching | None:
        """How its calls wait for others, where the batching parameters say so."""
        ...

    @property
    def watch(self) -> InputWatch | None: ...

    @property
    def observers(self) -> Sequence[RunObserver]:
        """Who hears of each of its runs."""
        ...

    @property
    def notices(self) -> Mapping[str, str]:
        """By signature, what is to be said with its answers; changes while it serves."""
        ...


class Models(Protocol):
    """The lookup from a request's model spec to a version that serves."""

    def find(self, spec: ModelSpec) -> AvailableModel:
        """Raises NotFound, UnknownLabel or NotReady."""
        ...
