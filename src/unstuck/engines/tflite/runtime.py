"""The one place that imports LiteRT, with its untyped API behind names of ours."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ai_edge_litert
from ai_edge_litert import interpreter as _interpreter

from unstuck.core.signatures import Tensor
from unstuck.engines.tflite.graph import Entry

_litert: Any = _interpreter
VERSION = str(ai_edge_litert.__version__)
ERRORS = (RuntimeError, ValueError, TypeError)  # what it raises; it has no errors of its own

INFORMS = "INFO: "  # begins the line that the first interpreter writes, on how it computes


class Interpreter:
    """One interpreter with its own memory, for one run at a time. The file's weights are shared by all."""

    def __init__(self, model: Path | bytes, *, has_variables: bool) -> None:
        """Raises one of ``ERRORS`` where the model cannot be run.

        Args:
            model: the file, or its content.
            has_variables: whether it has variables, which every run is to find in their first state.
        """
        # Threads of its own would compete with the other calls' for the CPUs.
        source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        self._interpreter: Any = _litert.Interpreter(**source, num_threads=1)
        self._interpreter.allocate_tensors()
        self._has_variables = has_variables
        self._shapes: dict[int, tuple[int, ...]] = {}

    def run(self, entry: Entry, inputs: Mapping[int, Tensor], aliases: Iterable[str]) -> dict[str, Tensor]:
        """The outputs ``aliases`` of ``entry`` for inputs by their tensors' numbers.

        Raises one of ``ERRORS`` where the inputs do not fit; the interpreter must not be used again then.
        """
        if entry.subgraph:
            return self._run_other(entry, inputs, aliases)
        interpreter, is_resized = self._interpreter, False
        for number, array in inputs.items():
            shape = array.shape
            if self._shapes.get(number) != shape:
                interpreter.resize_tensor_input(number, shape)
                self._shapes[number] = shape
                is_resized = True
        if is_resized:
            interpreter.allocate_tensors()
        for number, array in inputs.items():
            interpreter.set_tensor(number, array)
        if self._has_variables:
            interpreter.reset_all_variables()
        interpreter.invoke()
        return {alias: interpreter.get_tensor(entry.outputs[alias]) for alias in aliases}

    def _run_other(self, entry: Entry, inputs: Mapping[int, Tensor], aliases: Iterable[str]) -> dict[str, Tensor]:
        """Of another subgraph than the first, which only a runner can reach; it resizes at every run."""
        if self._has_variables:
            self._interpreter.reset_all_variables()
        # While a runner is kept, the interpreter takes its reference for one to its memory, and refuses to resize.
        outputs = self._interpreter.get_signature_runner(entry.signature.name)(
            **{alias: inputs[number] for alias, number in entry.inputs.items()}
        )
        return {alias: outputs[alias] for alias in aliases}
