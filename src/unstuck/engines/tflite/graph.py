"""Reading a TensorFlow Lite file without a runtime: its signatures and its ops.

Source of the field numbers: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from unstuck.core import dtypes
from unstuck.core.dtypes import DType
from unstuck.core.signatures import DEFAULT_SIGNATURE, Signature, TensorSpec
from unstuck.engines.tflite import flatbuffer
from unstuck.engines.tflite.flatbuffer import Table
from unstuck.engines.tflite.ops import CUSTOM, NAMES
from unstuck.errors import LoadFailed
from unstuck.proto.wire.signature_pb2 import SignatureDef

IDENTIFIER = b"TFL3"
SIGNATURES_METADATA = "signature_defs_metadata"  # where TensorFlow Serving looks for signatures
# By tflite.TensorType; the others cannot be held by a request.
# fmt: off
DTYPES = {
    0: dtypes.FLOAT, 1: dtypes.HALF, 2: dtypes.INT32, 3: dtypes.UINT8, 4: dtypes.INT64, 5: dtypes.STRING,
    6: dtypes.BOOL, 7: dtypes.INT16, 8: dtypes.COMPLEX64, 9: dtypes.INT8, 10: dtypes.DOUBLE, 11: dtypes.COMPLEX128,
    12: dtypes.UINT64, 15: dtypes.UINT32, 16: dtypes.UINT16, 18: dtypes.BFLOAT16,
}
# fmt: on
PARSERS = frozenset({"ParseExample", "ParseExampleV2"})
RANDOM = frozenset({"RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR"})
WRITES = frozenset({"ASSIGN_VARIABLE"})
FLEX = "Flex"  # what the name of an op begins with that TensorFlow itself must run
# Of the custom ops that LiteRT has, those that only compute.
PURE_CUSTOM = frozenset({"TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", *PARSERS})


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a subgraph, as the file declares it; ``dtype`` is None for a kind that no request can hold."""

    name: str
    dtype: DType | None
    shape: tuple[int | None, ...]
    is_variable: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """A node: its op, and its inputs and outputs by their numbers in its subgraph (-1 for one left out)."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls_once: int = -1  # the subgraph that it runs once for ever, to initialise


@dataclass(frozen=True, slots=True)
class Subgraph:
    """One graph of a file; the first one is the model, the others are bodies and further signatures."""

    tensors: list[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: list[Operator]


@dataclass(frozen=True, slots=True)
class Entry:
    """A signature and where its tensors are.

    Attributes:
        signature: the signature.
        subgraph: the number of its graph in the file.
        inputs: the tensors' numbers in the subgraph, by alias.
        outputs: likewise.
        is_of_one: the file says a batch of 1 where the signature says a batch of any size.
    """

    signature: Signature
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    is_of_one: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A TensorFlow Lite file.

    Attributes:
        description: what the converter says of itself.
        subgraphs: the graphs.
        entries: the signatures, by name, in sorted order.
        has_own_signatures: False where the file has none, and the only one is made of its tensors' names.
    """

    description: str
    subgraphs: list[Subgraph]
    entries: Mapping[str, Entry]
    has_own_signatures: bool

    @property
    def operators(self) -> Iterator[Operator]:
        """Those that runs execute: not those that initialise."""
        once = {each.calls_once for subgraph in self.subgraphs for each in subgraph.operators}
        for number, subgraph in enumerate(self.subgraphs):
            if number not in once:
                yield from subgraph.operators

    @property
    def has_variables(self) -> bool:
        """Whether it has tensors that keep their value until they are reset, as the state of an LSTM."""
        return any(tensor.is_variable for subgraph in self.subgraphs for tensor in subgraph.tensors)

    @property
    def keeps_state(self) -> bool:
        """Whether a run changes what a later one gives."""
        return any(each.op in WRITES for each in self.operators)

    @property
    def is_stateless(self) -> bool:
        """Whether runs change nothing and depend on nothing but their inputs."""
        known = {*NAMES, *PURE_CUSTOM} - RANDOM - WRITES
        return all(each.op in known for each in self.operators)


def read_model(path: Path) -> Model:
    """The model in the file ``path``.

    Raises:
        LoadFailed: it is not a TensorFlow Lite model, cut off, or one that cannot be served.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LoadFailed(f"{path} cannot be read: {error.strerror}.") from error
    if data[4:8] != IDENTIFIER:
        raise LoadFailed(f"{path} is not a TensorFlow Lite model: the file is empty, or of another format.")
    try:
        model = flatbuffer.root(data)
        subgraphs = subgraphs_of(model)
        entries = _declared(model, subgraphs) or _native(model, subgraphs)
        own = bool(entries)
        if not own and subgraphs:
            entries = [_by_tensor_names(subgraphs[0])]
        description = model.text(3)
    except (*flatbuffer.ERRORS, DecodeError) as error:
        raise LoadFailed(f"{path} is not a whole TensorFlow Lite model: the file is cut off ({error}).") from None
    if not entries:
        raise LoadFailed(f"{path} holds no graph.")
    for entry in entries:
        _check(path, entry)
    by_name = {entry.signature.name: entry for entry in sorted(entries, key=lambda each: each.signature.name)}
    return Model(description, subgraphs, by_name, own)


def subgraphs_of(model: Table) -> list[Subgraph]:
    """The graphs of a file's root table. Raises one of ``flatbuffer.ERRORS`` where the file is cut off."""
    codes = [_op(each) for each in model.tables(1)]
    return [_subgraph(each, codes) for each in model.tables(2)]


