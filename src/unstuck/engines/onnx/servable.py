"""Answers calls by a session of ONNX Runtime."""

import ctypes
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from unstuck.core import dtypes
from unstuck.core.cpus import usable_cpus
from unstuck.core.dtypes import DType
from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors, show_shape
from unstuck.engines.onnx.runtime import BFLOAT16, ERRORS, NotImplementedByRuntime, ort, run_options
from unstuck.errors import Code, EngineError

_PREFIX = re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_PLACE = re.compile(r"/\S+\.(?:h|cc|cpp):\d+ [^()]*\(.*?\)(?: const|::<lambda\S*)? ")
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad allocation", "bad_alloc")


class OnnxServable(Servable):
    """Thread-safe: a session may run any number of times at once. Owned by its loader.

    ONNX's strings are UTF-8 text, and ONNX Runtime passes nothing else through Python: other bytes are refused.
    """

    def __init__(self, session: Any, signature: Signature, *, stateless: bool, narrow: Any = None) -> None:
        """Answers by ``session``.

        Args:
            session: of ONNX Runtime.
            signature: the only one.
            stateless: whether a run depends on its inputs alone.
            narrow: a session of the same model whose runs take one CPU each, for while there are as many as CPUs:
                threads that share operators then only wait for each other.
        """
        self._session: Any = session
        self._narrow: Any = narrow
        self._cpus = usable_cpus()
        self._running: list[None] = []  # one a run; its length is the one counter that needs no lock
        self._signatures = {signature.name: signature}
        self._stateless = frozenset(self._signatures if stateless else ())
        self._options = run_options()
        specs = (*signature.inputs.values(), *signature.outputs.values())
        self._by_ort_values = any(spec.dtype is dtypes.BFLOAT16 for spec in specs)

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    @property
    def stateless(self) -> frozenset[str]:
        return self._stateless

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        feeds = {
            alias: _texts(alias, inputs[alias]) if spec.dtype is dtypes.STRING else inputs[alias]
            for alias, spec in signature.inputs.items()
        }
        try:
            results = self._run([*signature.outputs], feeds)
        except UnicodeDecodeError as error:
            raise EngineError(f"ONNX Runtime gave a string that is not UTF-8: {error}", code=Code.INTERNAL) from error
        except ERRORS as error:
            raise EngineError(
                f"ONNX Runtime failed: {reason(error)}", code=_code(error), hint=_what_came(signature, inputs)
            ) from error
        return {
            alias: as_bytes(result) if spec.dtype is dtypes.STRING else _renamed(result, spec.dtype)
            for (alias, spec), result in zip(signature.outputs.items(), results, strict=True)
        }

    def close(self) -> None:
        """Gives the session's memory back once the runs in flight have ended."""
        self._session = self._narrow = None

    def _run(self, names: Sequence[str], feeds: Tensors) -> list[Tensor]:
        self._running.append(None)
        try:
            session: Any = self._session
            if self._narrow is not None and len(self._running) >= self._cpus:
                session = self._narrow
            if not self._by_ort_values:
                return [np.asarray(each) for each in session.run(names, feeds, self._options)]
            values = {alias: _ort_value(array) for alias, array in feeds.items()}
            return [_array(each) for each in session.run_with_ort_values(names, values, self._options)]
        finally:
            self._running.pop()


def reason(error: Exception) -> str:
    """What ONNX Runtime says, on one line, without its source code's lines."""
    text = _PLACE.sub("", _PREFIX.sub("", " ".join(str(error).split()) + " "))
    return text.strip()[:1000] or type(error).__name__


def _texts(alias: str, array: Tensor) -> Tensor:
    texts = np.empty(array.shape, object)
    try:
        texts.reshape(-1)[:] = [value.decode() for value in _values(array)]
    except UnicodeDecodeError as error:
        raise EngineError(
            f"The input {alias!r} holds bytes that are not UTF-8 ({error.object[:20]!r}); ONNX strings are text.",
            code=Code.INVALID_ARGUMENT,
        ) from None
    return texts


def as_bytes(array: Tensor) -> Tensor:
    """ONNX Runtime's text as the bytes that answers hold."""
    encoded = np.empty(array.shape, object)
    encoded.reshape(-1)[:] = [value.encode() for value in _values(array)]
    return encoded


def _renamed(array: Tensor, dtype: DType) -> Tensor:
    """``array`` under NumPy's usual name of its dtype: ONNX Runtime's int64 is a longlong, which JSON refuses."""
    return array if dtype.numpy is None else array.view(dtype.numpy)


def _values(array: Tensor) -> Iterable[Any]:
    return array.flat


def _ort_value(array: Tensor) -> Any:
    if array.dtype == ml_dtypes.bfloat16:
        bits = np.ascontiguousarray(array).view(np.uint16).reshape(array.shape)
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array).reshape(array.shape))


def _array(value: Any) -> Tensor:
    """A copy of an OrtValue's tensor; NumPy's own route does not know bfloat16."""
    if value.element_type() != BFLOAT16:
        return np.asarray(value.numpy())
    array = np.empty(value.shape(), ml_dtypes.bfloat16)
    if array.nbytes:
        ctypes.memmove(array.ctypes.data, value.data_ptr(), array.nbytes)
    return array


def _code(error: Exception) -> Code:
    if isinstance(error, NotImplementedByRuntime):
        return Code.UNIMPLEMENTED
    if any(words in str(error) for words in _OUT_OF_MEMORY):
        return Code.RESOURCE_EXHAUSTED
    return Code.INVALID_ARGUMENT  # every op has a kernel since load; what it refuses now came with the inputs


def _what_came(signature: Signature, inputs: Tensors) -> str:
    came = ", ".join(
        f"{alias!r} declared {spec}, got {show_shape(inputs[alias].shape)}" for alias, spec in signature.inputs.items()
    )
    return f"Inputs: {came}." if came else ""
