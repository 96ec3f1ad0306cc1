"""A SavedModel as tensorflow_model_server holds it: TensorFlow's own loader, a Session, signatures by name."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

Tensors = dict[str, np.ndarray]


class Refused(Exception):
    """The server answers with an error.

    Attributes:
        status: of HTTP.
        code: the name of gRPC's status code.
    """

    def __init__(self, message: str, status: int = 400, code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class ServedModel:
    """One version, loaded. Calls may come from several threads."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        v1 = tf.compat.v1
        config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=2)
        self._graph = tf.Graph()
        self._session = v1.Session(graph=self._graph, config=config)
        with self._graph.as_default():
            meta_graph = v1.saved_model.loader.load(self._session, ["serve"], str(folder))
        self.signatures: dict[str, Any] = {
            name: signature for name, signature in meta_graph.signature_def.items() if name != "__saved_model_init_op"
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._session.close()

    def signature(self, name: str) -> Any:
        """The SignatureDef of ``name``; the default one's for ""."""
        found = self.signatures.get(name or "serving_default")
        if found is None:
            raise Refused(f'Serving signature name: "{name}" not found in signature def')
        return found

    def bind(self, values: Mapping[str, Any], signature: str) -> Tensors:
        """JSON's values as tensors of the signature's types; inputs it does not have are ignored, its defaults used."""
        import tensorflow as tf

        found = self.signature(signature)
        missing = sorted(set(found.inputs) - set(values) - set(found.defaults))
        if missing:
            raise Refused(f"Missing inputs: {missing}. Required: {sorted(found.inputs)}")
        defaults = {name: tf.make_ndarray(proto) for name, proto in found.defaults.items()}
        given = {name: _tensor(name, values[name], info) for name, info in found.inputs.items() if name in values}
        return defaults | given

    def run(self, inputs: Mapping[str, np.ndarray], signature: str = "") -> Tensors:
        """The signature's outputs by name."""
        import tensorflow as tf

        found = self.signature(signature)
        feeds = {found.inputs[name].name: values for name, values in inputs.items()}
        fetches = {name: info.name for name, info in found.outputs.items()}
        try:
            return self._session.run(fetches, feeds)
        except tf.errors.InvalidArgumentError as error:
            raise Refused(error.message.removeprefix("Graph execution error:\n\n")) from error
        except ValueError as error:  # shapes that the feed itself refuses
            raise Refused(str(error)) from error


def _tensor(name: str, values: Any, info: Any) -> np.ndarray:
    import tensorflow as tf

    dtype = tf.as_dtype(info.dtype)
    try:
        array = np.asarray(_bytes(values), object if dtype == tf.string else None)
    except ValueError as error:
        raise Refused(f"Failed to process element of '{name}': the rows have unequal shapes") from error
    if dtype != tf.string and (array.dtype.kind not in "biuf" or (dtype.is_integer and array.dtype.kind == "f")):
        raise Refused(f"JSON Value of '{name}' is not of type {dtype.name}")
    if dtype == tf.string and not all(isinstance(item, bytes) for item in array.flat):
        raise Refused(f"JSON Value of '{name}' is not of type string")
    declared = info.tensor_shape.dim
    if not info.tensor_shape.unknown_rank and (
        array.ndim != len(declared) or any(d.size not in (-1, n) for d, n in zip(declared, array.shape, strict=True))
    ):
        raise Refused(f"Input '{name}' has shape {list(array.shape)}, expected {[d.size for d in declared]}")
    return array if dtype == tf.string else array.astype(dtype.as_numpy_dtype)


def _bytes(values: Any) -> Any:
    """Texts and {"b64": …} as bytes."""
    import base64

    if isinstance(values, list):
        return [_bytes(item) for item in values]
    if isinstance(values, dict) and set(values) == {"b64"}:
        return base64.b64decode(values["b64"])
    return values.encode() if isinstance(values, str) else values