def op_counts(model: Model) -> Counter[str]:
    """The ops by how many nodes they have."""
    return Counter(operator.op for operator in model.operators)


def _op(code: Table) -> str:
    number = max(code.integer(0, "b"), code.integer(3))  # the older field has but 7 bits
    if number == CUSTOM:
        return code.text(1)
    return NAMES[number] if number < len(NAMES) else f"op {number}"


def _subgraph(table: Table, codes: list[str]) -> Subgraph:
    return Subgraph(
        tensors=[_tensor(each) for each in table.tables(0)],
        inputs=table.integers(1),
        outputs=table.integers(2),
        operators=[_operator(each, codes) for each in table.tables(3)],
    )


def _tensor(table: Table) -> Tensor:
    sizes = table.integers(7) or table.integers(0)  # the shape as declared, with -1; else as converted
    shape = tuple(None if size < 0 else size for size in sizes)
    return Tensor(table.text(3), DTYPES.get(table.integer(1, "b")), shape, bool(table.integer(5, "b")))


def _operator(table: Table, codes: list[str]) -> Operator:
    op = codes[table.integer(0, "I")]
    options = table.table(4) if op == "CALL_ONCE" else None
    return Operator(op, table.integers(1), table.integers(2), options.integer(0) if options else -1)


def _declared(model: Table, subgraphs: list[Subgraph]) -> list[Entry]:
    """The SignatureDefs in the file's metadata, whose tensors may have lost their ``:0`` when they were converted."""
    number = next((each.integer(1, "I") for each in model.tables(6) if each.text(0) == SIGNATURES_METADATA), None)
    if number is None:
        return []
    flexbuffers: Any = import_module("flatbuffers.flexbuffers")
    by_name = flexbuffers.GetRoot(model.tables(4)[number].bytes(0)).AsMap
    entries: list[Entry] = []
    for name, value in zip(by_name.Keys, by_name.Values, strict=True):
        declared = SignatureDef.FromString(bytes(value.AsStringBytes))
        inputs = {alias: _index(info.name, subgraphs[0], alias) for alias, info in declared.inputs.items()}
        outputs = {alias: _index(info.name, subgraphs[0], alias) for alias, info in declared.outputs.items()}
        entries.append(_entry(str(name.AsKey), 0, subgraphs[0], inputs, outputs, declared.method_name))
    return entries


def _index(name: str, subgraph: Subgraph, alias: str) -> int:
    numbers = {subgraph.tensors[at].name: at for at in (*subgraph.inputs, *subgraph.outputs)}
    found = numbers.get(name, numbers.get(name.partition(":")[0]))
    if found is None:
        raise LoadFailed(f"A signature's {alias!r} is the tensor {name!r}, which is neither input nor output.")
    return found


def _native(model: Table, subgraphs: list[Subgraph]) -> list[Entry]:
    """The signatures that converters write since TensorFlow 2.5, which TensorFlow Serving does not read."""
    entries: list[Entry] = []
    for each in model.tables(7):
        number = each.integer(4, "I")
        inputs, outputs = ({pair.text(0): pair.integer(1, "I") for pair in each.tables(field)} for field in (0, 1))
        entries.append(_entry(each.text(2), number, subgraphs[number], inputs, outputs))
    return entries


def _by_tensor_names(subgraph: Subgraph) -> Entry:
    """As TensorFlow Serving makes one up; but of names that differ only after the colon it keeps the last."""

    def named(numbers: tuple[int, ...]) -> dict[str, int]:
        names = [subgraph.tensors[number].name for number in numbers]
        short = [name.partition(":")[0] for name in names]
        return dict(zip(short if len({*short}) == len(short) else names, numbers, strict=True))

    return _entry(DEFAULT_SIGNATURE, 0, subgraph, named(subgraph.inputs), named(subgraph.outputs))


def _entry(
    name: str, number: int, subgraph: Subgraph, inputs: dict[str, int], outputs: dict[str, int], method: str = ""
) -> Entry:
    ins, outs = (
        {alias: _spec(alias, subgraph.tensors[at]) for alias, at in sorted(numbers.items())}
        for numbers in (inputs, outputs)
    )
    is_of_one = all(spec.shape and spec.shape[0] == 1 for spec in (*ins.values(), *outs.values()))
    if is_of_one:
        ins, outs = ({alias: _open(spec) for alias, spec in specs.items()} for specs in (ins, outs))
    signature = Signature(
        name=name,
        inputs=ins,
        outputs=outs,
        takes_examples=any(operator.op in PARSERS for operator in subgraph.operators),
    )
    if method:
        signature = replace(signature, method_name=method)
    return Entry(signature, number, inputs, outputs, is_of_one)


def _spec(alias: str, tensor: Tensor) -> TensorSpec:
    return TensorSpec(alias, tensor.name, tensor.dtype or dtypes.INVALID, tensor.shape)


def _open(spec: TensorSpec) -> TensorSpec:
    """Converters write a batch of any size as a batch of 1; a graph that can do nothing else says so when it runs."""
    return replace(spec, shape=(None, *(spec.shape or ())[1:]))


def _check(path: Path, entry: Entry) -> None:
    signature = entry.signature
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if spec.dtype is dtypes.INVALID:
            raise LoadFailed(
                f"{path}, signature {signature.name!r}: {spec.alias!r} is of a dtype that no request can hold.",
                hint="Convert the model with inputs and outputs of another dtype.",
            )
