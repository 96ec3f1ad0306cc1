"""The one place that imports ONNX Runtime, with its untyped API behind names of ours."""

from importlib import import_module
from pathlib import Path
from typing import Any

import onnxruntime as _onnxruntime

from unstuck.core.cpus import usable_cpus

ort: Any = _onnxruntime
_state: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
InvalidArgument: type[Exception] = _state.InvalidArgument
NotImplementedByRuntime: type[Exception] = _state.NotImplemented
# They share no base class; a fault in the glue between NumPy and ONNX Runtime is a plain one of Python's.
ERRORS: tuple[type[Exception], ...] = (
    *(InvalidArgument, NotImplementedByRuntime, _state.Fail, _state.RuntimeException, _state.EPFail),
    *(_state.InvalidGraph, _state.InvalidProtobuf, _state.NoSuchFile, _state.NoModel, _state.EngineError),
    *(RuntimeError, TypeError, ValueError),
)
_ONLY_FATAL = 4  # what it would log to stderr is in our own messages
BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


def new_session(path: Path, threads: int = 0) -> Any:
    """A session that runs one operator at a time, in ``threads`` threads: 0 for every CPU that this process may use."""
    return _session(str(path), _options(threads))


def watching_session(model: bytes, folder: Path) -> Any:
    """As ``new_session``, of a serialised model whose operators run as they stand: none is fused or folded away.

    Args:
        model: an onnx.ModelProto.
        folder: that its external weights are in.
    """
    options = _options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return _session(model, options)


def _options(threads: int = 0) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cpus()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONLY_FATAL
    # Threads that spin between operators take the CPU from other calls, and from the loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(model: str | bytes, options: Any) -> Any:
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.disable_fallback()
    return session


def run_options() -> Any:
    """Options for a run; they may be shared by runs at once."""
    options = ort.RunOptions()
    options.log_severity_level = _ONLY_FATAL
    return options
