"""The protocol of a model whose inside can be watched: its nodes between inputs and outputs, and what they compute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from unstuck.core.inspection import Table
from unstuck.core.signatures import Signature, Tensor, Tensors


@dataclass(frozen=True, slots=True)
class TracedNode:
    """One operation of a signature's graph, functions inlined.

    Attributes:
        name: in the inlined graph.
        op: its type, such as ``MatMul``; in a graph of another framework, TensorFlow's name of it if there is one.
        layer: the layer it belongs to, in words the user knows; empty where the graph has no layers.
        inputs: the tensors that it takes, ``node:0``; control edges left out. Of a loop, what its body takes first.
        tensors: the tensors that it gives and that can be fetched.
        weight: the variable that it reads, or is, by the name the user gave it; else empty.
        inside: the loop or branch that this node is a copy out of; empty for the graph's own.
        is_training: for a batch normalisation that uses the statistics of the batch.
    """

    name: str
    op: str
    layer: str
    inputs: tuple[str, ...]
    tensors: tuple[str, ...] = ()
    weight: str = ""
    inside: str = ""
    is_training: bool = False


@dataclass(frozen=True, slots=True)
class TableContents:
    """A lookup table as it stands after loading.

    Attributes:
        table: its name, and what its files say of it.
        keys: up to a bound; empty where they cannot be read.
        size: entries it has.
    """

    table: Table
    keys: tuple[bytes | int, ...] = ()
    size: int | None = None


@dataclass(frozen=True, slots=True)
class TracedGraph:
    """A signature's inlined graph.

    Attributes:
        nodes: every node that an output depends on, inputs first.
        inputs: the tensor that each input alias is fed to.
        outputs: the tensor that each output alias is read from.
    """

    nodes: tuple[TracedNode, ...]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    by_name: Mapping[str, TracedNode] = field(default_factory=dict[str, TracedNode])


class Traceable(Protocol):
    """A loaded model whose inside can be watched. Not thread-safe."""

    @property
    def signatures(self) -> Mapping[str, Signature]: ...

    def graph(self, signature: str) -> TracedGraph:
        """The graph of ``signature``. Raises LoadFailed where it cannot be taken apart."""
        ...

    def fetch(self, signature: str, inputs: Tensors, tensors: Sequence[str]) -> list[Tensor]:
        """What ``tensors`` are when the signature's inputs, by alias, are ``inputs``. Raises EngineError."""
        ...

    def weights(self, signature: str) -> Mapping[str, Tensor]:
        """The variables and large constants that the signature reads, by the names their reads give (``weight``)."""
        ...

    def tables(self) -> Sequence[TableContents]: ...
