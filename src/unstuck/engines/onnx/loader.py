"""Loads an ONNX model into a session of its own."""

import logging
from collections.abc import Sequence
from pathlib import Path, PurePath

from unstuck.core import dtypes
from unstuck.core.cpus import usable_cpus
from unstuck.core.servables import Loader
from unstuck.engines.onnx import graph, model_file
from unstuck.engines.onnx.estimate import NARROW_BYTES
from unstuck.engines.onnx.runtime import ERRORS, new_session, ort
from unstuck.engines.onnx.servable import OnnxServable, reason
from unstuck.errors import LoadFailed

log = logging.getLogger(__name__)

_HINTS = {
    "No Op registered": "Export it with standard ops, or with a newer opset if the op is of a later one.",
    "No opset import": "The op is a custom one: export the model with standard ops.",
    "is not a registered function/op": "The op is a custom one: export the model with standard ops.",
    "Could not find an implementation": "ONNX Runtime has no CPU kernel for it: export with another dtype or opset.",
    "Opset": "Run pip install -U onnxruntime, or export the model with an older opset.",
    "IR version": "Run pip install -U onnxruntime, or save the model with an older IR version.",
}


class OnnxLoader(Loader):
    """Reads the signature from the file itself, then lets ONNX Runtime load it."""

    def __init__(self, version_path: Path) -> None:
        self._path = model_file(version_path)
        self._servable: OnnxServable | None = None

    def load(self) -> OnnxServable:
        model = graph.read_model(self._path)
        signature = graph.signature_of(model, self._path)
        kinds = {spec.dtype for spec in (*signature.inputs.values(), *signature.outputs.values())}
        if {dtypes.STRING, dtypes.BFLOAT16} <= kinds:
            raise LoadFailed(f"{self._path} has strings and bfloat16, which ONNX Runtime cannot pass in one call.")
        external = graph.external_files(model)
        self._check_external_files(external)
        for name, kind in graph.not_tensors(model).items():
            log.warning(
                "%s: the output %r is %s and left out of answers. %s", self._path, name, kind, graph.ZIPMAP_HINT
            )
        stateless = graph.is_stateless(model)
        del model  # it may be as large as the file
        try:
            session = new_session(self._path)
            narrow = new_session(self._path, threads=1) if self._has_narrow(external) else None
        except ERRORS as error:
            said = reason(error)
            raise LoadFailed(
                f"{self._path} cannot be loaded by ONNX Runtime {ort.__version__}: {said}",
                hint=next((hint for words, hint in _HINTS.items() if words in said), ""),
            ) from error
        self._servable = OnnxServable(session, signature, stateless=stateless, narrow=narrow)
        return self._servable

    def unload(self) -> None:
        if self._servable is not None:
            self._servable.close()
            self._servable = None

    def _has_narrow(self, external: Sequence[str]) -> bool:
        files = [self._path, *(self._path.parent / name for name in external)]
        return usable_cpus() > 1 and sum(file.stat().st_size for file in files) <= NARROW_BYTES

    def _check_external_files(self, external: Sequence[str]) -> None:
        for name in external:
            if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                raise LoadFailed(
                    f"{self._path} says that its weights are in {name}, which is outside of its folder.",
                    hint="Save it with its weights beside it: a model reads no other files of the server's machine.",
                )
        missing = [name for name in external if not (self._path.parent / name).is_file()]
        if missing:
            raise LoadFailed(
                f"{self._path} keeps its weights in {', '.join(missing)}, which is not in {self._path.parent}.",
                hint="Copy it there: it belongs to the model.",
            )
