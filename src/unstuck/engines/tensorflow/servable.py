"""A SavedModel that answers calls, through prepared callables of its Session."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.engines.tensorflow.runtime import config_pb2, tf
from unstuck.engines.tensorflow.sessions import INLINE_POOL
from unstuck.errors import Code, EngineError

MAX_OTHER_CALLS = 256  # of narrowed and joined signatures, which requests choose


class SavedModelServable(Servable):
    """Thread-safe: a callable of a Session may run any number of times at once. Owned by its loader.

    Must be built with the session's graph as the default graph, before the session has run.
    """

    def __init__(
        self, session: Any, signatures: Mapping[str, Signature], stateless: frozenset[str], pool: int = INLINE_POOL
    ) -> None:
        """``pool`` is which of the session's thread pools the ops of a call run in."""
        self._session = session
        self._pool = pool
        self._signatures = dict(signatures)
        self._stateless = stateless
        self._readable = _readable_names(session.graph, signatures.values())
        self._calls = {name: self._call(signature) for name, signature in signatures.items() if _can_run(signature)}
        self._other_calls: dict[Hashable, _Call] = {}

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    @property
    def stateless(self) -> frozenset[str]:
        return self._stateless

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        try:
            call = self._calls.get(signature.name)
            if call is None:
                raise EngineError("It gives no tensor, so it cannot be called.", code=Code.INVALID_ARGUMENT)
            if signature is not self._signatures[signature.name]:
                call = self._other_call((signature.name, *signature.outputs), signature)
            return call(inputs)
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise _failed(error, signature, inputs) from error

    def run_all(self, signatures: Sequence[Signature], tensor: Tensor) -> list[dict[str, Tensor]]:
        inputs = {f"{each.name}/{alias}": spec for each in signatures for alias, spec in each.inputs.items()}
        feeds = {
            spec.name: alias for alias, spec in inputs.items()
        }  # a tensor that several signatures take is fed once
        union = Signature(
            name="",
            inputs={alias: inputs[alias] for alias in feeds.values()},
            outputs={f"{each.name}/{alias}": spec for each in signatures for alias, spec in each.outputs.items()},
        )
        try:
            call = self._other_call(tuple((each.name, *each.outputs) for each in signatures), union)
            outputs = call(dict.fromkeys(union.inputs, tensor))
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise _failed(error, signatures[0], dict.fromkeys(signatures[0].inputs, tensor)) from error
        return [{alias: outputs[f"{each.name}/{alias}"] for alias in each.outputs} for each in signatures]

    def _other_call(self, key: Hashable, signature: Signature) -> "_Call":
        call = self._other_calls.get(key)
        if call is None:
            call = self._call(signature)
            if len(self._other_calls) < MAX_OTHER_CALLS:
                self._other_calls[key] = call
        return call

    def _call(self, signature: Signature) -> "_Call":
        fetched = {alias: self._readable[spec.name] for alias, spec in signature.outputs.items()}
        feeds = {alias: spec.name for alias, spec in signature.inputs.items()}
        return _Call(self._session, feeds, fetched, self._pool)


class _Call:
    """Feeds and fetches, each a tensor's name by alias, as a callable on arrays by alias."""

    def __init__(self, session: Any, feeds: Mapping[str, str], fetches: Mapping[str, str], pool: int) -> None:
        self._feeds = tuple(feeds)
        names = list(dict.fromkeys(fetches.values()))  # two aliases may share one tensor; a Session fetches it once
        self._aliases = tuple((alias, names.index(name)) for alias, name in fetches.items())
        options = config_pb2.CallableOptions()
        options.feed.extend(feeds.values())
        options.fetch.extend(names)
        options.run_options.inter_op_thread_pool = pool
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


def _readable_names(graph: Any, signatures: Iterable[Signature]) -> dict[str, str]:
    """Each output's tensor by its name; for a reference to a variable, the name of a tensor that reads it."""
    names = {spec.name for signature in signatures if _can_run(signature) for spec in signature.outputs.values()}
    tensors = {name: graph.get_tensor_by_name(name) for name in sorted(names)}
    return {
        name: str(tf.identity(tensor).name) if tensor.dtype._is_ref_dtype else name for name, tensor in tensors.items()
    }


def _failed(error: Any, signature: Signature, inputs: Tensors) -> EngineError:
    if isinstance(error, UnicodeDecodeError):  # TensorFlow's message quotes bytes of an input; its code is lost
        text, code = bytes(error.object).decode(errors="backslashreplace"), Code.INVALID_ARGUMENT
    else:
        text, code = str(error.message), Code.from_number(error.error_code)
    reason = text.split("\n")[0].strip()
    return EngineError(f"TensorFlow failed: {reason}", code=code, hint=_what_came(signature, inputs))


def _what_came(signature: Signature, inputs: Tensors) -> str:
    from unstuck.core.signatures import show_shape

    came = ", ".join(
        f"{alias!r} declared {spec}, got {show_shape(inputs[alias].shape)}" for alias, spec in signature.inputs.items()
    )
    return f"Inputs: {came}." if came else ""
