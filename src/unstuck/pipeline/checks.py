"""Whether a pipeline fits the signatures of its model; what needs no framework to be known."""

from collections.abc import Iterable, Mapping

from unstuck.core.signatures import Signature
from unstuck.errors import did_you_mean
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.schema import Expression, Pipeline


def check(pipeline: Pipeline, signatures: Mapping[str, Signature]) -> None:
    """Raises PipelineError for a name that the model or the pipeline does not have, or one that is left out."""
    for name, declared in pipeline.signatures.items():
        signature = signatures.get(name)
        if signature is None:
            raise _unknown(f"The pipeline's signature {name!r}", "signatures", name, signatures)
        where = f"Signature {name!r}, pipeline:"
        _check_names(f"{where} input", declared.inputs, signature.inputs)
        for alias in signature.inputs:
            if alias not in declared.inputs:
                raise PipelineError(
                    f"{where} input {alias!r} ({signature.inputs[alias]}) is not declared.",
                    hint=f"Say under inputs how it is made of the raw inputs {_listed(declared.raw)}.",
                )
        _check_sources(f"{where} inputs", declared.inputs, declared.raw)
        used = {name for expression in declared.inputs.values() for name in expression.names()}
        for alias in declared.raw:
            if alias not in used:
                raise PipelineError(
                    f"{where} raw input {alias!r} is not used by any input.", hint="Use it or leave it out."
                )
        if declared.outputs is not None:
            _check_sources(f"{where} outputs", declared.outputs, signature.outputs)


def _check_names(what: str, given: Iterable[str], known: Mapping[str, object]) -> None:
    for name in given:
        if name not in known:
            raise _unknown(f"{what} {name!r}", "the model's inputs", name, known)


def _check_sources(what: str, expressions: Mapping[str, Expression], known: Mapping[str, object]) -> None:
    for alias, expression in expressions.items():
        for name in sorted(expression.names()):
            if name not in known:
                raise _unknown(f"{what}.{alias}: {name!r}", "what it may be made of", name, known)


def _unknown(what: str, kind: str, name: str, known: Mapping[str, object]) -> PipelineError:
    return PipelineError(f"{what} does not exist; {kind}: {_listed(known)}.", hint=did_you_mean(name, known))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
