"""Whether a pipeline fits the signatures of its model; what needs no framework to be known."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from unstuck.core.dtypes import REF_OFFSET, DType
from unstuck.core.signatures import Shape, Signature, TensorSpec, show_shape
from unstuck.errors import did_you_mean
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.schema import Expression, Function, Pipeline, SignaturePipeline, Tokenizer

UNPREPARED = "_unprepared"  # what the model's own signature is called beside the one that takes raw inputs


def place(signature_name: str) -> str:
    """How messages call the pipeline of a signature."""
    return f"Signature {signature_name!r}, pipeline"


def check(pipeline: Pipeline, signatures: Mapping[str, Signature]) -> None:
    """Raises PipelineError for a name that the model or the pipeline does not have, or one that is left out."""
    for name, declared in pipeline.signatures.items():
        signature = signatures.get(name)
        if signature is None:
            raise _unknown(f"The pipeline's signature {name!r}", "signatures", name, signatures)
        where = f"{place(name)}:"
        if name + UNPREPARED in signatures:
            raise PipelineError(
                f"{where} the model has a signature {name + UNPREPARED!r} already.",
                hint="Its pipeline is inside it, it seems; write one for the model that it was made of.",
            )
        _check_names(f"{where} input", declared.inputs, signature.inputs)
        for alias in signature.inputs:
            if alias not in declared.inputs:
                raise PipelineError(
                    f"{where} input {alias!r} ({signature.inputs[alias]}) is not declared.",
                    hint=f"Say under inputs how it is made of the raw inputs {_listed(declared.raw)}.",
                )
        _check_python(where, declared)
        _check_sources(f"{where} inputs", declared.inputs, declared.sources())
        _check_all_used(where, declared)
        if declared.outputs is not None:
            _check_sources(f"{where} outputs", declared.outputs, signature.outputs)


def check_without_functions(pipeline: Pipeline, file: Path) -> None:
    """Raises PipelineError where the pipeline calls Python that came with the model: nobody has asked for it."""
    for name, declared in pipeline.signatures.items():
        for step, each in declared.python.items():
            if isinstance(each, Function):
                raise PipelineError(
                    f"{place(name)} python.{step}: {file} came with the model and names the Python function "
                    f"{each.function!r}, which could do anything on the server's machine.",
                    hint=f"If you trust whoever made it, say so: --pipeline_file={file}, or --allow_unsafe_ops for all "
                    "models.",
                )


def fits(where: str, dtype: DType, shape: Shape | None, spec: TensorSpec) -> bool:
    """Whether a value is what the model's input ``spec`` takes as it is; else it is with a last dimension of 1 added.

    Raises:
        PipelineError: neither.
    """
    if dtype.number % REF_OFFSET != spec.dtype.number % REF_OFFSET:
        hint = f"End its steps with cast: {{dtype: {spec.dtype.name}}}."
        if not (dtype.is_number and spec.dtype.is_number):
            hint = "Make numbers of it with vocabulary or hash." if dtype.is_string and spec.dtype.is_number else ""
        raise PipelineError(f"{where}: it is {dtype.name}, and the model takes {spec}.", hint=hint)
    if not spec.has_shape or spec.shape is None or shape is None or _compatible(shape, spec.shape):
        return True
    if (*shape, 1) == (*shape[:1], *spec.shape[1:]):
        return False
    raise PipelineError(
        f"{where}: it has the shape {show_shape(shape)}, and the model takes {spec}.",
        hint="Change it with reshape, which gives a row's shape.",
    )


def _compatible(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) and all(None in pair or pair[0] == pair[1] for pair in zip(a, b, strict=True))


def _check_python(where: str, declared: SignaturePipeline) -> None:
    known = dict(declared.raw)
    for name, step in declared.python.items():
        for source in step.from_:
            if source not in known:
                raise _unknown(f"{where} python.{name}: {source!r}", "what is known before it", source, known)
            found = known[source]
            if isinstance(step, Tokenizer) and (found.dtype != "string" or found.shape):
                raise PipelineError(
                    f"{where} python.{name}: it takes one text a row, and {source!r} is {found.spec(source)}."
                )
        for given, value in step.gives(name).items():
            if given in known:
                raise PipelineError(f"{where} python.{name}: {given!r} is there twice.", hint="Give it another name.")
            known[given] = value


def _check_all_used(where: str, declared: SignaturePipeline) -> None:
    used = declared.used()
    idle = [f"raw input {alias!r}" for alias in declared.raw if alias not in used]
    idle += [f"python.{name}" for name, step in declared.python.items() if not used & step.gives(name).keys()]
    if idle:
        raise PipelineError(f"{where} {idle[0]} is not used by any input.", hint="Use it or leave it out.")


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
