"""The body of a REST predict call as NumPy's own files: ``.npy`` for a single input, ``.npz`` for inputs by name.

Nothing is unpickled, and nothing is allocated that did not come: an array is a view of the body's bytes.

Source: numpy.lib.format. bfloat16, which that format has no name for, is its two bytes (``V2``), as ml_dtypes saves it.
"""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np

from unstuck.codecs.input_names import check_names, default_of
from unstuck.core.dtypes import BFLOAT16, name_of
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec, show_shape
from unstuck.errors import BodyTooLarge, MalformedBody, UnstuckError, UnwritableOutput, WrongType
from unstuck.proto.tensors import check_empty

NPY, NPZ = b"\x93NUMPY", b"PK"
MAX_HEADER_BYTES = 10_000  # as numpy.load

_format = cast("Any", np.lib.format)
_HEADERS: dict[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, Any]]] = {
    (1, 0): _format.read_array_header_1_0,
    (2, 0): _format.read_array_header_2_0,
}


@dataclass(slots=True)
class NpyPredictRequest:
    """Arrays that are bound once the signature is known.

    Attributes:
        signature_name: empty for the default one.
        warnings: always none.
        is_single: whether a ``.npy`` came, which names no input.
    """

    signature_name: str
    warnings: list[str]
    is_single: bool
    _arrays: dict[str, Tensor]

    def bind(self, signature: Signature) -> dict[str, Tensor]:
        """The tensors of ``signature``'s inputs, by alias.

        Raises:
            InputNames: missing or misnamed inputs.
            WrongType: an array of another dtype than the input's.
        """
        arrays = self._arrays
        if self.is_single:
            if len(signature.inputs) != 1:
                raise MalformedBody(
                    f"A .npy body is one array, and signature {signature.name!r} has {len(signature.inputs)} inputs: "
                    f"{', '.join(map(repr, signature.inputs))}.",
                    hint="Send them by name as a .npz: numpy.savez(file, name=array, …).",
                )
            arrays = dict(zip(signature.inputs, arrays.values(), strict=True))
        check_names(arrays, signature)
        return {
            alias: _bound(arrays[alias], spec) if alias in arrays else default_of(signature, alias)
            for alias, spec in signature.inputs.items()
        }


def parse(body: bytes, signature_name: str, limit_bytes: int) -> NpyPredictRequest:
    """The request that ``body`` holds.

    Args:
        body: a ``.npy`` or ``.npz`` file; which of them, its first bytes say.
        signature_name: the signature called, as the URL names it; empty for the default one.
        limit_bytes: what a ``.npz`` may hold, inflated.

    Raises:
        MalformedBody: neither, damaged, or with Python objects in it.
        BodyTooLarge: more than ``limit_bytes``.
    """
    if body.startswith(NPY):
        return NpyPredictRequest(signature_name, [], True, {"": _array(body, "The body")})
    if not body.startswith(NPZ):
        raise MalformedBody(
            f"The body is neither a .npy nor a .npz file: it begins with {body[:6]!r}.",
            hint="Write it with numpy.save or numpy.savez, or send JSON as application/json.",
        )
    return NpyPredictRequest(signature_name, [], False, _members(body, limit_bytes))


def encode(outputs: Tensors, *, is_single: bool) -> bytes:
    """The outputs as one ``.npz``; as a ``.npy`` where the request was one and there is a single output.

    Raises:
        UnwritableOutput: strings that end with NUL, which NumPy's fixed-width strings cannot tell from padding.
    """
    file = io.BytesIO()
    if is_single and len(outputs) == 1:
        ((alias, array),) = outputs.items()
        _format.write_array(file, _writable(alias, array), allow_pickle=False)
    else:
        with zipfile.ZipFile(file, "w") as archive:  # numpy.savez takes no array called "file"
            for alias, array in outputs.items():
                with archive.open(f"{alias}.npy", "w", force_zip64=True) as member:
                    _format.write_array(member, _writable(alias, array), allow_pickle=False)
    return file.getvalue()


def _members(body: bytes, limit_bytes: int) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > limit_bytes:
                raise BodyTooLarge("inflated .npz", limit_bytes)
            return {
                name: _array(archive.read(member), f"Array {name!r}")
                for member in members
                for name in [member.filename.removesuffix(".npy")]
            }
    except UnstuckError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged archive fails as what happens to stand there
        raise MalformedBody(f"The .npz cannot be read: {error}.") from None


def _array(data: bytes, what: str) -> Tensor:
    """The array that ``data``, a ``.npy`` file, holds: a view of it."""
    file = io.BytesIO(data)
    try:
        version = _format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"version {version} of the format, expected 1.0 or 2.0")
        shape, is_fortran, dtype = _HEADERS[version](file, max_header_size=MAX_HEADER_BYTES)
    except Exception as error:  # noqa: BLE001 - NumPy reads the header as Python's parser does, and fails as that does
        said = str(error).split("\n")[0][:200]
        raise MalformedBody(f"{what} is not a readable .npy file: {said}.") from None
    if dtype.hasobject:
        raise MalformedBody(
            f"{what} holds Python objects ({dtype}), which are never unpickled.",
            hint="For text, save an array of dtype S or U: numpy.array(['a', 'b']).",
        )
    wanted, came = prod(shape) * dtype.itemsize, len(data) - file.tell()
    if min(shape, default=0) < 0 or wanted != came or not dtype.itemsize:  # any number of elements fits in no bytes
        raise MalformedBody(f"{what} has the shape {list(shape)} of {dtype}: {wanted:,} bytes expected, {came:,} came.")
    if 0 in shape:
        check_empty(shape, f"{what} ({dtype} {show_shape(shape)})")
    flat = cast("Any", np.frombuffer(data, dtype, offset=file.tell()))
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _bound(array: Any, spec: TensorSpec) -> Tensor:
    dtype: Any = spec.dtype.numpy
    if spec.dtype.is_string:
        if array.dtype.kind == "U":
            array = _utf8(array, spec)
        if array.dtype.kind == "S":
            return array.astype(object)
        wanted = "of dtype S or U"
    else:
        if spec.dtype == BFLOAT16 and array.dtype == np.dtype("V2"):
            array = np.ascontiguousarray(array).view(dtype).reshape(array.shape)
        if array.dtype.newbyteorder("=") == dtype:
            return np.asarray(array, dtype, order="C")
        wanted = f"as {dtype or spec.dtype.name}"
    raise WrongType(f"Input {spec.alias!r} expects {spec}, got {name_of(array.dtype)}.", hint=f"Save it {wanted}.")


def _utf8(array: Any, spec: TensorSpec) -> Any:
    codes = array.reshape(-1).view(array.dtype.byteorder + "u4")  # NumPy does not look whether they are characters
    wrong = (codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))
    if wrong.any():
        code = int(codes[wrong.argmax()])
        raise WrongType(f"Input {spec.alias!r}: its text has the code {code:#x}, which is no character.")
    return np.char.encode(array, "utf-8")


def _writable(alias: str, array: Any) -> Any:
    if array.dtype == BFLOAT16.numpy:
        return array.view("V2")
    if array.dtype != object:
        return array
    if any(text.endswith(b"\0") for text in array.flat):
        raise UnwritableOutput(
            f"Output {alias!r} has text that ends with a NUL byte, which a .npy file cannot hold.",
            hint="Ask for JSON or application/x-protobuf.",
        )
    return array.astype(bytes) if array.size else np.empty(array.shape, "S1")
