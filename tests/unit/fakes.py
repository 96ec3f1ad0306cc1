"""Models without a framework: a signature from a few words, a servable from a function, a lookup from a dictionary."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unstuck.core import dtypes
from unstuck.core.dtypes import DType
from unstuck.core.models import ModelSpec
from unstuck.core.signatures import Shape, Signature, TensorSpec
from unstuck.errors import NotFound

Arrays = Mapping[str, Any]

# The dtypes that JSON has a form for.
JSON_DTYPES = [
    *(dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16, dtypes.BOOL, dtypes.STRING),
    *(dtypes.INT8, dtypes.INT16, dtypes.INT32, dtypes.INT64),
    *(dtypes.UINT8, dtypes.UINT16, dtypes.UINT32, dtypes.UINT64),
]
NUMBER_DTYPES = [dtype for dtype in JSON_DTYPES if dtype not in (dtypes.BOOL, dtypes.STRING)]


def spec(alias: str = "x", dtype: DType = dtypes.FLOAT, shape: Shape | None = None) -> TensorSpec:
    return TensorSpec(alias, f"serving_default_{alias}:0", dtype, shape)


def signature(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (), name: str = "serving_default") -> Signature:
    """A signature with these inputs; its output is ``y``, float of any shape, unless given."""
    outputs = outputs or (spec("y"),)
    return Signature(name, {each.alias: each for each in inputs}, {each.alias: each for each in outputs})


@dataclass
class FakeServable:
    """Answers by ``function``; each run's inputs are kept in ``runs``."""

    function: Callable[[Arrays], dict[str, Any]]
    signatures: Mapping[str, Signature]
    stateless: frozenset[str] = frozenset({"serving_default"})
    runs: list[Arrays] = field(default_factory=list)

    def run(self, signature: Signature, inputs: Arrays) -> dict[str, Any]:
        self.runs.append(inputs)
        return {alias: np.asarray(value) for alias, value in self.function(inputs).items()}


@dataclass
class FakeModel:
    """A version that serves."""

    servable: FakeServable
    name: str = "m"
    version: int = 7
    mergeable: frozenset[str] = frozenset()
    batching: Any = None
    watch: Any = None
    observers: Any = ()
    notices: Mapping[str, str] = field(default_factory=dict)


@dataclass
class RunRecorder:
    """Keeps what a RunObserver hears, as lists."""

    heard: list[Any] = field(default_factory=list)

    def ran(self, signature: Signature, inputs: Arrays, outputs: Arrays, rows: Any) -> None:
        def lists(arrays: Arrays) -> Any:
            return {alias: array.tolist() for alias, array in arrays.items()}

        self.heard.append((signature.name, lists(inputs), lists(outputs), list(rows)))


@dataclass
class CallRecorder:
    """Keeps what a CallObserver hears: the calls, and the headers of those that were answered."""

    wants_headers: bool = False
    heard: list[Any] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)

    def answered(self, calls: Any, headers: Any) -> None:
        self.heard.append(calls)
        self.headers.extend(headers)

    def ended(self, call: Any) -> None:
        self.heard.append(call)


@dataclass
class FakeModels:
    """A lookup by name alone."""

    models: Mapping[str, FakeModel]

    def find(self, spec: ModelSpec) -> FakeModel:
        if spec.name not in self.models:
            raise NotFound(f"no {spec.name}")
        return self.models[spec.name]


@dataclass
class FakeLoader:
    """Gives ``servable``, or raises it if it is an error."""

    servable: Any
    unloaded: int = 0

    def load(self) -> Any:
        if isinstance(self.servable, BaseException):
            raise self.servable
        return self.servable

    def unload(self) -> None:
        self.unloaded += 1
