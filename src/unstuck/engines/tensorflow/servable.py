"""A SavedModel that answers calls, through prepared callables of its Session."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.engines.tensorflow.runtime import config_pb2, tf
from unstuck.errors import Code, EngineError

INLINE_POOL = -1  # run the ops in the thread that calls: no hand-over between threads


class SavedModelServable(Servable):
    """Thread-safe: a callable of a Session may run any number of times at once. Owned by its loader.

    Must be built with the session's graph as the default graph, before the session has run.
    """

    def __init__(self, session: Any, signatures: Mapping[str, Signature], stateless: frozenset[str]) -> None:
        self._signatures = dict(signatures)
        self._stateless = stateless
        self._calls = {name: _Call(session, signature) for name, signature in signatures.items() if _can_run(signature)}

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    @property
    def stateless(self) -> frozenset[str]:
        return self._stateless

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        try:
            return self._calls[signature.name](inputs)
        except tf.errors.OpError as error:
            raise EngineError(
                f"TensorFlow failed: {_reason(error)}",
                code=Code.from_number(error.error_code),
                hint=_what_came(signature, inputs),
            ) from error


class _Call:
    """One signature as a callable: arrays in the order of ``feeds``, arrays back."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self._feeds = tuple(signature.inputs)
        names = {alias: _readable(session.graph, spec.name) for alias, spec in signature.outputs.items()}
        fetches = list(dict.fromkeys(names.values()))  # two aliases may share one tensor; a Session fetches it once
        self._aliases = tuple((alias, fetches.index(name)) for alias, name in names.items())
        options = config_pb2.CallableOptions()
        options.feed.extend(spec.name for spec in signature.inputs.values())
        options.fetch.extend(fetches)
        options.run_options.inter_op_thread_pool = INLINE_POOL
        self._run: Callable[..., list[Any]] = session._make_callable_from_options(options)

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        results = self._run(*[inputs[alias] for alias in self._feeds])
        return {alias: _as_array(results[at]) for alias, at in self._aliases}


def _as_array(result: Any) -> Tensor:
    if isinstance(result, bytes):  # a scalar string, which NumPy would take for text of fixed length
        array = np.empty((), object)
        array[()] = result
        return array
    return np.asarray(result)


def _can_run(signature: Signature) -> bool:
    return bool(signature.outputs) and all(spec.dtype.number != 0 and spec.name for spec in signature.outputs.values())


def _readable(graph: Any, tensor_name: str) -> str:
    """The tensor's name; for a reference to a variable, the name of a tensor that reads it."""
    tensor = graph.get_tensor_by_name(tensor_name)
    return str(tf.identity(tensor).name) if tensor.dtype._is_ref_dtype else tensor_name


def _reason(error: Any) -> str:
    return str(error.message).split("\n")[0].strip()


def _what_came(signature: Signature, inputs: Tensors) -> str:
    from unstuck.core.signatures import show_shape

    came = ", ".join(
        f"{alias!r} declared {spec}, got {show_shape(inputs[alias].shape)}" for alias, spec in signature.inputs.items()
    )
    return f"Inputs: {came}." if came else ""
