"""Custom ops: which a graph needs, and the libraries that register them.

TensorFlow Serving must be rebuilt for every op that is not TensorFlow's own; here the library is loaded when a graph
that needs it is.
"""

import importlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from unstuck.engines.tensorflow.runtime import op_def_registry, tf
from unstuck.errors import LoadFailed


@dataclass(frozen=True, slots=True)
class OpPackage:
    """A package that registers ops when imported, recognised by its ops' names."""

    module: str
    extra: str
    prefixes: tuple[str, ...]


PACKAGES = (
    OpPackage(
        "tensorflow_text",
        "text",
        (
            *("CaseFold", "ConstrainedSequence", "FastBert", "FastSentencepiece", "FastWordpiece", "Mst", "NgramsWith"),
            *("Normalize", "RegexSplit", "RoundRobin", "Rouge", "Sentence", "Sentencepiece", "SplitMerge", "TFText"),
            *("TokenizerFrom", "UnicodeScript", "Utf8Binarize", "Whitespace", "Wordpiece", "WordpieceTokenize"),
            *("ByteSplit", "FindSourceOffsets", "GreedyConstrained", "Phrase", "Boise", "Wordshape"),
        ),
    ),
    OpPackage("tensorflow_decision_forests", "forests", ("SimpleML",)),
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
        if any(op.startswith(package.prefixes) for op in _unknown(needed)):
            _import(package, sorted(_unknown(needed)))
    if unknown := sorted(_unknown(needed)):
        raise LoadFailed(
            f"The graph uses ops that TensorFlow does not know: {', '.join(unknown)}.",
            hint="Name the library that registers them with --op_library=MODULE or --op_library=/path/to/library.so.",
        )


def _unknown(needed: Collection[str]) -> set[str]:
    return {op for op in needed if op_def_registry.get(op) is None}


def _import(package: OpPackage, unknown: list[str]) -> None:
    try:
        importlib.import_module(package.module)
    except ModuleNotFoundError:
        raise LoadFailed(
            f"The graph uses ops of {package.module}, which is not installed: {', '.join(unknown)}.",
            hint=f'Run: pip install "unstuck[{package.extra}]"',
        ) from None
    except Exception as error:  # a library of another TensorFlow raises whatever its linker or its checks say
        raise LoadFailed(
            f"{package.module}, whose ops the graph uses, cannot be loaded into TensorFlow {tf.__version__}: {error}",
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
