"""Python functions of the user's, from a file beside the pipeline: they run with the server's rights."""

import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from unstuck.core.dtypes import name_of
from unstuck.core.signatures import Tensor, TensorSpec, show_shape
from unstuck.errors import Code, EngineError, did_you_mean
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.schema import Function

log = logging.getLogger(__name__)


class UserFunction:
    """A function, and the check of what it returns. Thread-safe if the function is.

    Attributes:
        stateless: whether its author says so.
    """

    def __init__(self, where: str, step: Function, spec: TensorSpec, folder: Path) -> None:
        """Loads the file that ``step`` names.

        Args:
            where: how messages call the step.
            step: as declared.
            spec: what it must return.
            folder: where its file is.

        Raises:
            PipelineError: the file cannot be run, or has no such function.
        """
        self._what = f"{where} ({step.function})"
        self._spec = spec
        self._function = _loaded(where, step, folder)
        self.stateless = step.stateless

    def __call__(self, arrays: Sequence[Tensor]) -> list[Tensor]:
        """What it returns for ``arrays``, its arguments.

        Raises:
            EngineError: INVALID_ARGUMENT where it raises ValueError; INTERNAL where it raises anything else, or returns
                what it was not declared to.
        """
        try:
            result = self._function(*arrays)
        except ValueError as error:
            raise EngineError(f"{self._what} refused its input: {error}", code=Code.INVALID_ARGUMENT) from error
        except Exception as error:
            log.exception("%s failed", self._what)
            raise EngineError(
                f"{self._what} failed: {type(error).__name__}: {error}",
                code=Code.INTERNAL,
                hint="The server's log has the traceback; for an input that it cannot take, raise ValueError.",
            ) from error
        return [self._checked(result, len(arrays[0]))]

    def _checked(self, result: object, rows: int) -> Tensor:
        expected = (rows, *(self._spec.shape or ())[1:])
        if not isinstance(result, np.ndarray):
            raise self._unexpected(expected, f"{type(result).__name__}, which is no NumPy array")
        given = cast("Tensor", result)
        array = _as_bytes(given) if self._spec.dtype.is_string else given
        if array is None:
            raise self._unexpected(expected, f"{name_of(given.dtype)}, which is not all text")
        if array.dtype != self._spec.dtype.numpy or not _fits(array.shape, expected):
            raise self._unexpected(expected, f"{name_of(array.dtype)} {show_shape(array.shape)}")
        return array

    def _unexpected(self, expected: tuple[int | None, ...], got: str) -> EngineError:
        return EngineError(
            f"{self._what} must return {self._spec.dtype.name} {show_shape(expected)}, got {got}.", code=Code.INTERNAL
        )


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(want in (None, got) for got, want in zip(shape, expected, strict=True))


def _as_bytes(array: Tensor) -> Tensor | None:
    """Texts, whether str or bytes, as objects that are bytes; None where one is neither."""
    encoded = np.empty(array.shape, object)
    values = [_encoded(value) for value in array.reshape(-1).tolist()]
    encoded.reshape(-1)[:] = values
    return None if None in values else encoded


def _encoded(value: Any) -> bytes | None:
    if not isinstance(value, str):
        return value if isinstance(value, bytes) else None
    try:
        return value.encode()
    except UnicodeEncodeError:
        return None


def _loaded(where: str, step: Function, folder: Path) -> Callable[..., object]:
    file, _, name = step.function.partition(":")
    module = _module(where, folder / file)
    found: object = getattr(module, name, None)
    if not callable(found):
        functions = [each for each, value in vars(module).items() if callable(value)]
        raise PipelineError(f"{where}: {file} has no function {name!r}.", hint=did_you_mean(name, functions))
    return found


def _module(where: str, path: Path) -> ModuleType:
    """The file run as a module of a name of its own, whatever other models call theirs."""
    spec = importlib.util.spec_from_file_location(f"unstuck_pipeline:{path}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pickle look for it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PipelineError(f"{where}: {path} cannot be loaded: {type(error).__name__}: {error}.") from error
    return module
