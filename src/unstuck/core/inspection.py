"""What the files of a model say of it, as ``unstuck inspect`` shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from unstuck.core.signatures import Signature


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the model reads when it is loaded, or keeps its weights in."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Table:
    """A lookup table or vocabulary: its entries, None where the files do not say, and where they come from."""

    name: str
    op: str
    entries: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Step:
    """Preprocessing that the graph does itself: what (``decodes images``), and by which ops or layers."""

    what: str
    how: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpCount:
    """How many nodes of an op there are, and what is unsafe about it; empty where nothing is."""

    op: str
    count: int
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """One version of a model.

    Attributes:
        format: of its files: ``SavedModel``, ``ONNX model``; ``endpoint`` for one that only its server knows.
        signatures: by name.
        facts: what else is said of it, by what it is about (``tags``, ``opset``).
        size_bytes: of all its files; None where they are not here.
        ops: the ops that the signatures run, most frequent first, then unsafe ones that none of them runs.
    """

    format: str
    signatures: Mapping[str, Signature]
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    size_bytes: int | None = None
    assets: tuple[Asset, ...] = ()
    tables: tuple[Table, ...] = ()
    preprocessing: tuple[Step, ...] = ()
    ops: tuple[OpCount, ...] = ()


def why_not_batched(signature: Signature) -> str:
    """Empty if rows of several calls may stand in one tensor of each input and output, else the reason why not."""
    if not signature.inputs:
        return "it has no inputs"
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if not spec.shape or spec.shape[0] is not None:
            return f"{spec.alias} {spec} has no open first dimension"
    return ""
