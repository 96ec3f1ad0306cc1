"""Custom ops: which a graph needs, and the libraries that register them.

TensorFlow Serving must be rebuilt for every op that is not TensorFlow's own; here the library is loaded when a graph
that needs it is.
"""

import importlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstuck.engines.tensorflow.runtime import op_def_registry, tf
from unstuck.errors import LoadFailed


@dataclass(frozen=True, slots=True)
class OpPackage:
    """A package that registers ops when imported, recognised by its ops' names or by how they begin."""

    module: str
    extra: str
    prefix: str
    ops: frozenset[str] = frozenset()

    def registers(self, op: str) -> bool:
        return op.startswith(self.prefix) or op in self.ops


# The ops of tensorflow-text 2.21 that lack its prefix: the difference in TensorFlow's registry that importing it makes.
# fmt: off
_TEXT_OPS = frozenset({
    "CaseFoldUTF8", "ConstrainedSequence", "FastBertNormalize", "FastWordpieceTokenizeWithOffsets", "FindSourceOffsets",
    "MaxSpanningTree", "NormalizeUTF8", "NormalizeUTF8WithOffsetsMap", "PhraseTokenize", "RegexSplitWithOffsets",
    "RougeL", "SentenceFragments", "SentenceFragmentsV2", "SentencepieceDetokenizeOp", "SentencepieceIdToStringOp",
    "SentencepieceOp", "SentencepieceStringToIdOp", "SentencepieceTokenizeOp", "SentencepieceTokenizeWithOffsetsOp",
    "SentencepieceVocabSizeOp", "SplitMergeTokenizeWithOffsets", "TokenizerFromLogits",
    "UnicodeScriptTokenizeWithOffsets", "WhitespaceTokenizeWithOffsets", "WordpieceTokenizeWithOffsets",
})
# fmt: on
TEXT = OpPackage("tensorflow_text", "text", "TFText>", _TEXT_OPS)
PACKAGES = (
    TEXT,
    OpPackage("tensorflow_decision_forests", "forests", "SimpleML"),
)


def ensure_registered(needed: Collection[str], op_libraries: Iterable[str]) -> None:
    """Loads the libraries that register the ops in ``needed``, if TensorFlow does not know them already.

    Raises:
        LoadFailed: a library is missing or broken, or no known one registers an op; it says the command to run.
    """
    if not _unknown(needed):
        return
    for library in op_libraries:
        _load(library)
    for package in PACKAGES:
        if needs := sorted(filter(package.registers, _unknown(needed))):
            import_package(package, f"for the graph's ops {', '.join(needs)}")
    if unknown := sorted(_unknown(needed)):
        raise LoadFailed(
            f"The graph uses ops that TensorFlow does not know: {', '.join(unknown)}.",
            hint="Name the library that registers them with --op_library=MODULE or --op_library=/path/to/library.so.",
        )


def _unknown(needed: Collection[str]) -> set[str]:
    return {op for op in needed if op_def_registry.get(op) is None}


def import_package(package: OpPackage, why: str) -> Any:
    """The module of ``package``, imported.

    Raises:
        LoadFailed: it is missing, or of another TensorFlow; it says the command to run.
    """
    try:
        return importlib.import_module(package.module)
    except ModuleNotFoundError:
        raise LoadFailed(
            f"{package.module} is needed {why}, and is not installed.",
            hint=f'Run: pip install "unstuck[{package.extra}]"',
        ) from None
    except Exception as error:  # a library of another TensorFlow raises whatever its linker or its checks say
        raise LoadFailed(
            f"{package.module} is needed {why}, and cannot be loaded into TensorFlow {tf.__version__}: {error}",
            hint=f'Run: pip install "unstuck[{package.extra}]"',
        ) from error


def _load(library: str) -> None:
    try:
        if Path(library).suffix in {".so", ".dylib"} or "/" in library:
            tf.load_op_library(library)
        else:
            importlib.import_module(library)
    except Exception as error:
        raise LoadFailed(f"--op_library={library} cannot be loaded: {error}") from error
